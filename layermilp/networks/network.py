"""Networks of ReLU building blocks in numpy."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layermilp.errors import NetworkError
from layermilp.networks.classifier import Classifier, checked_samples, decide, decision_named
from layermilp.networks.files import Arrays
from layermilp.networks.initialization import initialize
from layermilp.networks.layers import AveragePool2d, Conv2d, Dense, Layer, described
from layermilp.networks.notation import parse, written
from layermilp.networks.parameters import (
    ParameterMap,
    check_chain,
    check_size,
    layer_size,
    n_weights,
)
from layermilp.networks.recognition import recognized
from layermilp.program import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Block:
    """One ReLU building block ``o = relu(W x + c)`` (Goebbels 2021, Figure 1), a value.

    Parameters
    ----------
    layer : Layer
        The affine part ``W x + c``, and which entries of ``(W, c)`` are free, tied or fixed.
    theta : (p,) array
        The parameters.
    """

    layer: Layer
    theta: FloatArray

    def __post_init__(self) -> None:
        theta = np.array(self.theta, dtype=np.float64)
        if theta.shape != (self.parameters.n_parameters,) or not np.all(np.isfinite(theta)):
            raise NetworkError(f"a block needs {self.parameters.n_parameters} finite parameters")
        theta.setflags(write=False)
        object.__setattr__(self, "theta", theta)

    @classmethod
    def dense(cls, n_inputs: int, n_outputs: int, *, init: str = "he", seed: int = 0) -> Block:
        """Return a fully connected block; see `initialize` for `init`."""
        return cls.initialized(Dense(n_inputs, n_outputs), init, np.random.default_rng(seed))

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
        """Return a valid convolution of one channel with one kernel; see `Conv2d.plain`."""
        layer = Conv2d.plain(height, width, kernel, bias=free_bias)
        return cls.initialized(layer, init, np.random.default_rng(seed))

    @classmethod
    def mean2d(cls, height: int, width: int, size: int) -> Block:
        """Return mean values of disjoint square regions of one channel; see
        `AveragePool2d.plain`."""
        return cls(AveragePool2d.plain(height, width, size), np.zeros(0))

    @classmethod
    def initialized(cls, layer: Layer, init: str, rng: np.random.Generator) -> Block:
        """Return a block with initial parameters drawn by the named rule, see `initialize`."""
        return cls(layer, initialize(layer.parameters, init, rng))

    @property
    def parameters(self) -> ParameterMap:
        """Map from the parameters to ``(W, c)``."""
        return self.layer.parameters

    @property
    def n_inputs(self) -> int:
        """Number of inputs `d`."""
        return self.layer.n_inputs

    @property
    def n_outputs(self) -> int:
        """Number of outputs `n`."""
        return self.layer.n_outputs

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
        return Block(self.layer, np.asarray(theta, dtype=np.float64))

    def preactivation(self, inputs: FloatArray) -> FloatArray:
        """``W x + c`` for inputs of shape ``(m, d)``; returns ``(m, n)``."""
        return inputs @ self.weights.T + self.bias

    def forward(self, inputs: FloatArray) -> FloatArray:
        """``relu(W x + c)`` for inputs of shape ``(m, d)``; returns ``(m, n)``."""
        return np.maximum(self.preactivation(inputs), 0.0)


class Network(Classifier):
    """Blocks one after the other, and how a class is read from their outputs.

    Networks are values: training returns a new one.

    Parameters
    ----------
    blocks : iterable of Block
        First hidden layer to output layer; outputs of one fit the inputs of the next.
    classes : (n_outputs,) array of int or str, optional
        Label of each output. Default: 0, 1, ...
    decision : {"closest_to_one", "argmax"}
        ``closest_to_one``: the class is the output closest to one (Goebbels 2021, section 1).
        ``argmax``: it is the largest output, and the last block is linear, that is its outputs are
        ``W x + c`` without ReLU. The old names ``nearest`` and ``largest`` are taken as well.

    Raises
    ------
    NetworkError
        If blocks do not fit together, the classes do not fit the outputs, or the decision is
        unknown.
    """

    FORMAT = "layermilp.network"
    VERSIONS = (1, 2, 3)  # 1 has no decision, 1 and 2 do not say what the layers are

    def __init__(
        self,
        blocks: Iterable[Block],
        classes: ArrayLike | None = None,
        decision: str = "closest_to_one",
    ) -> None:
        self.blocks = tuple(blocks)
        if not self.blocks:
            raise NetworkError("a network needs at least one block")
        check_chain(self.blocks, "block")
        self.n_inputs, self.n_outputs = self.blocks[0].n_inputs, self.blocks[-1].n_outputs
        self.classes = _classes(classes, self.n_outputs)
        self.decision = decision_named(decision)

    @classmethod
    def dense(cls, sizes: Sequence[int], *, init: str = "he", seed: int = 0) -> Network:
        """Fully connected network.

        Parameters
        ----------
        sizes : sequence of int
            Inputs, hidden layers, outputs: ``[784, 8, 8, 8, 10]``.
        init : {"he", "uniform", "positive", "paper"}
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
        return cls._initialized([Dense(d, n) for d, n in itertools.pairwise(sizes)], init, seed)

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
            themselves. The paper's network on 28 x 28 pixels is ``Network.conv(28, 28, 3,
            mean=4)``.
        free_bias : bool
            Whether the convolution has one shared free bias, or zero.
        init, seed
            As in `dense`.

        Raises
        ------
        NetworkError
            If a size is not a positive integer, regions or kernel do not fit, or the rule is
            unknown.
        """
        layers: list[Layer] = [] if mean == 1 else [AveragePool2d.plain(height, width, mean)]
        layers.append(Conv2d.plain(height // mean, width // mean, kernel, bias=free_bias))
        layers.append(Dense(layers[-1].n_outputs, n_outputs))
        return cls._initialized(layers, init, seed)

    @classmethod
    def from_notation(cls, notation: str, *, init: str = "he", seed: int = 0) -> Network:
        """Network in the notation of `layermilp.networks.notation`, such as ``784-8-8-8-10`` or
        ``28x28-mean4-conv3-10``; initial weights as in `dense`, errors as in `parse`."""
        return cls._initialized(parse(notation), init, seed)

    @classmethod
    def _initialized(cls, layers: Iterable[Layer], init: str, seed: int) -> Network:
        rng = np.random.default_rng(seed)
        return cls(Block.initialized(layer, init, rng) for layer in layers)

    @property
    def notation(self) -> str:
        """The network in the notation of `layermilp.networks.notation`; layer sizes alone if that
        has no items for a block."""
        return written([block.layer for block in self.blocks])

    @property
    def first_trained(self) -> int:
        """Number, from 0, of the first block that has parameters: what is before it has nothing to
        learn."""
        return next(i for i, block in enumerate(self.blocks) if block.theta.size)

    def with_block(self, i: int, block: Block) -> Network:
        """Return the network with block `i` (from 0) replaced."""
        blocks = (*self.blocks[:i], block, *self.blocks[i + 1 :])
        return Network(blocks, self.classes, self.decision)

    def with_classes(self, classes: ArrayLike) -> Network:
        """Return the network with other labels of its outputs."""
        return Network(self.blocks, classes, self.decision)

    def with_decision(self, decision: str) -> Network:
        """Return the network with another way to read the class."""
        return Network(self.blocks, self.classes, decision)

    def activations(self, X: ArrayLike) -> list[FloatArray]:
        """Inputs of every block and then the outputs of the last, each of shape ``(m, size)``."""
        layers = [checked_samples(X, self.n_inputs)]
        for block in self.blocks[:-1]:
            layers.append(block.forward(layers[-1]))
        last = self.blocks[-1]
        outputs = last.preactivation if self.decision == "argmax" else last.forward
        return [*layers, outputs(layers[-1])]

    def forward(self, X: ArrayLike) -> FloatArray:
        """Outputs, shape ``(m, n_outputs)``, of samples of shape ``(m, n_inputs)``: not negative
        with the decision "closest_to_one", of either sign with "argmax". Errors as in
        `choices`."""
        return self.activations(X)[-1]

    def decide(self, outputs: FloatArray) -> IntArray:
        """Index of the class, shape ``(m,)``, of outputs as of `forward`, the first of equals."""
        return decide(outputs, self.decision)

    def choices(self, X: ArrayLike) -> IntArray:
        """Index of the class, shape ``(m,)``, of samples of shape ``(m, n_inputs)``."""
        return self.decide(self.forward(X))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that makes the network, as arrays by name."""
        arrays: dict[str, NDArray[Any]] = {
            "classes": self.classes,
            "decision": np.array(self.decision),
            "n_blocks": np.array(len(self.blocks)),
            "layers": np.array([block.layer.text for block in self.blocks]),
        }
        for i, block in enumerate(self.blocks):
            arrays[f"weights_{i}"] = block.weights
            arrays[f"bias_{i}"] = block.bias
            arrays[f"index_{i}"] = block.parameters.index.astype(np.int32)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Arrays, version: int) -> Network:
        """Return the network of the arrays of a version of the format, see `arrays`."""
        n_blocks = int(arrays["n_blocks"])
        weights = [_extended(arrays, i) for i in range(n_blocks)]
        maps = [ParameterMap.of_weights(arrays[f"index_{i}"], weights[i]) for i in range(n_blocks)]
        if version < 3:
            layers = recognized(maps)
        else:
            texts = map(str, arrays["layers"])
            layers = [described(text, ties) for text, ties in zip(texts, maps, strict=True)]
        blocks = [
            Block(layer, layer.parameters.collect(extended))
            for layer, extended in zip(layers, weights, strict=True)
        ]
        decision = "closest_to_one" if version == 1 else str(arrays["decision"])
        return cls(blocks, arrays["classes"], decision)


def _classes(classes: ArrayLike | None, n_outputs: int) -> NDArray[Any]:
    labels = np.arange(n_outputs) if classes is None else np.array(classes)
    are_labels = labels.shape == (n_outputs,) and labels.dtype.kind in "iuU"
    if not are_labels or np.unique(labels).size != n_outputs:
        raise NetworkError(
            f"a network with {n_outputs} outputs needs as many different integer or text labels"
        )
    labels.setflags(write=False)
    return labels


def _extended(arrays: Arrays, i: int) -> FloatArray:
    """Return the extended weights of a block."""
    weights, bias = arrays[f"weights_{i}"], arrays[f"bias_{i}"]
    if weights.ndim != 2 or bias.shape != weights.shape[:1]:
        raise NetworkError(
            f"block {i} has weights of shape {weights.shape} and biases of shape {bias.shape}"
        )
    return np.column_stack([weights, bias]).astype(np.float64)
