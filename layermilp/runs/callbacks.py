"""Who listens to a run: callbacks, all of whose hooks are empty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from layermilp.method import Listener, State
from layermilp.networks.load import Model
from layermilp.runs.checkpoint import Checkpoint
from layermilp.runs.configuration import Configuration


class RunView(Protocol):
    """What callbacks see of a `layermilp.runs.run.Run`."""

    states: list[State]
    is_resumed: bool

    @property
    def is_ending(self) -> bool:
        """Whether it is known that nothing follows the newest state."""

    @property
    def model(self) -> Model | None:
        """What was learned so far."""

    @property
    def configuration(self) -> Configuration:
        """What the run was asked for."""

    def checkpoint(self) -> Checkpoint:
        """Return where the run is."""

    def history(self) -> Iterator[dict[str, Any]]:
        """Yield the records so far, as the lines of ``history.jsonl``."""

    def summary(self) -> dict[str, Any]:
        """Return the content of ``summary.json``."""


class Callback(Listener):
    """Is told what a run does. A subclass overrides the hooks that it needs."""

    def on_begin(self, run: RunView) -> None:
        """Data and members are known, and a resumed run is where it was."""

    def on_state(self, run: RunView) -> None:
        """The training of a single network has come to a new state, ``run.states[-1]``; of a
        committee a member is done."""

    def on_end(self, run: RunView) -> None:
        """The run is over: ended, interrupted, stopped by its limit, or by an error."""
