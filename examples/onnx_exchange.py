"""A network to ONNX and back (needs `pip install '.[onnx]'`).

Prints: the same predictions: True
"""

import tempfile
from pathlib import Path

from layermilp import Network
from layermilp.datasets import load
from layermilp.exchange import export_model, import_model

data = load("digits")
network = Network.from_notation("8x8-conv3-10", init="he", seed=0)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "network.onnx"
    export_model(network, path)
    again = import_model(path)

print(f"{network.notation} came back as {again.notation}")
same = (network.predict(data.X_test) == again.predict(data.X_test)).all()
print(f"the same predictions: {same}")
