"""What the hybrid trainer needs to know of a network, whoever made it.

To take networks of another kind: write an adapter with the methods of `Trainee`, and put it into
`adapted`."""

from __future__ import annotations

import sys
from typing import Any, Protocol

from layermilp.errors import NetworkError
from layermilp.program import FloatArray, IntArray


class Trainee(Protocol):
    """A network with a last layer of weighted sums, trained in place.

    Attributes
    ----------
    is_classifier : bool
        Whether its outputs stand for classes.
    output : {"identity", "relu"}
        What the outputs are of the weighted sums of the last layer.
    """

    is_classifier: bool
    output: str

    def epoch(self, X: Any, y: Any) -> None:
        """Descend through all samples once."""

    def features(self, X: Any) -> FloatArray:
        """Return what the last layer is given, shape ``(m, N)``."""

    def last_layer(self) -> tuple[FloatArray, FloatArray]:
        """Return copies of the weights ``(M, N)`` and the offsets ``(M,)`` of the last layer."""

    def replace_last_layer(self, weights: FloatArray, offsets: FloatArray) -> None:
        """Set them."""

    def labels(self, y: Any) -> IntArray:
        """Return the output of every sample's class; with a single output 1 where it is to be
        positive."""

    def predicted(self, X: Any) -> IntArray:
        """Return the output of every sample's predicted class."""

    def loss(self, X: Any, y: Any) -> float:
        """Return the mean of the loss that the epochs reduce."""

    def state(self) -> Any:
        """Return a copy of everything that an epoch changes in the network."""

    def restore(self, state: Any) -> None:
        """Go back to a state."""


def adapted(model: Any, y: Any, seed: int, optimizer: Any = None, batch_size: int = 32) -> Trainee:
    """Return the trainee of a model: scikit-learn's ``MLPClassifier`` or ``MLPRegressor``, or a
    PyTorch module.

    Raises
    ------
    NetworkError
        If it is none of them, or its last layer is not what the programs need.
    """
    # A PyTorch module can only be given by who has imported PyTorch; others need not wait for it.
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        from layermilp.hybrid.torch_models import TorchTrainee

        return TorchTrainee(model, y, seed, optimizer, batch_size)
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if isinstance(model, (MLPClassifier, MLPRegressor)):
        from layermilp.hybrid.sklearn_models import SklearnTrainee

        if optimizer is not None:
            raise NetworkError(f"{type(model).__name__} has an optimizer of its own; give none")
        return SklearnTrainee(model, y)
    raise NetworkError(
        f"{type(model).__name__} is no network that the hybrid trainer knows; give an "
        "MLPClassifier, an MLPRegressor, or a PyTorch module whose last layer is nn.Linear"
    )
