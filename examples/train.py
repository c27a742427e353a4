"""Train a ReLU network by programs, layer by layer, and see what the programs did.

Prints: test accuracy
"""

import layermilp
from layermilp.datasets import load

data = load("digits")
network = layermilp.Network.dense([64, 8, 10], init="he", seed=0)
trained = layermilp.train(network, data.X_train, data.y_train, batches=3, epochs=2, n_jobs=1)

sweeps = [record for record in trained.history if record.kind == "sweep"]
print(f"{trained.tally.programs} programs, {len(sweeps)} sweeps and post-processing")
print(f"test accuracy {trained.network.accuracy(data.X_test, data.y_test):.3f}")
