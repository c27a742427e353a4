"""The experiments of GDSolver (Ashok et al. 2022): regressions, and classification with less and
less data.

``regression`` is its Table 1: four functions of the first two of three uniform inputs, 1,000
samples, a network of 16 ReLUs. Every gradient baseline is measured after 10 and after 20 epochs;
GDSolver is 8 or 10 epochs of stochastic gradient descent and one program of the last layer, in
three readings: ``paper``, any point at which no error of 32 samples is larger; ``each``, the least
total error of these; ``free``, the least total error of 200 samples, with no bound on the single
ones. ``radius`` compares intervals of the weights on other samples.

``mnist`` and ``cifar`` are its experiment 2: for every number of training samples the baselines
train for 20 epochs on all of them. GDSolver trains in two rounds of at most 10 epochs on four
fifths, stalls and undoes by the last fifth, and gives the solver 32 wrong samples: alone
(``paper``), or with 96 right ones that are to stay right (``kept``). ``margin`` compares intervals
and margins on training samples alone.

In DIR go ``results.json``, ``results.md`` and the figures. Test samples decide nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    raise SystemExit("this bench needs PyTorch; `pip install '.[bench]'` brings it") from None

from layermilp import hybrid
from layermilp.datasets import load
from layermilp.hybrid.torch_models import TorchTrainee

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda x: x,
    "affine": lambda x: 3.0 * x + 4.0,
    "polynomial": lambda x: 3.0 * x**4 + 6.0 * x**3 + 2.0 * x**2 + x + 9.0,
    "formula": lambda x: 2.0 * np.exp(x) + 3.0 * np.sin(x) * x**5,
}

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.01),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.001),
}
BASELINES = tuple((name, scheduled) for name in OPTIMIZERS for scheduled in (False, True))
DECAY = 0.9
"""Factor of the learning rate per epoch, where it is scheduled."""

READINGS: dict[str, dict[str, Any]] = {
    "paper": {"goal": "feasible", "each": True, "solver_samples": 32, "radius": 16.0},
    "each": {"goal": "total", "each": True, "solver_samples": 32, "radius": 16.0},
    "free": {"goal": "total", "each": False, "solver_samples": 200, "radius": 16.0},
}
"""Regression programs; the radii are those of the least error in the experiment ``radius``."""

CLASSIFIERS: dict[str, dict[str, Any]] = {
    "paper": {"keep": 0, "radius": 8.0, "epsilon": 1.0},
    "kept": {"keep": 96, "radius": 8.0, "epsilon": 1.0},
}
"""Classification programs; radius and margin are those of the highest accuracy in the experiment
``margin``."""

RADII = (0.25, 1.0, 4.0, 16.0, 64.0)
MARGINS = tuple(itertools.product((0.5, 2.0, 8.0, 32.0), (0.1, 1.0, 4.0)))
"""Radii and margins that are compared for classifications."""

OTHERS = 100
"""First seed of what decides something: other samples and networks than those of the results."""

EPOCHS = 20
FEWER = 8
"""Epochs of GDSolver with which it ends, the program included, in half the time of the
baselines."""


@dataclass(frozen=True)
class Scope:
    """How much is run."""

    seeds: int
    functions: tuple[str, ...]
    mnist: tuple[int, ...]
    cifar: tuple[int, ...]


FULL = Scope(5, tuple(FUNCTIONS), (125, 250, 500, 1000, 2000), (250, 500, 1000, 2000, 4000))
QUICK = Scope(1, ("affine", "formula"), (100,), ())


def descended(
    module: nn.Module,
    optimizer: str,
    scheduled: bool,
    X: np.ndarray,
    y: np.ndarray,
    epochs: int,
    seed: int,
) -> tuple[TorchTrainee, float]:
    """Train by gradient descent alone; return the trainee and the seconds."""
    chosen = OPTIMIZERS[optimizer](module.parameters())
    schedule = torch.optim.lr_scheduler.ExponentialLR(chosen, DECAY) if scheduled else None
    trainee = TorchTrainee(module, y, seed, chosen, 32)
    began = time.perf_counter()
    for _ in range(epochs):
        trainee.epoch(X, y)
        if schedule is not None:
            schedule.step()
    return trainee, time.perf_counter() - began


def baseline_name(optimizer: str, scheduled: bool) -> str:
    """Return the name of a baseline in the tables."""
    return optimizer + (" with schedule" if scheduled else "")


def regression(scope: Scope) -> Iterator[dict[str, Any]]:
    """Yield one measurement after the other of Table 1."""
    variants = [
        (f"GDSolver, {reading}", EPOCHS // 2, options) for reading, options in READINGS.items()
    ]
    variants += [(f"GDSolver, {reading}", FEWER, options) for reading, options in READINGS.items()]
    return _regression(scope.functions, range(scope.seeds), variants)


def radii(scope: Scope) -> Iterator[dict[str, Any]]:
    """Yield the same with every radius, on samples and networks of other seeds."""
    variants = [
        (f"GDSolver, {reading}, radius {radius:g}", EPOCHS // 2, options | {"radius": radius})
        for (reading, options), radius in itertools.product(READINGS.items(), RADII)
    ]
    return _regression(scope.functions, range(OTHERS, OTHERS + scope.seeds), variants)


def _regression(
    functions: tuple[str, ...], seeds: range, variants: list[tuple[str, int, dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    for name in functions:
        for seed in seeds:
            rng = np.random.default_rng((seed, 7))
            inputs = rng.uniform(size=(2000, 3)).astype(np.float32)
            targets = FUNCTIONS[name](inputs[:, :2]).astype(np.float32)
            X, y, X_test, y_test = inputs[:1000], targets[:1000], inputs[1000:], targets[1000:]

            def module(seed: int = seed) -> nn.Module:
                torch.manual_seed(seed)
                return nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 2))

            descended(
                module(), "SGD", False, X, y, 1, seed
            )  # what is done only once does not count
            common = {"experiment": "regression", "function": name, "seed": seed}
            for epochs in (EPOCHS // 2, EPOCHS):
                for optimizer, scheduled in BASELINES:
                    trainee, seconds = descended(module(), optimizer, scheduled, X, y, epochs, seed)
                    method = baseline_name(optimizer, scheduled)
                    yield common | {
                        "method": method,
                        "epochs": epochs,
                        "mse": trainee.loss(X_test, y_test),
                        "seconds": seconds,
                    }
            for method, epochs, options in variants:
                network = module()
                trainee, seconds = descended(network, "SGD", False, X, y, epochs, seed)
                began = time.perf_counter()
                fit = hybrid.finetune_last_layer(
                    network, X, y, solver="highs", seed=seed, **options
                )
                solving = time.perf_counter() - began
                yield common | {
                    "method": method,
                    "epochs": epochs,
                    "mse": trainee.loss(X_test, y_test),
                    "seconds": seconds + solving,
                    "solver_seconds": solving,
                    "status": fit.status.value,
                }


def perceptron() -> nn.Module:
    """The network for MNIST and digits."""
    return nn.Sequential(nn.LazyLinear(64), nn.ReLU(), nn.Linear(64, 10))


def convolutional() -> nn.Module:
    """The network for CIFAR-10."""
    body: list[nn.Module] = [nn.Unflatten(1, (3, 32, 32))]
    for before, after in ((3, 16), (16, 32)):
        body += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(32 * 64, 64), nn.ReLU(), nn.Linear(64, 10))


def classification(
    experiment: str,
    build: Callable[[], nn.Module],
    data: tuple[np.ndarray, ...],
    counts: tuple[int, ...],
    scope: Scope,
) -> Iterator[dict[str, Any]]:
    """Yield one measurement after the other of experiment 2."""
    return _classification(
        experiment, build, data, counts, range(scope.seeds), BASELINES, CLASSIFIERS
    )


def margins(
    data: tuple[np.ndarray, ...], counts: tuple[int, ...], scope: Scope
) -> Iterator[dict[str, Any]]:
    """Yield the same with every radius and margin; a sixth of the training samples takes the place
    of the test samples."""
    X, y = data[:2]
    order = np.random.default_rng(OTHERS).permutation(len(X))
    train, held = np.split(order, [len(X) * 5 // 6])
    variants = {
        f"radius {radius:g}, margin {epsilon:g}": {"keep": 96, "radius": radius, "epsilon": epsilon}
        for radius, epsilon in MARGINS
    }
    seeds = range(OTHERS, OTHERS + max(1, scope.seeds // 2))
    return _classification(
        "margin", perceptron, (X[train], y[train], X[held], y[held]), counts, seeds, (), variants
    )


def _classification(
    experiment: str,
    build: Callable[[], nn.Module],
    data: tuple[np.ndarray, ...],
    counts: tuple[int, ...],
    seeds: range,
    baselines: tuple[tuple[str, bool], ...],
    variants: dict[str, dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    X_train, y_train, X_test, y_test = data
    for count in counts:
        for seed in seeds:
            chosen = np.random.default_rng((seed, 7)).choice(len(X_train), count, replace=False)
            X, y = X_train[chosen], y_train[chosen]

            def module(seed: int = seed, X: np.ndarray = X) -> nn.Module:
                torch.manual_seed(seed)
                network = build()
                with torch.no_grad():
                    network(torch.as_tensor(X[:1]))  # gives lazy layers their size
                return network

            common = {"experiment": experiment, "samples": count, "seed": seed}
            for optimizer, scheduled in baselines:
                trainee, seconds = descended(module(), optimizer, scheduled, X, y, EPOCHS, seed)
                score = float(np.mean(trainee.predicted(X_test) == y_test))
                yield common | {
                    "method": baseline_name(optimizer, scheduled),
                    "accuracy": score,
                    "seconds": seconds,
                }
            for optimizer in OPTIMIZERS:
                for reading, options in variants.items():
                    network = module()
                    began = time.perf_counter()
                    run = hybrid.train(
                        network,
                        X,
                        y,
                        optimizer=OPTIMIZERS[optimizer](network.parameters()),
                        rounds=2,
                        epochs=EPOCHS // 2,
                        patience=2,
                        seed=seed,
                        solver="highs",
                        **options,
                    )
                    seconds = time.perf_counter() - began
                    trainee = TorchTrainee(network, y, seed, None, 32)
                    yield common | {
                        "method": f"GDSolver ({optimizer}), {reading}",
                        "accuracy": float(np.mean(trainee.predicted(X_test) == y_test)),
                        "seconds": seconds,
                        "undone": run.undone,
                    }


def arrays(path: Path) -> tuple[np.ndarray, ...]:
    """Return CIFAR-10 from an .npz file: X, y, X_test, y_test, or the images and labels under their
    longer names."""
    with np.load(path, allow_pickle=False) as archive:
        names = ("X", "y", "X_test", "y_test")
        if "train_images" in archive.files:
            names = ("train_images", "train_labels", "test_images", "test_labels")
        X, y, X_test, y_test = (archive[name] for name in names)
    return scaled_images(X), y.astype(np.int64), scaled_images(X_test), y_test.astype(np.int64)


def scaled_images(images: np.ndarray) -> np.ndarray:
    """Return images as rows of numbers in [0, 1], channel by channel."""
    if images.ndim == 4:
        images = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    return (images / scale).astype(np.float32)


def means(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the means over the seeds for every combination of the keys."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    found = []
    for group, members in groups.items():
        entry = dict(zip(keys, group, strict=True))
        for key in ("mse", "accuracy", "seconds", "solver_seconds", "undone"):
            if key in members[0]:
                entry[key] = statistics.fmean(member[key] for member in members)
        found.append(entry)
    return found


def regression_table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield Table 1: means over the seeds, and the ratios to the best baseline at twice the
    epochs."""
    found = means(rows, ("function", "method", "epochs"))
    ratios_of_best = "error / best at 20 | seconds / its seconds"
    yield f"| function | method | epochs | mean squared error | seconds | {ratios_of_best} |"
    yield "|---|---|---|---|---|---|---|"
    ratios: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for name in dict.fromkeys(entry["function"] for entry in found):
        chosen = [entry for entry in found if entry["function"] == name]
        best = min(
            (entry for entry in chosen if entry["epochs"] == EPOCHS),
            key=lambda entry: float(entry["mse"]),
        )
        for entry in chosen:
            error, seconds = entry["mse"] / best["mse"], entry["seconds"] / best["seconds"]
            if entry["method"].startswith("GDSolver"):
                ratios.setdefault((entry["method"], entry["epochs"]), []).append((error, seconds))
            yield (
                f"| {name} | {entry['method']} | {entry['epochs']} | {entry['mse']:.5g} | "
                f"{entry['seconds']:.3f} | "
                f"{error:.2f} | {seconds:.2f} |"
            )
    for (method, epochs), pairs in ratios.items():
        errors, seconds = (statistics.fmean(values) for values in zip(*pairs, strict=True))
        yield f"| mean | {method} | {epochs} | | | {errors:.2f} | {seconds:.2f} |"


