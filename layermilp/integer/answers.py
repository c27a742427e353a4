"""Answers of programs as a checkpoint keeps them: values for JSON, and all weights in one array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from layermilp.integer.neighbourhood import Solved
from layermilp.integer.search import Found
from layermilp.networks.integer import IntegerLayer, IntegerNetwork
from layermilp.program import IntArray

NUMBERS = tuple(field.name for field in fields(Found) if field.name != "network")
"""Fields of `Found` that are numbers."""


def packed(
    network: IntegerNetwork, answers: Sequence[Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a network and answers as values for JSON and as arrays."""
    thetas = [layer.theta for layer in network.layers]
    entries = []
    for answer in answers:
        entry, own = _entry(answer)
        entries.append(entry)
        thetas += own
    content = {
        "weight_bound": network.bound,
        "layers": len(network.layers),
        "answers": entries,
        "shapes": [theta.shape for theta in thetas],
    }
    flat = np.concatenate([theta.reshape(-1) for theta in thetas])
    return content, {"classes": network.classes, "thetas": flat}


def unpacked(
    content: Mapping[str, Any], arrays: Mapping[str, Any]
) -> tuple[IntegerNetwork, list[Any]]:
    """Return the network and the answers again."""
    bound, classes = int(content["weight_bound"]), arrays["classes"]
    thetas = _split(arrays["thetas"], content["shapes"])

    def network(layers: int) -> IntegerNetwork:
        return IntegerNetwork(
            [IntegerLayer.of(next(thetas)) for _ in range(layers)], bound, classes
        )

    best = network(int(content["layers"]))
    answers: list[Any] = []
    for entry in content["answers"]:
        match entry:
            case {"solved": known}:
                answers.append(Solved(next(thetas), *known))
            case {"found": known, "layers": layers}:
                answers.append(Found(network(layers), **known))
            case {"value": value}:
                answers.append(value)
            case _:
                raise ValueError(f"there is no answer {entry!r}")
    return best, answers


def _entry(answer: Any) -> tuple[dict[str, Any], list[IntArray]]:
    """Return an answer as a value for JSON, and its weights."""
    match answer:
        case Solved():
            return {"solved": [answer.nodes, answer.error]}, [answer.theta]
        case Found():
            thetas = [layer.theta for layer in answer.network.layers]
            numbers = {name: getattr(answer, name) for name in NUMBERS}
            return {"found": numbers, "layers": len(thetas)}, thetas
        case _:
            return {"value": answer}, []


def _split(flat: Any, shapes: Sequence[Sequence[int]]) -> Iterator[IntArray]:
    """Yield arrays that stand one behind the other."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = np.split(np.asarray(flat, dtype=np.int64), ends[:-1])
    return iter([part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)])
