"""A loss of one's own for the last layer: the paper's, whose misses of the ones count three times.

Prints: trained with the loss heavy
"""

from typing import ClassVar, Self

import layermilp
from layermilp.datasets import load
from layermilp.formulations.l1 import L1
from layermilp.layerwise.objective import OBJECTIVES
from layermilp.program import FloatArray


class Heavy(L1):
    """Another program would be a class of its own, see `layermilp.formulations.loss`."""

    name: ClassVar[str] = "heavy"

    @classmethod
    def of(cls, one_weights: FloatArray, input_penalty: float) -> Self:
        """Return the loss."""
        return cls(3.0 * one_weights)


OBJECTIVES[Heavy.name] = Heavy  # in the repository: one more class in layerwise/objective.py

data = load("digits")
network = layermilp.Network.dense([64, 8, 10], init="he", seed=0)
for name in ("l1", "heavy"):
    trained = layermilp.train(
        network, data.X_train, data.y_train, batches=2, epochs=2, objective=name, n_jobs=1
    )
    accuracy = trained.network.accuracy(data.X_test, data.y_test)
    print(f"trained with the loss {name}: test accuracy {accuracy:.3f}")
