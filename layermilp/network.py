"""Networks of ReLU building blocks in numpy: forward pass, prediction, initialization, save and load."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layermilp.errors import DataError, ModelFileError, NetworkError
from layermilp.files import write_atomically
from layermilp.parameters import ParameterMap
from layermilp.program import FloatArray, IntArray

FORMAT = "layermilp.network"
VERSION = 1


@dataclass(frozen=True, eq=False)
class Block:
    """One ReLU building block ``o = relu(W x + c)`` (Goebbels 2021, Figure 1).

    Blocks are values: training makes new ones (`with_theta`).

    Parameters
    ----------
    parameters : ParameterMap
        Which entries of ``(W, c)`` are free, tied or fixed.
    theta : (p,) array
        The parameters.
    """

    parameters: ParameterMap
    theta: FloatArray

    def __post_init__(self) -> None:
        theta = np.array(self.theta, dtype=np.float64)
        if theta.shape != (self.parameters.n_parameters,) or not np.all(np.isfinite(theta)):
            raise NetworkError(f"a block needs {self.parameters.n_parameters} finite parameters")
        theta.setflags(write=False)
        object.__setattr__(self, "theta", theta)

    @classmethod
    def dense(cls, n_inputs: int, n_outputs: int, *, init: str = "he", seed: int = 0) -> Block:
        """Fully connected block; see `initialize` for `init`."""
        return cls.initialized(ParameterMap.dense(_size(n_inputs), _size(n_outputs)), init, np.random.default_rng(seed))

    @classmethod
    def conv2d(
        cls, height: int, width: int, kernel: int, *, free_bias: bool = False, init: str = "he", seed: int = 0
    ) -> Block:
        """Valid convolution of one channel with one feature map; see `ParameterMap.conv2d`."""
        parameters = ParameterMap.conv2d(_size(height), _size(width), _size(kernel), free_bias=free_bias)
        return cls.initialized(parameters, init, np.random.default_rng(seed))

    @classmethod
    def initialized(cls, parameters: ParameterMap, init: str, rng: np.random.Generator) -> Block:
        """Block with initial parameters drawn by the named rule."""
        return cls(parameters, initialize(parameters, init, rng))

    @property
    def n_inputs(self) -> int:
        """Number of inputs `d`."""
        return self.parameters.n_inputs

    @property
    def n_outputs(self) -> int:
        """Number of outputs `n`."""
        return self.parameters.n_outputs

    @cached_property
    def extended(self) -> FloatArray:
        """``(W, c)``, shape ``(n, d + 1)``."""
        return self.parameters.expand(self.theta)

    @property
    def weights(self) -> FloatArray:
        """`W`, shape ``(n, d)``."""
        return self.extended[:, :-1]

    @property
    def bias(self) -> FloatArray:
        """`c`, shape ``(n,)``."""
        return self.extended[:, -1]

    def with_theta(self, theta: ArrayLike) -> Block:
        """Return the block with other parameters."""
        return Block(self.parameters, np.asarray(theta, dtype=np.float64))

    def preactivation(self, inputs: FloatArray) -> FloatArray:
        """``W x + c`` for inputs of shape ``(m, d)``; returns ``(m, n)``."""
        return inputs @ self.weights.T + self.bias

    def forward(self, inputs: FloatArray) -> FloatArray:
        """``relu(W x + c)`` for inputs of shape ``(m, d)``; returns ``(m, n)``."""
        return np.maximum(self.preactivation(inputs), 0.0)


class Network:
    """Blocks one after the other; the class is the output closest to one.

    Networks are values: training returns a new one.

    Parameters
    ----------
    blocks : iterable of Block
        First hidden layer to output layer; outputs of one fit the inputs of the next.
    classes : (n_outputs,) array of int or str, optional
        Label of each output. Default: 0, 1, ...

    Raises
    ------
    NetworkError
        If blocks do not fit together, or the classes do not fit the outputs.
    """

    def __init__(self, blocks: Iterable[Block], classes: ArrayLike | None = None) -> None:
        self.blocks = tuple(blocks)
        if not self.blocks:
            raise NetworkError("a network needs at least one block")
        for i, (before, after) in enumerate(itertools.pairwise(self.blocks), start=1):
            if before.n_outputs != after.n_inputs:
                raise NetworkError(
                    f"block {i} has {before.n_outputs} outputs, but block {i + 1} takes {after.n_inputs} inputs"
                )
        self.classes = _classes(classes, self.n_outputs)

    @classmethod
    def dense(cls, sizes: Sequence[int], *, init: str = "he", seed: int = 0) -> Network:
        """Fully connected network.

        Parameters
        ----------
        sizes : sequence of int
            Inputs, hidden layers, outputs: ``[784, 8, 8, 8, 10]``.
        init : {"he", "uniform"}
            Rule of the initial weights, see `initialize`.
        seed : int
            Seed of the initial weights.

        Raises
        ------
        NetworkError
            If fewer than two sizes are given, one is not a positive integer, or the rule is unknown.
        """
        sizes = [_size(size) for size in sizes]
        if len(sizes) < 2:
            raise NetworkError(f"a network needs inputs and outputs, such as 784-8-10; got {sizes}")
        rng = np.random.default_rng(seed)
        maps = [ParameterMap.dense(d, n) for d, n in itertools.pairwise(sizes)]
        return cls(Block.initialized(parameters, init, rng) for parameters in maps)

    @classmethod
    def from_notation(cls, notation: str, *, init: str = "he", seed: int = 0) -> Network:
        """Fully connected network from layer sizes joined by dashes, such as ``784-8-8-8-10``; see `dense`."""
        sizes = notation.split("-")
        if not all(size.isascii() and size.isdigit() for size in sizes):
            raise NetworkError(f"net {notation!r} is not a list of layer sizes joined by dashes, such as 784-8-8-8-10")
        return cls.dense([int(size) for size in sizes], init=init, seed=seed)

    @property
    def n_inputs(self) -> int:
        """Number of inputs of the first block."""
        return self.blocks[0].n_inputs

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the last block."""
        return self.blocks[-1].n_outputs

    @property
    def notation(self) -> str:
        """Layer sizes joined by dashes: ``784-8-8-8-10``."""
        return "-".join(str(size) for size in (self.n_inputs, *(block.n_outputs for block in self.blocks)))

    def __repr__(self) -> str:
        return f"Network({self.notation})"

    def with_block(self, i: int, block: Block) -> Network:
        """Return the network with block `i` (from 0) replaced."""
        return Network((*self.blocks[:i], block, *self.blocks[i + 1 :]), self.classes)

    def with_classes(self, classes: ArrayLike) -> Network:
        """Return the network with other labels of its outputs."""
        return Network(self.blocks, classes)

    def activations(self, X: ArrayLike) -> list[FloatArray]:
        """Inputs and then the outputs of every block, shapes ``(m, size of the layer)``."""
        layers = [self._inputs(X)]
        for block in self.blocks:
            layers.append(block.forward(layers[-1]))
        return layers

    def forward(self, X: ArrayLike) -> FloatArray:
        """Outputs of the last block.

        Parameters
        ----------
        X : (m, n_inputs) array
            Samples.

        Returns
        -------
        (m, n_outputs) array
            Non-negative outputs.

        Raises
        ------
        DataError
            If the shape does not fit or a value is not finite.
        """
        return self.activations(X)[-1]

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Label of the output closest to one, the first of equals, for samples of shape ``(m, n_inputs)``."""
        return np.asarray(self.classes[nearest_to_one(self.forward(X))])

    def accuracy(self, X: ArrayLike, y: ArrayLike) -> float:
        """Share of the samples whose predicted label is `y`."""
        labels = np.asarray(y)
        outputs = self.forward(X)
        if labels.shape != (len(outputs),):
            raise DataError(f"there are {len(outputs)} samples, but the labels have shape {labels.shape}")
        return float(np.mean(self.classes[nearest_to_one(outputs)] == labels)) if labels.size else float("nan")

    def class_indices(self, y: ArrayLike) -> IntArray:
        """Return the output that stands for each label.

        Raises
        ------
        DataError
            If a label is none of the classes.
        """
        labels = np.asarray(y)
        order = np.argsort(self.classes)
        try:
            places = np.minimum(np.searchsorted(self.classes, labels, sorter=order), self.n_outputs - 1)
            found = order[places]
            wrong = self.classes[found] != labels
        except TypeError as error:
            raise DataError(f"labels of type {labels.dtype} cannot be compared with the classes") from error
        if labels.ndim != 1 or np.any(wrong):
            bad = labels[wrong][0] if labels.ndim == 1 else labels.shape
            raise DataError(f"label {str(bad)!r} is none of the network's {self.n_outputs} classes {_shown(self.classes)}")
        return np.asarray(found, dtype=np.int64)

    def save(self, path: str | Path) -> Path:
        """Write the network to an ``.npz`` file, atomically and without pickle; return the path.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        arrays: dict[str, Any] = {
            "format": np.array(FORMAT),
            "version": np.array(VERSION),
            "classes": self.classes,
            "n_blocks": np.array(len(self.blocks)),
        }
        for i, block in enumerate(self.blocks):
            arrays[f"weights_{i}"] = block.weights
            arrays[f"bias_{i}"] = block.bias
            arrays[f"index_{i}"] = block.parameters.index.astype(np.int32)
        return write_atomically(Path(path), lambda file: np.savez_compressed(file, **arrays))

    @classmethod
    def load(cls, path: str | Path) -> Network:
        """Read a network written by `save`.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, foreign, or of a newer version. Nothing in the file is ever executed.
        """
        path = Path(path)
        arrays = _read_npz(path)
        if "format" not in arrays or str(arrays["format"]) != FORMAT:
            raise ModelFileError(f"{path} is not a layermilp model")
        if "version" not in arrays or not np.array_equal(arrays["version"], VERSION):
            raise ModelFileError(f"{path} has format version {arrays.get('version')}; this layermilp reads {VERSION}")
        try:
            blocks = [_block_from(arrays, i) for i in range(int(arrays["n_blocks"]))]
            return cls(blocks, arrays["classes"])
        except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
            raise ModelFileError(f"{path} is damaged: {error}") from error

    def _inputs(self, X: ArrayLike) -> FloatArray:
        inputs = np.asarray(X, dtype=np.float64)
        if inputs.ndim != 2 or inputs.shape[1] != self.n_inputs:
            raise DataError(f"the network takes samples of {self.n_inputs} inputs, got an array of shape {inputs.shape}")
        if not np.all(np.isfinite(inputs)):
            row, column = np.argwhere(~np.isfinite(inputs))[0]
            raise DataError(f"sample {row} has the value {inputs[row, column]} at input {column}")
        return inputs


