"""Training by block coordinate descent: sweeps, and what is known after each of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from layermilp.bcd.descent import Descent, Point
from layermilp.bcd.options import Descents
from layermilp.errors import DataError
from layermilp.method import State
from layermilp.networks.classifier import checked_samples
from layermilp.networks.files import Arrays
from layermilp.networks.network import Network
from layermilp.options import with_options
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray


@dataclass(frozen=True)
class Record:
    """One sweep, as a line of ``history.jsonl``.

    Parameters
    ----------
    sweep : int
        From 1.
    objective : float
        After the sweep, see `layermilp.bcd.descent`.
    loss : float
        Mean squared deviation of an output from its target, by the weights alone.
    accuracy : float, optional
        Share of right predictions on the training samples, by the weights alone; None of a
        regression.
    seconds : float
        Wall seconds of the sweep.
    """

    sweep: int
    objective: float
    loss: float
    accuracy: float | None
    seconds: float


@dataclass(frozen=True, eq=False)
class Swept(State):
    """A descent after a sweep, and the sweeps so far."""

    point: Point
    sweeps: tuple[Record, ...]

    @property
    def model(self) -> Network:
        """The network."""
        return self.point.network

    @property
    def records(self) -> Sequence[Record]:
        """The sweeps so far."""
        return self.sweeps

    @property
    def score(self) -> float:
        """The objective, negative."""
        return -self.sweeps[-1].objective

    def content(self) -> tuple[dict[str, Any], Arrays]:
        """Return what a checkpoint keeps."""
        thetas = {f"theta_{i}": block.theta for i, block in enumerate(self.model.blocks)}
        values = {f"activations_{k}": v for k, v in enumerate(self.point.activations)}
        return {"sweeps": [asdict(record) for record in self.sweeps]}, thetas | values


@dataclass(frozen=True, eq=False)
class Trained:
    """Outcome of a training.

    Parameters
    ----------
    network : Network
        With its last layer linear; of a classifier the class is the largest output.
    history : tuple of Record
        Every sweep.
    """

    network: Network
    history: tuple[Record, ...]

    @property
    def objective(self) -> float:
        """At the end."""
        return self.history[-1].objective


@with_options(Descents)
def train(network: Network, X: ArrayLike, y: ArrayLike, options: Descents) -> Trained:
    """Train a network by block coordinate descent with auxiliary variables, all samples at once.

    See `layermilp.bcd.descent` for the objective and the blocks.

    Parameters
    ----------
    network : Network
        It is not changed; training starts from its weights.
    X : (m, n_inputs) array
        Samples, of either sign.
    y : (m,) array of labels, or (m, n_outputs) array of float
        Labels among ``network.classes``, whose outputs are to be 1 and all others -1; or what the
        outputs are to be.
    {options}

    Raises
    ------
    DataError
        If the data do not fit the network.
    OptionError
        If an option is out of its range.
    """
    with Workers(1):
        *_, last = training(network, X, y, options)
    return Trained(last.model, last.sweeps)


def checked(
    network: Network, X: ArrayLike, y: ArrayLike
) -> tuple[FloatArray, IntArray | None, FloatArray]:
    """Return samples, the numbers of their classes (None of a regression), and the targets; errors
    as in `train`."""
    samples, given = checked_samples(X, network.n_inputs), np.asarray(y)
    labels, targets = None, given
    if given.ndim < 2:
        labels = network.class_indices(given)
        targets = np.where(labels[:, None] == np.arange(network.n_outputs), 1.0, -1.0)
    if not len(samples) or targets.shape != (len(samples), network.n_outputs):
        raise DataError(
            f"there are {len(samples)} training samples, but the labels or targets have shape "
            f"{given.shape}; the network has {network.n_outputs} outputs"
        )
    if labels is None and not np.all(np.isfinite(targets)):
        raise DataError("a target is not finite")
    return samples, labels, np.asarray(targets, dtype=np.float64)


def training(
    network: Network, X: ArrayLike, y: ArrayLike, options: Descents, begin: Swept | None = None
) -> Iterator[Swept]:
    """Sweep; yield where the descent is after every sweep. Parameters and errors as in `train`;
    after a state `begin` it goes on as if nothing had been between."""
    samples, labels, targets = checked(network, X, y)
    descent = Descent(network, samples, targets, options)
    if begin is None:
        begin = Swept(descent.begin(network.with_decision("argmax")), ())
    point, records = begin.point, begin.sweeps
    while len(records) < options.sweeps:
        began = time.perf_counter()
        point = descent.sweep(point)
        outputs, objective = descent.outputs(point), descent.objective(point)
        right = None if labels is None else float((outputs.argmax(axis=1) == labels).mean())
        record = Record(
            sweep=len(records) + 1,
            objective=objective,
            loss=float(((outputs - targets) ** 2).mean()),
            accuracy=right,
            seconds=time.perf_counter() - began,
        )
        records = (*records, record)
        yield Swept(point, records)
