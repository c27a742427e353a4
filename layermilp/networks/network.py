"""Networks of ReLU building blocks in numpy: forward pass, prediction, save and load."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layermilp.checks import shortened
from layermilp.errors import DataError, NetworkError
from layermilp.networks.files import Arrays, ModelFile, read_model_file, write_model_file
from layermilp.networks.initialization import initialize
from layermilp.networks.notation import describe, parse
from layermilp.networks.parameters import ParameterMap, check_size, layer_size, n_weights
from layermilp.program import FloatArray, IntArray

FORMAT = "layermilp.network"
VERSION = 2
READABLE = (1, 2)
"""Versions of the format that can be read. Version 1 has no decision."""


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
        return cls.initialized(
            ParameterMap.dense(n_inputs, n_outputs), init, np.random.default_rng(seed)
        )

    @classmethod
    def conv2d(
        cls,
        height: int,
        width: int,
        kernel: int,
        *,
        free_bias: bool = False,
        init: str = "he",
        seed: int = 0,
    ) -> Block:
        """Valid convolution of one channel with one feature map; see `ParameterMap.conv2d`."""
        parameters = ParameterMap.conv2d(height, width, kernel, free_bias=free_bias)
        return cls.initialized(parameters, init, np.random.default_rng(seed))

    @classmethod
    def mean2d(cls, height: int, width: int, size: int) -> Block:
        """Mean values of disjoint square regions of one channel, without parameters; see
        `ParameterMap.mean2d`."""
        return cls(ParameterMap.mean2d(height, width, size), np.zeros(0))

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
    """Blocks one after the other, and how a class is read from their outputs.

    Networks are values: training returns a new one.

    Parameters
    ----------
    blocks : iterable of Block
        First hidden layer to output layer; outputs of one fit the inputs of the next.
    classes : (n_outputs,) array of int or str, optional
        Label of each output. Default: 0, 1, ...
    decision : {"nearest", "largest"}
        ``nearest``: the class is the output closest to one (Goebbels 2021, section 1). ``largest``:
        it is the largest output, and the last block is linear, that is its outputs are ``W x + c``
        without ReLU.

    Raises
    ------
    NetworkError
        If blocks do not fit together, the classes do not fit the outputs, or the decision is
        unknown.
    """

    def __init__(
        self, blocks: Iterable[Block], classes: ArrayLike | None = None, decision: str = "nearest"
    ) -> None:
        self.blocks = tuple(blocks)
        if not self.blocks:
            raise NetworkError("a network needs at least one block")
        check_size(len(self.blocks), 0)
        for i, (before, after) in enumerate(itertools.pairwise(self.blocks), start=1):
            if before.n_outputs != after.n_inputs:
                raise NetworkError(
                    f"block {i} has {before.n_outputs} outputs, but block {i + 1} takes "
                    f"{after.n_inputs} inputs"
                )
        self.classes = _classes(classes, self.n_outputs)
        self.decision = _decision(decision)

    @classmethod
    def dense(cls, sizes: Sequence[int], *, init: str = "he", seed: int = 0) -> Network:
        """Fully connected network.

        Parameters
        ----------
        sizes : sequence of int
            Inputs, hidden layers, outputs: ``[784, 8, 8, 8, 10]``.
        init : {"he", "uniform", "positive"}
            Rule of the initial weights, see `initialize`.
        seed : int
            Seed of the initial weights.

        Raises
        ------
        NetworkError
            If fewer than two sizes are given, one is not a positive integer, or the rule is
            unknown.
        """
        if len(sizes) < 2:
            raise NetworkError(f"a network needs inputs and outputs, such as 784-8-10; got {sizes}")
        check_size(len(sizes) - 1, n_weights([layer_size(size) for size in sizes]))
        return cls._initialized(
            [ParameterMap.dense(d, n) for d, n in itertools.pairwise(sizes)], init, seed
        )

    @classmethod
    def conv(
        cls,
        height: int,
        width: int,
        kernel: int,
        n_outputs: int = 10,
        *,
        mean: int = 1,
        free_bias: bool = False,
        init: str = "positive",
        seed: int = 0,
    ) -> Network:
        """Convolutional network of one feature map and a dense output layer (Goebbels 2021, section
        1).

        Parameters
        ----------
        height, width : int
            Size of the input images; inputs are their pixels row by row.
        kernel : int
            Side length of the kernel.
        n_outputs : int
            Number of outputs.
        mean : int
            Side length of the regions whose mean values the convolution sees; 1 for the pixels
            themselves. The report's network on 28 x 28 pixels is ``Network.conv(28, 28, 3,
            mean=4)``.
        free_bias : bool
            Whether the convolution has one shared free bias, or zero.
        init, seed
            Initial weights, as in `dense`.

        Raises
        ------
        NetworkError
            If a size is not a positive integer, regions or kernel do not fit, or the rule is
            unknown.
        """
        maps = [] if mean == 1 else [ParameterMap.mean2d(height, width, mean)]
        maps.append(ParameterMap.conv2d(height // mean, width // mean, kernel, free_bias=free_bias))
        maps.append(ParameterMap.dense(maps[-1].n_outputs, n_outputs))
        return cls._initialized(maps, init, seed)

    @classmethod
    def from_notation(cls, notation: str, *, init: str = "he", seed: int = 0) -> Network:
        """Network in the notation of `layermilp.networks.notation`, such as ``784-8-8-8-10`` or
        ``28x28-mean4-conv3-10``.

        Raises
        ------
        NetworkError
            If an item of the notation is not understood or does not fit, nothing is to be trained,
            or the rule is unknown.
        """
        return cls._initialized(parse(notation), init, seed)

    @classmethod
    def _initialized(cls, maps: Iterable[ParameterMap], init: str, seed: int) -> Network:
        rng = np.random.default_rng(seed)
        return cls(Block.initialized(parameters, init, rng) for parameters in maps)

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
        """The network in the notation of `layermilp.networks.notation`; layer sizes alone if that
        has no items for a block."""
        return describe([block.parameters for block in self.blocks])

    def __repr__(self) -> str:
        return f"Network({self.notation})"

    def with_block(self, i: int, block: Block) -> Network:
        """Return the network with block `i` (from 0) replaced."""
        return Network(
            (*self.blocks[:i], block, *self.blocks[i + 1 :]), self.classes, self.decision
        )

    def with_classes(self, classes: ArrayLike) -> Network:
        """Return the network with other labels of its outputs."""
        return Network(self.blocks, classes, self.decision)

    def with_decision(self, decision: str) -> Network:
        """Return the network with another way to read the class."""
        return Network(self.blocks, self.classes, decision)

    def activations(self, X: ArrayLike) -> list[FloatArray]:
        """Inputs of every block and then the outputs of the last, as in `forward`; shapes ``(m,
        size of the layer)``."""
        layers = [self._inputs(X)]
        for block in self.blocks[:-1]:
            layers.append(block.forward(layers[-1]))
        last = self.blocks[-1]
        layers.append(
            last.preactivation(layers[-1])
            if self.decision == "largest"
            else last.forward(layers[-1])
        )
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
            Outputs; not negative with the decision "nearest", of either sign with "largest".

        Raises
        ------
        DataError
            If the shape does not fit or a value is not finite.
        """
        return self.activations(X)[-1]

    def decide(self, outputs: FloatArray) -> IntArray:
        """Index of the output that each row of ``(m, n_outputs)`` outputs decides for, the first of
        equals."""
        return decide(outputs, self.decision)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels, shape ``(m,)``, that the outputs of samples of shape ``(m, n_inputs)`` decide
        for."""
        return np.asarray(self.classes[self.decide(self.forward(X))])

    def accuracy(self, X: ArrayLike, y: ArrayLike) -> float:
        """Share of the samples whose predicted label is `y`; NaN without samples."""
        return agreement(self.predict(X), y)

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
            places = np.minimum(
                np.searchsorted(self.classes, labels, sorter=order), self.n_outputs - 1
            )
            found = order[places]
            wrong = self.classes[found] != labels
        except TypeError as error:
            raise DataError(
                f"labels of type {labels.dtype} cannot be compared with the classes"
            ) from error
        if labels.ndim != 1 or np.any(wrong):
            bad = labels[wrong][0] if labels.ndim == 1 else labels.shape
            raise DataError(
                f"label {str(bad)!r} is none of the network's {self.n_outputs} classes "
                f"{_shown(self.classes)}"
            )
        return np.asarray(found, dtype=np.int64)

    def save(self, path: str | Path) -> Path:
        """Write the network to an ``.npz`` file, atomically and without pickle; return the path.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        return write_model_file(path, FORMAT, VERSION, self.arrays())

    @classmethod
    def load(cls, path: str | Path) -> Network:
        """Read a network written by `save`.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, foreign, or of a newer version. Nothing in the file is
            ever executed.
        """
        return cls.from_file(read_model_file(path))

    @classmethod
    def from_file(cls, file: ModelFile) -> Network:
        """Build the network that a model file holds; errors as in `load`."""
        version = file.version(FORMAT, READABLE)
        arrays = file.arrays if version > 1 else {**file.arrays, "decision": np.array("nearest")}
        with file.damage():
            return cls.from_arrays(arrays)

    def arrays(self, prefix: str = "") -> dict[str, NDArray[Any]]:
        """Return all that makes the network as arrays whose names begin with a prefix."""
        arrays: dict[str, NDArray[Any]] = {
            f"{prefix}classes": self.classes,
            f"{prefix}decision": np.array(self.decision),
            f"{prefix}n_blocks": np.array(len(self.blocks)),
        }
        for i, block in enumerate(self.blocks):
            arrays[f"{prefix}weights_{i}"] = block.weights
            arrays[f"{prefix}bias_{i}"] = block.bias
            arrays[f"{prefix}index_{i}"] = block.parameters.index.astype(np.int32)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str = "") -> Network:
        """Build a network from what `arrays` returned; wrong arrays raise KeyError, ValueError,
        TypeError or the like."""
        blocks = [_block_from(arrays, prefix, i) for i in range(int(arrays[f"{prefix}n_blocks"]))]
        return cls(blocks, arrays[f"{prefix}classes"], str(arrays[f"{prefix}decision"]))

    def _inputs(self, X: ArrayLike) -> FloatArray:
        inputs = np.asarray(X, dtype=np.float64)
        if inputs.ndim != 2 or inputs.shape[1] != self.n_inputs:
            raise DataError(
                f"the network takes samples of {self.n_inputs} inputs, got an array of shape "
                f"{inputs.shape}"
            )
        if not np.all(np.isfinite(inputs)):
            row, column = np.argwhere(~np.isfinite(inputs))[0]
            raise DataError(f"sample {row} has the value {inputs[row, column]} at input {column}")
        return inputs


