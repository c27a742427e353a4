"""What is asked: samples, the sizes of a network, and which weights it may have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from layermilp.checks import is_number
from layermilp.errors import OptionError
from layermilp.program import FloatArray, IntArray
from layermilp.smt.exact import least_lead

Weights = tuple[FloatArray, ...]
"""Extended weights ``(W, c)`` of every layer, shapes ``(n, d + 1)``, the bias in the last
column."""


@dataclass(frozen=True)
class Domain:
    """Which weights are allowed.

    Parameters
    ----------
    bound : float, optional
        Weights and biases lie in ``[-bound, bound]``.
    grid : float, optional
        They are multiples of this; only with a bound.
    dtype : {"float64", "float32"}
        Floating-point type that the weights have in the end.

    Raises
    ------
    OptionError
        If a value is no positive number, there is a grid without a bound, or its multiples are no
        floating-point numbers.
    """

    bound: float | None = None
    grid: float | None = None
    dtype: str = "float64"

    def __post_init__(self) -> None:
        for name, value in (("bound", self.bound), ("grid", self.grid)):
            if value is not None and (not is_number(value) or value <= 0.0):
                raise OptionError(f"{name} is {value!r}; it must be a number above 0")
        if self.grid is None:
            return
        if self.bound is None:
            raise OptionError(f"grid is {self.grid:g}, but there is no bound; a grid needs one")
        if self.grid > self.bound:
            raise OptionError(
                f"grid is {self.grid:g}, above the bound {self.bound:g}; nothing but zero would "
                "be left"
            )
        largest = self.steps * Fraction(float(self.grid)).numerator
        if largest >= 2 ** (np.finfo(self.dtype).nmant + 1):
            raise OptionError(
                f"grid is {self.grid:g}, whose multiples up to {self.bound:g} are no {self.dtype} "
                "numbers; use a whole number or a power of two, such as 0.125"
            )

    @cached_property
    def steps(self) -> int:
        """Most steps of the grid that a weight may be away from zero."""
        assert self.bound is not None and self.grid is not None
        return int(Fraction(float(self.bound)) / Fraction(float(self.grid)))

    def fitted(self, weights: Weights) -> Weights:
        """Return weights of the domain that decide like the given ones; on a grid as nearly as
        rounding allows.

        A positive factor of a layer, and with it of the biases of all later layers, changes no
        decision. So a bound alone never excludes a classification. Without a grid the factors are
        powers of two, and nothing is rounded."""
        rounded = tuple(layer.astype(self.dtype).astype(np.float64) for layer in weights)
        if self.bound is None:
            return rounded
        if self.grid is None:
            return _scaled(rounded, self.bound, is_full=False)
        return tuple(
            np.clip(np.rint(layer / self.grid), -self.steps, self.steps) * self.grid
            for layer in _scaled(weights, self.steps * self.grid, is_full=True)
        )

    def contains(self, weights: Weights) -> bool:
        """Whether the weights are allowed."""
        every = np.concatenate([layer.ravel() for layer in weights])
        if not np.all(np.isfinite(every)) or not np.array_equal(every, every.astype(self.dtype)):
            return False
        if self.bound is not None and np.abs(every).max() > self.bound:
            return False
        # A remainder of floating-point numbers is exact.
        return self.grid is None or not np.any(np.fmod(every, self.grid))


@dataclass(frozen=True, eq=False)
class Model:
    """Weights that satisfy a problem, and the least lead of a label's output over the others, both
    exact."""

    weights: Weights
    lead: Fraction


@dataclass(frozen=True, eq=False)
class Problem:
    """A training problem: the label's output is above all others, for every sample.

    Parameters
    ----------
    X : (m, d) array
        Samples, finite.
    labels : (m,) array of int
        The output that each is to have on top.
    sizes : tuple of int
        Inputs, neurons of the hidden layers, outputs.
    domain : Domain
        Which weights are allowed.
    """

    X: FloatArray
    labels: IntArray
    sizes: tuple[int, ...]
    domain: Domain = Domain()

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return self.sizes[-1]

    @property
    def is_linear(self) -> bool:
        """Whether the formula, without its symmetries, multiplies no unknowns: see
        `layermilp.smt.encoding`."""
        depth = len(self.sizes) - 1
        return self.domain.grid is not None or depth == 1 or (depth == 2 and self.n_outputs == 2)

    @cached_property
    def _center(self) -> FloatArray:
        return np.asarray(self.X.mean(axis=0))

    @cached_property
    def _scale(self) -> FloatArray:
        spread = self.X.std(axis=0)
        return np.where(spread > 0.0, spread, 1.0)

    @cached_property
    def inputs(self) -> FloatArray:
        """The samples with mean 0 and variance 1 in every column, which the searches are about."""
        return (self.X - self._center) / self._scale

    def with_short_inputs(self, bits: int) -> Problem:
        """Return the problem of samples whose values are multiples of ``2**-bits`` of about their
        column's largest."""
        _, exponents = np.frexp(np.abs(self.X).max(axis=0))
        step = np.ldexp(1.0, exponents - bits)
        return replace(self, X=np.rint(self.X / step) * step)

    def of_samples(self, weights: Weights) -> Weights:
        """Return the weights for `X` that do what the given ones do for `inputs`."""
        first = weights[0][:, :-1] / self._scale
        return (np.column_stack([first, weights[0][:, -1] - first @ self._center]), *weights[1:])

    def model(self, weights: Weights) -> Model | None:
        """Return the weights, fitted to the domain, if they are a model: in floating point, and
        then exactly."""
        fitted = self.domain.fitted(weights)
        if not self.domain.contains(fitted):
            return None
        if not np.all(leads(outputs(fitted, self.X, self.domain.dtype), self.labels) > 0.0):
            return None
        lead = least_lead(fitted, self.X, self.labels)
        return Model(fitted, lead) if lead > 0 else None


