"""The same problems for every solver."""
