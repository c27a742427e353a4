"""What one sweep costs, against samples per batch, width and depth.

One batch of warped digits (see `record.py`) is trained for one sweep. From 784-8-8-8-10 and 100
samples one quantity changes at a time. ``proximal`` is the default; ``l1`` fits hidden layers as
the paper does (``proximity=0``), ``ridge`` by ridge regressions. Seconds are wall seconds of
`layermilp.train` without its start; megabytes are the largest resident size of the process and of
its largest worker together. Slopes are those of log seconds against log size (for depth: against
layers)."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib.externals.loky import get_reusable_executor
from record import images

from layermilp import Network
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.trainer import run
from layermilp.parallel import Workers

SIZES = {
    "samples": (50, 100, 200, 500, 1000, 2000),
    "width": (8, 16, 32, 64),
    "depth": (1, 2, 3, 4, 6),
}
QUICK_SIZES: dict[str, tuple[int, ...]] = {"samples": (20, 40), "width": (4, 8), "depth": (1, 2)}
SETTINGS: dict[str, dict[str, Any]] = {
    "proximal": {},
    "l1": {"proximity": 0.0},
    "ridge": {"weight_fit": "ridge"},
}


@dataclass(frozen=True)
class Point:
    """What is timed: the quantity that changes and its size, the setting, the net, the samples, the
    workers."""

    quantity: str
    size: int
    setting: str
    net: str
    samples: int
    jobs: int


def points(quick: bool, jobs: int, only: Collection[str]) -> Iterator[Point]:
    """Yield all points, or those of some quantities and settings alone."""
    samples, width = (40, 4) if quick else (100, 8)
    for setting in [name for name in SETTINGS if name in only] or list(SETTINGS)[
        : 1 if quick else None
    ]:
        for quantity in [name for name in SIZES if name in only] or SIZES:
            for size in (QUICK_SIZES if quick else SIZES)[quantity]:
                hidden = [size if quantity == "width" else width] * (
                    size if quantity == "depth" else 3
                )
                net = "-".join(map(str, (784, *hidden, 10)))
                yield Point(
                    quantity, size, setting, net, size if quantity == "samples" else samples, jobs
                )


def measure(point: Point, seed: int) -> dict[str, float]:
    """Train one sweep in this process."""
    network = Network.from_notation(point.net, seed=seed)
    data = TrainingData.of(network, *images(point.samples, seed))
    options: dict[str, Any] = {
        "batches": 1,
        "batch_size": point.samples,
        "epochs": 1,
        "seed": seed,
        "postprocess": "none",
    }
    with Workers(point.jobs) as workers:
        began = time.perf_counter()
        trained = run(network, data, Sweeps(**options, **SETTINGS[point.setting]), workers)
        seconds = time.perf_counter() - began
    # Of children the system tells the memory once they have ended.
    get_reusable_executor().shutdown(wait=True)
    own, children = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "seconds": seconds,
        "megabytes": (own + children) / 1024.0,
        "accuracy": trained.history[0].batch_accuracy,
        "programs": trained.tally.programs,
        "at_limit": trained.tally.at_limit,
    }


def measured_apart(point: Point, seed: int) -> dict[str, float]:
    """Measure in a process of its own, whose memory is nobody else's."""
    words = [sys.executable, __file__, "--point", json.dumps(asdict(point)), "--seed", str(seed)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def slope(rows: list[dict[str, Any]]) -> float:
    """Slope of log seconds against log size, by least squares."""
    sizes, seconds = (np.log([row[key] for row in rows]) for key in ("size", "seconds"))
    return float(np.polyfit(sizes, seconds, 1)[0]) if len(rows) > 1 else float("nan")


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw seconds against each quantity, both on logarithmic scales."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(SIZES), figsize=(4 * len(SIZES), 3.5), sharey=True)
    for axis, quantity in zip(axes, SIZES, strict=True):
        for setting in SETTINGS:
            chosen = [
                row for row in rows if (row["quantity"], row["setting"]) == (quantity, setting)
            ]
            if chosen:
                sizes, seconds = ([row[key] for row in chosen] for key in ("size", "seconds"))
                axis.loglog(sizes, seconds, "o-", label=f"{setting}, slope {slope(chosen):.2f}")
        ticks = sorted({row["size"] for row in rows if row["quantity"] == quantity})
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.set_xlabel(
            {
                "samples": "samples per batch",
                "width": "neurons per layer",
                "depth": "hidden layers",
            }[quantity]
        )
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    axes[0].set_ylabel("seconds of one sweep")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        nargs="*",
        choices=[*SIZES, *SETTINGS],
        help="these quantities, or settings, alone",
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="small sizes, the defaults alone")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--png", type=Path, metavar="FILE")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        print(json.dumps(measure(Point(**json.loads(arguments.point)), arguments.seed)))
        return
    rows: list[dict[str, Any]] = []
    print(
        f"{'setting':<8} {'quantity':<9} {'size':>5} {'seconds':>9} {'MB':>7} {'programs':>9} at "
        "limit accuracy"
    )
    for point in points(arguments.quick, arguments.jobs, arguments.only or ()):
        row = {**asdict(point), **measured_apart(point, arguments.seed)}
        rows.append(row)
        print(
            f"{row['setting']:<8} {row['quantity']:<9} {row['size']:>5} {row['seconds']:>9.2f} "
            f"{row['megabytes']:>7.0f} "
            f"{row['programs']:>9.0f} {row['at_limit']:>8.0f} {row['accuracy']:>8.3f}",
            flush=True,
        )
    slopes = {}
    for setting, quantity in sorted({(row["setting"], row["quantity"]) for row in rows}):
        chosen = [row for row in rows if (row["quantity"], row["setting"]) == (quantity, setting)]
        slopes[f"{setting} {quantity}"] = slope(chosen)
        print(f"slope of {setting}, {quantity}: {slopes[f'{setting} {quantity}']:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "slopes": slopes}, indent=2))
    if arguments.png:
        plot(rows, arguments.png)


if __name__ == "__main__":
    main()
