"""The figures of a report; to add one, write its function, and put its name into `FIGURES`."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from layermilp.program import FloatArray
from layermilp.report.canvas import (
    ABOVE,
    COLORS,
    Drawing,
    count_axis,
    drawing,
    legend,
    with_axes,
)
from layermilp.report.images import IMAGES
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

STAGES = {
    ("gradient", False): ("gradient descent", "o", COLORS[0]),
    ("solver", False): ("solver", "^", COLORS[1]),
    ("solver", True): ("solver, undone", "x", COLORS[1]),
}
"""Kinds of stages of the hybrid, undone or not: words, marker and color."""

CURVES = {
    "layerwise": ("test_accuracy", "test"),
    "bcd": ("accuracy", "training"),
    "integer": ("accuracy", "training"),
    "hybrid": ("validation_accuracy", "validation"),
}
"""The accuracy that is drawn of a method's history, and what it is of."""

OBJECTIVES = {
    "bcd": ("sweep", "sweep", "objective", "objective"),
    "integer": ("programs", "programs solved", "loss", "loss of the objective"),
}
"""What the objective of a method's history is drawn over, and the objective: names and words."""


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
    legend(axes)
    return figure


@drawing(
    "sweeps",
    "Accuracy by sweeps",
    "A bar per batch: the accuracy on it after its first sweep, and what each further sweep gains "
    "(the kind of Goebbels 2021, Figure 2). A dot: after post-processing.",
)
def _sweeps(run: Reported) -> Figure | None:
    batches, processed = defaultdict(list), {}
    for record in _layerwise(run):
        batch, accuracy = (record.get("member", 1), record["batch"]), record["batch_accuracy"]
        if record.get("kind") != "end":
            batches[batch].append(accuracy)
        elif record["phases"]:
            processed[len(batches)] = accuracy
    if not batches:
        return None
    from matplotlib import colormaps

    figure, axes = with_axes(5.6, 3.4)
    shades = colormaps["viridis"](np.linspace(0.25, 0.95, max(map(len, batches.values()))))
    for place, accuracies in enumerate(batches.values(), start=1):
        reached = np.maximum.accumulate([0.0, *accuracies])
        for number, gain in enumerate(np.diff(reached)):
            look: dict[str, Any] = {"color": shades[number], "label": f"sweep {number + 1}"}
            axes.bar(place, gain, bottom=reached[number], width=0.9, **look)
    if processed:
        look = {"color": COLORS[1], "markersize": 4, "label": "post-processed"}
        axes.plot(list(processed), list(processed.values()), "o", **look)
    axes.set(
        xlabel="batch" if run.summary.get("committee", 1) == 1 else "batch, member after member",
        ylabel="accuracy on the batch",
        ylim=(0.0, 1.02),
    )
    count_axis(axes)
    legend(axes, **ABOVE)
    return figure


@drawing(
    "batches",
    "Accuracy by batches",
    "With the weights that go on after every batch: on the batch, on all samples seen so far, on "
    "the test samples (the kind of Goebbels 2021, Figure 3).",
)
def _batches(run: Reported) -> Figure | None:
    members: defaultdict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
    for record in filter(_is_taken, _layerwise(run)):
        members[record.get("member", 1)][record["batch"]] = record
    if not members:
        return None
    figure, axes = with_axes(5.6, 3.4)
    for key, label, color in (
        ("batch_accuracy", "on the batch", COLORS[0]),
        ("seen_accuracy", "on all samples seen", COLORS[1]),
        ("test_accuracy", "on the test samples", COLORS[2]),
    ):
        for ends in members.values():
            points = [(batch, end[key]) for batch, end in ends.items() if end[key] is not None]
            if points:
                axes.plot(*zip(*points, strict=True), color=color, linewidth=1.3, label=label)
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
    legend(axes)
    return figure


@drawing("objective", "Objective", "Objective and training accuracy, of every member.")
def _objective(run: Reported) -> Figure | None:
    if run.method not in OBJECTIVES or not run.history:
        return None
    over, over_words, objective, words = OBJECTIVES[run.method]
    figure, axes = with_axes(5.6, 3.4)
    other = axes.twinx()
    for side, key, label, color, top in (
        (axes, objective, words, COLORS[1], None),
        (other, "accuracy", "training accuracy", COLORS[0], 1.02),
    ):
        for records in _by_member(run):
            places = [record[over] for record in records]
            side.step(places, [record[key] for record in records], where="post", color=color)
        side.set(ylabel=label, ylim=(0.0, top))
        side.yaxis.label.set_color(color)
    axes.set(xlabel=over_words)
    count_axis(axes)
    other.spines[["top"]].set_visible(False)
    return figure


@drawing("validation", "Validation loss", "After every stage of gradient descent or solver.")
def _validation(run: Reported) -> Figure | None:
    if run.method != "hybrid" or not run.history:
        return None
    figure, axes = with_axes(5.6, 3.4)
    losses = [record["validation_loss"] for record in run.history]
    axes.plot(range(1, len(losses) + 1), losses, color="gray", linewidth=1.0)
    for place, (record, loss) in enumerate(zip(run.history, losses, strict=True), start=1):
        label, marker, color = STAGES[record["kind"], record["undone"]]
        axes.plot(place, loss, marker, color=color, label=label)
    axes.set(xlabel="stage", ylabel="validation loss", ylim=(0.0, None))
    count_axis(axes)
    legend(axes)
    return figure


