"""What the edition of a named solver takes, found out before the first program."""

from __future__ import annotations

import numpy as np

from layermilp.errors import ProgramTooLarge
from layermilp.formulations.loss import Loss, OutputLoss
from layermilp.formulations.relu_l1 import ReluL1
from layermilp.layerwise.options import Sweeps
from layermilp.layerwise.schedule import whole_box
from layermilp.layerwise.sweep import WeightTask
from layermilp.networks.network import Block, Network
from layermilp.program import Program
from layermilp.solvers import SOLVERS, fitting


def check_edition(network: Network, settings: Sweeps, loss: OutputLoss) -> str | None:
    """Return what a training will have to give to another solver than the named one, in words: the
    linear programs of the last layer, where they are too large; None if nothing.

    Raises
    ------
    ProgramTooLarge
        If the mixed-integer programs of a hidden layer may become too large.
    """
    if settings.solver == "auto":
        return None
    solver = SOLVERS[settings.solver]
    *hidden, last = network.blocks
    if not settings.softness:
        for number, block in enumerate(hidden, start=1):
            program, exceeded = _exceeding(block, settings, settings.batch_size)
            if exceeded:
                raise ProgramTooLarge(
                    f"the programs of layer {number} have up to {program.n_columns:,} columns and "
                    f"{program.n_rows:,} rows with batches of {settings.batch_size:,} samples, but "
                    f"{solver.title} takes {exceeded}; use {_smaller(block, settings)}solver "
                    "'auto' or 'highs', or a full licence"
                )
    program = _widest(last, settings, settings.batch_size, loss)
    exceeded = solver.size_limit(program)
    if exceeded is None:
        return None
    other = SOLVERS[fitting(program, settings.solver)].title
    return (
        f"{solver.title} takes {exceeded}: linear programs of the last layer, which have up to "
        f"{program.n_columns:,} columns and {program.n_rows:,} rows, go to {other}"
    )


def _exceeding(block: Block, settings: Sweeps, n_samples: int) -> tuple[Program, str | None]:
    """Return the largest program of a hidden layer, and the limit that it exceeds."""
    program = _widest(block, settings, n_samples)
    return program, SOLVERS[settings.solver].size_limit(program)


def _smaller(block: Block, settings: Sweeps) -> str:
    """Return the batches that would do, in words."""
    fits, exceeds = 0, settings.batch_size
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        if _exceeding(block, settings, middle)[1]:
            exceeds = middle
        else:
            fits = middle
    return f"batches of at most {fits:,} samples, " if fits else ""


def _widest(block: Block, settings: Sweeps, n_samples: int, loss: Loss | None = None) -> Program:
    """Return the largest program that a group of a layer's neurons may have: for inputs without any
    structure, and targets that ask for a choice in every row."""
    inputs = np.random.default_rng(0).uniform(1.0, 2.0, (n_samples, block.n_inputs))
    targets = np.ones((n_samples, block.n_outputs)) if loss is None else np.zeros(n_samples, int)
    group = max(
        (loss or ReluL1()).groups(block), key=lambda each: each.neurons.size * each.parameters.size
    )
    box = whole_box(block.theta, settings.box)
    return WeightTask(
        loss or ReluL1(), inputs, targets, settings.setup, block, group, box
    ).program()
