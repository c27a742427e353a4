"""The experiments of Thorbjarnarson and Yorke-Smith 2020 on Adult, and what a solver contributes to
integer networks.

``objectives`` and ``bounds`` are the paper's experiments 1 and 2 (its Figures 1 to 6): networks of
16 hidden neurons, trained until the training accuracy exceeds 0.9, by three objectives with P = 1,
and by sat-margin with P = 1, 3, 7 and 15; beside them a straight-through network in PyTorch and
logistic regression on the same samples. ``plain`` gives the whole model (1) to (24) to the same
solver for a time. ``starts`` begins at a straight-through network and asks for the best objective.
``neurons`` looks for the fewest neurons, ``proofs`` for bounds of the objective, and ``batches``
trains on thousands of samples. Every accuracy counts ties as errors and has the share of the
majority class beside it.

In DIR go ``results.json``, ``results.md`` and the figures.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from layermilp import integer, solve
from layermilp.datasets import load
from layermilp.integer import IntegerLayer, IntegerNetwork
from layermilp.integer.formulation import SignNetwork, plain, thetas
from layermilp.integer.losses import OBJECTIVES, SatMargin
from layermilp.networks.integer import correct
from layermilp.program import Limits

HIDDEN = 16
BOUNDS = (1, 3, 7, 15)
EXPERIMENTS = ("objectives", "bounds", "plain", "starts", "neurons", "proofs", "batches")
STEP = 1e-5
"""The paper's epsilon, in the plain model."""


@dataclass(frozen=True)
class Scope:
    """How much is run."""

    samples: tuple[int, ...]
    seeds: int
    seconds: float
    plain_seconds: float
    plain_samples: tuple[int, ...]
    batch_samples: int
    batch_seconds: float


FULL = Scope((40, 80, 120, 160, 200, 240, 280), 3, 300.0, 120.0, (40, 100, 280), 10_000, 900.0)
QUICK = Scope((40,), 1, 4.0, 2.0, (40,), 300, 4.0)


