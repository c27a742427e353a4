"""Train neural networks with linear and mixed-integer programs instead of gradients."""

import importlib
from typing import TYPE_CHECKING, Any

from layermilp.algorithms.search import Fit
from layermilp.errors import LayermilpError
from layermilp.layerwise.neurons import fit_output_neuron, fit_relu_neuron, propose_inputs
from layermilp.layerwise.postprocess import postprocess
from layermilp.layerwise.presets import preset
from layermilp.layerwise.trainer import Trained, train
from layermilp.networks.committee import Committee
from layermilp.networks.load import load_model
from layermilp.networks.network import Block, Network
from layermilp.program import Limits, Program, Result, Status
from layermilp.solvers import solve
from layermilp.version import __version__

if TYPE_CHECKING:
    from layermilp import bcd, datasets, estimators, exchange, export, hybrid, integer, smt
    from layermilp.bcd.method import BCD
    from layermilp.hybrid.method import Hybrid
    from layermilp.integer.method import Integer
    from layermilp.layerwise.method import Layerwise
    from layermilp.runs.run import Run
    from layermilp.smt.method import SMT

__all__ = [
    "BCD",
    "SMT",
    "Block",
    "Committee",
    "Fit",
    "Hybrid",
    "Integer",
    "LayermilpError",
    "Layerwise",
    "Limits",
    "Network",
    "Program",
    "Result",
    "Run",
    "Status",
    "Trained",
    "__version__",
    "bcd",
    "datasets",
    "estimators",
    "exchange",
    "export",
    "fit_output_neuron",
    "fit_relu_neuron",
    "hybrid",
    "integer",
    "load_model",
    "postprocess",
    "preset",
    "propose_inputs",
    "smt",
    "solve",
    "train",
]

_LATER = {
    "BCD": "layermilp.bcd.method",
    "Hybrid": "layermilp.hybrid.method",
    "Integer": "layermilp.integer.method",
    "Layerwise": "layermilp.layerwise.method",
    "Run": "layermilp.runs.run",
    "SMT": "layermilp.smt.method",
}
"""Names that are imported when they are first asked for: they need more than a training does."""


def __getattr__(name: str) -> Any:
    """Return a name of `_LATER`, or a package of `__all__`."""
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    if name in __all__:
        return importlib.import_module(f"layermilp.{name}")
    raise AttributeError(f"module 'layermilp' has no attribute {name!r}")
