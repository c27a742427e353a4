"""Figures of a layerwise run: what went on, not what was tried."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from layermilp.report import Reported
from layermilp.report.figures import FIGURES, accuracy_over_time


def record(batch: int, sweep: int, accuracy: float, **others: Any) -> dict[str, Any]:
    known = {"kind": "sweep", "taken": True, "seconds": 1.0, "phases": []}
    parts = ("batch_accuracy", "seen_accuracy", "test_accuracy")
    shares = {name: accuracy - i / 10 for i, name in enumerate(parts)}
    return {"batch": batch, "sweep": sweep, **known, **shares, **others}


PROCESSED = {"kind": "end", "phases": [{"kind": "post-processing", "layer": 2, "largest_gap": 0.0}]}
HISTORY = [
    record(1, 1, 0.4),
    record(1, 2, 0.3, taken=False),
    record(1, 1, 0.4, kind="end"),
    record(2, 1, 0.5),
    record(2, 2, 0.6),
    record(2, 3, 0.45, taken=False),
    record(2, 2, 0.8, **PROCESSED),
    record(3, 1, 0.7),
]
"""Three batches: without post-processing, with it, and one that ends with its first sweep."""


@pytest.fixture
def run() -> Reported:
    return Reported("one", {"method": "layerwise"}, HISTORY, None)


def axes_of(key: str, run: Reported) -> Any:
    figure = next(each for each in FIGURES if each.key == key).draw(run)
    assert figure is not None
    return figure.axes[0]


def test_batches_end_with_the_weights_that_go_on(run: Reported) -> None:
    lines = {line.get_label(): line for line in axes_of("batches", run).lines}
    for label, shift in (
        ("on the batch", 0.0),
        ("on all samples seen", 0.1),
        ("on the test samples", 0.2),
    ):
        x, y = lines[label].get_data()
        assert list(x) == [1, 2, 3]
        np.testing.assert_allclose(y, np.array([0.4, 0.8, 0.7]) - shift)


def test_bars_end_with_the_best_sweep_and_a_dot_shows_post_processing(run: Reported) -> None:
    axes = axes_of("sweeps", run)
    tops: dict[int, float] = {}
    for bar in axes.patches:
        place = round(bar.get_x() + bar.get_width() / 2)
        tops[place] = max(tops.get(place, 0.0), bar.get_y() + bar.get_height())
    assert tops == pytest.approx({1: 0.4, 2: 0.6, 3: 0.7})
    (dots,) = axes.lines
    assert [list(values) for values in dots.get_data()] == [[2], [0.8]]


def test_time_passes_over_what_was_not_taken(run: Reported) -> None:
    figure = accuracy_over_time([run])
    assert figure is not None
    (line,) = figure.axes[0].lines
    points = [[1, 0.2], [3, 0.2], [4, 0.3], [5, 0.4], [7, 0.6], [8, 0.5]]
    np.testing.assert_allclose(np.asarray(line.get_xydata(), dtype=float), np.array(points))
