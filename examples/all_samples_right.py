"""Weights with which every training sample is right, or a proof that there are none.

Prints: unsatisfiable
"""

import numpy as np

import layermilp
from layermilp import smt
from layermilp.datasets import load

data = load("digits")
X, y = data.X_train[:300], data.y_train[:300]
found = smt.train(layermilp.Network.dense([64, 8, 10]), X, y, time_limit=20)
print(
    f"{found.verdict.value}, by the stage {found.stage}; all right: {found.network.accuracy(X, y)}"
)

same = np.array([[0.5, 0.5], [0.5, 0.5]])  # equal samples, different labels
none = smt.train(layermilp.Network.dense([2, 3, 2]), same, np.array([0, 1]), time_limit=5)
print(f"{none.verdict.value}: {none.reason}")
