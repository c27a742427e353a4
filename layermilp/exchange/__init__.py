"""Networks for other tools, and from them: ONNX and PyTorch. To add a format, write its module and
put it into `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import ArrayLike

from layermilp.errors import OptionError
from layermilp.exchange.onnx import from_onnx, read_onnx, to_onnx, write_onnx
from layermilp.exchange.state_dict import from_state_dict, to_state_dict
from layermilp.exchange.steps import DTYPES, require_network
from layermilp.exchange.torch import from_torch, read_torch, to_torch, write_torch
from layermilp.networks.load import Model
from layermilp.networks.network import Network

__all__ = [
    "DTYPES",
    "FORMATS",
    "Format",
    "export_model",
    "from_onnx",
    "from_state_dict",
    "from_torch",
    "import_model",
    "to_onnx",
    "to_state_dict",
    "to_torch",
]


@dataclass(frozen=True)
class Format:
    """A file format: its name, and what writes and reads a network."""

    title: str
    write: Callable[..., Path]
    read: Callable[..., Network]


_TORCH = Format("PyTorch state_dict", write_torch, read_torch)

FORMATS: dict[str, Format] = {
    ".onnx": Format("ONNX", write_onnx, read_onnx),
    ".pt": _TORCH,
    ".pth": _TORCH,
}
"""Formats by the suffix of their files."""


def export_model(model: Model, path: str | Path, *, dtype: str = "float64") -> Path:
    """Write a network to a file of another tool, atomically; return the path.

    Parameters
    ----------
    model : Network
        The network.
    path : str or Path
        File; its suffix says the format: ``.onnx`` for ONNX, ``.pt`` or ``.pth`` for a PyTorch
        ``state_dict``.
    dtype : {"float64", "float32"}
        Type of the numbers; sums of float32 numbers differ from the network's own outputs by their
        rounding.

    Raises
    ------
    OptionError
        If the suffix is that of no format.
    PackageNotAvailable
        If the package of the format is not installed.
    NetworkError
        If the model is a committee or an integer network, or the format cannot hold it.
    OutputError
        If the file cannot be written.
    """
    return format_of(path).write(require_network(model), path, dtype=dtype)


def import_model(
    path: str | Path,
    *,
    classes: ArrayLike | None = None,
    decision: str | None = None,
    image: Sequence[int] | None = None,
    net: str | None = None,
) -> Network:
    """Read a network from a file of another tool; nothing in the file is executed.

    Its inputs are the values of a sample, channels before rows before columns.

    Parameters
    ----------
    path : str or Path
        File; its suffix says the format, as in `export_model`.
    classes : array of int or str, optional
        Label of each output. Default: those that the file names, else 0, 1, ...
    decision : {"closest_to_one", "argmax"}, optional
        How the class is read from the outputs, see `Network`. Default: "closest_to_one" if a ReLU
        comes last in the file and "argmax" if not. With "argmax" a last ReLU is left out.
    image : sequence of int, optional
        Shape of a sample, ``(channels, height, width)`` or ``(height, width)``, for files that do
        not say it.
    net : str, optional
        Network in the notation of `layermilp.networks.notation`, for files of weights alone.

    Raises
    ------
    OptionError
        If the suffix is that of no format, or an option is not for it.
    PackageNotAvailable
        If the package of the format is not installed.
    ModelFileError
        If the file is missing or damaged.
    NetworkError
        If what it holds is no network of ReLU blocks; the message names the layer.
    """
    return format_of(path).read(path, classes=classes, decision=decision, image=image, net=net)


def format_of(path: str | Path) -> Format:
    """Return the format of files with the suffix of a path; raise `OptionError` if there is
    none."""
    found = FORMATS.get(Path(path).suffix.lower())
    if found is None:
        raise OptionError(f"{path} has the suffix of no format; choose {', '.join(FORMATS)}")
    return found
