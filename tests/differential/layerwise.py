"""Programs of the layerwise method."""

from __future__ import annotations

import itertools

import numpy as np

from layermilp.algorithms.restricted_master import Cut, dual_program, restricted_master
from layermilp.algorithms.tie_break import nearest
from layermilp.formulations import FORMULATIONS, HingeRegression, MarginRegression, ReluRegression
from layermilp.formulations.big_m import open_rows
from layermilp.formulations.envelope import FIRES, OPEN, SILENT, DualLp, Envelope, PrimalLp
from layermilp.formulations.l1 import L1, hinge_of_inputs
from layermilp.formulations.later_layers import LaterLayers
from layermilp.formulations.margin import Margin
from layermilp.formulations.noise import Noisy, NoisyLabels
from layermilp.formulations.proximal import Proximity, proximal
from layermilp.formulations.relu_l1 import ReluL1, reference_big_m
from layermilp.program import Program
from tests.differential.drawing import (
    EXACT,
    Case,
    Random,
    kinks,
    numbers,
    preactivations,
    rows,
    some_zero,
    vertices,
    within,
)


def relu(rng: Random) -> ReluRegression:
    """Draw the fit of a hidden neuron."""
    m = int(rng.integers(1, 7))
    h, g, lower, upper, start = rows(rng, m, int(rng.integers(2, 4)))
    big_m = reference_big_m(h.toarray()[:, :-1], np.concatenate([lower, upper])) + np.abs(g).max()
    return ReluRegression(
        h, g, lower, upper, start, targets=some_zero(rng, numbers(rng, m)), big_m=big_m
    )


def least_deviation(problem: ReluRegression) -> float:
    """Return the optimum of a fit."""
    a = preactivations(problem, kinks(problem, 0.0 * problem.targets, problem.targets))
    return float(np.abs(np.maximum(a, 0.0) - problem.targets).sum(axis=1).min())


def neuron_reduced(rng: Random) -> Case:
    """The weight program of a hidden neuron, in the reduced form."""
    problem = relu(rng)
    return Case(FORMULATIONS["reduced"].build(problem), least_deviation(problem))


def neuron_paper(rng: Random) -> Case:
    """The weight program of a hidden neuron, in the paper's form."""
    problem = relu(rng)
    return Case(FORMULATIONS["paper"].build(problem), least_deviation(problem))


def neuron_proximal(rng: Random) -> Case:
    """The weight program of a hidden neuron near its present weights."""
    found = Proximity.of(relu(rng), 0.3, 0.05, by_axes=bool(rng.random() < 0.5))
    problem, pieces = found.problem, found.problem.pieces
    turns = np.where(np.isfinite(pieces.thresholds), pieces.thresholds, pieces.kinks[:, 0])
    a = preactivations(problem, kinks(problem, *pieces.kinks.T, turns))
    return Case(proximal(problem), float(min(pieces.losses(each).sum() for each in a)))


def neuron_firing_fixed(rng: Random) -> Case:
    """A step of a descent: the firing of the open rows is fixed."""
    problem = relu(rng)
    opened, t = open_rows(problem), problem.targets
    fires = rng.random(opened.size) < 0.5
    program = FORMULATIONS["reduced"].build(problem)
    a = preactivations(problem, kinks(problem, 0.0 * t, t, 2.0 * t))
    losses = np.abs(np.maximum(a, 0.0) - t)
    losses[:, opened] = np.where(fires, np.abs(a - t)[:, opened], np.maximum(t, a - t)[:, opened])
    return Case(
        program.with_fixed(program.integrality, fires.astype(float)),
        float(losses.sum(axis=1).min()),
    )


def neuron_relaxed(rng: Random) -> Case:
    """The relaxation of the reduced form: convex envelopes."""
    problem = relu(rng)
    low, high = problem.interval
    decided = np.where((problem.targets > 0.0) & (high <= 0.0), SILENT, OPEN)
    envelope = Envelope.of(problem.targets, low, decided)
    a = preactivations(problem, kinks(problem, 0.0 * problem.targets, problem.targets))
    # A row that cannot fire has a constant loss.
    values = np.where(decided == SILENT, problem.targets, envelope.at(a))
    return Case(FORMULATIONS["reduced"].build(problem).relaxed(), float(values.sum(axis=1).min()))


