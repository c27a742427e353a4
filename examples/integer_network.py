"""A network of whole weights from -3 to 3 and sign activations, with a bound on its objective.

Prints: nothing exceeds
"""

from layermilp import integer
from layermilp.datasets import load

data = load("digits")
zero_or_one = data.y_train < 2
X, y = data.X_train[zero_or_one][:60], data.y_train[zero_or_one][:60]
found = integer.train(X, y, hidden=(4,), bound=3, n_jobs=1)

print(f"{found.network.notation} in {found.network.n_bytes} bytes, accuracy {found.accuracy:.3f}")
print(f"objective {found.objective:.0f}; nothing exceeds {found.bound:.0f}")
