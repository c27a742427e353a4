"""Wall time of a run: what has passed, what is left, and what a program may take of it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from layermilp.program import Limits

LEAST = 0.01
"""Seconds that a program has at least."""


@dataclass(frozen=True)
class Budget:
    """Times of the performance counter at which a run began, and ends."""

    began: float
    ends: float

    @classmethod
    def of(cls, seconds: float | None, passed: float = 0.0) -> Budget:
        """Return a budget of which some seconds have passed."""
        began = time.perf_counter() - passed
        return cls(began, math.inf if seconds is None else began + seconds)

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.began

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return time.perf_counter() >= self.ends

    @property
    def is_half_over(self) -> bool:
        """Whether less than half is left."""
        return 2.0 * time.perf_counter() >= self.began + self.ends

    def limits(self, limits: Limits, tasks: int = 1, workers: int = 1) -> Limits:
        """Return the limits of each of some tasks that share the time which is left, with so many
        workers."""
        if math.isinf(self.ends):
            return limits
        left = max(self.ends - time.perf_counter(), LEAST) * min(tasks, workers) / tasks
        return replace(limits, time_limit=min(left, limits.time_limit or left))
