"""Networks of integer weights, trained whole (Thorbjarnarson and Yorke-Smith 2020)."""

from layermilp.integer.trainer import Trained, train
from layermilp.networks.integer import IntegerLayer, IntegerNetwork

__all__ = ["IntegerLayer", "IntegerNetwork", "Trained", "train"]
