"""The gradient baseline of integer networks: a straight-through estimator in PyTorch (Courbariaux
and Bengio 2016).

Weights are real numbers in [-1, 1] that are used rounded to multiples of 1/P, signs pass their
gradient on where the sum is small, and Adam minimizes the squared hinge of all samples at once; the
most accurate of the rounded networks is kept."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from layermilp.integer import IntegerLayer, IntegerNetwork


class _Rounded(torch.autograd.Function):  # type: ignore[misc]
    """Round to multiples of 1/P; the gradient passes."""

    @staticmethod
    def forward(ctx: object, values: torch.Tensor, bound: int) -> torch.Tensor:
        return torch.round(values * bound) / bound

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


class _Sign(torch.autograd.Function):  # type: ignore[misc]
    """Sign with one at zero; the gradient passes where the value is at most a width."""

    @staticmethod
    def forward(ctx: object, values: torch.Tensor, width: float) -> torch.Tensor:
        ctx.inside = values.abs() <= width  # type: ignore[attr-defined]
        return torch.where(values >= 0.0, 1.0, -1.0).to(values.dtype)

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient * ctx.inside, None  # type: ignore[attr-defined]


def train(
    X: np.ndarray,
    y: np.ndarray,
    hidden: int,
    bound: int,
    seed: int,
    steps: int = 2000,
    rate: float = 0.03,
) -> IntegerNetwork:
    """Train a network of one hidden layer on samples whose labels are 0 and 1."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # more cost more than they gain at this size
    inputs = torch.tensor(np.rint(X * 1024) / 1024)
    signs = torch.tensor(np.where(np.arange(2) == y[:, None], 1.0, -1.0))
    thetas = []
    for d, n in itertools.pairwise((X.shape[1], hidden, 2)):
        scale = min(1.0, 3.0 / np.sqrt(d))
        thetas.append(
            ((torch.rand(n, d + 1, dtype=torch.float64) * 2 - 1) * scale).requires_grad_()
        )
    optimizer = torch.optim.Adam(thetas, lr=rate)
    best, best_score = _network(thetas, bound), -1.0
    for step in range(steps):
        optimizer.zero_grad()
        first, last = (_Rounded.apply(theta, bound) for theta in thetas)
        sums = inputs @ first[:, :-1].T + first[:, -1]
        outputs = _Sign.apply(sums, np.sqrt(X.shape[1] + 1)) @ last[:, :-1].T + last[:, -1]
        loss = torch.relu(0.5 - signs * outputs * (2.0 / (hidden + 1))).square().sum(dim=1).mean()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for theta in thetas:
                theta.clamp_(-1.0, 1.0)
        if step % 20 == 0 or step == steps - 1:
            network = _network(thetas, bound)
            score = network.accuracy(X, y) - 1e-6 * float(loss.detach())
            if score > best_score:
                best, best_score = network, score
    return best


def _network(thetas: list[torch.Tensor], bound: int) -> IntegerNetwork:
    rounded = [np.rint(theta.detach().numpy() * bound).astype(np.int64) for theta in thetas]
    return IntegerNetwork([IntegerLayer.of(theta) for theta in rounded], bound)
