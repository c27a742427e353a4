"""What a run writes into its directory, and when: checkpoints, model, history and summary."""

from __future__ import annotations

import math
import time

from layermilp.method import State
from layermilp.runs.callbacks import Callback, RunView
from layermilp.runs.directory import RunDirectory

SECONDS_BETWEEN_WRITES = 2.0
"""What the model of a run that is killed may lack: a summary takes the accuracy on all images,
longer than many a batch."""

MOST_SHARE = 0.05
"""Share of the time that may go into checkpoints."""


class Keeping(Callback):
    """Writes what a run has learned into its directory. What an earlier run has left there goes
    only when there is something in its place."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.has_begun = self.has_checkpoint = False
        self._kept: State | None = None
        self._last_write = self._last_checkpoint = -math.inf
        self._seconds = 0.0

    def on_begin(self, run: RunView) -> None:
        """Write down what the run was asked for, unless there is an earlier run to lose."""
        self.has_begun = self.has_checkpoint = run.is_resumed
        if not self.has_begun and not self.directory.has_run:
            self.directory.begin(run.configuration)
            self.has_begun = True

    def on_state(self, run: RunView) -> None:
        """Write a checkpoint where the run can go on from here, and from time to time the rest."""
        state, now = run.states[-1], time.perf_counter()
        if not state.is_resumable:
            return
        if run.is_ending or now - self._last_checkpoint >= self._seconds / MOST_SHARE:
            self._checkpoint(run)
        if not run.is_ending and now - self._last_write >= SECONDS_BETWEEN_WRITES:
            self._write(run)

    def on_end(self, run: RunView) -> None:
        """Write what was learned, and where the run is."""
        if run.states and run.states[-1].is_resumable and run.states[-1] is not self._kept:
            self._checkpoint(run)
        self._write(run)

    def _checkpoint(self, run: RunView) -> None:
        began = time.perf_counter()
        self.directory.checkpoint(run.checkpoint(), None if self.has_begun else run.configuration)
        self.has_begun = self.has_checkpoint = True
        self._kept, self._last_checkpoint = run.states[-1], time.perf_counter()
        self._seconds = self._last_checkpoint - began

    def _write(self, run: RunView) -> None:
        self._last_write = time.perf_counter()
        if run.states:
            self.directory.write(run.model, run.history(), run.summary())
