"""Workers: on this machine, and in clusters of several processes, with results identical to those
of one process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from layermilp import Network, parallel, postprocess, train
from layermilp.errors import OptionError
from layermilp.parallel import BACKENDS, Workers
from tests.common import PATIENCE


def _data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 3
    return np.clip(rng.random((40, 6)) + np.eye(3)[y].repeat(2, axis=1), 0.0, None), y


def _trained(**options: Any) -> list[np.ndarray]:
    X, y = _data()
    network = Network.dense([6, 4, 3], seed=0)
    trained = train(
        network, X, y, batches=2, batch_size=20, epochs=1, proximity=0.0, **options
    ).network
    again = postprocess(trained, X, y, **options)
    return [block.theta for block in again.blocks]


@pytest.fixture(scope="module")
def alone() -> list[np.ndarray]:
    return _trained(n_jobs=1)


def _same(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("backend", ["loky", "dask", "ray"])
def test_every_backend_gives_the_weights_of_one_process(
    backend: str, alone: list[np.ndarray]
) -> None:
    pytest.importorskip(
        BACKENDS[backend], reason=f"the package {BACKENDS[backend]} is not installed"
    )
    assert _same(_trained(n_jobs=2, backend=backend), alone)


def test_a_running_cluster_is_reached_at_its_address(alone: list[np.ndarray]) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        assert _same(_trained(backend="dask", address=cluster.scheduler_address), alone)
        with Workers(1, "dask", cluster.scheduler_address) as workers:
            assert workers.n_jobs == 2
            assert list(workers.map(abs, [-1, 2, -3])) == [1, 2, 3]


def test_answers_come_in_the_order_of_the_tasks() -> None:
    with Workers(2) as workers:
        assert list(workers.map(abs, range(-20, 0))) == list(range(20, 0, -1))
        assert list(workers.map(abs, [])) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0,), "n_jobs is 0"),
        ((-2,), "n_jobs is -2"),
        ((True,), "n_jobs is True"),
        ((2, "slurm"), "backend 'slurm' is unknown; choose loky, dask, ray"),
        (
            (2, "loky", "tcp://host:8786"),
            "address 'tcp://host:8786' is for the backends dask and ray",
        ),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Workers(*arguments)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "layermilp.parallel.BACKENDS", {"loky": "joblib", "dask": "no_such_package"}
    )
    with pytest.raises(
        OptionError, match=r"needs the package no_such_package; `pip install 'layermilp\[dask\]'`"
    ):
        Workers(2, "dask")


def test_a_cluster_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(distributed, "Client", lambda address: _fail(address))
    with pytest.raises(
        OptionError, match=r"the dask cluster at 'tcp://127\.0\.0\.1:1' was not reached"
    ):
        with Workers(2, "dask", "tcp://127.0.0.1:1"):
            pass


def test_a_ray_cluster_that_is_not_there_is_refused_at_once() -> None:
    pytest.importorskip("ray")
    with pytest.raises(OptionError, match=r"the ray cluster at '127\.0\.0\.1:1' was not reached"):
        with Workers(2, "ray", "127.0.0.1:1"):
            pass


def _fail(address: str) -> None:
    raise OSError(f"Timed out trying to connect to {address}")


def test_what_a_killed_run_leaves_is_tidied_up_in_silence() -> None:
    code = (
        "import os\n"
        "from joblib.externals.loky.backend import resource_tracker\n"
        "from layermilp.parallel import Workers\n"
        "with Workers(2) as workers:\n"
        "    assert list(workers.map(abs, [-1, -2])) == [1, 2]\n"
        "    resource_tracker.register('/nobody-unlinks-this', 'semlock')\n"
        "    assert 'PYTHONWARNINGS' not in os.environ\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _where(task: int) -> int:
    time.sleep(0.01)
    return os.getpid()


def test_few_tasks_stay_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "WORTH_STARTING", 0.05)
    with Workers(2) as workers:
        first = list(workers.map(_where, range(3), may_be_few=True))
        assert set(first) == {os.getpid()}
        rest = list(workers.map(_where, range(12), may_be_few=True))
        assert rest[0] == os.getpid() and os.getpid() not in rest[-6:]
        assert os.getpid() not in list(workers.map(_where, range(4), may_be_few=True))
    with Workers(2) as workers:
        assert os.getpid() not in list(workers.map(_where, range(4)))
        assert os.getpid() not in list(workers.map(_where, range(4), 60.0, may_be_few=True))
