"""Figures that show images: confusion, weights of the first layer, mistakes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from layermilp.integer import IntegerNetwork
from layermilp.networks.layers import Conv2d
from layermilp.networks.network import Network
from layermilp.program import FloatArray
from layermilp.report.canvas import Drawing, drawing, empty, with_axes
from layermilp.report.reported import Reported

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NEURONS, MOST_MISTAKES = 32, 24
"""Images that a figure shows at most."""

Shape = tuple[int, int]


@drawing("confusion", "Confusion", "Samples of each class, and what they are taken for.")
def _confusion(run: Reported) -> Figure | None:
    if run.judged is None or run.model is None or len(run.model.classes) > 30:
        return None
    from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

    classes = run.model.classes
    counts = confusion_matrix(run.judged.labels, run.judged.predicted, labels=classes)
    side = max(3.6, min(0.45 * len(classes) + 1.2, 9.0))
    figure, axes = with_axes(side, side)
    rotation = "vertical" if any(len(str(label)) > 3 for label in classes) else "horizontal"
    display = ConfusionMatrixDisplay(counts, display_labels=classes)
    display.plot(
        ax=axes, cmap="Blues", colorbar=False, text_kw={"fontsize": 8}, xticks_rotation=rotation
    )
    axes.set(xlabel=f"predicted ({run.judged.part} samples)", ylabel="true")
    axes.spines[:].set_visible(False)
    return figure


@drawing(
    "weights",
    "Weights of the first layer",
    "Blue below zero, red above; the first that has parameters.",
)
def _first_layer(run: Reported) -> Figure | None:
    images = list(itertools.islice(weight_images(run), MOST_NEURONS))
    if not images:
        return None
    largest = max(float(np.abs(image).max()) for _, image in images) or 1.0
    look: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
    each = (3.0, 2.8) if len(images) == 1 else (1.15, 1.3)
    figure, axes = _grid(len(images), 4, each, (0.8, 0.2))
    for axis, (title, image) in zip(axes.flat, images, strict=False):
        aspect = "equal" if title else "auto"
        shown = axis.imshow(image, interpolation="nearest", aspect=aspect, **look)
        axis.set_title(title, fontsize=8)
        if not title:
            axis.set_axis_on()
            axis.set(xlabel="input", ylabel="neuron")
    figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.02).ax.tick_params(labelsize=8)
    return figure


@drawing(
    "mistakes",
    "Mistakes",
    "The first samples that are taken for something else, the truth in brackets (the kind of "
    "Goebbels 2021, Figure 4).",
)
def _misclassified(run: Reported) -> Figure | None:
    shape = _image_of(run.members[0]) if run.members else None
    if run.judged is None or shape is None or not run.judged.wrong.size:
        return None
    which = run.judged.wrong[:MOST_MISTAKES]
    figure, axes = _grid(len(which), 6, (0.95, 1.2))
    for axis, sample in zip(axes.flat, which, strict=False):
        axis.imshow(run.judged.X[sample].reshape(shape), cmap="gray_r", interpolation="nearest")
        axis.set_title(f"{run.judged.predicted[sample]} ({run.judged.labels[sample]})", fontsize=10)
    return figure


IMAGES: tuple[Drawing, ...] = (_confusion, _first_layer, _misclassified)
"""The figures, in the order of the page."""


def _grid(
    count: int,
    most_columns: int,
    each: tuple[float, float],
    margin: tuple[float, float] = (0.0, 0.0),
) -> tuple[Figure, Any]:
    """Return a figure and its array of axes, which are hidden, with a place for every image; sizes
    are widths and heights in inches."""
    columns = min(most_columns, count)
    rows = -(-count // columns)
    figure = empty(each[0] * columns + margin[0], each[1] * rows + margin[1])
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def weight_images(run: Reported) -> Iterator[tuple[str, FloatArray]]:
    """Return titles and images of the first trained layer's weights, of every member of a
    committee."""
    for number, member in enumerate(run.members, start=1):
        of = f"{number}." if len(run.members) > 1 else ""
        if isinstance(member, IntegerNetwork):
            yield from _dense_images(member.layers[0].weights, _image_of(member), of)
            continue
        i, block = next((i, block) for i, block in enumerate(member.blocks) if block.theta.size)
        if isinstance(block.layer, Conv2d):
            kernels, _ = block.layer.arrays(block.theta)
            yield from ((f"{of}kernel", kernel) for kernel in np.concatenate(kernels))
        else:
            yield from _dense_images(block.weights, _image_of(member, i), of)


def _image_of(network: Network | IntegerNetwork, i: int = 0) -> Shape | None:
    """Return height and width of the image that layer `i` takes: as it or the one before says, or
    if it is a square of 4 x 4 or more."""
    n = network.n_inputs
    if isinstance(network, Network):
        n = network.blocks[i].n_inputs
        before = [block.layer.outputs for block in network.blocks[:i]]
        for shape in (network.blocks[i].layer.inputs, *before[-1:]):
            if len(shape) == 3:
                return shape[1], shape[2]
    side = math.isqrt(n)
    return (side, side) if side * side == n and n >= 16 else None


def _dense_images(weights: Any, shape: Shape | None, of: str) -> Iterator[tuple[str, FloatArray]]:
    if shape is None:
        yield "", np.asarray(weights, dtype=np.float64)
        return
    for number, row in enumerate(weights, start=1):
        yield f"{of}{number}", np.asarray(row, dtype=np.float64).reshape(shape)
