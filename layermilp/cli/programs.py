"""The command ``dump-programs``: the programs of a training run as files for other solvers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from layermilp.cli import hybrid as cli_hybrid
from layermilp.cli.sources import chosen_samples, labelled, load
from layermilp.cli.train import output_classes, settings_of, terminated_like_interrupted
from layermilp.errors import OptionError
from layermilp.export import write_lp, write_mps
from layermilp.files import empty_directory, write_atomically
from layermilp.formulations.big_m import FORMULATIONS
from layermilp.hybrid import trainer as hybrid
from layermilp.hybrid.sklearn_models import SklearnTrainee
from layermilp.integer import trainer as integer
from layermilp.integer.whole import whole_program
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.programs import Selection, SweepProgram, sweep_programs
from layermilp.networks.network import Network
from layermilp.parallel import Workers
from layermilp.program import Program, check
from layermilp.runs.progress import Progress
from layermilp.version import __version__

WRITERS: dict[str, Callable[[Program, Path], Path]] = {"mps": write_mps, "lp": write_lp}
"""What writes a program, by ``--format``."""

INDEX = "programs.json"
"""The file that says what every other file of the directory is."""

Described = tuple[str, dict[str, Any], Program]
"""Name, properties, and the program."""


def dump_programs(arguments: argparse.Namespace) -> int:
    """Write the programs and their index."""
    if arguments.method not in METHODS:
        raise OptionError(
            f"dump-programs is for the methods {', '.join(METHODS)}, not {arguments.method}"
        )
    if arguments.format not in WRITERS:
        raise OptionError(f"format {arguments.format!r} is unknown; choose {', '.join(WRITERS)}")
    directory = empty_directory(Path(arguments.out))
    with Progress(
        getattr(arguments, "batch", 1), quiet=arguments.quiet, verbose=arguments.verbose
    ) as progress:
        with terminated_like_interrupted():
            properties, programs = METHODS[arguments.method](arguments, progress)
            entries = [_written(directory, arguments.format, *described) for described in programs]
    index = {
        "method": arguments.method,
        **properties,
        "layermilp_version": __version__,
        "programs": entries,
    }
    text = json.dumps(index, indent=2, allow_nan=False) + "\n"
    write_atomically(directory / INDEX, lambda file: file.write(text.encode()))
    integers = sum(entry["integers"] > 0 for entry in entries)
    print(
        f"written         {directory}/: {INDEX} and {len(entries):,} programs, {integers:,} of "
        "them mixed-integer"
    )
    return 0


def _written(
    directory: Path, suffix: str, name: str, properties: dict[str, Any], program: Program
) -> dict[str, Any]:
    """Write a program; return its entry of the index."""
    path = WRITERS[suffix](program, directory / f"{name}.{suffix}")
    return {
        "file": path.name,
        **properties,
        "rows": program.n_rows,
        "columns": program.n_columns,
        "integers": int(program.integrality.sum()),
        "nonzeros": int(program.matrix.nnz),
        "start_objective": None
        if program.start is None
        else check(program, program.start).objective,
    }


def _layerwise(
    arguments: argparse.Namespace, progress: Progress
) -> tuple[dict[str, Any], Iterator[Described]]:
    """Return what is known of the run, and the programs of one of its sweeps."""
    for option in ("committee", "init_trials"):
        if getattr(arguments, option) != 1:
            raise OptionError(
                f"{option} is {getattr(arguments, option)}; dump-programs trains one network, "
                "leave it out"
            )
    settings = settings_of(arguments)
    selection = Selection(
        arguments.batch, arguments.sweep, arguments.kind, arguments.layer, arguments.input_samples
    )
    network = Network.from_notation(arguments.net, init=arguments.init, seed=settings.seed)
    selection.check(network, settings)
    data = load(arguments, network.n_inputs, progress.note)
    progress.note(f"data: {data.source}")
    network = network.with_classes(output_classes(network, data))
    checked = TrainingData.of(network, *labelled(data))
    is_reference = FORMULATIONS[settings.setup.formulation].is_reference
    if settings.ridge and not is_reference:
        progress.note(
            f"the run fits hidden layers by ridge regression (ridge {settings.ridge:g}); written "
            "are the mixed-integer "
            "programs of the same regressions, which --ridge 0 solves"
        )

    def programs() -> Iterator[Described]:
        with Workers(arguments.jobs, arguments.backend, arguments.address) as workers:
            for found in sweep_programs(network, checked, settings, selection, workers, progress):
                yield (
                    f"layer{found.layer}-{found.kind}-{found.number}",
                    _properties(found),
                    found.program,
                )

    return {
        "data": data.name,
        "data_source": data.source,
        "net": network.notation,
        "batch": selection.batch,
        "sweep": selection.sweep,
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "objective": settings.objective,
        "formulation": settings.setup.formulation,
        "ridge": settings.ridge,
    }, programs()


def _properties(found: SweepProgram) -> dict[str, Any]:
    common = {"layer": found.layer, "kind": found.kind}
    if found.kind == "inputs":
        return {**common, "sample": found.number, "row": found.row}
    return {**common, "neurons": list(found.neurons)}


def _integer(
    arguments: argparse.Namespace, progress: Progress
) -> tuple[dict[str, Any], Iterator[Described]]:
    """Return what is known of the whole network's program, and the program."""
    settings = integer.Settings(
        **{name: getattr(arguments, name) for name in ("hidden", "bound", "objective", "seed")}
    )
    for name in ("neurons", "batch_size"):
        if getattr(arguments, name) != getattr(settings, name):
            raise OptionError(
                f"{name} is {getattr(arguments, name)}; one program is of all neurons and "
                "samples, leave it out"
            )
    data = load(arguments, None, progress.note)
    progress.note(f"data: {data.source}")
    chosen = chosen_samples(data, arguments.samples, settings.seed)
    program = whole_program(data.X_train[chosen], data.classes[data.y_train[chosen]], settings)
    return {
        "data": data.name,
        "data_source": data.source,
        "samples": len(chosen),
        "hidden": list(settings.hidden),
        "bound": settings.bound,
        "seed": settings.seed,
        "objective": settings.objective,
    }, iter([("network", {"kind": "network"}, program)])


def _hybrid(
    arguments: argparse.Namespace, progress: Progress
) -> tuple[dict[str, Any], Iterator[Described]]:
    """Return what is known of the run, and the last layer's program of one of its rounds."""
    settings = hybrid.Settings(**{name: getattr(arguments, name) for name in cli_hybrid.OPTIONS})
    model = cli_hybrid.model_of(arguments, settings.seed)
    data = load(arguments, None, progress.note)
    progress.note(f"data: {data.source}")
    chosen = chosen_samples(data, arguments.samples, settings.seed)
    X, y = data.X_train[chosen], data.classes[data.y_train[chosen]]
    with Workers(1):
        program = hybrid.round_program(
            SklearnTrainee(model, y),
            hybrid.Data.of(X, y, None, settings.seed),
            settings,
            arguments.round,
        )
    return {
        "data": data.name,
        "data_source": data.source,
        "samples": len(chosen),
        "hidden": list(arguments.hidden),
        "round": arguments.round,
        "seed": settings.seed,
    }, iter([("last-layer", {"kind": "last-layer"}, program)])


METHODS: dict[
    str, Callable[[argparse.Namespace, Progress], tuple[dict[str, Any], Iterator[Described]]]
] = {
    "layerwise": _layerwise,
    "integer": _integer,
    "hybrid": _hybrid,
}
"""What formulates the programs of a method."""
