"""Train neural networks with linear and mixed-integer programs instead of gradients."""

from layermilp.committee import Committee
from layermilp.errors import LayermilpError
from layermilp.layerwise.fit import fit_output_neuron, fit_relu_neuron, propose_inputs
from layermilp.layerwise.postprocess import postprocess
from layermilp.layerwise.settings import preset
from layermilp.layerwise.solve import Fit
from layermilp.layerwise.trainer import Trained, train
from layermilp.models import load_model
from layermilp.network import Block, Network
from layermilp.program import Limits, Program, Result, Status
from layermilp.solvers import solve
from layermilp.version import __version__

__all__ = [
    "Block",
    "Committee",
    "Fit",
    "LayermilpError",
    "Limits",
    "Network",
    "Program",
    "Result",
    "Status",
    "Trained",
    "__version__",
    "fit_output_neuron",
    "fit_relu_neuron",
    "load_model",
    "postprocess",
    "preset",
    "propose_inputs",
    "solve",
    "train",
]
