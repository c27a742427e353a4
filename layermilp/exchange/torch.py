"""PyTorch: networks as `nn.Sequential` modules and ``.pt`` files, and the reverse."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from layermilp.errors import LayermilpError, ModelFileError, NetworkError
from layermilp.exchange.state_dict import as_float64, from_state_dict, modules, to_state_dict
from layermilp.exchange.steps import (
    FLAT,
    Relu,
    Reshape,
    Step,
    convolution,
    dense,
    image_shape,
    mean,
    require_dtype,
    require_package,
    to_network,
)
from layermilp.files import write_atomically
from layermilp.networks.files import damage, file_size
from layermilp.networks.layers import AveragePool2d, Conv2d, Dense
from layermilp.networks.network import Block, Network
from layermilp.networks.windows import Window
from layermilp.program import FloatArray

if TYPE_CHECKING:
    from torch import nn


def to_torch(network: Network, *, dtype: str = "float64") -> nn.Sequential:
    """Return a network as a PyTorch module that gives the same outputs.

    Parameters
    ----------
    network : Network
        The network.
    dtype : {"float64", "float32"}
        Type of the weights, and so of the samples that the module takes.

    Returns
    -------
    nn.Sequential
        Modules `Linear`, `ReLU`, and for images `Unflatten`, `Conv2d`, `AvgPool2d` and `Flatten`;
        samples are rows, as for the network. Blocks whose ties are those of no such layer are
        `Linear` layers in which nothing is tied.

    Raises
    ------
    PackageNotAvailable, NetworkError
        As `export_model`.
    """
    torch = require_package("torch", "torch")
    module = torch.nn.Sequential(*map(_module, modules(network)))
    module = module.to(getattr(torch, require_dtype(dtype)))
    module.load_state_dict(_tensors(network, dtype))
    return module.eval()


def from_torch(
    module: nn.Sequential,
    *,
    image: Sequence[int] | None = None,
    classes: ArrayLike | None = None,
    decision: str | None = None,
) -> Network:
    """Return the network that a PyTorch module is in evaluation.

    Parameters
    ----------
    module : nn.Sequential
        Modules `Linear`, `Conv2d`, `AvgPool2d`, `AdaptiveAvgPool2d` to one pixel, `ReLU`,
        `Flatten`, `Unflatten`, `Identity`, `Dropout`, and `Sequential` of these.
    image, classes, decision
        As in `import_model`, and so is what is returned; weights stay tied as they are.

    Raises
    ------
    NetworkError
        If a layer is of another kind or does not fit, or a ReLU is missing; the message names the
        layer.
    """
    steps = [_read(number, part) for number, part in _parts(module)]
    return to_network(steps, image_shape(image), classes, decision)


def write_torch(network: Network, path: str | Path, *, dtype: str = "float64") -> Path:
    """Write the ``state_dict`` of a network to a ``.pt`` file, atomically; return the path. Errors
    as in `to_state_dict`, and `OutputError`."""
    torch, tensors = require_package("torch", "torch"), _tensors(network, dtype)
    return write_atomically(Path(path), lambda file: torch.save(tensors, file))


def read_torch(path: str | Path, *, decision: str | None, **options: Any) -> Network:
    """Read a ``.pt`` file of a ``state_dict``; nothing in it is executed. Options are those of
    `from_state_dict`, errors those of `import_model`."""
    mapping = _loaded(Path(path))
    with damage(path, LayermilpError):
        return from_state_dict(mapping, decision=decision or "argmax", **options)


def _tensors(network: Network, dtype: str) -> dict[str, Any]:
    from torch import tensor

    return {name: tensor(array) for name, array in to_state_dict(network, dtype=dtype).items()}


def _module(step: Block | Relu | Reshape) -> Any:
    """Return the module of a step, with any weights."""
    from torch import nn

    if isinstance(step, Relu):
        return nn.ReLU()
    if isinstance(step, Reshape):
        return nn.Flatten() if step.sides == FLAT.sides else nn.Unflatten(1, step.sides)
    layer = step.layer
    if isinstance(layer, AveragePool2d):
        return nn.AvgPool2d(layer.window.size, layer.window.strides)
    if isinstance(layer, Conv2d):
        size, strides, padding, dilations = vars(layer.window).values()
        channels, others = (layer.image[0], layer.out_channels), (layer.groups, layer.bias)
        return nn.Conv2d(*channels, size, strides, padding[:2], dilations, *others)
    assert isinstance(layer, Dense)
    return nn.Linear(layer.in_features, layer.out_features, layer.bias)


def _parts(module: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Modules of a Sequential, those of Sequentials in it included, with their names."""
    nn = require_package("torch", "torch").nn
    if type(module) is not nn.Sequential:
        raise NetworkError(
            f"a network is read from a Sequential, not from {type(module).__name__}; else go by "
            "its state_dict"
        )
    for name, part in module.named_children():
        if isinstance(part, nn.Sequential):
            yield from _parts(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", part


def _read(number: str, part: Any) -> Step | None:
    """Return the step of a module, None if it does nothing."""
    kind = type(part).__name__
    reader = READERS.get(kind)
    # Subclasses may do anything, whatever their names.
    if reader is None or not type(part).__module__.startswith("torch.nn.modules."):
        raise NetworkError(
            f"{kind} {number!r} is not supported; a network is made of {', '.join(READERS)}"
        )
    return reader(part, f"{kind} {number!r}")


def _conv2d(part: Any, name: str) -> Step:
    if part.padding_mode != "zeros":
        raise NetworkError(f"{name} pads with {part.padding_mode}; only zeros are supported")
    size, dilations = part.kernel_size, part.dilation
    padding: tuple[int, ...] = (0, 0, 0, 0)
    if part.padding == "same":
        total = [dilations[i] * (size[i] - 1) for i in (0, 1)]
        padding = (*(side // 2 for side in total), *(side - side // 2 for side in total))
    elif part.padding != "valid":
        padding = (*part.padding, *part.padding)
    window = Window(size, part.stride, padding, dilations)  # type: ignore[arg-type]
    return convolution(name, *_parameters(part, name), window, part.groups)


def _avg_pool2d(part: Any, name: str) -> Step:
    if part.ceil_mode or part.divisor_override:
        raise NetworkError(f"{name} has ceil_mode or divisor_override, which are not supported")
    size, strides, padding = map(_pair, (part.kernel_size, part.stride, part.padding))
    return mean(name, Window(size, strides, (*padding, *padding)), part.count_include_pad)


def _adaptive_avg_pool2d(part: Any, name: str) -> Step:
    if _pair(part.output_size) != (1, 1):
        raise NetworkError(f"{name} has output_size {part.output_size}; only 1 is supported")
    return mean(name)


def _flatten(part: Any, name: str) -> Step:
    if (part.start_dim, part.end_dim) != (1, -1):
        raise NetworkError(
            f"{name} does not flatten all of a sample; start_dim must be 1 and end_dim -1"
        )
    return Reshape(FLAT.sides, name)


def _unflatten(part: Any, name: str) -> Step:
    sides = part.unflattened_size
    if part.dim != 1 or not all(isinstance(side, int) for side in sides):
        raise NetworkError(f"{name} does not unflatten all of a sample; dim must be 1")
    return Reshape(tuple(sides), name)


READERS: dict[str, Callable[[Any, str], Step | None]] = {
    "Linear": lambda part, name: dense(name, *_parameters(part, name)),
    "Conv2d": _conv2d,
    "AvgPool2d": _avg_pool2d,
    "AdaptiveAvgPool2d": _adaptive_avg_pool2d,
    "ReLU": lambda part, name: Relu(name),
    "Flatten": _flatten,
    "Unflatten": _unflatten,
    "Identity": lambda part, name: None,
    "Dropout": lambda part, name: None,
    "Dropout2d": lambda part, name: None,
}
"""Readers of modules, by class; Dropout does nothing in evaluation."""


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second


def _parameters(part: Any, name: str) -> tuple[FloatArray, FloatArray | None]:
    """Weight and bias of a module."""
    bias = None if part.bias is None else as_float64(f"{name} bias", part.bias)
    return as_float64(f"{name} weight", part.weight), bias


def _loaded(path: Path) -> Mapping[str, Any]:
    """Read a file of tensors; every number of theirs must be in it."""
    torch = require_package("torch", "torch")
    size, hint = file_size(path), "write it by torch.save(module.state_dict(), path)"
    found: Any = None
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        is_plain = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
        if is_plain and sum(entry.file_size for entry in entries) <= size:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about what a damaged file claims to be
                found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile, pickle and PyTorch raise a dozen types on damaged files
        raise ModelFileError(f"{path} is damaged or holds more than tensors; {hint}") from error
    if not isinstance(found, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in found.values()
    ):
        raise ModelFileError(f"{path} holds no mapping of names to tensors; {hint}")
    tensors = list(found.values())
    if any(value.layout is not torch.strided or value.device.type != "cpu" for value in tensors):
        raise ModelFileError(f"{path} holds tensors without their numbers")
    if sum(value.numel() * value.element_size() for value in tensors) > size:
        raise ModelFileError(f"{path} holds tensors that share numbers; save copies of them")
    return found
