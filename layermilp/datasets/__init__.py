"""Data sets: MNIST, Adult, scikit-learn's embedded digits, and the user's own files, all as one
`Dataset`."""

from layermilp.datasets.dataset import Dataset
from layermilp.datasets.loading import NAMES, catalogue, load, load_samples
from layermilp.datasets.remote import Download

__all__ = ["NAMES", "Dataset", "Download", "catalogue", "load", "load_samples"]
