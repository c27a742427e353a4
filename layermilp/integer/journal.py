"""A journal of the answers of programs, by which a search that was cut short is gone through again
without solving them anew.

A search is a function of its samples, its options and the answers of its programs. With the answers
of before it comes to where it was at once, and goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from layermilp.algorithms.budget import Budget
from layermilp.parallel import Workers

Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(eq=False)
class Journal:
    """Answers in the order in which they were asked for.

    Parameters
    ----------
    answers : list
        Those of before; new ones are added.
    seconds : float
        That have passed before.
    """

    answers: list[Any] = field(default_factory=list)
    seconds: float = 0.0
    _read: int = 0

    def __post_init__(self) -> None:
        self._before = len(self.answers)

    @property
    def has_new(self) -> bool:
        """Whether there are answers that were not there before."""
        return self._read > self._before

    @property
    def is_read(self) -> bool:
        """Whether no answer of before is left."""
        return self._read >= len(self.answers)

    def once(self, ask: Callable[[], Answer]) -> Answer:
        """Return the next answer of before, or else ask."""
        if self.is_read:
            self.answers.append(ask())
        self._read += 1
        found: Answer = self.answers[self._read - 1]
        return found

    def map(
        self,
        workers: Workers,
        function: Callable[[Task], Answer],
        tasks: Sequence[Task],
        seconds: float | None = None,
    ) -> Iterator[Answer]:
        """Yield the answers of tasks, as `Workers.map` does, those of before first."""
        known = min(len(tasks), len(self.answers) - self._read)
        for answer in self.answers[self._read : self._read + known]:
            self._read += 1
            yield answer
        if known < len(tasks):
            for answer in workers.map(function, tasks[known:], seconds):
                self.answers.append(answer)
                self._read += 1
                yield answer

    def budget(self, seconds: float | None) -> Budget:
        """Return the time of the whole search; none of it is over before the journal is read."""
        whole = Budget.of(seconds, self.seconds)
        return _Budget(whole.began, whole.ends, self)


@dataclass(frozen=True)
class _Budget(Budget):
    """The time of a search with a journal."""

    journal: Journal

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.journal.is_read and super().is_over


@dataclass(frozen=True, eq=False)
class JournaledWorkers:
    """Workers whose answers a journal keeps, and gives where it has them."""

    workers: Workers
    journal: Journal

    @property
    def n_jobs(self) -> int:
        """Number of processes."""
        return self.workers.n_jobs

    def map(
        self,
        function: Callable[[Task], Answer],
        tasks: Sequence[Task],
        seconds: float | None = None,
    ) -> Iterator[Answer]:
        """Yield the answers of tasks in their order."""
        return self.journal.map(self.workers, function, tasks, seconds)
