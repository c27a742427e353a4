"""Every kind of model that a file may hold.

To add one: give its class ``FORMAT``, ``from_file`` and the methods of the others, and put it into
`LOADERS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from layermilp.networks import committee, network
from layermilp.networks import integer as integer
from layermilp.networks.committee import Committee
from layermilp.networks.files import ModelFile, read_model_file
from layermilp.networks.integer import IntegerNetwork
from layermilp.networks.network import Network

Model = Network | Committee | IntegerNetwork

LOADERS: dict[str, Callable[[ModelFile], Model]] = {
    network.FORMAT: Network.from_file,
    committee.FORMAT: Committee.from_file,
    integer.FORMAT: IntegerNetwork.from_file,
}
"""What reads a model, by the format of its file."""


def load_model(path: str | Path) -> Model:
    """Read a network, a committee or an integer network, whichever the file holds.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, foreign, or of a newer version. Nothing in the file is ever
        executed.
    """
    file = read_model_file(path)
    # A file of no known format is refused by whoever reads it, with the reason.
    return LOADERS.get(file.format, Network.from_file)(file)
