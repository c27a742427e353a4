"""A run with checkpoints: a committee is stopped by a limit, and goes on in a new run.

Any method does: `Layerwise`, `Integer`, `Hybrid` or `SMT`.

Prints: the committee of 3 votes
"""

import tempfile

import layermilp

method = layermilp.Layerwise(net="64-8-10", batches=2, epochs=2, batch_size=60)

with tempfile.TemporaryDirectory() as directory:
    run = layermilp.Run(
        method, "digits", directory, committee=3, init_trials=2, n_jobs=1, max_seconds=0.5
    )
    run.follow()
    print(f"stopped by its limit: {run.is_out_of_time}; members done: {len(run.states)}")

    run = layermilp.Run.resume(directory).follow()
    print(run.report())
    votes = run.model.predict(run.dataset.X_test[:5])
    print(f"the committee of {len(run.model.networks)} votes: {votes}")
