"""Post-processing (Goebbels 2021, section 2.3): the last layer's program on as many samples as
there are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from layermilp.algorithms.bundle import minimize
from layermilp.algorithms.options import SolveOptions
from layermilp.algorithms.search import Fit
from layermilp.errors import SolverError
from layermilp.formulations.loss import Box, OutputLoss
from layermilp.formulations.margin import Margin
from layermilp.layerwise.data import TrainingData
from layermilp.layerwise.options import Postprocess, Sweeps
from layermilp.layerwise.schedule import whole_box
from layermilp.layerwise.sweep import Step, Watch, WeightTask, solved, with_fits
from layermilp.networks.network import Network
from layermilp.options import with_options
from layermilp.parallel import Workers
from layermilp.program import Limits, Status


@dataclass(frozen=True, eq=False)
class ManyTask(WeightTask):
    """The program of one group of outputs over many samples."""

    def solve(self) -> Fit:
        """Return the fit."""
        assert isinstance(self.loss, OutputLoss)
        problem = self.loss.of_many(self.block, self.group, self.inputs, self.targets, self.box)
        return minimize(problem, self.options)


def fit_last_layer(
    network: Network,
    data: TrainingData,
    loss: OutputLoss,
    box: Box,
    options: SolveOptions,
    workers: Workers,
    watch: Watch,
    batch: int = 0,
) -> tuple[Network, list[Fit]]:
    """Fit the last layer to all samples within its box, every group of outputs to its proven
    optimum within the gap of the options; return the network and the fits.

    Workers and watch are as in `Sweep`; the batch is that of training.
    """
    last = len(network.blocks) - 1
    block, inputs = network.blocks[last], network.activations(data.X)[last]
    groups = loss.groups(block)
    # The exact optimum in place of a share of the targets: these programs are solved once, not in
    # every sweep.
    options = replace(options, target_gap=0.0)
    tasks = [ManyTask(loss, inputs, data.y, options, block, group, box) for group in groups]
    step = Step(last + 1, "post-processing", 0, tasks, batch)
    fits = solved(step, workers, watch)
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
    data = TrainingData.of(network, X, y)
    solving = SolveOptions(solver=options.solver, limits=Limits(options.time_limit, options.gap))
    sweeps = Sweeps(objective=name, class_weight=options.class_weight)
    loss = sweeps.objective_for(network, data.y).postprocessed(options.tolerance)
    bounds = whole_box(network.blocks[-1].theta, options.box or loss.output_box)

    def watch(step: Step) -> None:
        if options.watch is not None:
            options.watch(step.done, step.total)

    with options.workers() as workers:
        fitted, fits = fit_last_layer(network, data, loss, bounds, solving, workers, watch)
    if fits and all(fit.status is Status.ERROR for fit in fits):
        raise SolverError(f"all {len(fits)} programs of the last layer failed: {fits[0].message}")
    return fitted.with_decision(loss.decision)
