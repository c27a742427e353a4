"""Every kind of model that a file may hold.

To add one, subclass `Classifier`, put the class into `Model`, and its format into `KINDS`."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from layermilp.networks.committee import Committee
from layermilp.networks.files import read_model_file
from layermilp.networks.integer import IntegerNetwork
from layermilp.networks.network import Network

Model = Network | Committee | IntegerNetwork


def load_model(path: str | Path) -> Model:
    """Read a network, a committee or an integer network, whichever the file holds; errors as in
    `Classifier.load`."""
    file = read_model_file(path)
    # A file of no known format is refused by the class that reads it, with the reason.
    kinds: dict[str, type[Model]] = {kind.FORMAT: kind for kind in get_args(Model)}
    return kinds.get(file.format, Network).from_file(file)