def outputs(weights: Weights, X: FloatArray, dtype: str = "float64") -> FloatArray:
    """Outputs, shape ``(m, n_outputs)``, of extended weights for samples of shape ``(m, d)``."""
    last = weights[-1].astype(dtype)
    return np.asarray(activations(weights[:-1], X, dtype) @ last[:, :-1].T + last[:, -1])


def activations(weights: Weights, X: FloatArray, dtype: str = "float64") -> FloatArray:
    """Outputs of the last of some ReLU layers, shape ``(m, n)``; without any the samples."""
    values = X.astype(dtype)
    for layer in weights:
        theta = layer.astype(dtype)
        values = np.maximum(values @ theta[:, :-1].T + theta[:, -1], 0.0)
    return values


def leads(values: FloatArray, labels: IntArray) -> FloatArray:
    """Lead, shape ``(m,)``, of the label's output over the largest other, of outputs of shape ``(m,
    n_outputs)``."""
    rows = np.arange(len(labels))
    others = values.copy()
    others[rows, labels] = -np.inf
    return np.asarray(values[rows, labels] - others.max(axis=1))


def _scaled(weights: Weights, bound: float, is_full: bool) -> Weights:
    """Scale layers, and the biases of all later ones with them: by any factors until each has a
    weight or bias at the bound, or down by powers of two until all lie within it."""
    found, total = [], 1.0
    for layer in weights:
        largest = max(np.abs(layer[:, :-1]).max(), np.abs(layer[:, -1]).max() * total)
        factor = bound / float(largest) if largest > 0.0 else float("inf")
        if is_full:
            factor = factor if np.isfinite(factor) else 1.0
        else:
            factor = 1.0 if factor >= 1.0 else 2.0 ** (int(np.frexp(factor)[1]) - 1)
        total *= factor
        found.append(np.column_stack([layer[:, :-1] * factor, layer[:, -1] * total]))
    return tuple(found)
