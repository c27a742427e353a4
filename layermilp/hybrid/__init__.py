"""Gradient descent and a program of the last layer in turns (GDSolver), for scikit-learn's and
PyTorch's networks."""

from layermilp.hybrid.lastlayer import LastLayerFit, fit_classification, fit_regression
from layermilp.hybrid.trainer import Record, Trained, finetune_last_layer, train

__all__ = [
    "LastLayerFit",
    "Record",
    "Trained",
    "finetune_last_layer",
    "fit_classification",
    "fit_regression",
    "train",
]
