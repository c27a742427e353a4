"""Worker processes for independent programs, through joblib."""

from __future__ import annotations

import faulthandler
import importlib.util
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import joblib
import threadpoolctl
from joblib.executor import get_memmapping_executor
from joblib.externals.loky.backend import resource_tracker

from layermilp.errors import OptionError, SolverError
from layermilp.options import Options, option

Task = TypeVar("Task")
Answer = TypeVar("Answer")

BACKENDS = {"loky": "joblib", "dask": "distributed", "ray": "ray"}
"""Where workers are, by joblib's name for it, and the package that it needs."""

SHARED_BYTES = 100_000
"""Size from which an array that several tasks hold is shared by the processes instead of sent with
every task."""

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"
)
"""Environment of processes whose linear algebra runs on one thread."""

MOST_JOBS = 1024
"""More processes than any machine has cores for; each takes some hundred megabytes."""

WORTH_STARTING = 1.5
"""Seconds of work after which processes of this machine are started, which takes about as long."""

GRACE = 60.0
"""Seconds that a task may overrun twice its time limit: for building programs, and for whatever
else the machine does."""

CONNECT_SECONDS = 10.0
"""Time that a cluster has to answer; left alone, Ray takes minutes to give up."""


def _check_jobs(name: str, value: int) -> None:
    """Raise `OptionError` for no processes, and for too many."""
    if value == 0:
        raise OptionError(f"{name} is 0; it must be a number of processes, or -1 for one per core")
    if value > MOST_JOBS:
        raise OptionError(
            f"{name} is {value}; it must be at most {MOST_JOBS}, and one per core (-1) is enough"
        )


def _check_backend(name: str, value: str) -> None:
    """Raise `OptionError` unless the package of a backend is installed."""
    module = BACKENDS[value]
    if importlib.util.find_spec(module) is None:
        raise OptionError(
            f"{name} {value!r} needs the package {module}; `pip install 'layermilp[{value}]'` "
            "brings it"
        )


@dataclass(kw_only=True)
class WorkerOptions(Options):
    """Where programs are solved; the outcome does not depend on it."""

    n_jobs: int = option(
        2,
        "worker processes, -1 for one per core",
        "Worker processes; -1 for one per core. The result does not depend on it unless a time "
        "limit is hit.",
        least=-1,
        check=_check_jobs,
        flag="--jobs",
        decides=False,
    )
    backend: str = option(
        "loky",
        "where they are",
        "Where they are: on this machine, or in a Dask or Ray cluster, which has as many as it has "
        "cores.",
        choices=BACKENDS,
        check=_check_backend,
        decides=False,
    )
    address: str | None = option(
        None,
        "of a running Dask or Ray cluster (default: one on this machine)",
        "Of the running cluster; without it one of `n_jobs` processes is started on this machine.",
        "URL",
        decides=False,
    )

    def check_together(self) -> None:
        """Raise `OptionError` where an address is given and no cluster is meant."""
        if self.address is not None and self.backend == "loky":
            raise OptionError(
                f"address {self.address!r} is for the backends dask and ray; loky works on this "
                "machine"
            )

    def workers(self) -> Workers:
        """Return the workers, not started yet."""
        return Workers(self.n_jobs, self.backend, self.address)


