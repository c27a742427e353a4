"""Block coordinate descent with auxiliary variables: all samples at once, every block at its exact
minimum."""

from layermilp.bcd.trainer import Record, Trained, train

__all__ = ["Record", "Trained", "train"]
