"""Checks of single values, for messages that name them."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite real number, and not a truth value."""
    is_real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return is_real and bool(np.isfinite(value))
