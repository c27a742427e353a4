"""Networks of integer weights, trained whole (Thorbjarnarson and Yorke-Smith 2020)."""

from layermilp.integer.network import IntegerLayer, IntegerNetwork
from layermilp.integer.trainer import Trained, train

__all__ = ["IntegerLayer", "IntegerNetwork", "Trained", "train"]
