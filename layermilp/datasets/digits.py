"""scikit-learn's embedded handwritten digits: real data that need no download."""

from __future__ import annotations

import numpy as np

from layermilp.datasets.dataset import Dataset, FloatArray, Part, assemble
from layermilp.errors import DataError

N_TRAIN = 1500
"""The first so many of the 1,797 images are for training, the others for testing."""

SMALL, LARGE = 64, 784


def load_digits(n_inputs: int | None = None, note: str = "") -> Dataset:
    """Load the digits at their own size of 8 x 8 (64 inputs, or None), or enlarged to MNIST's 28 x
    28 (784 inputs).

    Values are in [0, 1]; the images are not shuffled. The note is what `source` shall say more,
    such as why these data stand in for others."""
    if n_inputs not in (None, SMALL, LARGE):
        raise DataError(
            f"the network wants {n_inputs} inputs, but digits has {SMALL} (or {LARGE}, enlarged "
            "to 28 x 28)"
        )
    from sklearn.datasets import load_digits as load_embedded

    pixels, labels = load_embedded(return_X_y=True)
    images: FloatArray = pixels / 16.0
    large = n_inputs == LARGE
    if large:
        images = _enlarged(images)
    source = "embedded scikit-learn digits" + (", enlarged to 28 x 28" if large else "") + note
    train = Part(images[:N_TRAIN], labels[:N_TRAIN], "the training part of digits")
    test = Part(images[N_TRAIN:], labels[N_TRAIN:], "the test part of digits")
    return assemble("digits (28 x 28)" if large else "digits", source, train, test)


def _enlarged(images: FloatArray) -> FloatArray:
    """Draw every pixel as 3 x 3 pixels, within an empty frame of 2 pixels, as MNIST's digits have
    one too."""
    drawn = np.kron(images.reshape(-1, 8, 8), np.ones((1, 3, 3)))
    return np.pad(drawn, ((0, 0), (2, 2), (2, 2))).reshape(-1, LARGE)
