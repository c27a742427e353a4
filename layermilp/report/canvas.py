"""Kinds of figures, empty figures, and what their axes have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layermilp.report.reported import Reported

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colors that can be told apart by people who see few."""


@dataclass(frozen=True)
class Drawing:
    """A kind of figure: the stem of its file's name, its title, what it shows, and the function
    that draws it for a run, or returns None where the run has nothing to draw."""

    key: str
    title: str
    caption: str
    draw: Callable[[Reported], Figure | None]


def drawing(
    key: str, title: str, caption: str
) -> Callable[[Callable[[Reported], Figure | None]], Drawing]:
    """Make the function below into a kind of figure."""
    return lambda draw: Drawing(key, title, caption, draw)


def empty(width: float, height: float) -> Figure:
    """Return an empty figure; width and height in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def with_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes; width and height in inches."""
    figure = empty(width, height)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def count_axis(axes: Axes) -> None:
    """Mark whole numbers only, below."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def legend(axes: Axes, **place: Any) -> None:
    """Add a legend with every label once; without a place of its own, only for several labels."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    if place or len(once) > 1:
        axes.legend(once.values(), once.keys(), frameon=False, fontsize=8, **place)


ABOVE: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 5}
"""Place of a legend above the axes."""
