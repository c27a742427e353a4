"""What a data set is, and the one way in which arrays from any source become one: checked, with
labels encoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from layermilp.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
AnyArray = NDArray[Any]

Place = Callable[[int, int | None], str]
"""Words for a place in the source, given the sample's index and the feature's index (None: its
label)."""

_EXACT_FLOATS = 2.0**53
"""From here on a float may stand for several whole numbers."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples and labels for training, and for testing where the source has a test part.

    Attributes
    ----------
    name : str
        ``"mnist"``, ``"digits"``, ``"digits (28 x 28)"``, or the name of the file or directory.
    X_train : (n, d) float64 array
        One sample a row; every value is finite.
    y_train : (n,) int64 array
        Class indices 0 to k - 1 into `classes`.
    X_test, y_test : arrays like the above, or None
        None where the source has no test part.
    classes : (k,) array of int64 or str
        The labels in ascending order: ``classes[y_train]`` are the labels as the source has them.
    source : str
        One sentence for people: where the data come from.
    """

    name: str
    X_train: FloatArray
    y_train: IntArray
    X_test: FloatArray | None
    y_test: IntArray | None
    classes: AnyArray
    source: str

    @property
    def n_inputs(self) -> int:
        """Number of features of a sample, which is the number of inputs that a network for these
        data has."""
        return int(self.X_train.shape[1])

    @property
    def n_classes(self) -> int:
        """Number of classes, which is the number of outputs that a network for these data has."""
        return int(self.classes.size)


class Part(NamedTuple):
    """The training or the test part as a source holds it, not checked yet."""

    samples: AnyArray
    labels: AnyArray
    title: str
    own_place: Place | None = None

    def place(self, row: int, column: int | None) -> str:
        """Return words for a place: the source's own, or else those of arrays."""
        if self.own_place is not None:
            return self.own_place(row, column)
        what = "the label" if column is None else f"feature {column}"
        return f"{what} of sample {row} (counted from 0) of {self.title}"


def assemble(name: str, source: str, train: Part, test: Part | None = None) -> Dataset:
    """Check the parts and make a data set of them, whose classes are the labels of the training
    part.

    Raises
    ------
    DataError
        If the arrays do not fit together, or hold something that is no finite number or no label.
    """
    samples, labels = _checked(train)
    classes = np.unique(labels)
    indices = np.searchsorted(classes, labels).astype(np.int64)
    if test is None:
        return Dataset(name, samples, indices, None, None, classes, source)
    test_samples, test_labels = _checked(test)
    present, wanted = test_samples.shape[1], samples.shape[1]
    if present != wanted:
        raise DataError(
            f"{test.title} has {present} features where {train.title} has {wanted}; both need the "
            "same"
        )
    return Dataset(
        name, samples, indices, test_samples, _encoded(test, test_labels, classes), classes, source
    )


def from_arrays(X: Any, y: Any, X_test: Any = None, y_test: Any = None) -> Dataset:
    """Return arrays as a data set: training samples ``(n, d)`` and their labels ``(n,)``, whole
    numbers or text, and the same for the test part where there is one.

    Raises `DataError` as `assemble` does."""
    if (X_test is None) != (y_test is None):
        raise DataError("test data need both samples and labels")
    train = Part(np.asarray(X), np.asarray(y), "the training data")
    if X_test is None:
        return assemble("arrays", "arrays", train)
    test = Part(np.asarray(X_test), np.asarray(y_test), "the test data")
    return assemble("arrays", "arrays", train, test)


def _checked(part: Part) -> tuple[FloatArray, AnyArray]:
    samples = _finite_samples(part)
    labels = _plain_labels(part)
    if samples.shape[0] != labels.size:
        raise DataError(
            f"{part.title} has {samples.shape[0]} samples but {labels.size} labels; it needs as "
            "many of both"
        )
    return samples, labels


def _finite_samples(part: Part) -> FloatArray:
    samples = part.samples
    if samples.dtype.kind not in "biuf":
        raise DataError(
            f"{part.title} holds values of type {samples.dtype}, which are not real numbers"
        )
    if samples.ndim < 2:
        raise DataError(
            f"{part.title} needs a 2-D array with one sample a row; this one has {samples.ndim} "
            "dimension(s)"
        )
    if samples.size == 0:
        raise DataError(f"{part.title} is empty: its array has the shape {samples.shape}")
    # A long double too large for float64 becomes inf, which is refused below.
    with np.errstate(over="ignore"):
        flat = samples.reshape(samples.shape[0], -1).astype(np.float64, copy=False)
    is_finite = np.isfinite(flat)
    if not is_finite.all():
        row, column = np.argwhere(~is_finite)[0].tolist()
        raise DataError(
            f"{part.place(row, column)} is {flat[row, column]}; every value must be a finite number"
        )
    return flat


def _plain_labels(part: Part) -> AnyArray:
    """Return the labels as int64 or str, whichever type of whole numbers or text the source holds
    them in."""
    labels = part.labels
    if labels.ndim != 1:
        raise DataError(
            f"the labels of {part.title} need a 1-D array; this one has the shape {labels.shape}"
        )
    kind = labels.dtype.kind
    if kind == "U":
        return labels
    if kind == "S":
        try:
            return np.char.decode(labels, "utf-8")
        except UnicodeDecodeError:
            raise DataError(
                f"the labels of {part.title} are bytes that are not UTF-8 text"
            ) from None
    if kind == "f":
        with np.errstate(invalid="ignore"):
            is_whole = (np.abs(labels) < _EXACT_FLOATS) & (labels == np.floor(labels))
        _require(part, is_whole, "; a label must be a whole number or text")
    elif kind == "u":
        fits = labels <= np.uint64(np.iinfo(np.int64).max)
        _require(part, fits, ", which is too large for a label (2^63 or more)")
    elif kind not in "bi":
        raise DataError(
            f"the labels of {part.title} have the type {labels.dtype}; use whole numbers or text"
        )
    return labels.astype(np.int64)


def _require(part: Part, holds: BoolArray, otherwise: str) -> None:
    """Raise `DataError` about the first label for which something does not hold, shape ``(n,)``."""
    if not holds.all():
        row = int(np.argmin(holds))
        raise DataError(f"{part.place(row, None)} is {part.labels[row].item()!r}{otherwise}")


def _encoded(test: Part, labels: AnyArray, classes: AnyArray) -> IntArray:
    if labels.dtype.kind != classes.dtype.kind:
        raise DataError(
            f"the labels of {test.title} are {_kind(labels)}, but those of the training part "
            f"{_kind(classes)}"
        )
    indices = np.minimum(np.searchsorted(classes, labels), classes.size - 1)
    is_known = classes[indices] == labels
    _require(
        test._replace(labels=labels), is_known, ", a class that the training part does not have"
    )
    return indices.astype(np.int64)


def _kind(labels: AnyArray) -> str:
    return "text" if labels.dtype.kind == "U" else "whole numbers"
