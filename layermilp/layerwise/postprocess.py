"""Post-processing (Goebbels 2021, section 2.3): the last layer's program on as many samples as
there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from layermilp.algorithms.bundle import minimize
from layermilp.algorithms.fit import Fit, Setup
from layermilp.errors import SolverError
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.objective import Box, Margin, Objective
from layermilp.layerwise.options import Postprocess, Sweeps
from layermilp.layerwise.schedule import whole_box
from layermilp.layerwise.sweep import solved, with_fits
from layermilp.networks.network import Block, Network
from layermilp.networks.parameters import Group
from layermilp.options import with_options
from layermilp.parallel import Workers
from layermilp.program import FloatArray, IntArray, Limits, Status


@dataclass(frozen=True, eq=False)
class BulkTask:
    """The program of one group of outputs over many samples, ready for a worker, which builds
    it."""

    objective: Objective
    block: Block
    group: Group
    inputs: FloatArray
    labels: IntArray
    box: Box
    tolerance: float
    setup: Setup

    def solve(self) -> Fit:
        """Solve it."""
        problem = self.objective.of_many(
            self.block, self.group, self.inputs, self.labels, self.box, self.tolerance
        )
        return minimize(problem, self.setup)


def fit_last_layer(
    network: Network,
    X: FloatArray,
    labels: IntArray,
    objective: Objective,
    box: Box,
    tolerance: float,
    setup: Setup,
    workers: Workers,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Network, list[Fit]]:
    """Fit the last layer to all samples, every group of outputs to its proven optimum within the
    setup's gap.

    Parameters
    ----------
    network : Network
        The hidden layers, which stay, and where the last one starts.
    X, labels : (m, n_inputs) array, (m,) array of int
        Samples, and the outputs that stand for their classes.
    objective : Objective
        What is minimized.
    box : Box
        Bounds of the last layer's parameters.
    tolerance : float
        Dead zone of the l1 objective.
    setup, workers, watch
        As in `sweep`.
    """
    last = len(network.blocks) - 1
    block, inputs = network.blocks[last], network.activations(X)[last]
    groups = objective.groups(block)
    # The exact optimum in place of a share of the targets: these programs are solved once, not in
    # every sweep.
    setup = replace(setup, target_gap=0.0)
    tasks = [
        BulkTask(objective, block, group, inputs, labels, box, tolerance, setup) for group in groups
    ]
    fits = solved(workers, tasks, watch, setup.limits.time_limit)
    return network.with_block(last, with_fits(block, groups, fits)), fits


@with_options(Postprocess)
def postprocess(network: Network, X: ArrayLike, y: ArrayLike, options: Postprocess) -> Network:
    """Fit the last layer anew on the given samples, all at once (Goebbels 2021, section 2.3).

    For the objective ``l1``, every output `j` has a program of its own: with ``a_k = w . x_k + c``
    and the dead zone `s`, minimize ``sum max(0, a_k - s)`` over the samples of other classes plus
    ``sum v max(0, |a_k - 1| - s)`` over those of its class, where `v` is the class weight: 1; the
    number of samples not of the class over that of the class (``balanced``); a number; or one for
    each label. For ``margin``, all outputs have one program,
    ``min sum_k max(0, 1 - min_j (o_y - o_j))``. It is minimized by interior points, without a
    solver. A program ends at its proven optimum, to `gap`, unless the time limit comes first.

    Parameters
    ----------
    network : Network
        It is not changed.
    X : (m, n_inputs) array
        Samples.
    y : (m,) array
        Their labels, among ``network.classes``.
    {options}

    Returns
    -------
    Network
        With the new last layer, whose objective is no worse than before.

    Raises
    ------
    DataError
        If the data do not fit the network.
    OptionError
        If an option is unknown or out of its range.
    SolverError
        If the solver is not installed, or its edition is too small and no other solver is
        installed; or if it fails for every program.
    """
    name = options.objective or ("margin" if network.decision == Margin.decision else "l1")
    sweeps = Sweeps(objective=name, class_weight=options.class_weight, output_box=options.box)
    data = TrainingData.of(network, X, y)
    setup = Setup(solver=options.solver, limits=Limits(options.time_limit, options.gap))
    loss = sweeps.objective_for(network, data.y)
    bounds = whole_box(network.blocks[-1].theta, sweeps.bound_of_outputs(loss))
    watch = options.watch or (lambda done, total: None)
    with options.workers() as workers:
        fitted, fits = fit_last_layer(
            network, data.X, data.y, loss, bounds, options.tolerance, setup, workers, watch
        )
    if fits and all(fit.status is Status.ERROR for fit in fits):
        raise SolverError(f"all {len(fits)} programs of the last layer failed: {fits[0].message}")
    return fitted.with_decision(loss.decision)
