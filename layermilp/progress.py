"""Progress of a training run on stderr: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from layermilp.layerwise.sweep import Step
from layermilp.layerwise.trainer import State


class Progress:
    """Shows what a run does; a context manager.

    Parameters
    ----------
    batches : int
        Batches of the run.
    quiet : bool
        Show nothing at all.
    verbose : bool
        A line per sweep instead of one per batch.
    """

    def __init__(self, batches: int, *, quiet: bool = False, verbose: bool = False) -> None:
        self.batches, self.quiet, self.verbose = batches, quiet, verbose
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.began = time.perf_counter()
        self.state: State | None = None
        self.seconds_per_batch = 0.0
        self.programs = 0
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if not self.quiet and self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """Print a line, unless quiet."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def show(self, text: str) -> None:
        """Show a text and the time passed in the live line, where there is one."""
        if self._live is not None:
            passed = _clock(time.perf_counter() - self.began)
            self._live.update(Text(f"{text} · {passed} passed", no_wrap=True, overflow="ellipsis"))

    def on_step(self, step: Step) -> None:
        """Show where training is."""
        if self._live is None:
            return
        accuracy = "" if self.state is None else f" · accuracy {self.state.batch_accuracy:.3f}"
        where = f"sweep {step.sweep} · layer {step.layer} {step.kind}" if step.sweep else step.kind
        line = (
            f"batch {step.batch}/{self.batches} · {where} {step.done}/{step.total} · "
            f"{self.programs + step.done:,} programs{accuracy} · {self._time_left()}"
        )
        self._live.update(Text(line, no_wrap=True, overflow="ellipsis"))

    def on_state(self, state: State) -> None:
        """Take note of a sweep or the end of a batch."""
        self.state, self.programs = state, state.tally.programs
        if not state.batch_ended and self.verbose:
            record = state.records[-1]
            self.note(
                f"batch {record.batch} sweep {record.sweep}: accuracy {record.batch_accuracy:.3f}, losses by layer "
                f"{' '.join(f'{loss:.2f}' for loss in record.objectives)}, {record.programs} programs "
                f"({record.at_limit} at limit), {record.seconds:.1f} s"
            )
        if state.batch_ended:
            self.seconds_per_batch = (time.perf_counter() - self.began) / state.batch
            test = "" if state.test_accuracy is None else f", test {state.test_accuracy:.3f}"
            self.note(
                f"batch {state.batch}/{self.batches}: accuracy {state.batch_accuracy:.3f}, seen {state.seen_accuracy:.3f}"
                f"{test}, {state.tally.programs:,} programs, {self._time_left()}"
            )

    def _time_left(self) -> str:
        passed = time.perf_counter() - self.began
        if not self.seconds_per_batch:
            return f"{_clock(passed)} passed"
        left = max(self.seconds_per_batch * self.batches - passed, 0.0)
        return f"{_clock(passed)} passed, about {_clock(left)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
