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
    def n_left(self) -> int:
        """Number of answers of before that are still to be read."""
        return len(self.answers) - self._read

    def once(self, ask: Callable[[], Answer]) -> Answer:
        """Return the next answer of before, or else ask."""
        if not self.n_left:
            self.answers.append(ask())
        found: Answer = self.read()
        return found

    def read(self) -> Any:
        """Return the next answer, which is there."""
        self._read += 1
        return self.answers[self._read - 1]

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
        return not self.journal.n_left and super().is_over


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
        self, function: Callable[[Task], Answer], tasks: Sequence[Task], seconds: float | None
    ) -> Iterator[Answer]:
        """Yield the answers of tasks, as `Workers.map` does, those of before first."""
        known = min(len(tasks), self.journal.n_left)
        for _ in range(known):
            yield self.journal.read()
        for answer in self.workers.map(function, tasks[known:], seconds):
            self.journal.answers.append(answer)
            yield self.journal.read()
