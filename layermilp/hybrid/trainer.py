"""GDSolver (Ashok et al. 2022): gradient descent until it stalls, a program of the last layer, and
gradient descent again."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from layermilp.errors import DataError, OptionError, SolverError
from layermilp.hybrid.lastlayer import (
    LastLayerFit,
    classification,
    fit_classification,
    fit_regression,
)
from layermilp.hybrid.models import Trainee, adapted
from layermilp.hybrid.options import Call, FineTuning, LastLayer, Rounds
from layermilp.options import with_options
from layermilp.program import IntArray, Program, Status

STAGES = ("gradient", "solver")
"""The stages of a turn."""

VALIDATION = 0.2
"""Share of the samples that judges the rounds, where no others are given."""


@dataclass(frozen=True)
class Record:
    """One stage: its kind, the validation loss and accuracy after it, and what the solver did.

    Parameters
    ----------
    round : int
        From 1.
    kind : {"gradient", "solver"}
        Who worked.
    epochs : int
        Epochs of gradient descent.
    validation_loss : float
        After the stage, and after it was undone if it was.
    validation_accuracy : float, optional
        Of a classifier.
    undone : bool
        Whether the solver's weights were worse on the validation samples and were given up.
    start_objective, objective : float, optional
        Of the solver's program, before and after, see `LastLayerFit`.
    status : str, optional
        Of the program.
    seconds : float
        Wall seconds of the stage.
    """

    round: int
    kind: str
    epochs: int
    validation_loss: float
    validation_accuracy: float | None
    undone: bool
    start_objective: float | None
    objective: float | None
    status: str | None
    seconds: float

    @property
    def has_failed(self) -> bool:
        """Whether the solver failed and nothing better was found."""
        if self.objective is None or self.start_objective is None:
            return False
        return self.status == Status.ERROR.value and self.objective >= self.start_objective


@dataclass(frozen=True, eq=False)
class Trained:
    """Outcome of a run; the model itself was trained in place.

    Parameters
    ----------
    history : tuple of Record
        Every stage.
    """

    history: tuple[Record, ...]

    @property
    def validation_loss(self) -> float:
        """At the end; NaN without stages."""
        return self.history[-1].validation_loss if self.history else math.nan

    @property
    def epochs(self) -> int:
        """Epochs of gradient descent in all."""
        return sum(record.epochs for record in self.history)

    @property
    def undone(self) -> int:
        """Rounds of the solver that were given up."""
        return sum(record.undone for record in self.history)


@with_options(Call)
def train(model: Any, X: Any, y: Any, options: Call) -> Trained:
    """Train a network in place by turns: gradient descent, then a program of its last layer
    (Algorithm 1).

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor or torch.nn.Module
        scikit-learn's, new or fitted, with a batch size of its own; or a module whose last layer is
        ``nn.Linear``.
    X : (m, ...) array
        Training samples.
    y : (m,) or (m, M) array
        Labels, or the targets of a regression. For PyTorch whole numbers are labels, other numbers
        targets.
    {options}

    Raises
    ------
    NetworkError
        If the model is none that can be trained so.
    DataError
        If the data do not fit together.
    OptionError
        If an option is unknown or out of its range.
    """
    data = Data.of(X, y, options.validation, options.seed)
    trainee = adapted(model, y, options.seed, options.optimizer, options.batch_size)
    return Trained(tuple(training(trainee, data, options)))


@with_options(FineTuning)
def finetune_last_layer(model: Any, X: Any, y: Any, options: FineTuning) -> LastLayerFit:
    """Fit the last layer of a trained network anew by one program, in place.

    Parameters
    ----------
    model, X, y
        As for `train`.
    {options}

    Returns
    -------
    LastLayerFit
        What the program found; if it was undone, with the weights that stayed, and the objective
        that was given up.
    """
    if options.solver_samples is None:
        options = replace(options, solver_samples=len(X), keep=len(X))
    trainee = adapted(model, y, options.seed)
    validation = options.validation
    if validation is None:
        validation = (_part(X, slice(0)), _part(y, slice(0)))
    data = Data.of(X, y, validation, options.seed)
    return _solve(trainee, data, options, np.random.default_rng(options.seed))[0]


@dataclass(frozen=True, eq=False)
class Data:
    """Samples to train with and to judge by."""

    X: Any
    y: Any
    X_judge: Any
    y_judge: Any

    @classmethod
    def of(cls, X: Any, y: Any, validation: tuple[Any, Any] | None, seed: int) -> Data:
        """Check lengths; set a share aside where no validation samples are given."""
        given = {"training": (X, y)}
        if validation is not None:
            given["validation"] = validation
        for name, (inputs, answers) in given.items():
            if len(inputs) != len(answers):
                raise DataError(
                    f"there are {len(inputs)} {name} samples, but {len(answers)} labels or targets"
                )
        if not len(X):
            raise DataError("there are no training samples")
        if validation is not None:
            return cls(X, y, *validation)
        if len(X) < 2:
            raise DataError("one sample cannot be split; give validation samples")
        order = np.random.default_rng((seed, 1)).permutation(len(X))
        count = max(1, round(VALIDATION * len(X)))
        kept, judges = order[count:], order[:count]
        return cls(_part(X, kept), _part(y, kept), _part(X, judges), _part(y, judges))


def _part(values: Any, rows: IntArray | slice) -> Any:
    """Return some rows of an array, a tensor, a list, or what pandas has."""
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    return values[rows] if hasattr(values, "shape") else np.asarray(values)[rows]


def training(
    trainee: Trainee,
    data: Data,
    settings: Rounds,
    rng: np.random.Generator | None = None,
    before: Sequence[Record] = (),
) -> Iterator[Record]:
    """Run Algorithm 1; yield every stage.

    Parameters
    ----------
    trainee, data, settings
        What is trained, on what, and how.
    rng : Generator, optional
        Chooses samples; by default of the seed.
    before : sequence of Record
        Stages that trainee and generator have behind them already.

    Raises
    ------
    SolverError
        If the solver failed in every turn.
    """
    rng = np.random.default_rng(settings.seed) if rng is None else rng
    records = list(before)
    for number in range(len(STAGES) * settings.rounds):
        if number == len(records):
            records.append(_stage(trainee, data, settings, number, rng))
            yield records[-1]
        if records[number].validation_loss <= settings.desired_loss:
            return
    if settings.rounds and all(record.has_failed for record in records[1 :: len(STAGES)]):
        raise SolverError(
            f"the solver {settings.solver!r} failed in all {settings.rounds} turns; only gradient "
            "descent has trained"
        )


def _stage(
    trainee: Trainee, data: Data, settings: Rounds, number: int, rng: np.random.Generator
) -> Record:
    """Work through a stage, counted from 0 over all turns."""
    began = time.perf_counter()
    turn, stage = divmod(number, len(STAGES))
    epochs, fit, undone = 0, None, False
    if STAGES[stage] == "gradient":
        epochs = _descend(trainee, data, settings)
    else:
        fit, undone = _solve(trainee, data, settings, rng)
    seconds = time.perf_counter() - began
    accuracy = None
    if trainee.is_classifier:
        accuracy = float(np.mean(trainee.predicted(data.X_judge) == trainee.labels(data.y_judge)))
    return Record(
        round=turn + 1,
        kind=STAGES[stage],
        epochs=epochs,
        validation_loss=_judged(trainee, data),
        validation_accuracy=accuracy,
        undone=undone,
        start_objective=fit.start_objective if fit else None,
        objective=fit.objective if fit else None,
        status=fit.status.value if fit else None,
        seconds=seconds,
    )


def _descend(trainee: Trainee, data: Data, settings: Rounds) -> int:
    """Descend until the validation loss stalls, go back to where it was least; return the number of
    epochs."""
    done, stalled = 0, 0
    least, best = math.inf, trainee.state()
    while done < settings.epochs and stalled < settings.patience:
        trainee.epoch(data.X, data.y)
        done += 1
        loss = trainee.loss(data.X_judge, data.y_judge)
        if loss < least:
            least, best, stalled = loss, trainee.state(), 0
        else:
            stalled += 1
    if stalled:
        trainee.restore(best)
    return done


def _solve(
    trainee: Trainee, data: Data, settings: LastLayer, rng: np.random.Generator
) -> tuple[LastLayerFit, bool]:
    """Replace the last layer by what its program finds; go back if the validation samples are worse
    off, and return whether they were."""
    layer = _last_layer(trainee, data, settings, rng)
    for name in ("solver", "time_limit", "node_limit"):
        layer[name] = getattr(settings, name)
    if trainee.is_classifier:
        fit = fit_classification(**layer, epsilon=settings.epsilon, exact=settings.exact)
    else:
        fit = fit_regression(**layer, goal=settings.goal, each=settings.each)
    before = _judged(trainee, data)
    trainee.replace_last_layer(fit.weights, fit.offsets)
    if _judged(trainee, data) > before:
        present = {name: layer[name] for name in ("weights", "offsets")}
        trainee.replace_last_layer(**present)
        return replace(fit, **present), True
    return fit, False


def _last_layer(
    trainee: Trainee, data: Data, settings: LastLayer, rng: np.random.Generator
) -> dict[str, Any]:
    """Return what `fit_classification` or `fit_regression` is to be given of the last layer and of
    the samples that are chosen."""
    features, (weights, offsets) = trainee.features(data.X), trainee.last_layer()
    answers: Any
    if trainee.is_classifier:
        kind, answers = "labels", trainee.labels(data.y)
        chosen = _chosen(trainee.predicted(data.X) == answers, settings, rng)
    else:
        kind, answers = "targets", np.asarray(data.y, dtype=np.float64)
        chosen = rng.permutation(len(features))[: settings.solver_samples]
    return {
        "features": features[chosen],
        "weights": weights,
        "offsets": offsets,
        kind: answers[chosen],
        "radius": settings.radius * float(np.sqrt(np.mean(weights**2))) or settings.radius,
        "output": trainee.output,
    }


def round_program(trainee: Trainee, data: Data, settings: Rounds, number: int) -> Program:
    """Train a classifier up to the solver's turn of a round, from 1; return the mixed-integer
    program of that turn.

    It starts at the present weights. A turn without `exact` descends by relaxations of this
    program.

    Raises
    ------
    OptionError
        If the run has no such round.
    """
    if not 1 <= number <= settings.rounds:
        raise OptionError(f"round is {number}; it must be from 1 to {settings.rounds}")
    rng = np.random.default_rng(settings.seed)
    *_, last = islice(training(trainee, data, settings, rng), len(STAGES) * number - 1)
    if last.validation_loss <= settings.desired_loss:
        raise OptionError(
            f"round is {number}, but in round {last.round} the validation loss is as low as desired"
        )
    layer = _last_layer(trainee, data, settings, rng)
    problem = classification(**layer, epsilon=settings.epsilon)
    return problem.program(problem.start)


def _chosen(is_right: Any, settings: LastLayer, rng: np.random.Generator) -> IntArray:
    """Return samples that are wrong, and some that are right; one of the latter at least where none
    is wrong."""
    wrong, right = (rng.permutation(np.flatnonzero(which)) for which in (~is_right, is_right))
    kept = settings.keep if wrong.size else max(settings.keep, 1)
    return np.sort(np.concatenate([wrong[: settings.solver_samples], right[:kept]]))


def _judged(trainee: Trainee, data: Data) -> float:
    """Return the validation loss, 0 without validation samples."""
    return trainee.loss(data.X_judge, data.y_judge) if len(data.X_judge) else 0.0