def nearest_to_one(outputs: FloatArray) -> IntArray:
    """Index of the output closest to one in each row of ``(m, n)`` outputs, the first of equals."""
    return np.asarray(np.argmin(np.abs(outputs - 1.0), axis=1), dtype=np.int64)


def initialize(parameters: ParameterMap, init: str, rng: np.random.Generator) -> FloatArray:
    """Draw initial parameters by a named rule.

    Parameters
    ----------
    parameters : ParameterMap
        What the parameters are.
    init : {"he", "uniform"}
        ``uniform``: every parameter uniform in [-1, 1] (Goebbels 2021, section 3). ``he``: weights normal with variance
        2 / fan-in (He et al. 2015), cut at [-1, 1]; the signs of a neuron's weights are turned where their sum is negative,
        because such a neuron is silent on most non-negative inputs; biases zero.
    rng : numpy.random.Generator
        Source of randomness.

    Raises
    ------
    NetworkError
        If the rule is unknown.
    """
    if init not in INITIALIZERS:
        raise NetworkError(f"initialization {init!r} is unknown; choose {', '.join(INITIALIZERS)}")
    return INITIALIZERS[init](parameters, rng)


def _uniform(parameters: ParameterMap, rng: np.random.Generator) -> FloatArray:
    return rng.uniform(-1.0, 1.0, parameters.n_parameters)