def nearest_to_one(outputs: FloatArray) -> IntArray:
    """Index of the output closest to one in each row of ``(m, n)`` outputs, the first of equals."""
    return np.asarray(np.argmin(np.abs(outputs - 1.0), axis=1), dtype=np.int64)


def largest(outputs: FloatArray) -> IntArray:
    """Index of the largest output in each row of ``(m, n)`` outputs, the first of equals."""
    return np.asarray(np.argmax(outputs, axis=1), dtype=np.int64)


DECISIONS: dict[str, Callable[[FloatArray], IntArray]] = {
    "nearest": nearest_to_one,
    "largest": largest,
}
"""Ways to read the class from the outputs by name."""


def decide(outputs: FloatArray, decision: str) -> IntArray:
    """Index of the output that each row of outputs decides for.

    Parameters
    ----------
    outputs : (m, n) array
        Outputs of a network.
    decision : {"nearest", "largest"}
        See `Network`.

    Returns
    -------
    (m,) array of int
        Indices; the first of equals.

    Raises
    ------
    NetworkError
        If the decision is unknown.
    """
    return DECISIONS[_decision(decision)](outputs)


def agreement(predicted: NDArray[Any], y: ArrayLike) -> float:
    """Share of the predicted labels, shape ``(m,)``, that are `y`; NaN without labels.

    Raises
    ------
    DataError
        If there are more or fewer labels.
    """
    labels = np.asarray(y)
    if labels.shape != predicted.shape:
        raise DataError(
            f"there are {len(predicted)} samples, but the labels have shape {labels.shape}"
        )
    return float(np.mean(predicted == labels)) if labels.size else float("nan")


