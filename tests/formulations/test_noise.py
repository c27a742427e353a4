"""Noise on targets."""

from __future__ import annotations

import numpy as np
import pytest

from layermilp import Block
from layermilp.formulations.l1 import L1
from layermilp.formulations.loss import Box, OutputLoss
from layermilp.formulations.margin import Margin
from layermilp.formulations.noise import Noisy, NoisyLabels


def test_noise_is_within_its_reach_and_leaves_no_negative_target() -> None:
    labels = np.arange(300) % 3
    noisy = NoisyLabels.drawn(labels, 3, 0.3, np.random.default_rng(0))
    targets = np.eye(3)[labels] + noisy.noise
    assert targets.min() == 0.0
    assert np.abs(noisy.noise).max() <= 0.3
    ones = noisy.noise[np.arange(300), labels]
    assert ones.min() < -0.25 and ones.max() > 0.25
    part = noisy[slice(4, 6)]
    assert part.labels.tolist() == [1, 2] and part.noise.tobytes() == noisy.noise[4:6].tobytes()


@pytest.mark.parametrize("loss", [L1(np.array([1.0, 2.0, 1.0])), Margin(0.0)])
def test_the_losses_are_those_of_the_moved_targets(loss: OutputLoss) -> None:
    rng = np.random.default_rng(1)
    inputs, labels = rng.random((7, 4)), np.arange(7) % 3
    noisy = NoisyLabels.drawn(labels, 3, 0.4, rng)
    block = Block.dense(4, 3, init="uniform", seed=1)
    outputs, targets = block.preactivation(inputs), np.eye(3)[labels] + noisy.noise
    if isinstance(loss, L1):
        is_one = np.eye(3)[labels] > 0.5
        missed = np.where(is_one, np.abs(outputs - targets), np.maximum(outputs - targets, 0.0))
        expected = (missed * np.where(is_one, loss.one_weights, 1.0)).sum()
    else:
        lacking = (targets - outputs)[np.arange(7), labels][:, None] - (targets - outputs)
        expected = np.maximum(lacking.max(axis=1), 0.0).sum()
    noisy_loss, box = Noisy(loss), Box(block.theta - 1.0, block.theta + 1.0)
    groups = noisy_loss.groups(block)
    of_weights = [noisy_loss.of_weights(block, each, inputs, noisy, box) for each in groups]
    found = sum(problem.loss(problem.start) for problem in of_weights)
    assert found == pytest.approx(expected)
    of_inputs = noisy_loss.of_inputs(block.weights, block.bias, inputs, noisy)
    assert of_inputs.loss(of_inputs.start) == pytest.approx(expected)