def envelope_lp(rng: Random) -> Case:
    """A node of the library's own search, as a program or as its dual."""
    problem = relu(rng)
    t, h, g = problem.targets, problem.coefficients.toarray(), problem.constants
    decided = np.where(t > 0.0, rng.choice([OPEN, FIRES, SILENT], t.size), OPEN)
    envelope = Envelope.of(t, problem.interval[0], decided, price=float(rng.choice([1.0, 10.0])))
    values = envelope.at(preactivations(problem, kinks(problem, *envelope.kinks.T)))
    least = float(values.sum(axis=1).min() - envelope.values.sum())
    lp = PrimalLp(h, g) if rng.random() < 0.5 else DualLp(h, g)
    costs, right, lower, upper = lp.numbers(envelope, problem.lower, problem.upper)
    if isinstance(lp, DualLp):
        least = float(envelope.slopes[:, 0] @ (g - envelope.kinks[:, 0])) - least
    return Case(Program(costs, lp.matrix, right, right, lower, upper, name="envelope"), least)


def proposal_hidden(rng: Random) -> Case:
    """The inputs that a hidden layer would like to have for a sample."""
    n, d = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    problem = ReluL1().of_inputs(
        numbers(rng, n, d),
        numbers(rng, n),
        some_zero(rng, numbers(rng, 1, d)),
        some_zero(rng, numbers(rng, 1, n)),
    )
    form = FORMULATIONS[str(rng.choice(list(FORMULATIONS)))]
    return Case(form.build(problem), least_deviation(problem))


def hinge(rng: Random) -> HingeRegression:
    """Draw the fit of an output."""
    m = int(rng.integers(1, 8))
    weight = float(rng.choice([1.0, 3.0, 0.25]))
    tolerance = float(rng.choice([0.0, 0.49]))
    is_target = rng.random(m) < 0.5
    row_weights = np.where(is_target, weight, 1.0)
    return HingeRegression(
        *rows(rng, m, int(rng.integers(2, 4))), is_target, row_weights, tolerance
    )


def least_hinge(problem: HingeRegression) -> float:
    """Return the optimum of the fit of an output."""
    y, s = problem.is_target.astype(float), problem.tolerance
    a = preactivations(problem, kinks(problem, y - s, y + s))
    missed = np.where(problem.is_target, np.abs(a - 1.0), a) - s
    return float((np.maximum(missed, 0.0) * problem.row_weights).sum(axis=1).min())


def output_l1(rng: Random) -> Case:
    """The weight program of an output."""
    problem = hinge(rng)
    return Case(problem.program(), least_hinge(problem))


def proposal_last(rng: Random) -> Case:
    """The inputs that the last layer would like to have for a sample."""
    n, d = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    x, y = some_zero(rng, numbers(rng, 1, d)), rng.random((1, n)) < 0.5
    problem = hinge_of_inputs(numbers(rng, n, d), numbers(rng, n), x, y, rng.uniform(0.5, 3.0, n))
    return Case(problem.program(), least_hinge(problem))


def proposal_network(rng: Random) -> Case:
    """The inputs of a layer that serve the outputs of the network."""
    problem = later_layers(rng)
    return Case(problem.program(), least_through(problem))


def later_layers(rng: Random) -> LaterLayers:
    """Draw one or two hidden layers and the last, with either loss and with noise or without."""
    sizes = [int(rng.integers(1, 3)) for _ in range(int(rng.integers(2, 4)))] + [2]
    layers = [(numbers(rng, n, d), numbers(rng, n)) for d, n in itertools.pairwise(sizes)]
    inputs, label = some_zero(rng, numbers(rng, sizes[0])), rng.integers(0, 2, 1)
    stays = rng.random(sizes[0]) < 0.2
    loss = Margin(float(rng.choice([0.0, 0.05]))) if rng.random() < 0.5 else L1(np.ones(2))
    if rng.random() < 0.5:
        return LaterLayers.of(layers, loss, inputs, label, stays)
    noisy = NoisyLabels.drawn(label, 2, 0.4, rng)
    return LaterLayers.of(layers, Noisy(loss), inputs, noisy, stays)


def least_through(problem: LaterLayers) -> float:
    """Return the optimum by counting through what fires: the loss is linear between the points
    where a neuron, an output's deviation, a margin or a change turns."""
    output, size = problem.output, problem.n_unknowns
    points = [np.clip(problem.start, problem.lower, problem.upper)]
    neurons = [layer.bias.size for layer in problem.hidden]
    for pattern in itertools.product([0.0, 1.0], repeat=sum(neurons)):
        slopes, values, normals, at = np.eye(size), np.zeros(size), [np.eye(size)], [problem.start]
        fires = np.split(np.array(pattern), np.cumsum(neurons)[:-1])
        for layer, of_layer in zip(problem.hidden, fires, strict=True):
            slopes, values = layer.weights @ slopes, layer.weights @ values + layer.bias
            normals, at = [*normals, slopes], [*at, -values]
            slopes, values = of_layer[:, None] * slopes, of_layer * values
        slopes = output.coefficients @ slopes
        values = output.coefficients @ values + output.constants
        normals, at = [*normals, slopes, slopes], [*at, -values, 1.0 - values]
        ends = problem.lower, problem.upper
        points.extend(vertices(np.vstack(normals), np.concatenate(at), *ends))
    return min(problem.loss(point) for point in points)


