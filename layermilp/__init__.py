"""Train neural networks with linear and mixed-integer programs instead of gradients."""

from layermilp.algorithms.search import Fit
from layermilp.errors import LayermilpError
from layermilp.layerwise.neurons import fit_output_neuron, fit_relu_neuron, propose_inputs
from layermilp.layerwise.options import preset
from layermilp.layerwise.postprocess import postprocess
from layermilp.layerwise.trainer import Trained, train
from layermilp.networks.committee import Committee
from layermilp.networks.load import load_model
from layermilp.networks.network import Block, Network
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
