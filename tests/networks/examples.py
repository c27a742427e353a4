"""Small blocks drawn by Hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from layermilp import Block
from layermilp.networks.layers import Tied
from layermilp.networks.parameters import ParameterMap

GRID = st.integers(-8, 8).map(lambda k: k / 4)
SEEDS = st.integers(0, 2**32 - 1)


def grid_arrays(size: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(GRID, min_size=size, max_size=size).map(
        lambda values: np.array(values, dtype=float)
    )


@st.composite
def parameter_maps(draw: st.DrawFn) -> ParameterMap:
    """Draw any map: free, tied and fixed entries, also neurons or maps without any parameter."""
    n, d = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    size = n * (d + 1)
    drawn = np.array(
        draw(st.lists(st.integers(-1, draw(st.integers(-1, size))), min_size=size, max_size=size))
    )
    index = np.full(size, -1)
    free = drawn >= 0
    index[free] = np.unique(drawn[free], return_inverse=True)[1]
    fixed = np.where(free, 0.0, draw(grid_arrays(size)))
    return ParameterMap(index.reshape(n, d + 1), fixed.reshape(n, d + 1))


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Draw a block with any map."""
    parameters = draw(parameter_maps())
    return Block(Tied(parameters), draw(grid_arrays(parameters.n_parameters)))


OLD_NAMES = {"closest_to_one": "nearest", "argmax": "largest"}
