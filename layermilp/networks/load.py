"""Every kind of model that a file may hold.

To add one, subclass `Classifier`, put the class into `MODELS`, and its format into `KINDS`."""

from __future__ import annotations

from pathlib import Path

from layermilp.networks.committee import Committee
from layermilp.networks.files import read_model_file
from layermilp.networks.integer import IntegerNetwork
from layermilp.networks.network import Network

Model = Network | Committee | IntegerNetwork

MODELS: tuple[type[Model], ...] = (Network, Committee, IntegerNetwork)


def load_model(path: str | Path) -> Model:
    """Read a network, a committee or an integer network, whichever the file holds.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, foreign, or of a newer version. Nothing in the file is ever
        executed.
    """
    file = read_model_file(path)
    # A file of no known format is refused by the class that reads it, with the reason.
    kinds = {kind.FORMAT: kind for kind in MODELS}
    return kinds.get(file.format, Network).from_file(file)
