"""What the last layer minimizes. To add an objective: write a class and put it into
`OBJECTIVES`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from layermilp.checks import is_number
from layermilp.errors import OptionError
from layermilp.formulations import proposal
from layermilp.formulations.margin import input_leads, weight_leads
from layermilp.formulations.pieces import HingePieces, MarginPieces, Pieces
from layermilp.formulations.regression import HingeRegression, LinearRegression, MarginRegression
from layermilp.networks.network import Block, Network
from layermilp.networks.parameters import Group
from layermilp.program import BoolArray, FloatArray, IntArray

ClassWeight = str | float | Mapping[Any, float] | None
"""Factor of the l1 loss where a target is one: none, ``balanced``, a number, or one for each
label."""


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


class Objective(ABC):
    """Loss of the last layer, whose outputs are linear, and how a class is read from them.

    Attributes
    ----------
    name, decision : str
        Of the objective, and of networks trained with it.
    output_box : float
        Bound of the last layer's parameters in post-processing where none is given. A lead of one
        may need larger weights than the report's 1, and no neuron follows whose program they could
        make harder.
    postprocess_gap : float, optional
        Relative gap at which post-processing in training stops where none is given; None for the
        proven optimum.
    """

    name: ClassVar[str]
    decision: ClassVar[str]
    output_box: ClassVar[float]
    postprocess_gap: ClassVar[float | None] = None

    @abstractmethod
    def groups(self, block: Block) -> tuple[Group, ...]:
        """Return the groups of neurons whose weights are one program each."""

    @abstractmethod
    def of_weights(
        self, block: Block, group: Group, inputs: FloatArray, labels: IntArray, box: Box
    ) -> LinearRegression:
        """Return the problem in the parameters of a group; inputs ``(m, d)``, labels ``(m,)``."""

    @abstractmethod
    def of_many(
        self,
        block: Block,
        group: Group,
        inputs: FloatArray,
        labels: IntArray,
        box: Box,
        tolerance: float,
    ) -> Pieces:
        """Return the problem of post-processing (section 2.3) in the parameters of a group, for
        many samples.

        `tolerance` is the dead zone of the l1 objective.
        """

    @abstractmethod
    def of_inputs(
        self, weights: FloatArray, bias: FloatArray, inputs: FloatArray, labels: IntArray
    ) -> LinearRegression:
        """Return the problem in the inputs of all samples, within the bounds (9)."""


@dataclass(frozen=True)
class L1(Objective):
    """The report's (7) and (8): the deviation from one-hot targets, every output by itself.

    Parameters
    ----------
    one_weights : (n_outputs,) array
        Factor of the loss where an output's target is one; the report's is 1.
    """

    one_weights: FloatArray
    name: ClassVar[str] = "l1"
    decision: ClassVar[str] = "closest_to_one"
    output_box: ClassVar[float] = 1.0

    def groups(self, block: Block) -> tuple[Group, ...]:
        """Neurons that share parameters."""
        return block.parameters.groups

    def of_weights(
        self, block: Block, group: Group, inputs: FloatArray, labels: IntArray, box: Box
    ) -> HingeRegression:
        """One row per sample and neuron."""
        coefficients, constants = block.parameters.rows(group, inputs)
        is_target, weights = self._targets(group, labels)
        around = box.around(block.theta, group.parameters)
        return HingeRegression(
            sparse.csr_array(coefficients), constants, *around, is_target, 0.0, weights
        )

    def of_many(
        self,
        block: Block,
        group: Group,
        inputs: FloatArray,
        labels: IntArray,
        box: Box,
        tolerance: float,
    ) -> HingePieces:
        """One row per sample and neuron, with the dead zone."""
        coefficients, constants = block.parameters.rows(group, inputs)
        is_target, weights = self._targets(group, labels)
        around = box.around(block.theta, group.parameters)
        row_weights = np.where(is_target, weights, 1.0)
        return HingePieces(coefficients, constants, is_target, *around, row_weights, tolerance)

    def _targets(self, group: Group, labels: IntArray) -> tuple[BoolArray, FloatArray]:
        """Return where the targets of a group's rows are one, and the factors of these rows."""
        return (labels[:, None] == group.neurons).reshape(-1), np.tile(
            self.one_weights[group.neurons], len(labels)
        )

    def of_inputs(
        self, weights: FloatArray, bias: FloatArray, inputs: FloatArray, labels: IntArray
    ) -> HingeRegression:
        """One row per sample and output."""
        return proposal.last(weights, bias, inputs, np.eye(len(weights))[labels], self.one_weights)


