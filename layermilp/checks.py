"""Checks of single values, for messages that name them."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from layermilp.errors import OptionError

LARGEST_COUNT = 2**31 - 1
"""Largest number that an option may ask for: no run gets that far, no product of two overflows."""

CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files of Linux with the memory of a container, in its two versions of control groups."""


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite real number, and not a truth value."""
    is_real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(
        value, bool
    )
    return is_real and bool(np.isfinite(value))


def check_whole(name: str, value: Any, least: int, most: int | None = LARGEST_COUNT) -> None:
    """Raise `OptionError` unless a value is a whole number of at least `least`, and of at most
    `most`."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        end = "" if most is None else f" and at most {most}"
        raise OptionError(
            f"{name} is {shortened(value)}; it must be a whole number of at least {least}{end}"
        )


def shortened(value: Any) -> str:
    """Return a value as in Python, without the middle of a very long one."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}...{text[-10:]}"


def memory_bytes() -> int:
    """Return the memory that this process may have: the machine's, or less where the process or its
    container has a limit."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    of_process, _ = resource.getrlimit(resource.RLIMIT_AS)
    if of_process != resource.RLIM_INFINITY:
        limits.append(of_process)
    for path in CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # not there, or without a limit, which is a word
            limits.append(int(Path(path).read_text()))
    return min(limits)
