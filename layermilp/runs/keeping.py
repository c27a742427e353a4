"""What a run writes into its directory, and when: checkpoints, model, history and summary."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from layermilp.method import State
from layermilp.runs.callbacks import Callback, RunView
from layermilp.runs.directory import RunDirectory

MOST_SHARE = 0.01
"""Share of the time that may go into checkpoints."""

MOST_SHARE_OF_FILES = 0.005
"""Share that may go into model, history and summary before the end: a summary takes the accuracy on
all samples, longer than many a batch."""


class Keeping(Callback):
    """Writes what a run has learned into its directory. What an earlier run has left there goes
    only when there is something in its place."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.has_begun = self.has_checkpoint = False
        self._kept: State | None = None
        self._checkpoints, self._writes = _Ration(MOST_SHARE), _Ration(MOST_SHARE_OF_FILES)

    def on_begin(self, run: RunView) -> None:
        """Write down what the run was asked for, unless there is an earlier run to lose."""
        self.has_begun = self.has_checkpoint = run.is_resumed
        if not self.has_begun and not self.directory.has_run:
            self.directory.begin(run.configuration)
            self.has_begun = True

    def on_state(self, run: RunView) -> None:
        """Write a checkpoint where the run can go on from here, and the rest, both from time to
        time; where nothing follows, the checkpoint alone, because the end writes the rest."""
        if not run.states[-1].is_resumable:
            return
        if run.is_ending or self._checkpoints.is_due:
            self._checkpoint(run)
        if not run.is_ending and self._writes.is_due:
            self._write(run)

    def on_end(self, run: RunView) -> None:
        """Write what was learned, and where the run is."""
        if run.states and run.states[-1].is_resumable and run.states[-1] is not self._kept:
            self._checkpoint(run)
        self._write(run)

    def _checkpoint(self, run: RunView) -> None:
        begun = None if self.has_begun else run.configuration
        self._checkpoints.spend(lambda: self.directory.checkpoint(run.checkpoint(), begun))
        self.has_begun = self.has_checkpoint = True
        self._kept = run.states[-1]

    def _write(self, run: RunView) -> None:
        if run.states:
            self._writes.spend(
                lambda: self.directory.write(run.model, run.history(), run.summary())
            )


class _Ration:
    """Says when work is due again that may take no more than a share of the time; it is due at
    first."""

    def __init__(self, share: float) -> None:
        self._share, self._next = share, -math.inf

    @property
    def is_due(self) -> bool:
        return time.perf_counter() >= self._next

    def spend(self, work: Callable[[], None]) -> None:
        """Do the work; it is due again when its seconds are that share of those after it."""
        began = time.perf_counter()
        work()
        ended = time.perf_counter()
        self._next = ended + (ended - began) / self._share
