"""Pictures of weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from layermilp import Network
from layermilp.report import Reported


def test_kernels_and_images_are_what_the_network_has(runs: Path) -> None:
    """A convolution shows its kernel, a dense layer an image per neuron; other inputs a matrix."""
    from layermilp.report.images import weight_images

    conv, dense = (Reported.read(runs / name, name) for name in ("conv", "dense"))
    ((title, kernel),) = weight_images(conv)
    assert isinstance(conv.model, Network) and title == "kernel"
    np.testing.assert_array_equal(kernel.ravel(), conv.model.blocks[1].theta)
    images = list(weight_images(dense))
    assert isinstance(dense.model, Network) and len(images) == 4
    np.testing.assert_array_equal(images[2][1].ravel(), dense.model.blocks[0].weights[2])
    plain = Reported("plain", {}, [], Network.dense([5, 3, 2]))
    ((title, matrix),) = weight_images(plain)
    assert title == "" and matrix.shape == (3, 5)
