"""Post-processing: the last layer of a trained network, anew, to its optimum on all samples.

Prints: training accuracy
"""

import layermilp
from layermilp.datasets import load

data = load("digits")
network = layermilp.Network.dense([64, 8, 10], init="he", seed=0)
few = layermilp.train(network, data.X_train, data.y_train, batches=2, epochs=1, n_jobs=1).network
better = layermilp.postprocess(few, data.X_train, data.y_train, n_jobs=1)

for name, each in (("before", few), ("after", better)):
    print(f"training accuracy {name}: {each.accuracy(data.X_train, data.y_train):.3f}")
