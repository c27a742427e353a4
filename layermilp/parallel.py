"""Worker processes for independent programs, through joblib."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import joblib
import threadpoolctl

from layermilp.errors import OptionError

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class Workers:
    """A pool of worker processes, kept while the context lasts.

    Results come in the order of the tasks and do not depend on the number of workers: tasks are pure, and inside the
    context linear algebra runs on one thread everywhere, because its rounding may depend on the number of threads.

    Parameters
    ----------
    n_jobs : int
        Number of processes; 1 works in the calling process, -1 takes one per core.

    Raises
    ------
    OptionError
        If the number is 0 or below -1.
    """

    def __init__(self, n_jobs: int) -> None:
        if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0 or n_jobs < -1:
            raise OptionError(f"n_jobs is {n_jobs!r}; it must be a number of processes, or -1 for one per core")
        self.n_jobs = joblib.cpu_count() if n_jobs == -1 else n_jobs
        self._stack = ExitStack()
        self._parallel: Any = None

    def __enter__(self) -> Workers:
        self._stack.enter_context(threadpoolctl.threadpool_limits(limits=1, user_api="blas"))
        if self.n_jobs > 1:
            self._stack.enter_context(joblib.parallel_config(backend="loky", inner_max_num_threads=1))
            self._parallel = self._stack.enter_context(
                joblib.Parallel(n_jobs=self.n_jobs, return_as="generator", batch_size=1)
            )
            with _held_back_from_children(signal.SIGINT):
                list(self.map(_ready, range(self.n_jobs)))
        return self

    def __exit__(self, *error: object) -> None:
        self._parallel = None
        self._stack.close()

    def map(self, function: Callable[[Task], Answer], tasks: Sequence[Task]) -> Iterator[Answer]:
        """Apply a picklable function to every task; yield the answers in the order of the tasks, as they come.

        A single task is not sent anywhere.
        """
        if self._parallel is None or len(tasks) == 1:
            return map(function, tasks)
        answers: Iterator[Answer] = self._parallel(joblib.delayed(_in_worker)(function, task) for task in tasks)
        return answers


@contextmanager
def _held_back_from_children(number: signal.Signals) -> Iterator[None]:
    """Block a signal, which processes started now inherit for good; here it is delivered afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ready(worker: int) -> int:
    """Do nothing, in a worker that has to be started for it."""
    return worker


def _in_worker(function: Callable[[Task], Answer], task: Task) -> Answer:
    # On a terminal Ctrl-C reaches every process; the calling one decides what to do, and ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return function(task)
