"""Progress of a command on stderr: a live line with the time left on a terminal, plain lines
elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from layermilp.runs.callbacks import Callback


class Progress(Callback):
    """Shows what a command does: nothing if quiet, details as well if verbose; a context manager,
    and a callback of a run. `limit` is the seconds after which the command ends by itself."""

    def __init__(
        self, *, quiet: bool = False, verbose: bool = False, limit: float | None = None
    ) -> None:
        self.quiet, self.verbose, self.limit = quiet, verbose, limit
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.began = time.perf_counter()
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

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def note(self, text: str) -> None:
        """Print a line, unless quiet."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def detail(self, text: str) -> None:
        """Print a line if verbose."""
        if self.verbose:
            self.note(text)

    def show(self, text: str, share: float = 0.0) -> None:
        """Show a text in the live line, and the time left if a share of the work is known to be
        done."""
        self.text = text
        if share > 0.0:
            self.expected = (time.perf_counter() - self.began) / share

    def ended(self, text: str, share: float) -> None:
        """Print a line with the time."""
        self.show(self.text, share)
        self.note(f"{text}, {self._time()}")

    def _time(self) -> str:
        """Return the time passed, and what is left as far as it is known."""
        passed = time.perf_counter() - self.began
        words, end = ("at most", self.limit) if self.expected is None else ("about", self.expected)
        left = "" if end is None else f", {words} {_clock(max(end - passed, 0.0))} left"
        return f"{_clock(passed)} passed{left}"

    def _line(self) -> Text:
        # The time first: what a narrow terminal cuts off matters less.
        line = " · ".join(filter(None, [self._time(), self.text]))
        return Text(line, no_wrap=True, overflow="ellipsis")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