def _he(parameters: ParameterMap, rng: np.random.Generator) -> FloatArray:
    theta = rng.normal(size=parameters.n_parameters)
    for group in parameters.groups:
        of_weights = parameters.index[group.neurons, :-1]
        of_weights = of_weights[of_weights >= 0]
        fan_in = of_weights.size / group.neurons.size
        drawn = np.clip(theta[group.parameters] * np.sqrt(2.0 / max(fan_in, 1.0)), -1.0, 1.0)
        theta[group.parameters] = drawn
        if theta[of_weights].sum() < 0.0:
            theta[group.parameters] = -drawn
    of_bias = parameters.index[:, -1]
    theta[of_bias[of_bias >= 0]] = 0.0
    return theta


INITIALIZERS: dict[str, Callable[[ParameterMap, np.random.Generator], FloatArray]] = {"he": _he, "uniform": _uniform}
"""Rules of the initial weights by name."""


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise NetworkError(f"{value!r} is not a layer size; sizes are whole numbers of at least 1")
    return int(value)


def _classes(classes: ArrayLike | None, n_outputs: int) -> NDArray[Any]:
    labels = np.arange(n_outputs) if classes is None else np.asarray(classes)
    if labels.shape != (n_outputs,) or labels.dtype.kind not in "iuU" or np.unique(labels).size != n_outputs:
        raise NetworkError(f"a network with {n_outputs} outputs needs as many different integer or text labels")
    return labels


def _shown(classes: NDArray[Any]) -> str:
    shown = ", ".join(str(label) for label in classes[:10])
    return f"({shown}{', ...' if classes.size > 10 else ''})"


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # numpy and zipfile raise a dozen types on damaged files
        raise ModelFileError(f"{path} is damaged or not a layermilp model") from error


def _block_from(arrays: dict[str, NDArray[Any]], i: int) -> Block:
    weights, bias, index = arrays[f"weights_{i}"], arrays[f"bias_{i}"], arrays[f"index_{i}"]
    if weights.ndim != 2 or bias.shape != weights.shape[:1]:
        raise NetworkError(f"block {i} has weights of shape {weights.shape} and biases of shape {bias.shape}")
    extended = np.column_stack([weights, bias]).astype(np.float64)
    parameters = ParameterMap(index, np.where(index >= 0, 0.0, extended))
    return Block(parameters, parameters.collect(extended))
