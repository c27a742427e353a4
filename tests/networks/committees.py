"""A small committee and its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from layermilp.networks.committee import Committee
from layermilp.networks.network import Network


def small_committee() -> Committee:
    texts = ("16-4-3", "4x4-mean2-conv2-3", "4x4-conv3b-3")
    networks = [Network.from_notation(text, init="uniform", seed=k) for k, text in enumerate(texts)]
    return Committee(
        network.with_classes(["a", "b", "c"]).with_decision("argmax") for network in networks
    )


def arrays_of(folder: Path) -> dict[str, Any]:
    with np.load(small_committee().save(folder / "original.npz")) as archive:
        return dict(archive)
