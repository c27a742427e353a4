"""Interruptions that must not meet a solver's interface half way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def postponed() -> Iterator[Callable[[], bool]]:
    """Postpone what Python does on Ctrl-C and on termination to the end of the context, where the
    main thread runs it.

    Yields a function that tells whether something was postponed. Signals that Python does not
    handle are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    arrived: list[int] = []
    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}
    try:
        for number in handlers:
            signal.signal(number, lambda number, frame: arrived.append(number))
        yield lambda: bool(arrived)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, handler in handlers.items():
            if number in arrived:
                handler(number, None)


def take_back() -> None:
    """Put Python's handling of Ctrl-C back, in the main thread, where a library has put its own in
    its place."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)