@drawing("seconds", "Where the time went", "By layer and kind of program, or by stage.")
def _seconds(run: Reported) -> Figure | None:
    bars: list[tuple[str, float, str]] = []
    if run.method == "layerwise":
        bars = [
            (f"layer {layer}, {kind}", value, KINDS.get(kind, "gray"))
            for (layer, kind), value in _of_phases(run, "seconds").items()
        ]
    elif run.method == "hybrid":
        totals: defaultdict[str, float] = defaultdict(float)
        for record in run.history:
            totals[record["kind"]] += record["seconds"]
        bars = [(name, value, COLORS[i]) for i, (name, value) in enumerate(totals.items())]
    elif run.method == "smt":
        bars = [(stage["name"], stage["seconds"], COLORS[0]) for stage in run.summary["tried"]]
    if not bars:
        return None
    figure, axes = with_axes(5.6, 1.0 + 0.32 * len(bars))
    names, values, colors = zip(*bars, strict=True)
    shown = axes.barh(range(len(bars)), values, color=colors)
    axes.bar_label(shown, labels=[f" {value:.2f}" for value in values], fontsize=8)
    axes.set_yticks(range(len(bars)), names)
    axes.invert_yaxis()
    over = ", summed over sweeps" if run.method == "layerwise" else ""
    axes.set(xlabel=f"wall seconds{over}")
    axes.margins(x=0.12)
    return figure


@drawing("endings", "How programs ended", "Optimal within the gap, at a limit, or failed.")
def _endings(run: Reported) -> Figure | None:
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
    legend(axes, **ABOVE)
    return figure


@drawing(
    "gaps",
    "Gaps",
    "Largest (objective - bound) / max(objective, sum of targets) in each batch.",
)
def _gaps(run: Reported) -> Figure | None:
    gaps: defaultdict[str, dict[int, float]] = defaultdict(dict)
    places: dict[tuple[int, int], int] = {}
    for record in _layerwise(run):
        place = places.setdefault((record.get("member", 1), record["batch"]), len(places) + 1)
        for phase in record.get("phases", ()):
            own = gaps[phase["kind"]]
            own[place] = max(own.get(place, 0.0), phase["largest_gap"])
    if not gaps:
        return None
    figure, axes = with_axes(5.6, 3.0)
    for kind, own in gaps.items():
        look: dict[str, Any] = {"color": KINDS.get(kind, "gray"), "linewidth": 1.0, "markersize": 4}
        axes.plot(list(own), list(own.values()), ".-", label=kind, **look)
    target = run.summary.get("target_gap")
    if target:
        axes.axhline(target, color="gray", linewidth=0.8, linestyle=":", label="target gap")
    axes.set(xlabel="batch", ylabel="largest gap", ylim=(0.0, None))
    count_axis(axes)
    legend(axes)
    return figure


def _layerwise(run: Reported) -> list[dict[str, Any]]:
    return run.history if run.method == "layerwise" else []


def _curves(run: Reported) -> Iterator[tuple[str, FloatArray, list[float]]]:
    """Return what the accuracy is of, seconds, and accuracies of what went on: of every member of a
    committee for itself."""
    if run.method not in CURVES:
        return
    key, of = CURVES[run.method]
    if any(record.get(key) is None for record in run.history):
        key, of = "seen_accuracy", "all samples seen"
    for records in _by_member(run):
        seconds = np.array([record["seconds"] for record in records])
        times = seconds if run.method == "integer" else np.cumsum(seconds)
        taken = [_is_taken(record) for record in records]
        yield of, times[taken], [record[key] for record in filter(_is_taken, records)]


def _by_member(run: Reported) -> list[list[dict[str, Any]]]:
    """Return the records of every member."""
    groups = itertools.groupby(run.history, key=lambda record: record.get("member", 1))
    return [list(own) for _, own in groups]


def _is_taken(record: dict[str, Any]) -> bool:
    """Whether the weights of a record went on; of other methods than layerwise all do."""
    return bool(record.get("taken", True))


def _of_phases(run: Reported, key: str) -> dict[tuple[int, str], float]:
    """Return the sum of a field over all sweeps, by layer and kind in the order of a sweep."""
    found: defaultdict[tuple[int, str], float] = defaultdict(float)
    for record in _layerwise(run):
        for phase in record.get("phases", ()):
            found[phase["layer"], phase["kind"]] += phase[key]
    order = {kind: i for i, kind in enumerate(KINDS)}
    return dict(sorted(found.items(), key=lambda item: (item[0][0], order.get(item[0][1], 9))))


FIGURES: tuple[Drawing, ...] = (
    _sweeps,
    _batches,
    _objective,
    _validation,
    _seconds,
    _endings,
    _gaps,
    *IMAGES,
)
"""Every figure that is drawn for each run, in the order of the page."""
