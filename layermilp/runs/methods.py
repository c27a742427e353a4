"""The methods, each of them a file of its own; a new one is one line here."""

from __future__ import annotations

from layermilp.bcd.method import BCD
from layermilp.hybrid.method import Hybrid
from layermilp.integer.method import Integer
from layermilp.layerwise.method import Layerwise
from layermilp.method import Method
from layermilp.smt.method import SMT

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (Layerwise, BCD, Integer, Hybrid, SMT)
}
"""Methods by name."""
