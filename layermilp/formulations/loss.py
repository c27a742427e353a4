"""Losses of layers: the problems that they make of a layer's weights and of its inputs.

To add one: write a subclass, of `OutputLoss` for the last layer, with problems of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

from layermilp.formulations.piecewise_linear import PiecewiseLinear
from layermilp.formulations.problem import Regression
from layermilp.networks.network import Block
from layermilp.networks.parameters import Group
from layermilp.program import FloatArray, IntArray

SHRINK, GROW, MARGIN = 0.9, 1.1, 0.1
"""Factors and offset of the bounds of proposed inputs, (9) of Goebbels 2021."""


@dataclass(frozen=True, eq=False)
class Box:
    """Bounds of the parameters of one block, arrays of shape ``(p,)``."""

    lower: FloatArray
    upper: FloatArray

    def around(
        self, theta: FloatArray, parameters: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return lower bounds, upper bounds, and values within them, of some parameters."""
        lower, upper = self.lower[parameters], self.upper[parameters]
        return lower, upper, np.clip(theta[parameters], lower, upper)


class Loss(ABC):
    """Loss of a layer's outputs."""

    def groups(self, block: Block) -> tuple[Group, ...]:
        """Return the groups of neurons whose weights are one problem each: by default those that
        share parameters."""
        return block.parameters.groups

    @abstractmethod
    def of_weights(
        self, block: Block, group: Group, inputs: FloatArray, targets: Any, box: Box
    ) -> Regression:
        """Return the problem in the parameters of one of the `groups` of a layer.

        Parameters
        ----------
        block, group
            The layer, and the group.
        inputs : (m, d) array
            Inputs of the layer.
        targets : (m, n) array of float, or (m,) array of int
            What its outputs are to be: values of a hidden layer's, labels of the last layer's.
        box : Box
            Bounds of all parameters of the layer.
        """

    @abstractmethod
    def of_inputs(
        self, weights: FloatArray, bias: FloatArray, inputs: FloatArray, targets: Any
    ) -> Regression:
        """Return the problem in the inputs of all samples, within `input_bounds`: unknown ``k d +
        i`` is input `i` of sample `k`.

        The layer has `weights` of shape ``(n, d)`` and a `bias` of shape ``(n,)``, the present
        `inputs` are non-negative, and the rest is as in `of_weights`."""


class OutputLoss(Loss):
    """Loss of the last layer, whose outputs are linear, and how a class is read from them.

    Attributes
    ----------
    name, decision : str
        Of the loss, and of networks trained with it.
    output_box : float
        Bound of the last layer's parameters in post-processing where none is given. A margin of one
        may need larger weights than the paper's 1, and no neuron follows whose program they could
        make harder.
    postprocess_gap : float, optional
        Relative gap at which post-processing in training stops where none is given; None for the
        proven optimum.
    """

    name: ClassVar[str]
    decision: ClassVar[str]
    output_box: ClassVar[float]
    postprocess_gap: ClassVar[float | None] = None

    @classmethod
    @abstractmethod
    def of(cls, one_weights: FloatArray, input_penalty: float) -> Self:
        """Return the loss for what the options of a training say, of which it takes its own: the
        factors of the loss where an output's target is one, shape ``(n_outputs,)``, and the price
        of a change of the inputs, at least 0."""

    def postprocessed(self, tolerance: float) -> OutputLoss:
        """Return the loss that post-processing minimizes; the l1 loss has a dead zone then, at
        least 0."""
        return self

    def by_rows(self, values: FloatArray, labels: IntArray, neurons: IntArray) -> FloatArray:
        """Return what rows of a problem have of values of the outputs, shape ``(m, n_outputs)``:
        the output itself in the order of samples and then of the neurons of a group, unless the
        rows are other combinations."""
        return values[:, neurons].reshape(-1)

    @abstractmethod
    def of_many(
        self, block: Block, group: Group, inputs: FloatArray, labels: IntArray, box: Box
    ) -> PiecewiseLinear:
        """Return the problem of `of_weights` for many samples."""


def input_bounds(inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bounds ``max(0, 0.9 x - 0.1) <= x' <= 1.1 x + 0.1`` of the proposals for present inputs `x`
    of any shape, (9) of Goebbels 2021."""
    return np.maximum(0.0, SHRINK * inputs - MARGIN), GROW * inputs + MARGIN


def input_box(inputs: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the box and the start of the unknowns of `Loss.of_inputs`."""
    lower, upper = input_bounds(inputs)
    return lower.reshape(-1), upper.reshape(-1), inputs.reshape(-1)


def input_rows(
    weights: FloatArray, bias: FloatArray, inputs: FloatArray
) -> tuple[sparse.csr_array, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the fields of `Rows` whose row ``k n + j`` is neuron `j` of sample `k`.

    The samples are independent, so `H` is block-diagonal. The arguments are those of
    `Loss.of_inputs`."""
    blocks = sparse.kron(sparse.eye_array(len(inputs)), sparse.csr_array(weights), format="csr")
    return sparse.csr_array(blocks), np.tile(bias, len(inputs)), *input_box(inputs)