def _decision(decision: str) -> str:
    if decision not in DECISIONS:
        raise NetworkError(
            f"decision {shortened(decision)} is unknown; choose {', '.join(DECISIONS)}"
        )
    return decision


def _classes(classes: ArrayLike | None, n_outputs: int) -> NDArray[Any]:
    labels = np.arange(n_outputs) if classes is None else np.array(classes)
    if (
        labels.shape != (n_outputs,)
        or labels.dtype.kind not in "iuU"
        or np.unique(labels).size != n_outputs
    ):
        raise NetworkError(
            f"a network with {n_outputs} outputs needs as many different integer or text labels"
        )
    labels.setflags(write=False)
    return labels


def _shown(classes: NDArray[Any]) -> str:
    shown = ", ".join(str(label) for label in classes[:10])
    return f"({shown}{', ...' if classes.size > 10 else ''})"


def _block_from(arrays: Arrays, prefix: str, i: int) -> Block:
    weights, bias, index = (arrays[f"{prefix}{name}_{i}"] for name in ("weights", "bias", "index"))
    if weights.ndim != 2 or bias.shape != weights.shape[:1]:
        raise NetworkError(
            f"block {i} has weights of shape {weights.shape} and biases of shape {bias.shape}"
        )
    extended = np.column_stack([weights, bias]).astype(np.float64)
    parameters = ParameterMap(index, np.where(index >= 0, 0.0, extended))
    return Block(parameters, parameters.collect(extended))
