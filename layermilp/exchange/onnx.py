"""ONNX: networks as graphs of Gemm, Conv, AveragePool and Relu nodes, and graphs of them as
networks.

In float32 convolutions and means are Conv and AveragePool nodes. For float64 onnxruntime has
neither, so there, as where weights are tied in another way, they are a Gemm whose weights are a
Gather from the vector of parameters, which onnxruntime computes once. A negative number in it,
counted from the end as ONNX does, marks a fixed value. Metadata say which layers these are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from layermilp.errors import LayermilpError, OptionError
from layermilp.exchange.steps import require_dtype, require_network, require_package
from layermilp.files import write_atomically
from layermilp.networks.files import damage
from layermilp.networks.network import Network

if TYPE_CHECKING:
    import onnx


def to_onnx(network: Network, *, dtype: str = "float64") -> onnx.ModelProto:
    """Return a network as an ONNX model.

    Parameters
    ----------
    network : Network
        The network.
    dtype : {"float64", "float32"}
        Type of inputs, weights and outputs, see `export_model`.

    Returns
    -------
    onnx.ModelProto
        With the input ``inputs`` of shape ``(samples, n_inputs)``, and the outputs ``outputs`` of
        shape ``(samples, n_outputs)`` and ``labels`` of shape ``(samples,)``. Metadata keep the
        classes.

    Raises
    ------
    PackageNotAvailable
        If onnx is not installed.
    NetworkError
        As `export_model`, or if the model is larger than ONNX allows.
    """
    require_package("onnx", "onnx")
    from layermilp.exchange.onnx_writer import Writer

    return Writer(np.dtype(require_dtype(dtype))).model(require_network(network))


def from_onnx(
    source: onnx.ModelProto | str | Path,
    *,
    classes: ArrayLike | None = None,
    decision: str | None = None,
    image: Sequence[int] | None = None,
) -> Network:
    """Return the network that an ONNX model is.

    The graph is a chain of Gemm, MatMul, Add, Conv, AveragePool, GlobalAveragePool, Relu, Flatten,
    Reshape, Identity and Dropout nodes; a Softmax at its end is left out, which changes no class.
    Tied weights stay tied, and a layer without offset keeps none.

    Parameters
    ----------
    source : onnx.ModelProto or path
        Model, or file of one.
    classes, decision, image
        As in `import_model`, and so is what is returned.

    Raises
    ------
    PackageNotAvailable, ModelFileError, NetworkError
        As `import_model`, and if weights are kept in other files, which are not read.
    """
    onnx = require_package("onnx", "onnx")
    from layermilp.exchange.onnx_reader import Reader, parsed

    is_model = isinstance(source, onnx.ModelProto)
    model: Any = source if is_model else parsed(Path(str(source)))
    with damage("the ONNX model" if is_model else str(source), LayermilpError):
        return Reader(model).network(classes, decision, image)


def write_onnx(network: Network, path: str | Path, *, dtype: str = "float64") -> Path:
    """Write a network to an ``.onnx`` file, atomically; return the path. Errors as in `to_onnx`,
    and `OutputError`."""
    content = to_onnx(network, dtype=dtype).SerializeToString()
    return write_atomically(Path(path), lambda file: file.write(content))


def read_onnx(path: str | Path, *, net: str | None, **options: Any) -> Network:
    """Read an ``.onnx`` file, with the options of `from_onnx`; its graph says what the net is."""
    if net is not None:
        raise OptionError(
            f"net is {net!r}, but an ONNX file says itself what its layers are; leave it out"
        )
    return from_onnx(path, **options)