def classification_table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield test accuracies by the number of samples, and of GDSolver also the share of rounds that
    were undone."""
    found = means(rows, ("method", "samples"))
    counts = list(dict.fromkeys(entry["samples"] for entry in found))
    yield "| method | " + " | ".join(f"{count} samples" for count in counts) + " |"
    yield "|---" * (len(counts) + 1) + "|"
    for method in dict.fromkeys(entry["method"] for entry in found):
        cells = []
        for entry in (entry for entry in found if entry["method"] == method):
            undone = f", {entry['undone']:.1f} of 2 undone" if "undone" in entry else ""
            cells.append(f"{entry['accuracy']:.4f} ({entry['seconds']:.1f} s{undone})")
        yield f"| {method} | " + " | ".join(cells) + " |"


def tables(results: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yield all tables, in Markdown."""
    for name, rows in results.items():
        yield f"## {name}"
        yield ""
        yield from (regression_table if name in ("regression", "radius") else classification_table)(
            rows
        )
        yield ""


def plot(results: dict[str, list[dict[str, Any]]], out: Path) -> None:
    """Draw test accuracy against samples, as in the paper's Figures 4 and 5, and the errors of
    Table 1."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    for name, rows in results.items():
        if name in ("radius", "margin"):
            continue
        figure, axis = plt.subplots(figsize=(10, 5))
        if name == "regression":
            found = means(rows, ("function", "method", "epochs"))
            functions = list(dict.fromkeys(entry["function"] for entry in found))
            bars = list(dict.fromkeys((entry["method"], entry["epochs"]) for entry in found))
            for number, (method, epochs) in enumerate(bars):
                heights = [
                    e["mse"] for e in found if (e["method"], e["epochs"]) == (method, epochs)
                ]
                places = np.arange(len(functions)) + (number - len(bars) / 2) * 0.08
                axis.bar(
                    places,
                    heights,
                    0.08,
                    label=f"{method}, {epochs} epochs",
                    color=plt.get_cmap("tab20")(number),
                )
            axis.set_xticks(range(len(functions)), functions)
            axis.set(yscale="log", ylabel="mean squared error on test samples")
        else:
            found = means(rows, ("method", "samples"))
            for method in dict.fromkeys(entry["method"] for entry in found):
                chosen = [entry for entry in found if entry["method"] == method]
                style = "o-" if method.startswith("GDSolver") else "s--"
                axis.plot(
                    [e["samples"] for e in chosen],
                    [e["accuracy"] for e in chosen],
                    style,
                    label=method,
                )
            axis.set(xscale="log", xlabel="training samples", ylabel="test accuracy", title=name)
            axis.set_xticks(sorted({entry["samples"] for entry in found}))
            axis.xaxis.set_major_formatter(matplotlib.ticker.ScalarFormatter())
            axis.minorticks_off()
            axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        figure.tight_layout()
        figure.savefig(out / f"{name}.png", dpi=130)
        plt.close(figure)


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, metavar="DIR", type=Path)
    parser.add_argument(
        "--only", nargs="*", choices=("regression", "radius", "margin", "mnist", "cifar")
    )
    parser.add_argument(
        "--data",
        help="instead of MNIST (default: MNIST where it can be had, else digits; quick: digits)",
    )
    parser.add_argument("--data-dir")
    parser.add_argument(
        "--cifar",
        type=Path,
        metavar="FILE",
        help="CIFAR-10 as .npz; without it there is no such experiment",
    )
    parser.add_argument(
        "--samples",
        type=int,
        nargs="+",
        help="numbers of samples of mnist or cifar (default: five)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a seed, two functions, 100 samples: under three minutes",
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    scope = QUICK if arguments.quick else FULL
    if arguments.samples is not None:
        scope = replace(scope, mnist=tuple(arguments.samples), cifar=tuple(arguments.samples))
    wanted = arguments.only or ("regression", "mnist", "cifar")
    runs: dict[str, Iterator[dict[str, Any]]] = {}
    if "regression" in wanted:
        runs["regression"] = regression(scope)
    if "radius" in wanted:
        runs["radius"] = radii(scope)
    if {"mnist", "margin"} & set(wanted):
        data = load(
            arguments.data or ("digits" if arguments.quick else "auto"), data_dir=arguments.data_dir
        )
        assert data.X_test is not None and data.y_test is not None
        parts = (
            data.X_train.astype(np.float32),
            data.y_train,
            data.X_test.astype(np.float32),
            data.y_test,
        )
        if "margin" in wanted:
            runs["margin"] = margins(parts, scope.mnist, scope)
        if "mnist" in wanted:
            runs["mnist"] = classification("mnist", perceptron, parts, scope.mnist, scope)
    if "cifar" in wanted and arguments.cifar is not None:
        runs["cifar"] = classification(
            "cifar", convolutional, arrays(arguments.cifar), scope.cifar, scope
        )
    results: dict[str, list[dict[str, Any]]] = {}
    for name, rows in runs.items():
        results[name] = []
        for row in rows:
            results[name].append(row)
            score = f"error {row['mse']:.5g}" if "mse" in row else f"accuracy {row['accuracy']:.4f}"
            what = row.get("function", f"{row.get('samples')} samples")
            print(
                f"{name}: {row['method']}, {what}, seed {row['seed']}: {score}, "
                f"{row['seconds']:.3f} s",
                flush=True,
            )
            (arguments.out / "results.json").write_text(json.dumps(results, indent=2))
    text = "\n".join(tables(results))
    (arguments.out / "results.md").write_text(text + "\n")
    plot(results, arguments.out)
    print(text)


if __name__ == "__main__":
    main()
