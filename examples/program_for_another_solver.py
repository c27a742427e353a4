"""The program of one neuron as an MPS file, which any solver reads; here HiGHS reads it back.

Prints: the same optimum: True
"""

import tempfile
from pathlib import Path

import highspy
import numpy as np
from scipy import sparse

import layermilp
from layermilp.export import write_mps
from layermilp.formulations import ReluRegression, reduced, reference_big_m

rng = np.random.default_rng(0)
x, t, box = rng.random((12, 3)), rng.random(12), np.ones(4)
problem = ReluRegression(
    coefficients=sparse.csr_array(np.column_stack([x, np.ones(12)])),
    constants=np.zeros(12),
    lower=-box,
    upper=box,
    start=np.zeros(4),
    targets=t,
    big_m=reference_big_m(x, box),
)
program = reduced(problem)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "neuron.mps"
    write_mps(program, path)
    other = highspy.Highs()
    other.setOptionValue("output_flag", False)
    other.readModel(str(path))
    other.run()

theirs, ours = other.getObjectiveValue(), layermilp.solve(program).objective
print(f"{program.n_rows} rows, {program.n_columns} columns, {program.integrality.sum()} binaries")
print(f"the same optimum: {abs(theirs - ours) < 1e-6}")
