"""Record weight programs of training runs into ``programs.npz``: what `formulations.py` times.

The images are scikit-learn's digits, each turned, scaled and moved a little by a seed and drawn
into 28 x 28 pixels, so that the programs are of MNIST's size and sparsity without its files. Every
run trains as the paper does, by mixed-integer programs in all layers; the hidden layers' programs
of the batches asked for are kept as they were handed to the workers, and of a layer's neurons some
by a seed. Values are rounded to single precision, which is what the recorded programs are then."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits

from layermilp import Network, preset
from layermilp.formulations import ReluRegression
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.sweep import Step
from layermilp.layerwise.trainer import training
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray

PROGRAMS = Path(__file__).with_name("programs.npz")
"""The recorded set."""

FIELDS = ("constants", "lower", "upper", "start", "targets")
"""Arrays that every program has for itself."""


@dataclass(frozen=True)
class Source:
    """A run whose programs are kept: net, initialization, preset or defaults, samples per batch,
    the batches, the neurons."""

    net: str
    init: str
    preset: str | None
    batch_size: int
    batches: tuple[int, ...] = (1, 3)
    neurons: int = 2

    @property
    def name(self) -> str:
        """Short name: ``dense`` or ``conv``, whose setting, samples per batch."""
        kind = "conv" if "conv" in self.net else "dense"
        return f"{kind}-{'report' if self.preset else 'own'}-{self.batch_size}"

    @property
    def settings(self) -> Sweeps:
        """Of the run. Programs end as they do in training, by targets' gap and nodes, solved by
        HiGHS."""
        options: dict[str, Any] = (
            dict(preset(self.preset).options) if self.preset else {"proximity": 0.0}
        )
        options |= {"epochs": 1, "max_sweeps": 1, "postprocess": "none"}
        options |= {"formulation": "reduced", "target_gap": 0.05, "node_limit": 20}
        options |= {"solver": "highs", "batches": max(self.batches)}
        return Sweeps(**{**options, "batch_size": self.batch_size})


SOURCES = tuple(
    Source(net, init, name, size, neurons=neurons)
    for net, init, name, neurons in (
        ("784-8-8-8-10", "uniform", "goebbels2021", 2),
        ("784-8-8-8-10", "he", None, 2),
        ("28x28-mean4-conv3-10", "positive", "goebbels2021", 1),
    )
    for size in (50, 100, 300)
)
"""First, middle and last hidden layers, the first batch and a trust region, 50, 100 and 300
samples, dense and conv."""


def images(count: int, seed: int) -> tuple[FloatArray, IntArray]:
    """Return warped digits as whole gray values of 0 to 255 over 255, shape ``(count, 784)``, and
    their labels.

    Every digit comes once before one comes again, otherwise warped.
    """
    digits, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    passes = -(-count // len(digits))
    chosen = np.concatenate([rng.permutation(len(digits)) for _ in range(passes)])[:count]
    drawn = np.zeros((count, 28, 28))
    for image, digit in zip(drawn, digits[chosen], strict=True):
        angle, scale = rng.uniform(-0.2, 0.2), rng.uniform(0.36, 0.44)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        offset = np.array([3.5, 3.5]) - turn @ (13.5 + rng.uniform(-1.0, 1.0, 2))
        image[:] = affine_transform(digit.reshape(8, 8) / 16.0, turn, offset, (28, 28), order=1)
    return np.round(255.0 * np.clip(drawn, 0.0, 1.0)).reshape(count, 784) / 255.0, labels[
        chosen
    ].astype(np.int64)


class Hidden:
    """Keeps the weight programs of hidden layers, the last layer's first."""

    def __init__(self) -> None:
        self.layers: list[list[ReluRegression]] = []

    def on_step(self, step: Step) -> None:
        """Keep what is minimized."""
        if step.kind != "weights" or step.done:
            return
        problems = [task.problem() for task in step.tasks]
        regressions = [problem for problem in problems if isinstance(problem, ReluRegression)]
        if regressions:
            self.layers.append(regressions)


def record(source: Source, seed: int) -> dict[str, ReluRegression]:
    """Train and return some of the programs, by name."""
    settings = source.settings
    network = Network.from_notation(source.net, init=source.init, seed=seed)
    data = TrainingData.of(network, *images(settings.batches * source.batch_size, seed))
    rng = np.random.default_rng(seed)
    found: dict[str, ReluRegression] = {}
    hidden = Hidden()
    with Workers(1) as workers:
        for state in training(network, data, settings, workers, hidden.on_step):
            if not state.batch_ended:
                continue
            for i, problems in enumerate(reversed(hidden.layers)):
                chosen = np.sort(rng.permutation(len(problems))[: source.neurons])
                if state.batch in source.batches:
                    found |= {
                        f"{source.name}-batch{state.batch}-layer{i + 1}-neuron{k + 1}": problems[k]
                        for k in chosen
                    }
            hidden.layers.clear()
    return found


def save(problems: Mapping[str, ReluRegression], path: Path) -> None:
    """Write programs; equal matrices, as those of a layer's neurons and of runs on equal images,
    are stored once."""
    arrays: dict[str, Any] = {}
    numbers: dict[bytes, int] = {}
    for name, problem in problems.items():
        h = problem.coefficients
        number = numbers.setdefault(h.indices.tobytes() + h.data.tobytes(), len(numbers))
        # Gray values are few, and their codes take less room.
        values, codes = np.unique(h.data.astype(np.float32), return_inverse=True)
        arrays |= {
            f"matrix{number}/values": values,
            f"matrix{number}/codes": codes.astype(np.min_scalar_type(values.size)),
            f"matrix{number}/indices": h.indices.astype(np.int16),
            f"matrix{number}/lengths": np.diff(h.indptr).astype(np.int16),
            f"{name}/matrix": np.array(number),
            f"{name}/big_m": np.float32(problem.big_m),
        }
        arrays |= {
            f"{name}/{field}": getattr(problem, field).astype(np.float32) for field in FIELDS
        }
    np.savez_compressed(path, **arrays)


def load(path: Path = PROGRAMS) -> dict[str, ReluRegression]:
    """Read recorded programs, by name."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}

    def matrix(number: int, columns: int) -> sparse.csr_array:
        values, codes, indices, lengths = (
            arrays[f"matrix{number}/{part}"] for part in ("values", "codes", "indices", "lengths")
        )
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        data = values.astype(np.float64)[codes]
        return sparse.csr_array(
            (data, indices.astype(np.int32), indptr), shape=(lengths.size, columns)
        )

    return {
        name: ReluRegression(
            matrix(int(arrays[f"{name}/matrix"]), arrays[f"{name}/start"].size),
            big_m=float(arrays[f"{name}/big_m"]),
            **{field: arrays[f"{name}/{field}"].astype(np.float64) for field in FIELDS},
        )
        for name in (key.removesuffix("/matrix") for key in arrays if key.endswith("/matrix"))
    }


def main() -> None:
    """Record the set anew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=PROGRAMS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found: dict[str, ReluRegression] = {}
    for source in SOURCES:
        problems = record(source, arguments.seed)
        print(f"{source.name:<20} {len(problems):>3} programs", flush=True)
        found |= problems
    save(found, arguments.out)
    print(f"{len(found)} programs, {arguments.out.stat().st_size:,} bytes in {arguments.out}")


if __name__ == "__main__":
    main()
