"""One ReLU neuron to the proven optimum of ``sum_k |max(0, w . x_k + c) - t_k|`` over a box.

Prints: no weights in the box are better
"""

import numpy as np

import layermilp

rng = np.random.default_rng(0)
x, t = rng.random((20, 3)), rng.random(20)
fit = layermilp.fit_relu_neuron(x, t, -1.0, 1.0)

w, c = fit.parameters[:-1], fit.parameters[-1]
loss = np.abs(np.maximum(0.0, x @ w + c) - t).sum()
print(f"{fit.status.value}: loss {loss:.6f}, proven bound {fit.bound:.6f}")
print(f"no weights in the box are better: {loss - fit.bound < 1e-6}")
