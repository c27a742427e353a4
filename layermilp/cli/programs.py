"""The command ``dump-programs``: the programs of a training run as files for other solvers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from layermilp.cli.arguments import options_of
from layermilp.datasets import Dataset
from layermilp.datasets.source import DataSource
from layermilp.errors import OptionError
from layermilp.export import write_lp, write_mps
from layermilp.files import empty_directory, write_json
from layermilp.formulations.big_m import FORMULATIONS
from layermilp.hybrid.method import Hybrid
from layermilp.hybrid.trainer import Data, round_program
from layermilp.integer.formulation import whole_program
from layermilp.integer.method import Integer
from layermilp.layerwise.method import Layerwise, training_data
from layermilp.layerwise.programs import Selection, sweep_programs
from layermilp.method import Method
from layermilp.parallel import WorkerOptions, Workers
from layermilp.program import Program, check
from layermilp.runs.progress import Progress
from layermilp.runs.run import terminated_like_interrupted
from layermilp.version import __version__

WRITERS: dict[str, Callable[[Program, Path], Path]] = {"mps": write_mps, "lp": write_lp}
"""What writes a program, by ``--format``."""

INDEX = "programs.json"
"""The file that says what every other file of the directory is."""

Described = tuple[str, dict[str, Any], Program]
"""Name, properties, and the program."""

Found = tuple[dict[str, Any], Iterable[Described]]
"""What the index says of a run, and the programs."""


def dump_programs(arguments: argparse.Namespace) -> int:
    """Write the programs and their index."""
    if arguments.method not in METHODS:
        known = ", ".join(METHODS)
        raise OptionError(f"dump-programs is for the methods {known}, not {arguments.method}")
    if arguments.format not in WRITERS:
        raise OptionError(f"format {arguments.format!r} is unknown; choose {', '.join(WRITERS)}")
    directory = empty_directory(Path(arguments.out))
    with Progress(quiet=arguments.quiet, verbose=arguments.verbose) as progress:
        with terminated_like_interrupted():
            properties, programs = METHODS[arguments.method](arguments, progress)
            entries = [_written(directory, arguments.format, *described) for described in programs]
    index = {
        "method": arguments.method,
        **properties,
        "layermilp_version": __version__,
        "programs": entries,
    }
    write_json(directory / INDEX, index)
    integers = sum(entry["integers"] > 0 for entry in entries)
    told = f"{INDEX} and {len(entries):,} programs, {integers:,} of them mixed-integer"
    print(f"written         {directory}/: {told}")
    return 0


def _written(
    directory: Path, suffix: str, name: str, properties: dict[str, Any], program: Program
) -> dict[str, Any]:
    """Write a program; return its entry of the index."""
    path = WRITERS[suffix](program, directory / f"{name}.{suffix}")
    start = None if program.start is None else check(program, program.start).objective
    return {
        "file": path.name,
        **properties,
        "rows": program.n_rows,
        "columns": program.n_columns,
        "integers": int(program.integrality.sum()),
        "nonzeros": int(program.matrix.nnz),
        "start_objective": start,
    }


def _layerwise(arguments: argparse.Namespace, progress: Progress) -> Found:
    """Return the programs of one of the run's sweeps."""
    method, selection = options_of(arguments, Layerwise), options_of(arguments, Selection)
    selection.check_run(method.initial(), method)
    data = _loaded(arguments, method, progress)
    network = method.network_for(data)
    if method.softness and not FORMULATIONS[method.formulation].is_reference:
        progress.note(
            f"the run fits hidden layers by ridge regression (ridge {method.softness:g}); written "
            "are the mixed-integer programs of the same regressions, which --proximity 0 solves"
        )

    def programs() -> Iterator[Described]:
        checked = training_data(network, data)
        with options_of(arguments, WorkerOptions).workers() as workers:
            for found in sweep_programs(network, checked, method, selection, workers):
                properties = {"layer": found.layer, "kind": found.kind}
                if found.kind == "inputs":
                    properties |= {"sample": found.number, "row": found.row}
                else:
                    properties |= {"neurons": list(found.neurons)}
                yield f"layer{found.layer}-{found.kind}-{found.number}", properties, found.program

    known = {"net": network.notation, "batch": selection.batch, "sweep": selection.sweep}
    options = ("batch_size", "seed", "objective", "formulation", "weight_fit")
    return _known(method, data, known, options), programs()


def _loaded(arguments: argparse.Namespace, method: Method, progress: Progress) -> Dataset:
    """Load the data, and take the part of them that the method takes."""
    data = options_of(arguments, DataSource).load(method.n_inputs, progress.note)
    progress.note(f"data: {data.source}")
    method.check(data)
    return method.prepared(data)


def _integer(arguments: argparse.Namespace, progress: Progress) -> Found:
    """Return the program of the whole network."""
    method, default = options_of(arguments, Integer), Integer()
    for name in ("neurons", "batch_size"):
        if getattr(method, name) != getattr(default, name):
            raise OptionError(
                f"{name} is {getattr(method, name)}; one program is of all neurons and samples, "
                "leave it out"
            )
    data = _loaded(arguments, method, progress)
    program = whole_program(data.X_train, data.classes[data.y_train], method)
    known = {"samples": len(data.X_train)}
    options = ("hidden", "bound", "seed", "objective")
    return _known(method, data, known, options), [("network", {"kind": "network"}, program)]


def _hybrid(arguments: argparse.Namespace, progress: Progress) -> Found:
    """Return the last layer's program of one of the run's rounds."""
    method = options_of(arguments, Hybrid)
    mine = _loaded(arguments, method, progress)
    data = Data.of(mine.X_train, mine.classes[mine.y_train], None, method.seed)
    with Workers(1):
        program = round_program(method.trainee(mine), data, method, arguments.round)
    known = _known(method, mine, {"samples": len(mine.X_train)}, ("hidden", "seed"))
    return {**known, "round": arguments.round}, [("last-layer", {"kind": "last-layer"}, program)]


def _known(
    method: Method, data: Dataset, known: dict[str, Any], options: Sequence[str]
) -> dict[str, Any]:
    """Return what the index says of a run: its data, what else is known, and some options."""
    values = {name: getattr(method, name) for name in options}
    return {"data": data.name, "data_source": data.source, **known, **values}


METHODS: dict[str, Callable[[argparse.Namespace, Progress], Found]] = {
    "layerwise": _layerwise,
    "integer": _integer,
    "hybrid": _hybrid,
}
"""What formulates the programs of a method."""
