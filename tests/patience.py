"""How long a test waits for what it has started."""

PATIENCE = 1200.0
"""Seconds, far beyond what anything takes on a loaded machine: a net for what never ends."""
