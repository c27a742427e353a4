"""Empty figures, and what their axes have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colors that can be told apart by people who see few."""


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


def labels(axes: Axes) -> dict[str, Any]:
    """Return every label once."""
    handles, labels = axes.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def legend_once(axes: Axes) -> None:
    """Add a legend with every label once, where there are several."""
    once = labels(axes)
    if len(once) > 1:
        axes.legend(once.values(), once.keys(), frameon=False, fontsize=8)


def legend_above(axes: Axes) -> None:
    """Add a legend with every label once, above the axes."""
    once = labels(axes)
    place: dict[str, Any] = {
        "loc": "lower center",
        "bbox_to_anchor": (0.5, 1.0),
        "ncols": min(len(once), 5),
    }
    axes.legend(once.values(), once.keys(), frameon=False, fontsize=8, **place)