@dataclass(frozen=True)
class Margin(Objective):
    """A lead of one over every other output, all outputs jointly.

    Parameters
    ----------
    penalty : float
        Price `mu` of a change of the inputs.
    """

    penalty: float
    name: ClassVar[str] = "margin"
    decision: ClassVar[str] = "argmax"
    output_box: ClassVar[float] = 10.0
    postprocess_gap: ClassVar[float | None] = 0.01

    def groups(self, block: Block) -> tuple[Group, ...]:
        """All neurons as one."""
        return (Group(np.arange(block.n_outputs), np.arange(block.parameters.n_parameters)),)

    def of_weights(
        self, block: Block, group: Group, inputs: FloatArray, labels: IntArray, box: Box
    ) -> MarginRegression:
        """One row per sample and rival."""
        pieces = self.of_many(block, group, inputs, labels, box, 0.0)
        rows = weight_leads(pieces)
        return MarginRegression(
            *rows, pieces.lower, pieces.upper, pieces.start, n_rivals=block.n_outputs - 1
        )

    def of_many(
        self,
        block: Block,
        group: Group,
        inputs: FloatArray,
        labels: IntArray,
        box: Box,
        tolerance: float,
    ) -> MarginPieces:
        """One row per sample; there is no dead zone, because a lead of one is enough anyway."""
        around = box.around(block.theta, group.parameters)
        return MarginPieces(block.parameters, inputs, labels, *around, np.ones(len(labels)))

    def of_inputs(
        self, weights: FloatArray, bias: FloatArray, inputs: FloatArray, labels: IntArray
    ) -> MarginRegression:
        """One row per sample and rival."""
        lower, upper = proposal.bounds(inputs)
        rows = input_leads(weights, bias, labels)
        return MarginRegression(
            *rows,
            lower.reshape(-1),
            upper.reshape(-1),
            inputs.reshape(-1),
            n_rivals=len(weights) - 1,
            penalty=self.penalty,
        )


OBJECTIVES: dict[str, type[Objective]] = {objective.name: objective for objective in (L1, Margin)}
"""Objectives by name."""


def one_weights(class_weight: ClassWeight, network: Network, labels: IntArray) -> FloatArray:
    """Return the factor of the l1 loss where the target of an output is one, shape
    ``(n_outputs,)``.

    Parameters
    ----------
    class_weight : None, "balanced", number or mapping
        1; the number of samples not of the class over that of the class, so that ones and zeros of
        an output weigh the same; the number itself; or by label, 1 where none is given.
    network : Network
        Whose classes the labels of a mapping are.
    labels : (m,) array of int
        The outputs that stand for the samples' classes.
    """
    n = network.n_outputs
    if isinstance(class_weight, str):
        ones = np.bincount(labels, minlength=n)
        return np.asarray(np.where(ones > 0, (len(labels) - ones) / np.maximum(ones, 1), 1.0))
    if isinstance(class_weight, Mapping):
        weights = np.ones(n)
        weights[network.class_indices(list(class_weight))] = list(class_weight.values())
        return weights
    return np.full(n, 1.0 if class_weight is None else float(class_weight))


def check_class_weight(class_weight: ClassWeight) -> None:
    """Raise `OptionError` unless it is None, "balanced", a positive number, or a mapping of labels
    to positive numbers."""
    if class_weight is None or (isinstance(class_weight, str) and class_weight == "balanced"):
        return
    values = list(class_weight.values()) if isinstance(class_weight, Mapping) else [class_weight]
    for value in values:
        if not is_number(value) or value <= 0.0:
            raise OptionError(
                f"class_weight is {value!r}; it must be balanced, or a number above 0, or one for "
                "each label"
            )
