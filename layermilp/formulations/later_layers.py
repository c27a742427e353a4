r"""Inputs of a layer that serve the outputs of the network, through all later layers at once.

For one sample and layer `i` of `L`, with all weights given (Goebbels 2021, section 2.2, last
paragraph)::

    minimize    loss(W_L x_L + c_L) + mu |x_i - start|_1
    subject to  x_{l+1} = max(0, W_l x_l + c_l)   for l = i, ..., L - 1,   x_i in the box (9)

where the loss is that of the last layer. With interval bounds ``A- <= a <= A+`` of the
preactivations, layer by layer from the box, a neuron with output `o` has no more than it needs::

    A+ <= 0          o = 0
    A- >= 0          o = a
    A- < 0 < A+      o >= a,   o <= a - A- (1 - b),   0 <= o <= A+ b,   b binary

The objective is that of the outputs which the network really has, so the program is exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from layermilp.formulations.loss import Loss, input_bounds
from layermilp.formulations.problem import OutputRegression, Problem
from layermilp.program import BoolArray, FloatArray, Program


@dataclass(frozen=True, eq=False)
class HiddenLayer:
    """A hidden layer with given weights.

    Parameters
    ----------
    weights, bias : (n, d) array, (n,) array
        `W` and `c`.
    low, high : (n,) arrays
        ``A-`` and ``A+``.
    """

    weights: FloatArray
    bias: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def within(
        cls, weights: FloatArray, bias: FloatArray, lower: FloatArray, upper: FloatArray
    ) -> HiddenLayer:
        """Return the layer for inputs between bounds, shape ``(d,)``."""
        rising, falling = np.maximum(weights, 0.0), np.minimum(weights, 0.0)
        low = rising @ lower + falling @ upper + bias
        return cls(weights, bias, low, rising @ upper + falling @ lower + bias)

    @property
    def is_open(self) -> BoolArray:
        """Whether the bounds leave open that a neuron fires, shape ``(n,)``."""
        return (self.low < 0.0) & (self.high > 0.0)

    def preactivation(self, x: FloatArray) -> FloatArray:
        """Return ``W x + c``, shape ``(n,)``."""
        return np.asarray(self.weights @ x) + self.bias


@dataclass(frozen=True, eq=False)
class LaterLayers(Problem):
    """The loss of the network's outputs for one sample, as a function of the inputs of a layer.

    Parameters
    ----------
    hidden : sequence of HiddenLayer
        That layer, and all hidden layers after it; at least one.
    output : OutputRegression
        The last layer's problem in its inputs, over their bounds, without a price.
    lower, upper, start : (d,) arrays
        The box (9), and the present inputs.
    penalty : float
        `mu`, at least 0.
    """

    hidden: Sequence[HiddenLayer]
    output: OutputRegression
    lower: FloatArray
    upper: FloatArray
    start: FloatArray
    penalty: float = 0.0

    @classmethod
    def of(
        cls,
        layers: Sequence[tuple[FloatArray, FloatArray]],
        loss: Loss,
        inputs: FloatArray,
        target: Any,
        stays: BoolArray | None = None,
    ) -> LaterLayers:
        """Return the problem of a sample.

        Parameters
        ----------
        layers : sequence of pairs of arrays
            Weights and bias of the layer and of all later ones; at least two.
        loss : Loss
            That of the last layer.
        inputs : (d,) array
            Present inputs of the layer, non-negative.
        target : array of one item
            Of the outputs, as the loss takes them: the sample's label.
        stays : (d,) array of bool, optional
            Which inputs are not to change. Default: none.
        """
        lower, upper = input_bounds(inputs)
        if stays is not None:
            lower, upper = np.where(stays, inputs, lower), np.where(stays, inputs, upper)
        ends, x, hidden = (lower, upper), inputs, []
        for weights, bias in layers[:-1]:
            hidden.append(HiddenLayer.within(weights, bias, *ends))
            ends = np.maximum(hidden[-1].low, 0.0), np.maximum(hidden[-1].high, 0.0)
            x = np.clip(hidden[-1].preactivation(x), *ends)
        output = loss.of_inputs(*layers[-1], x[None, :], target)
        assert isinstance(output, OutputRegression)
        bounded: Any = replace(output, lower=ends[0], upper=ends[1])
        free = replace(bounded, penalty=0.0) if output.penalty else bounded
        return cls(hidden, free, lower, upper, inputs, output.penalty)

    @property
    def n_rows(self) -> int:
        """Number of rows of the last layer."""
        return self.output.n_rows

    @property
    def scale(self) -> float:
        """That of the last layer."""
        return self.output.scale

    def forward(self, theta: FloatArray) -> tuple[list[FloatArray], list[BoolArray]]:
        """Return the outputs of all hidden layers, and which of their neurons fire."""
        outputs, fires = [theta], []
        for layer in self.hidden:
            a = layer.preactivation(outputs[-1])
            fires.append(a > 0.0)
            outputs.append(np.maximum(a, 0.0))
        return outputs[1:], fires

    def losses(self, theta: FloatArray) -> FloatArray:
        """Losses of the outputs, as the last layer has them."""
        return self.output.losses(self.forward(theta)[0][-1])

    def loss(self, theta: FloatArray) -> float:
        """The objective, the price of the change included."""
        return super().loss(theta) + self.penalty * float(np.abs(theta - self.start).sum())

    @cached_property
    def last(self) -> Program:
        """The last layer's program, whose first columns are the last hidden layer's outputs."""
        return self.output.program()

    def pattern(self, theta: FloatArray) -> FloatArray:
        """Values of the binaries at a point."""
        pairs = zip(self.hidden, self.forward(theta)[1], strict=True)
        return np.concatenate([fires[layer.is_open] for layer, fires in pairs]).astype(np.float64)

    def program(self) -> Program:
        """Return the mixed-integer program.

        Its columns are the inputs ``x``; the outputs ``o1``, ``o2``, ... of the hidden layers; the
        further columns ``z`` of the last layer's program; the binaries ``b1``, ...; and, where a
        change has a price, its decreases ``minus``, as in `MarginRegression.program`. The start is
        the point that `start` implies."""
        groups = self._groups()
        rows = [part for number in range(len(self.hidden)) for part in self._neurons(number)]
        rows += [self._outputs(), *self._change()]
        matrix = sparse.block_array([part.over(groups) for part in rows], format="csr")
        values = {
            name: np.concatenate([getattr(group, name) for group in groups])
            for name in ("lower", "upper", "costs", "start")
        }
        return Program(
            costs=values["costs"],
            matrix=matrix,
            row_lower=np.concatenate([part.lower for part in rows]),
            row_upper=np.concatenate([part.upper for part in rows]),
            col_lower=values["lower"],
            col_upper=values["upper"],
            integrality=np.concatenate([np.full(group.size, group.is_binary) for group in groups]),
            offset=self.last.offset - self.penalty * float(self.start.sum()),
            start=values["start"],
            name="later_layers",
            column_groups=tuple((group.name, group.size) for group in groups),
        )

    def _groups(self) -> list[_Columns]:
        """Return the columns, in their order."""
        last, penalty = self.last, self.penalty
        outputs, _ = self.forward(self.start)
        n_last = outputs[-1].size
        found = [_Columns("x", self.lower, self.upper, self.start, penalty)]
        for number, (layer, o) in enumerate(zip(self.hidden, outputs, strict=True), start=1):
            ends = np.maximum(layer.low, 0.0), np.maximum(layer.high, 0.0)
            found.append(_Columns(f"o{number}", *ends, np.clip(o, *ends)))
        assert last.start is not None  # every problem has one
        z = slice(n_last, None)
        found.append(
            _Columns("z", last.col_lower[z], last.col_upper[z], last.start[z], last.costs[z])
        )
        for number, (layer, o) in enumerate(zip(self.hidden, outputs, strict=True), start=1):
            fires = (o > 0.0)[layer.is_open].astype(np.float64)
            ends = np.zeros(fires.size), np.ones(fires.size)
            found.append(_Columns(f"b{number}", *ends, fires, is_binary=True))
        if penalty:
            none = np.zeros(self.n_unknowns)
            found.append(_Columns("minus", none, self.start - self.lower, none, 2.0 * penalty))
        return found

    def _neurons(self, number: int) -> list[_Rows]:
        """Return the rows of a hidden layer, counted from 0."""
        layer = self.hidden[number]
        before, after, binary = f"o{number}" if number else "x", f"o{number + 1}", f"b{number + 1}"
        weights, eye = sparse.csr_array(layer.weights), sparse.eye_array(layer.bias.size).tocsr()
        live, opened = layer.high > 0.0, layer.is_open
        low, high, bias = layer.low[opened], layer.high[opened], layer.bias
        never = np.full(low.size, -np.inf)
        firing = {after: eye[live], before: -weights[live]}
        at_most = {after: eye[opened], before: -weights[opened], binary: -_diagonal(low)}
        silent = {after: eye[opened], binary: -_diagonal(high)}
        most = np.where(opened, np.inf, bias)[live]
        return [
            _Rows(firing, bias[live], most),
            _Rows(at_most, never, bias[opened] - low),
            _Rows(silent, never, np.zeros(low.size)),
        ]

    def _outputs(self) -> _Rows:
        """Return the rows of the last layer's program."""
        last, n_last = self.last, self.hidden[-1].bias.size
        blocks = {f"o{len(self.hidden)}": last.matrix[:, :n_last], "z": last.matrix[:, n_last:]}
        return _Rows(blocks, last.row_lower, last.row_upper)

    def _change(self) -> list[_Rows]:
        """Return the rows of the changes, where these have a price."""
        if not self.penalty:
            return []
        eye = sparse.eye_array(self.n_unknowns).tocsr()
        never = np.full(self.n_unknowns, np.inf)
        return [_Rows({"x": eye, "minus": eye}, self.start, never)]


@dataclass(frozen=True, eq=False)
class _Columns:
    """Columns of one name: their bounds, start, costs, and whether they are binary."""

    name: str
    lower: FloatArray
    upper: FloatArray
    start: FloatArray
    cost: FloatArray | float = 0.0
    is_binary: bool = False

    @property
    def size(self) -> int:
        return int(self.start.size)

    @property
    def costs(self) -> FloatArray:
        return np.broadcast_to(np.asarray(self.cost, dtype=np.float64), self.start.shape)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows, with their coefficients by the names of columns, and their bounds."""

    blocks: Mapping[str, sparse.csr_array]
    lower: FloatArray
    upper: FloatArray

    def over(self, groups: Sequence[_Columns]) -> list[sparse.csr_array]:
        """Return the coefficients of all columns."""
        none = [sparse.csr_array((self.lower.size, group.size)) for group in groups]
        pairs = zip(groups, none, strict=True)
        return [self.blocks.get(group.name, zeros) for group, zeros in pairs]


def _diagonal(values: FloatArray) -> sparse.csr_array:
    """Return the square matrix with the values on its diagonal."""
    return sparse.csr_array(sparse.diags_array(values, shape=(values.size, values.size)))