class Bench:
    """The data and what is common to all experiments."""

    def __init__(
        self, data_dir: str | None, scope: Scope, solver: str, jobs: int, quick: bool
    ) -> None:
        self.data = load("adult", data_dir=data_dir) if not quick or data_dir else _stand_in()
        self.scope, self.solver, self.jobs = scope, solver, jobs
        self.has_torch = importlib.util.find_spec("torch") is not None
        assert self.data.X_test is not None and self.data.y_test is not None
        self.X_test, self.y_test = self.data.X_test, self.data.y_test

    def subset(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the training samples that ``layermilp train --samples`` draws."""
        chosen = np.random.default_rng(seed).choice(len(self.data.X_train), count, replace=False)
        return self.data.X_train[chosen], self.data.y_train[chosen]

    def row(
        self,
        method: str,
        X: np.ndarray,
        y: np.ndarray,
        seed: int,
        scores: tuple[float, float],
        **more: Any,
    ) -> dict[str, Any]:
        """Return one measurement; `scores` are the training and the test accuracy."""
        return {
            "method": method,
            "samples": len(y),
            "seed": seed,
            "train_accuracy": scores[0],
            "train_majority": float(np.bincount(y).max() / len(y)),
            "test_accuracy": scores[1],
            "test_majority": float(np.bincount(self.y_test).max() / len(self.y_test)),
            **more,
        }

    def trained(
        self, X: np.ndarray, y: np.ndarray, seed: int, **options: Any
    ) -> tuple[integer.Trained, tuple[float, float]]:
        """Train; return what was found, and its accuracies."""
        settings: dict[str, Any] = {
            "solver": self.solver,
            "n_jobs": self.jobs,
            "time_limit": self.scope.seconds,
            "seed": seed,
        } | options
        found = integer.train(X, y, **settings)
        return found, (
            found.network.accuracy(X, y),
            found.network.accuracy(self.X_test, self.y_test),
        )

    def by_solver(
        self, name: str, X: np.ndarray, y: np.ndarray, seed: int, **options: Any
    ) -> dict[str, Any]:
        """Return a row of the library's trainer."""
        found, scores = self.trained(X, y, seed, **options)
        return self.row(
            name,
            X,
            y,
            seed,
            scores,
            seconds=found.seconds,
            objective=found.objective,
            bound=found.bound,
            start_objective=found.start_objective,
            optimal=found.is_optimal,
            programs=found.programs,
            neurons=found.network.n_hidden,
            least_neurons=found.least_neurons,
        )

    def by_gradient(self, X: np.ndarray, y: np.ndarray, seed: int, bound: int) -> dict[str, Any]:
        """Return a row of the straight-through network."""
        import ste

        began = time.perf_counter()
        network = ste.train(X, y, HIDDEN, bound, seed)
        seconds = time.perf_counter() - began
        scores = network.accuracy(X, y), network.accuracy(self.X_test, self.y_test)
        return self.row(f"gradient, P = {bound}", X, y, seed, scores, seconds=seconds)

    def by_regression(self, X: np.ndarray, y: np.ndarray, seed: int) -> dict[str, Any]:
        """Return a row of logistic regression."""
        from sklearn.linear_model import LogisticRegression

        began = time.perf_counter()
        model = LogisticRegression(max_iter=1000).fit(X, y)
        seconds = time.perf_counter() - began
        scores = model.score(X, y), model.score(self.X_test, self.y_test)
        return self.row("logistic regression", X, y, seed, scores, seconds=seconds)

    def objectives(self) -> Iterator[dict[str, Any]]:
        """Experiment 1: three objectives with P = 1, and the baselines."""
        for count, seed in itertools.product(self.scope.samples, range(self.scope.seeds)):
            X, y = self.subset(count, seed)
            for name in OBJECTIVES:
                yield self.by_solver(name, X, y, seed, bound=1, objective=name)
            yield from self.baselines(X, y, seed, (1,))

    def bounds(self) -> Iterator[dict[str, Any]]:
        """Experiment 2: sat-margin with four bounds, and the baselines."""
        for count, seed in itertools.product(self.scope.samples, range(self.scope.seeds)):
            X, y = self.subset(count, seed)
            for bound in BOUNDS:
                yield self.by_solver(f"P = {bound}", X, y, seed, bound=bound)
            yield from self.baselines(X, y, seed, (1, 15))

    def baselines(
        self, X: np.ndarray, y: np.ndarray, seed: int, bounds: tuple[int, ...]
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of gradient networks and of logistic regression."""
        for bound in bounds if self.has_torch else ():
            yield self.by_gradient(X, y, seed, bound)
        yield self.by_regression(X, y, seed)

    def plain(self) -> Iterator[dict[str, Any]]:
        """The whole model given to the solver for a time, against the library in no more time."""
        for count, bound, seed in itertools.product(
            self.scope.plain_samples, (1, 15), range(self.scope.seeds)
        ):
            X, y = self.subset(count, seed)
            yield self.whole(X, y, seed, bound)
            same: dict[str, Any] = {
                "bound": bound,
                "time_limit": self.scope.plain_seconds,
                "n_jobs": 1,
            }
            yield self.by_solver(f"library, P = {bound}", X, y, seed, **same)
            yield self.by_solver(
                f"library to the end, P = {bound}", X, y, seed, stop_accuracy=1.0, **same
            )

    def whole(self, X: np.ndarray, y: np.ndarray, seed: int, bound: int) -> dict[str, Any]:
        """Solve the plain model, and recount what its network does."""
        sizes = (X.shape[1], HIDDEN, 2)
        objective = SatMargin(bound, HIDDEN, 2)
        program = plain(SignNetwork(X, y, sizes, bound, objective, (STEP, STEP)))
        root = solve(program.relaxed(), self.solver, Limits(time_limit=self.scope.plain_seconds))
        began = time.perf_counter()
        found = solve(program, self.solver, Limits(time_limit=self.scope.plain_seconds))
        seconds = time.perf_counter() - began
        scores, reported = (0.0, 0.0), 0.0
        if found.x is not None:
            problem = SignNetwork(X, y, sizes, bound, objective, (STEP, STEP))
            network = IntegerNetwork(
                [IntegerLayer.of(theta) for theta in thetas(problem, found.x)], bound
            )
            scores = network.accuracy(X, y), network.accuracy(self.X_test, self.y_test)
            sums = network.output_sums(X)
            reported = objective.reported(float(objective.losses(sums, y).sum()), len(y))
            assert np.isclose(correct(sums, y).mean(), scores[0])
        return self.row(
            f"plain model, P = {bound}",
            X,
            y,
            seed,
            scores,
            seconds=seconds,
            objective=reported,
            bound=objective.reported(found.bound, len(y)),
            root_bound=objective.reported(root.objective, len(y)),
            status=found.status.value,
        )

    def starts(self) -> Iterator[dict[str, Any]]:
        """From a straight-through network to the best objective."""
        for start, bound, seed in itertools.product(
            ("gradient", "none"), (1, 15), range(self.scope.seeds)
        ):
            X, y = self.subset(self.scope.samples[-1], seed)
            name = f"{'no' if start == 'none' else start} start, P = {bound}"
            yield self.by_solver(name, X, y, seed, bound=bound, start=start, stop_accuracy=1.0)

    def neurons(self) -> Iterator[dict[str, Any]]:
        """The fewest neurons for an accuracy above 0.9."""
        for count, bound, seed in itertools.product(
            self.scope.samples, (1, 15), range(self.scope.seeds)
        ):
            X, y = self.subset(count, seed)
            yield self.by_solver(
                f"fewest neurons, P = {bound}", X, y, seed, bound=bound, neurons="fewest"
            )

    def proofs(self) -> Iterator[dict[str, Any]]:
        """Bounds of the objective for binarized networks, which do not reach that of equal
        samples."""
        for name, seed in itertools.product(("sat-margin", "min-hinge"), range(self.scope.seeds)):
            X, y = self.subset(self.scope.samples[-1], seed)
            yield self.by_solver(f"{name}, P = 1", X, y, seed, bound=1, objective=name, prove=True)

    def batches(self) -> Iterator[dict[str, Any]]:
        """Thousands of samples in batches."""
        for bound, seed in itertools.product((1, 15), range(self.scope.seeds)):
            X, y = self.subset(self.scope.batch_samples, seed)
            size = min(500, self.scope.batch_samples // 3)
            limits: dict[str, Any] = {"time_limit": self.scope.batch_seconds, "node_limit": 20}
            yield self.by_solver(
                f"batches, P = {bound}", X, y, seed, bound=bound, batch_size=size, **limits
            )
            yield self.by_regression(X, y, seed)


def _stand_in() -> Any:
    """Return two classes of the digits, for a quick run where Adult is not at hand."""
    digits = load("digits")
    assert digits.X_test is not None and digits.y_test is not None
    train, test = digits.y_train % 2, digits.y_test % 2
    return replace(digits, y_train=train, y_test=test, classes=np.arange(2))


def summarized(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the means over the seeds."""
    keys = dict.fromkeys((row["method"], row["samples"]) for row in rows)
    means = []
    for method, samples in keys:
        chosen = [row for row in rows if (row["method"], row["samples"]) == (method, samples)]
        entry: dict[str, Any] = {"method": method, "samples": samples}
        for key, value in chosen[0].items():
            if key not in ("method", "samples", "seed") and isinstance(value, (int, float)):
                entry[key] = statistics.fmean(row[key] for row in chosen)
        means.append(entry)
    return means


COLUMNS = (
    ("train_accuracy", "training", ".3f"),
    ("train_majority", "majority", ".3f"),
    ("test_accuracy", "test", ".4f"),
    ("test_majority", "majority", ".4f"),
    ("seconds", "seconds", ".1f"),
    ("start_objective", "start", ".1f"),
    ("objective", "objective", ".1f"),
    ("bound", "bound", ".1f"),
    ("root_bound", "root", ".1f"),
    ("optimal", "proven", ".2f"),
    ("neurons", "neurons", ".1f"),
    ("least_neurons", "needed", ".1f"),
)


def table(results: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the tables, in Markdown: means over the seeds."""
    for name, rows in results["experiments"].items():
        yield f"## {name}"
        yield ""
        yield "| method | samples | " + " | ".join(title for _, title, _ in COLUMNS) + " |"
        yield "|---" * (2 + len(COLUMNS)) + "|"
        for entry in summarized(rows):
            cells = [format(entry[key], form) if key in entry else "" for key, _, form in COLUMNS]
            yield f"| {entry['method']} | {entry['samples']} | " + " | ".join(cells) + " |"
        yield ""


def plot(results: dict[str, Any], out: Path) -> None:
    """Draw the figures: accuracy and seconds against samples, of experiments 1 and 2."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels = (
        ("train_accuracy", "training accuracy"),
        ("test_accuracy", "test accuracy"),
        ("seconds", "seconds"),
    )
    for first, name in ((1, "objectives"), (4, "bounds")):
        rows = results["experiments"].get(name)
        if not rows:
            continue
        means = summarized(rows)
        for number, (key, label) in enumerate(panels, start=first):
            figure, axis = plt.subplots(figsize=(8, 4))
            for method in dict.fromkeys(entry["method"] for entry in means):
                chosen = [entry for entry in means if entry["method"] == method]
                axis.plot(
                    [entry["samples"] for entry in chosen],
                    [entry[key] for entry in chosen],
                    "o-",
                    label=method,
                )
            if key != "seconds":
                majority = [entry for entry in means if entry["method"] == means[0]["method"]]
                share = [entry[key.replace("accuracy", "majority")] for entry in majority]
                axis.plot(
                    [entry["samples"] for entry in majority], share, "k:", label="majority class"
                )
            else:
                axis.set_yscale("log")
            axis.set(xlabel="training samples", ylabel=label)
            axis.grid(alpha=0.3)
            axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
            figure.tight_layout()
            figure.savefig(out / f"figure{number}.png", dpi=130)
            plt.close(figure)


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, metavar="DIR", type=Path)
    parser.add_argument("--only", nargs="*", choices=EXPERIMENTS, help="these experiments alone")
    parser.add_argument(
        "--samples",
        type=int,
        nargs="+",
        help="numbers of training samples (default: those of the paper)",
    )
    parser.add_argument(
        "--plain-seconds",
        type=float,
        help="for the plain model and the library beside it (default: 120)",
    )
    parser.add_argument("--solver", default="highs")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--data-dir", help="directory of Adult's files (default: as `layermilp data` finds them)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one seed, few samples; digits where Adult is not given",
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    scope = QUICK if arguments.quick else FULL
    if arguments.samples:
        scope = replace(
            scope, samples=tuple(arguments.samples), plain_samples=tuple(arguments.samples)
        )
    if arguments.plain_seconds:
        scope = replace(scope, plain_seconds=arguments.plain_seconds)
    bench = Bench(arguments.data_dir, scope, arguments.solver, arguments.jobs, arguments.quick)
    results: dict[str, Any] = {
        "data": bench.data.name,
        "solver": arguments.solver,
        "experiments": {},
    }
    for name in arguments.only or EXPERIMENTS:
        rows: list[dict[str, Any]] = []
        results["experiments"][name] = rows
        for row in getattr(bench, name)():
            rows.append(row)
            print(
                f"{name}: {row['method']}, {row['samples']} samples, seed {row['seed']}: training "
                f"{row['train_accuracy']:.3f}, "
                f"test {row['test_accuracy']:.4f}, {row['seconds']:.1f} s",
                flush=True,
            )
            (arguments.out / "results.json").write_text(json.dumps(results, indent=2))
    text = "\n".join(table(results))
    (arguments.out / "results.md").write_text(text + "\n")
    plot(results, arguments.out)
    print(text)


if __name__ == "__main__":
    main()
