"""What a second worker gains on the weight programs of the sweeps.

Warped digits (see `record.py`) are trained in ten batches of 100, once by one worker, once by
two, and then by two processes at a time with one worker each: twice the seconds of one alone over
theirs is the most that two workers could gain on this machine, whose cores share caches and memory.
What is missing between the two ratios is mostly balance: a layer of eight neurons has eight
programs, some of which take many times as long as others, and the next layer waits for the last of
them.

Seconds are wall seconds of the hidden and last layers' weight programs; starting the workers is not
counted."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from record import images

from layermilp import Network
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.presets import preset
from layermilp.layerwise.sweep import Step
from layermilp.layerwise.trainer import run
from layermilp.parallel import Workers

SETTINGS = ("defaults", "l1", "report")
"""The defaults; ``l1``: those without a price of a change; ``report``: the preset goebbels2021,
with the reduced form."""

REDUCED = {"formulation": "reduced", "target_gap": 0.05, "node_limit": 20}

WIDTHS, QUICK_WIDTHS = (8, 16, 32), (4,)
BATCHES, BATCH_SIZE = 10, 100


@dataclass(frozen=True)
class Point:
    """What is timed."""

    setting: str
    width: int
    jobs: int
    seed: int
    batches: int
    batch_size: int


class Clock:
    """Adds up the seconds between the first and the last report on a layer's programs, by kind."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.began = 0.0

    def on_step(self, step: Step) -> None:
        """Take in a report."""
        now = time.perf_counter()
        if step.done == 0:
            self.began = now
        elif step.done == step.total:
            self.seconds[step.kind] += now - self.began


def settings(point: Point) -> Sweeps:
    """Return the settings of a point."""
    common: dict[str, Any] = {
        "batches": point.batches,
        "batch_size": point.batch_size,
        "seed": point.seed,
    }
    if point.setting != "report":
        proximity = 0.0 if point.setting == "l1" else None
        return Sweeps(**common, proximity=proximity, epochs=1, postprocess="none")
    return Sweeps(**{**preset("goebbels2021").options, **REDUCED, **common})


def measure(point: Point) -> float:
    """Train in this process; return the seconds of the weight programs, without the two that it
    takes to start the workers."""
    network = Network.from_notation(
        "-".join(map(str, (784, *[point.width] * 3, 10))), init="he", seed=point.seed
    )
    data = TrainingData.of(network, *images(point.batches * point.batch_size, point.seed))
    clock = Clock()
    with Workers(point.jobs) as workers:
        if point.jobs > 1:
            workers.start()
        run(network, data, settings(point), workers, clock.on_step)
    return clock.seconds["weights"]


def measured_apart(point: Point, times: int = 1) -> float:
    """Measure in processes of their own, all at the same time; return the mean seconds."""
    words = [sys.executable, __file__, "--point", json.dumps(asdict(point))]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(times)]
    seconds = [float(process.communicate()[0]) for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"{point} was not measured")
    return sum(seconds) / times


def compared(setting: str, width: int, seed: int, quick: bool) -> dict[str, Any]:
    """Return one row of the table."""
    size = (1, 20) if quick else (BATCHES, BATCH_SIZE)
    one, two = (Point(setting, width, jobs, seed, *size) for jobs in (1, 2))
    alone, both, together = measured_apart(one), measured_apart(two), measured_apart(one, times=2)
    return {
        "setting": setting,
        "width": width,
        "seed": seed,
        "one": alone,
        "two": both,
        "gain": alone / both,
        "most": 2.0 * alone / together,
    }


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", choices=SETTINGS, nargs="+", default=SETTINGS)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument(
        "--quick", action="store_true", help="one setting, one small width, and one seed"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        print(measure(Point(**json.loads(arguments.point))))
        return
    rows: list[dict[str, Any]] = []
    print("setting width seed  one worker  two workers  gain  at most")
    for setting in arguments.settings[: 1 if arguments.quick else None]:
        for width in QUICK_WIDTHS if arguments.quick else arguments.widths:
            for seed in arguments.seeds[: 1 if arguments.quick else None]:
                row = compared(setting, width, seed, arguments.quick)
                rows.append(row)
                print(
                    f"{setting:<7} {width:>5} {seed:>4} {row['one']:>10.2f}s {row['two']:>11.2f}s "
                    f"{row['gain']:>5.2f} "
                    f"{row['most']:>8.2f}",
                    flush=True,
                )
    for setting, width in dict.fromkeys((row["setting"], row["width"]) for row in rows):
        chosen = [row for row in rows if (row["setting"], row["width"]) == (setting, width)]
        gain, most = (
            statistics.geometric_mean([row[key] for row in chosen]) for key in ("gain", "most")
        )
        print(f"geometric means of {setting}, width {width}: gain {gain:.2f} of {most:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
