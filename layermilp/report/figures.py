"""The figures of a report; each takes a run, and returns None where the run has nothing to draw.

To add one: write its function, and put a line into `FIGURES`.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from layermilp.program import FloatArray
from layermilp.report.canvas import (
    COLORS,
    count_axis,
    legend_above,
    legend_once,
    with_axes,
)
from layermilp.report.images import confusion, first_layer, misclassified
from layermilp.report.reported import Reported

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {"weights": COLORS[0], "inputs": COLORS[4], "post-processing": COLORS[2]}
"""Kinds of programs and their colors."""

ENDINGS = {
    "optimal": ("optimal", COLORS[2]),
    "at_limit": ("at a limit", COLORS[4]),
    "failed": ("failed", COLORS[1]),
}
"""How programs end, in words, and the colors."""

CURVES = {
    "test_accuracy": "test",
    "seen_accuracy": "all samples seen",
    "accuracy": "training",
    "validation_accuracy": "validation",
}
"""What an accuracy in a history is of."""


@dataclass(frozen=True)
class Drawing:
    """A kind of figure: the stem of its file's name, its title, what it shows, and the function
    that draws it for a run."""

    key: str
    title: str
    caption: str
    draw: Callable[[Reported], Figure | None]


def accuracy_over_time(runs: Sequence[Reported]) -> Figure | None:
    """Draw how the accuracy of every run rises with the time of training."""
    styles = [(style, color) for style in ("-", "--", ":", "-.") for color in COLORS]
    curves = [
        (run, look, curve)
        for run, look in zip(runs, itertools.cycle(styles), strict=False)
        for curve in _curves(run)
    ]
    if not curves:
        return None
    figure, axes = with_axes(7.0, 4.0)
    for run, (style, color), (label, seconds, accuracies) in curves:
        axes.plot(
            seconds, accuracies, style, color=color, linewidth=1.5, label=f"{run.name}: {label}"
        )
    judged_by = {label for _, _, (label, _, _) in curves}
    own = f" ({judged_by.pop()})" if len(judged_by) == 1 else ""
    axes.set(xlabel="seconds of training", ylabel=f"accuracy{own}", ylim=(0.0, 1.02))
    legend_once(axes)
    return figure


def accuracy_by_sweeps(run: Reported) -> Figure | None:
    """Draw a bar per batch, with a segment for what each of its sweeps gains (the kind of Goebbels
    2021, Figure 2)."""
    batches = defaultdict(list)
    for record in _layerwise(run):
        batches[record.get("member", 1), record["batch"]].append(record["batch_accuracy"])
    if not batches:
        return None
    from matplotlib import colormaps

    figure, axes = with_axes(5.6, 3.4)
    most = max(map(len, batches.values()))
    for place, accuracies in enumerate(batches.values(), start=1):
        reached = 0.0
        for number, accuracy in enumerate(accuracies):
            gain = max(accuracy - reached, 0.0)
            shade = colormaps["viridis"](0.25 + 0.7 * number / max(most - 1, 1))
            axes.bar(
                place, gain, bottom=reached, color=shade, width=0.9, label=f"sweep {number + 1}"
            )
            reached += gain
    axes.set(
        xlabel="batch" if run.summary.get("committee", 1) == 1 else "batch, member after member",
        ylim=(0.0, 1.02),
    )
    axes.set_ylabel("accuracy on the batch")
    count_axis(axes)
    legend_above(axes)
    return figure


def accuracy_by_batches(run: Reported) -> Figure | None:
    """Draw the accuracy on the batch, on all samples seen and on the test samples (the kind of
    Goebbels 2021, Figure 3)."""
    ends = {(record.get("member", 1), record["batch"]): record for record in _layerwise(run)}
    if not ends:
        return None
    figure, axes = with_axes(5.6, 3.4)
    members = sorted({member for member, _ in ends})
    for (key, label), color in zip(
        (
            ("batch_accuracy", "on the batch"),
            ("seen_accuracy", "on all samples seen"),
            ("test_accuracy", "on the test samples"),
        ),
        COLORS,
        strict=False,
    ):
        for member in members:
            points = {
                batch: end[key]
                for (own, batch), end in ends.items()
                if own == member and end[key] is not None
            }
            if points:
                axes.plot(
                    list(points), list(points.values()), color=color, linewidth=1.3, label=label
                )
    final = run.summary.get("test_accuracy")
    if final is not None:
        axes.axhline(
            final, color="gray", linewidth=0.8, linestyle=":", label="test accuracy at the end"
        )
    axes.set(
        xlabel="batch" if len(members) == 1 else "batch, a curve per member",
        ylabel="accuracy",
        ylim=(0.0, 1.02),
    )
    count_axis(axes)
    legend_once(axes)
    return figure


def objective_over_programs(run: Reported) -> Figure | None:
    """Draw loss and accuracy of an integer network after every program that changed them."""
    if run.method != "integer" or not run.history:
        return None
    figure, axes = with_axes(5.6, 3.4)
    programs = [record["programs"] for record in run.history]
    axes.step(programs, [record["loss"] for record in run.history], where="post", color=COLORS[1])
    axes.set(xlabel="programs solved", ylabel="loss of the objective", ylim=(0.0, None))
    axes.yaxis.label.set_color(COLORS[1])
    count_axis(axes)
    other = axes.twinx()
    other.step(
        programs, [record["accuracy"] for record in run.history], where="post", color=COLORS[0]
    )
    other.set(ylabel="training accuracy", ylim=(0.0, 1.02))
    other.yaxis.label.set_color(COLORS[0])
    other.spines[["top"]].set_visible(False)
    return figure


def validation_by_stages(run: Reported) -> Figure | None:
    """Draw the validation loss after every stage of the hybrid."""
    if run.method != "hybrid" or not run.history:
        return None
    figure, axes = with_axes(5.6, 3.4)
    losses = [record["validation_loss"] for record in run.history]
    axes.plot(range(1, len(losses) + 1), losses, color="gray", linewidth=1.0)
    for place, (record, loss) in enumerate(zip(run.history, losses, strict=True), start=1):
        label = (
            "gradient descent"
            if record["kind"] == "gradient"
            else "solver, undone"
            if record["undone"]
            else "solver"
        )
        marker = {"gradient descent": "o", "solver": "^", "solver, undone": "x"}[label]
        color = COLORS[0] if record["kind"] == "gradient" else COLORS[1]
        axes.plot(place, loss, marker, color=color, label=label)
    axes.set(xlabel="stage", ylabel="validation loss", ylim=(0.0, None))
    count_axis(axes)
    legend_once(axes)
    return figure


def seconds_by_phase(run: Reported) -> Figure | None:
    """Draw the seconds of every layer's programs of every kind, or of every stage of another
    method."""
    if run.method == "layerwise":
        seconds = _of_phases(run, "seconds")
        bars = [
            (f"layer {layer}, {kind}", value, KINDS.get(kind, "gray"))
            for (layer, kind), value in seconds.items()
        ]
    elif run.method == "hybrid":
        totals: defaultdict[str, float] = defaultdict(float)
        for record in run.history:
            totals[record["kind"]] += record["seconds"]
        bars = [(name, value, COLORS[i]) for i, (name, value) in enumerate(totals.items())]
    elif run.method == "smt":
        bars = [(stage["name"], stage["seconds"], COLORS[0]) for stage in run.summary["tried"]]
    else:
        return None
    if not bars:
        return None
    figure, axes = with_axes(5.6, 1.0 + 0.32 * len(bars))
    names, values, colors = zip(*bars, strict=True)
    shown = axes.barh(range(len(bars)), values, color=colors)
    axes.bar_label(shown, labels=[f" {value:.2f}" for value in values], fontsize=8)
    axes.set_yticks(range(len(bars)), names)
    axes.invert_yaxis()
    axes.set(
        xlabel="wall seconds, summed over sweeps" if run.method == "layerwise" else "wall seconds"
    )
    axes.margins(x=0.12)
    return figure


def endings_by_phase(run: Reported) -> Figure | None:
    """Draw how many programs of every layer and kind ended how."""
    counts = {ending: _of_phases(run, ending) for ending in ENDINGS}
    places = list(counts["optimal"])
    if not places:
        return None
    figure, axes = with_axes(5.6, 1.2 + 0.32 * len(places))
    left = np.zeros(len(places))
    for ending, (words, color) in ENDINGS.items():
        values = np.array([counts[ending][place] for place in places])
        axes.barh(range(len(places)), values, left=left, color=color, label=words)
        left += values
    axes.set_yticks(range(len(places)), [f"layer {layer}, {kind}" for layer, kind in places])
    axes.invert_yaxis()
    axes.set(xlabel="programs")
    legend_above(axes)
    return figure


def gaps_by_batches(run: Reported) -> Figure | None:
    """Draw the largest gap that was left open in every batch, for every kind of programs."""
    gaps: dict[str, dict[int, float]] = {}
    place = 0
    last = None
    for record in _layerwise(run):
        batch = record.get("member", 1), record["batch"]
        place += batch != last
        last = batch
        for phase in record.get("phases", ()):
            own = gaps.setdefault(phase["kind"], {})
            own[place] = max(own.get(place, 0.0), phase["largest_gap"])
    if not gaps:
        return None
    figure, axes = with_axes(5.6, 3.0)
    for kind, own in gaps.items():
        axes.plot(
            list(own),
            list(own.values()),
            ".-",
            color=KINDS.get(kind, "gray"),
            linewidth=1.0,
            markersize=4,
            label=kind,
        )
    target = run.summary.get("target_gap")
    if target:
        axes.axhline(target, color="gray", linewidth=0.8, linestyle=":", label="target gap")
    axes.set(xlabel="batch", ylabel="largest gap", ylim=(0.0, None))
    count_axis(axes)
    legend_once(axes)
    return figure


FIGURES: tuple[Drawing, ...] = (
    Drawing(
        "sweeps",
        "Accuracy by sweeps",
        "A bar per batch: the accuracy on it after its first sweep, and what each further sweep "
        "gains "
        "(the kind of Goebbels 2021, Figure 2).",
        accuracy_by_sweeps,
    ),
    Drawing(
        "batches",
        "Accuracy by batches",
        "After every batch: on the batch, on all samples seen so far, on the test samples "
        "(the kind of Goebbels 2021, Figure 3).",
        accuracy_by_batches,
    ),
    Drawing(
        "objective",
        "Objective",
        "Loss and training accuracy of an integer network.",
        objective_over_programs,
    ),
    Drawing(
        "validation",
        "Validation loss",
        "After every stage of gradient descent or solver.",
        validation_by_stages,
    ),
    Drawing(
        "seconds",
        "Where the time went",
        "By layer and kind of program, or by stage.",
        seconds_by_phase,
    ),
    Drawing(
        "endings",
        "How programs ended",
        "Optimal within the gap, at a limit, or failed.",
        endings_by_phase,
    ),
    Drawing(
        "gaps",
        "Gaps",
        "Largest (objective - bound) / max(objective, sum of targets) in each batch.",
        gaps_by_batches,
    ),
    Drawing(
        "confusion", "Confusion", "Samples of each class, and what they are taken for.", confusion
    ),
    Drawing(
        "weights",
        "Weights of the first layer",
        "Blue below zero, red above; the first that has parameters.",
        first_layer,
    ),
    Drawing(
        "mistakes",
        "Mistakes",
        "The first samples that are taken for something else, the truth in brackets (the kind of "
        "Goebbels 2021, Figure 4).",
        misclassified,
    ),
)
"""Every figure that is drawn for each run, in the order of the page."""


def _layerwise(run: Reported) -> list[dict[str, Any]]:
    return run.history if run.method == "layerwise" else []


def _curves(run: Reported) -> Iterator[tuple[str, FloatArray, list[float]]]:
    """Return what the accuracy is of, seconds, and accuracies: of every member of a committee for
    itself."""
    keys = {"layerwise": "test_accuracy", "integer": "accuracy", "hybrid": "validation_accuracy"}
    if run.method not in keys:
        return
    key = keys[run.method]
    if any(record.get(key) is None for record in run.history):
        key = "seen_accuracy"
    for _, own in itertools.groupby(run.history, key=lambda record: record.get("member", 1)):
        records = list(own)
        seconds = np.array([record["seconds"] for record in records])
        yield (
            CURVES[key],
            seconds if run.method == "integer" else np.cumsum(seconds),
            [record[key] for record in records],
        )


def _of_phases(run: Reported, key: str) -> dict[tuple[int, str], float]:
    """Return the sum of a field over all sweeps, by layer and kind in the order of a sweep."""
    found: dict[tuple[int, str], float] = {}
    for record in _layerwise(run):
        for phase in record.get("phases", ()):
            place = phase["layer"], phase["kind"]
            found[place] = found.get(place, 0.0) + phase[key]
    order = {kind: i for i, kind in enumerate(KINDS)}
    return dict(sorted(found.items(), key=lambda item: (item[0][0], order.get(item[0][1], 9))))
