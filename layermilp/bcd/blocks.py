"""The blocks of block coordinate descent, each at its exact minimum.

Of the objective, see `layermilp.bcd.descent`, a block has these terms alone: preactivations `u`,
with ``z = W x + c`` what the weights make of the inputs, and activations `v`::

    tau (u - z)^2 + rho (v - max(0, u))^2                                       entry by entry in u
    weight |t - (W v + c)|^2 + rho |v - max(0, u)|^2                          sample by sample in v
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from layermilp.networks.network import Block
from layermilp.program import FloatArray


def best_preactivations(z: FloatArray, v: FloatArray, tau: float, rho: float) -> FloatArray:
    """Return the preactivations of the least ``tau (u - z)^2 + rho (v - max(0, u))^2``.

    The function is a square for ``u >= 0`` and another for ``u <= 0``: whether a neuron fires is
    its binary decision, and the better of both minima is taken."""
    firing = np.maximum((tau * z + rho * v) / (tau + rho), 0.0)
    silent = np.minimum(z, 0.0)
    fires = tau * (firing - z) ** 2 + rho * (v - firing) ** 2
    is_silent = tau * (silent - z) ** 2 + rho * v**2 < fires
    return np.where(is_silent, silent, firing)


def best_activations(
    block: Block, targets: FloatArray, weight: float, u: FloatArray, rho: float
) -> FloatArray:
    """Return the activations of the least ``weight |t - (W v + c)|^2 + rho |v - max(0, u)|^2``.

    The samples share the matrix ``weight W^T W + rho I``.

    Parameters
    ----------
    block : Block
        The layer that the activations are the inputs of.
    targets : (m, n) array
        `t`, what its preactivations are to be.
    u : (m, d) array
        Preactivations of the layer before.
    """
    weights = block.weights
    matrix = weight * weights.T @ weights
    matrix[np.diag_indices(len(matrix))] += rho
    wanted = weight * (targets - block.bias) @ weights + rho * np.maximum(u, 0.0)
    return np.asarray(cho_solve(cho_factor(matrix, overwrite_a=True), wanted.T).T)
