"""The trainers as scikit-learn estimators."""

from layermilp.estimators.bcd import BCDClassifier, BCDRegressor
from layermilp.estimators.hybrid import HybridClassifier, HybridRegressor
from layermilp.estimators.integer import IntegerNetClassifier
from layermilp.estimators.layerwise import LayerwiseClassifier
from layermilp.estimators.smt import SMTClassifier

__all__ = [
    "BCDClassifier",
    "BCDRegressor",
    "HybridClassifier",
    "HybridRegressor",
    "IntegerNetClassifier",
    "LayerwiseClassifier",
    "SMTClassifier",
]