class Workers:
    """A pool of worker processes, on this machine, or those of a Dask or Ray cluster.

    It starts with the first tasks for it, and is kept while the context lasts.

    Results come in the order of the tasks and do not depend on the number of workers or where they
    are: tasks are pure, and inside the context linear algebra runs on one thread everywhere,
    because its rounding may depend on the number of threads.

    Parameters
    ----------
    n_jobs, backend, address
        As in `WorkerOptions`; 1 process of this machine is the calling one.

    Raises
    ------
    OptionError
        If one of them is no value of its option, or a cluster is not reached.
    """

    def __init__(self, n_jobs: int, backend: str = "loky", address: str | None = None) -> None:
        WorkerOptions(n_jobs=n_jobs, backend=backend, address=address)
        self.n_jobs = joblib.cpu_count() if n_jobs == -1 else n_jobs
        self.backend, self.address = backend, address
        self._stack = ExitStack()
        self._pool: Any = None
        self._spent = 0.0

    def __enter__(self) -> Workers:
        self._stack.enter_context(threadpoolctl.threadpool_limits(limits=1, user_api="blas"))
        if self.backend != "loky":
            self.start()  # a cluster says how many processes there are
        return self

    def start(self) -> None:
        """Start or reach the processes."""
        if self.backend != "loky":
            self._reach_cluster()
            self._stack.enter_context(joblib.parallel_config(backend=self.backend))
            # joblib has no generator for a pool of Ray's.
            form = "list" if self.backend == "ray" else "generator"
            self._pool = joblib.Parallel(n_jobs=self.n_jobs, return_as=form, batch_size=1)
            self._stack.enter_context(self._pool)
            return
        _start_tracker()
        # What joblib.Parallel works with on one machine. It looks for answers every 10 ms only,
        # which is longer than many a program takes.
        self._pool = get_memmapping_executor(
            self.n_jobs, max_nbytes=SHARED_BYTES, mmap_mode="r", env=ONE_THREAD
        )
        with _ctrl_c_held_back():
            list(self.map(abs, range(self.n_jobs)))  # for which all have to be started

    def __exit__(self, *error: object) -> None:
        self._pool = None
        self._stack.close()

    def map(
        self,
        function: Callable[[Task], Answer],
        tasks: Sequence[Task],
        seconds: float | None = None,
        *,
        may_be_few: bool = False,
    ) -> Iterator[Answer]:
        """Apply a picklable function to every task; yield the answers in the order of the tasks, as
        they come.

        A single task without a time limit is not sent anywhere.

        Parameters
        ----------
        seconds : float, optional
            Time limit of a task, which keeps it itself. Worker processes of this machine are killed
            where one is still at work after twice the time and `GRACE`.
        may_be_few : bool, optional
            Whether all tasks together may take less time than to start processes of this machine:
            without a time limit they begin in the calling process, and others are started after
            `WORTH_STARTING` there.

        Raises
        ------
        SolverError
            If a worker process was killed, or had to be.
        """
        is_alone = self.backend == "loky" and self.n_jobs == 1
        if is_alone or len(tasks) < (2 if seconds is None else 1):
            return map(function, tasks)
        if self._pool is None:
            if may_be_few and seconds is None and self._spent < WORTH_STARTING:
                return self._at_first_here(function, tasks)
            self.start()
        if self.backend != "loky":
            return iter(self._pool(joblib.delayed(_in_cluster)(function, task) for task in tasks))
        # One task at a time to whoever is free: tasks of unequal cost are balanced.
        answers = [self._pool.submit(_in_process, function, task) for task in tasks]
        return self._taken(answers, None if seconds is None else 2.0 * seconds + GRACE)

    def _taken(self, answers: list[Future[Answer]], seconds: float | None) -> Iterator[Answer]:
        """Yield what the processes answer, and say in plain words what became of one that does not
        within some seconds; the processes end where answers are given up."""
        try:
            for answer in answers:
                yield answer.result(seconds)
        except BrokenExecutor as error:
            # The last words of loky's message are the signal or the exit code.
            _, _, end = str(error).partition("The exit codes of the workers are ")
            raise SolverError(
                f"a worker process was killed ({end.split(chr(10))[0].strip() or 'no exit code'}), "
                "as the system does where memory is short, or where a solver crashes; use fewer "
                "jobs or smaller batches"
            ) from error
        except TimeoutError as error:
            raise SolverError(
                "a worker process was killed because its solver did not keep the time limit; try "
                "another solver"
            ) from error
        finally:
            if not all(answer.done() and answer.exception() is None for answer in answers):
                self._pool.terminate(kill_workers=True)
                self._pool = None

    def _at_first_here(
        self, function: Callable[[Task], Answer], tasks: Sequence[Task]
    ) -> Iterator[Answer]:
        """Yield answers of this process until it is worth to start others for the rest."""
        for number, task in enumerate(tasks):
            if self._spent >= WORTH_STARTING:
                yield from self.map(function, tasks[number:])
                return
            began = time.perf_counter()
            answer = function(task)
            self._spent += time.perf_counter() - began
            yield answer

    def _reach_cluster(self) -> None:
        """Start or reach a cluster, and learn how many processes it has."""
        try:
            self.n_jobs = self._start_dask() if self.backend == "dask" else self._start_ray()
        except (OSError, RuntimeError) as error:
            self._stack.close()
            where = "on this machine was not started"
            if self.address is not None:
                where = f"at {self.address!r} was not reached"
            raise OptionError(f"the {self.backend} cluster {where}: {error}") from error

    def _start_dask(self) -> int:
        from distributed import Client

        client = (
            Client(self.address)
            if self.address
            else Client(n_workers=self.n_jobs, threads_per_worker=1, dashboard_address=None)
        )
        self._stack.enter_context(client)
        return sum(client.ncores().values())

    def _start_ray(self) -> int:
        import ray
        from ray.util.joblib import register_ray

        if self.address:
            _knock(self.address)
        ray.init(
            address=self.address or "local",
            num_cpus=None if self.address else self.n_jobs,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        self._stack.callback(ray.shutdown)
        register_ray()
        return int(ray.cluster_resources()["CPU"])


def _start_tracker() -> None:
    """Start the process that tidies up after workers, without its warnings: it has to where a run
    is killed, or interrupted while workers start."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Block SIGINT: processes started now inherit that for good; here it comes afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _knock(address: str) -> None:
    """Raise `OSError` if nobody listens at an address of the form ``host:port`` or
    ``scheme://host:port``."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def _in_process(function: Callable[[Task], Answer], task: Task) -> Answer:
    # On a terminal Ctrl-C reaches every process; the calling one decides what to do, and ends the
    # workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The calling one also says what became of a process that crashes; loky would have it print its
    # stack.
    faulthandler.disable()
    return function(task)


def _in_cluster(function: Callable[[Task], Answer], task: Task) -> Answer:
    with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
        return function(task)
