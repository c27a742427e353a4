"""Base of networks, committees and integer networks: classes, prediction, files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layermilp.checks import shortened
from layermilp.errors import DataError, NetworkError
from layermilp.networks.files import Arrays, ModelFile, damage, read_model_file, write_model_file
from layermilp.program import FloatArray, IntArray


class Classifier(ABC):
    """A model that gives each sample a class, and is a value: training makes another one.

    Attributes
    ----------
    n_inputs, n_outputs : int
        Number of inputs and of outputs.
    classes : (n_outputs,) array
        Label of each output.
    """

    FORMAT: ClassVar[str]
    """Name of the format of its files."""

    VERSIONS: ClassVar[tuple[int, ...]]
    """Versions of the format that are read; the last is written."""

    n_inputs: int
    n_outputs: int
    classes: NDArray[Any]

    @property
    @abstractmethod
    def notation(self) -> str:
        """The model in the notation of `layermilp.networks.notation`."""

    @abstractmethod
    def choices(self, X: ArrayLike) -> IntArray:
        """Index of the class, shape ``(m,)``, of samples of shape ``(m, n_inputs)``.

        Raises
        ------
        DataError
            If the shape does not fit or a value is not finite.
        """

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that makes the model, as arrays by name."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Arrays, version: int) -> Self:
        """Return the model of the arrays of a version of the format.

        Wrong arrays raise KeyError, ValueError, TypeError or the like."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.notation})"

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels, shape ``(m,)``, of samples of shape ``(m, n_inputs)``; errors as in `choices`."""
        return np.asarray(self.classes[self.choices(X)])

    def accuracy(self, X: ArrayLike, y: ArrayLike) -> float:
        """Share of the samples whose predicted label is `y`, 0 to 1; NaN without samples.

        Raises
        ------
        DataError
            If there are more or fewer labels than samples, and as in `choices`.
        """
        predicted, labels = self.predict(X), np.asarray(y)
        if labels.shape != predicted.shape:
            raise DataError(
                f"there are {len(predicted)} samples, but the labels have shape {labels.shape}"
            )
        return float(np.mean(predicted == labels)) if labels.size else float("nan")

    def class_indices(self, y: ArrayLike) -> IntArray:
        """Index of the output, shape ``(m,)``, that stands for each label of shape ``(m,)``; raise
        `DataError` if a label is none of the classes."""
        labels = np.asarray(y)
        order = np.argsort(self.classes)
        try:
            places = np.searchsorted(self.classes, labels, sorter=order)
            found = order[np.minimum(places, self.n_outputs - 1)]
            wrong = self.classes[found] != labels
        except TypeError as error:
            raise DataError(
                f"labels of type {labels.dtype} cannot be compared with the classes"
            ) from error
        if labels.ndim != 1 or np.any(wrong):
            bad = labels[wrong][0] if labels.ndim == 1 else labels.shape
            shown = ", ".join(str(label) for label in self.classes[:10])
            raise DataError(
                f"label {str(bad)!r} is none of the network's {self.n_outputs} classes "
                f"({shown}{', ...' if self.n_outputs > 10 else ''})"
            )
        return np.asarray(found, dtype=np.int64)

    def save(self, path: str | Path) -> Path:
        """Write the model to an ``.npz`` file, atomically and without pickle; return the path, or
        raise `OutputError`."""
        return write_model_file(path, self.FORMAT, self.VERSIONS[-1], self.arrays())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model written by `save`. Nothing in the file is ever executed.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, foreign, of a newer version, or holds another kind of
            model.
        """
        return cls.from_file(read_model_file(path))

    @classmethod
    def from_file(cls, file: ModelFile) -> Self:
        """Return the model of a file; errors as in `load`."""
        version = file.version(cls.FORMAT, cls.VERSIONS)
        with damage(file.path):
            return cls.from_arrays(file.arrays, version)


def checked_samples(X: ArrayLike, n_inputs: int) -> FloatArray:
    """Return samples as an array of shape ``(m, n_inputs)``; errors as in `Classifier.choices`."""
    x = np.asarray(X, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != n_inputs:
        raise DataError(
            f"the network takes samples of {n_inputs} inputs, got an array of shape {x.shape}"
        )
    if not np.all(np.isfinite(x)):
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise DataError(f"sample {row} has the value {x[row, column]} at input {column}")
    return x


DECISIONS: dict[str, Callable[[FloatArray], IntArray]] = {
    "closest_to_one": lambda outputs: np.argmin(np.abs(outputs - 1.0), axis=1),
    "argmax": lambda outputs: np.argmax(outputs, axis=1),
}
"""Index of the output that each row of outputs, shape ``(m, n)``, decides for, the first of equals;
by the name of the decision, see `Network`."""

OLD_DECISIONS = {"nearest": "closest_to_one", "largest": "argmax"}
"""Names that decisions had in model files of versions 1 and 2. They are taken wherever a decision
is given, and never written."""


def decision_named(name: str) -> str:
    """Return the name of a decision, given by it or by an old one; raise `NetworkError` if there is
    no such decision."""
    found = OLD_DECISIONS.get(name, name)
    if found not in DECISIONS:
        raise NetworkError(f"decision {shortened(name)} is unknown; choose {', '.join(DECISIONS)}")
    return found


def decide(outputs: FloatArray, decision: str) -> IntArray:
    """Index, shape ``(m,)``, of the output that each row of ``(m, n)`` outputs decides for, the
    first of equals; errors as in `decision_named`."""
    return np.asarray(DECISIONS[decision_named(decision)](outputs), dtype=np.int64)