def margin(rng: Random) -> Case:
    """The weight program of all outputs with a margin, with or without a price of changes."""
    rivals, samples = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    problem = MarginRegression(
        *rows(rng, rivals * samples, int(rng.integers(2, 4))),
        n_rivals=rivals,
        penalty=float(rng.choice([0.0, 0.01, 0.3])),
    )
    h, g, p = problem.coefficients.toarray(), problem.constants, problem.n_unknowns
    pairs = [
        (k * rivals + i, k * rivals + j)
        for k in range(samples)
        for i, j in itertools.combinations(range(rivals), 2)
    ]
    normals = [*h, *np.eye(p), *(h[i] - h[j] for i, j in pairs)]
    values = np.concatenate([1.0 - g, problem.start, [g[j] - g[i] for i, j in pairs]])
    points = vertices(np.array(normals), values, problem.lower, problem.upper)
    margins = preactivations(problem, points).reshape(len(points), samples, rivals).min(axis=2)
    change = np.abs(points - problem.start).sum(axis=1)
    losses = np.maximum(1.0 - margins, 0.0).sum(axis=1) + problem.penalty * change
    return Case(problem.program(), float(losses.min()))


def tie_break(rng: Random) -> Case:
    """The nearest point to the start at which no row loses more."""
    problem = relu(rng) if rng.random() < 0.5 else hinge(rng)
    theta = within(rng, problem.lower, problem.upper)
    low, high = problem.level(theta)
    h, g, p = problem.coefficients.toarray(), problem.constants, problem.n_unknowns
    normals, at = np.vstack([h, h]), np.concatenate([low - g, high - g])
    finite = np.isfinite(at)
    points = vertices(
        np.vstack([normals[finite], np.eye(p)]),
        np.concatenate([at[finite], problem.start]),
        problem.lower,
        problem.upper,
    )
    a = preactivations(problem, points)
    points = points[np.all((a >= low - EXACT) & (a <= high + EXACT), axis=1)]
    return Case(nearest(problem, theta), float(np.abs(points - problem.start).sum(axis=1).min()))


def pieces(rng: Random) -> HingeRegression:
    """Draw the post-processing of an output."""
    m = int(rng.integers(2, 6))
    weights = rng.choice([1.0, 2.5], m)
    h, g, lower, upper, start = rows(rng, m, int(rng.integers(2, 4)))
    return HingeRegression(h.toarray(), g, lower, upper, start, rng.random(m) < 0.5, weights, 0.49)


def least_sum(problem: HingeRegression) -> float:
    """Return the optimum of post-processing."""
    rows_, others = np.nonzero(np.isfinite(problem.values(problem.start)))
    normals = problem.gradients(rows_, others).toarray()
    constants = problem.intercepts(rows_, others)
    i, j = np.nonzero(np.triu(rows_[:, None] == rows_, 1))
    points = vertices(
        normals[i] - normals[j], constants[j] - constants[i], problem.lower, problem.upper
    )
    return min(problem.loss(point) for point in points)


def complete(problem: HingeRegression) -> Program:
    """Return the program of all rows and pieces."""
    every = np.isfinite(problem.values(problem.start))
    cut = Cut.of(problem, every.argmax(axis=1))
    return restricted_master(problem, every, [cut], problem.lower, problem.upper)


def pieces_complete(rng: Random) -> Case:
    """Post-processing as one program."""
    problem = pieces(rng)
    return Case(complete(problem), least_sum(problem))


def pieces_dual(rng: Random) -> Case:
    """The dual of that program."""
    problem = pieces(rng)
    return Case(dual_program(complete(problem)), -least_sum(problem))


def pieces_working(rng: Random) -> Case:
    """A restricted master program: some pieces, and cuts."""
    problem = pieces(rng)
    points = [within(rng, problem.lower, problem.upper) for _ in range(3)]
    cuts = [Cut.of(problem, problem.values(point).argmax(axis=1)) for point in points]
    kept = np.isfinite(problem.values(problem.start))
    kept &= (rng.random(problem.n_rows) < 0.5)[:, None]
    program = restricted_master(problem, kept, cuts, problem.lower, problem.upper)
    return Case(dual_program(program) if rng.random() < 0.5 else program)
