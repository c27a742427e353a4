"""What all tests share: where the checkout is, and how long they wait for what they start."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]

PATIENCE = 1200.0
"""Seconds, far beyond what anything takes on a loaded machine: a net for what never ends."""
