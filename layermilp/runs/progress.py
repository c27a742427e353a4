"""Progress of a command on stderr: a live line with the time left on a terminal, plain lines
elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from layermilp.layerwise.sweep import Step, SweepCallback
from layermilp.layerwise.trainer import State


class Progress(SweepCallback):
    """Shows what a command does; a context manager.

    Parameters
    ----------
    batches : int
        Batches of a layerwise run.
    quiet : bool
        Show nothing at all.
    verbose : bool
        A line per sweep instead of one per batch.
    limit : float, optional
        Seconds after which the command ends by itself.
    """

    def __init__(
        self,
        batches: int = 1,
        *,
        quiet: bool = False,
        verbose: bool = False,
        limit: float | None = None,
    ) -> None:
        self.batches, self.quiet, self.verbose, self.limit = batches, quiet, verbose, limit
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.began = time.perf_counter()
        self.state: State | None = None
        self.first_batch = 1
        self.programs = 0
        self.text = ""
        self.expected: float | None = None
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if not self.quiet and self.console.is_terminal:
            # The line is made anew at every refresh, so that its clock goes on while programs are
            # solved.
            self._live = Live(
                console=self.console,
                refresh_per_second=8,
                transient=True,
                get_renderable=self._line,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """Print a line, unless quiet."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def show(self, text: str, share: float = 0.0) -> None:
        """Show a text in the live line, and the time left if a share of the work is known to be
        done."""
        self.text = text
        if share > 0.0:
            self.expected = self._passed / share

    def on_step(self, step: Step) -> None:
        """Show where training is."""
        accuracy = "" if self.state is None else f" · accuracy {self.state.batch_accuracy:.3f}"
        where = f"sweep {step.sweep} · layer {step.layer} {step.kind}" if step.sweep else step.kind
        self.show(
            f"batch {step.batch}/{self.batches} · {where} {step.done}/{step.total} · "
            f"{self.programs + step.done:,} programs{accuracy}"
        )

    def on_state(self, state: State) -> None:
        """Take note of a sweep or the end of a batch."""
        if self.state is None:
            self.first_batch = state.batch
        self.state, self.programs = state, state.tally.programs
        if not state.batch_ended and self.verbose:
            record = state.records[-1]
            self.note(
                f"batch {record.batch} sweep {record.sweep}: accuracy "
                f"{record.batch_accuracy:.3f}, losses by layer "
                f"{' '.join(f'{loss:.2f}' for loss in record.objectives)}, {record.programs} "
                "programs "
                f"({record.at_limit} at limit), {record.seconds:.1f} s"
            )
        if state.batch_ended:
            done, total = state.batch - self.first_batch + 1, self.batches - self.first_batch + 1
            self.expected = self._passed * total / done
            test = "" if state.test_accuracy is None else f", test {state.test_accuracy:.3f}"
            self.note(
                f"batch {state.batch}/{self.batches}: accuracy {state.batch_accuracy:.3f}, seen "
                f"{state.seen_accuracy:.3f}"
                f"{test}, {state.tally.programs:,} programs, {self._time()}"
            )

    @property
    def _passed(self) -> float:
        return time.perf_counter() - self.began

    def _time(self) -> str:
        """Return the time passed, and what is left as far as it is known."""
        passed = self._passed
        found = f"{_clock(passed)} passed"
        if self.expected is not None:
            found += f", about {_clock(max(self.expected - passed, 0.0))} left"
        elif self.limit is not None:
            found += f", at most {_clock(max(self.limit - passed, 0.0))} left"
        return found

    def _line(self) -> Text:
        # The time first: what a narrow terminal cuts off matters less.
        line = f"{self._time()} · {self.text}" if self.text else self._time()
        return Text(line, no_wrap=True, overflow="ellipsis")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
