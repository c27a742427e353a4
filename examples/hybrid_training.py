"""Gradient descent and programs of the last layer by turns, on a network of scikit-learn's.

Prints: samples wrong
"""

import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier

from layermilp import hybrid
from layermilp.datasets import load

data = load("digits")
X, y = data.X_train[:200], data.y_train[:200]
model = MLPClassifier(hidden_layer_sizes=(32,), max_iter=5, random_state=0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it has not converged, and is not meant to
    model.fit(X, y)

before = np.sum(model.predict(X) != y)
hybrid.finetune_last_layer(model, X, y)  # one program, in place
print(f"samples wrong: {before} by gradient descent, {np.sum(model.predict(X) != y)} after")

model = MLPClassifier(hidden_layer_sizes=(32,), random_state=0)
for record in hybrid.train(model, X, y, rounds=2, epochs=5).history:
    print(f"round {record.round}, {record.kind}: validation loss {record.validation_loss:.3f}")
