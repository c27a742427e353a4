"""A training run: its directory, checkpoints and progress."""
