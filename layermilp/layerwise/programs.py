"""The programs of one sweep of a training run, for other solvers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from layermilp.errors import OptionError
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.schedule import sample_order
from layermilp.layerwise.sweep import Step
from layermilp.layerwise.trainer import training
from layermilp.networks.network import Network
from layermilp.options import Options, option
from layermilp.parallel import Workers
from layermilp.program import Program

KINDS = ("weights", "inputs")
"""What a program is for: the weights of some neurons, or the input proposal of a sample."""


@dataclass(kw_only=True)
class Selection(Options):
    """Which programs of a run are meant."""

    batch: int = option(1, "train up to this batch", least=1)
    sweep: int = option(1, "and this sweep of it, whose programs are written", least=1)
    kinds: tuple[str, ...] = option(
        KINDS, "what the programs are for", metavar="NAME[,NAME]", choices=KINDS, flag="--kind"
    )
    layer: int | None = option(None, "programs of this layer only", least=1)
    input_samples: int = option(
        10, "first samples of the batch whose input proposals are written", least=0
    )

    def check_run(self, network: Network, settings: Sweeps) -> None:
        """Raise `OptionError` if a run of these settings has no such programs."""
        for name, value, most in (
            ("batch", self.batch, settings.total_batches),
            ("sweep", self.sweep, settings.max_sweeps or self.sweep),
            ("layer", self.layer or 1, len(network.blocks)),
        ):
            if value > most:
                raise OptionError(f"{name} is {value}, but the run has at most {most}")


@dataclass(frozen=True, eq=False)
class SweepProgram:
    """A program of a sweep, as it is formulated.

    Parameters
    ----------
    layer : int
        From 1.
    kind : {"weights", "inputs"}
        What it is for.
    number : int
        From 1: of the group of neurons within the layer, or of the sample within the batch.
    neurons : tuple of int
        From 1: the neurons whose weights are unknown; none for inputs.
    row : int, optional
        From 0: the sample whose inputs are unknown, as a row of the training data.
    program : Program
        The program. Its first columns are the unknowns.
    """

    layer: int
    kind: str
    number: int
    neurons: tuple[int, ...]
    row: int | None
    program: Program


def sweep_programs(
    network: Network,
    data: TrainingData,
    settings: Sweeps,
    selection: Selection,
    workers: Workers,
) -> Iterator[SweepProgram]:
    """Train up to a sweep as `training` does, and yield those of its programs that are selected, in
    the order in which they are solved.

    They are formulated as the settings say, before unknowns are left out or merged, and with the
    weights at that time as their starts. Those of hidden layers are mixed-integer programs also
    where the run fits by ridge regression.

    Raises
    ------
    OptionError
        If the run has no such sweep or layer.
    """
    selection.check_run(network, settings)
    steps: list[Step] = []
    for state in training(network, data, settings, workers, steps.append):
        last_sweep = state.records[-1].sweep
        if state.batch == selection.batch and (state.batch_ended or last_sweep == selection.sweep):
            break
        steps.clear()
    if last_sweep != selection.sweep:
        raise OptionError(
            f"sweep is {selection.sweep}, but batch {selection.batch} ended after {last_sweep}"
        )
    first = (selection.batch - 1) * settings.batch_size
    rows = sample_order(len(data.X), settings)[first : first + settings.batch_size].tolist()
    for step in steps:
        is_chosen = step.kind in selection.kinds and selection.layer in (None, step.layer)
        if is_chosen and step.done == 0:
            yield from _programs(step, rows[: selection.input_samples])


def _programs(step: Step, rows: list[int]) -> Iterator[SweepProgram]:
    """Formulate the programs of a layer; the inputs of as many samples as there are rows."""
    if step.kind == "weights":
        for number, task in enumerate(step.tasks, start=1):
            neurons = tuple((task.group.neurons + 1).tolist())
            yield SweepProgram(step.layer, step.kind, number, neurons, None, task.program())
        return
    programs = itertools.chain.from_iterable(task.programs() for task in step.tasks)
    # The rows end first, so no program is formulated in vain.
    for number, (row, program) in enumerate(zip(rows, programs, strict=False), start=1):
        yield SweepProgram(step.layer, step.kind, number, (), row, program)
