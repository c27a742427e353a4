"""The commands ``export`` and ``import``: networks for other tools, and from them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layermilp.exchange import export_model, format_of, import_model
from layermilp.files import require_writable
from layermilp.networks.load import load_model


def export(arguments: argparse.Namespace) -> int:
    """Write a saved network for another tool."""
    title = format_of(arguments.out).title
    model = load_model(arguments.model)
    path = export_model(model, arguments.out, dtype=arguments.dtype)
    print(f"net             {model.notation}")
    print(f"format          {title}, {arguments.dtype}")
    print(f"written         {path}")
    return 0


def import_(arguments: argparse.Namespace) -> int:
    """Read a network of another tool, and save it."""
    require_writable(Path(arguments.out))
    network = import_model(
        arguments.model,
        classes=arguments.classes,
        decision=arguments.decision,
        image=arguments.image,
        net=arguments.net,
    )
    path = network.save(arguments.out)
    shown = [*map(str, network.classes[:10].tolist()), *(["..."] if network.n_outputs > 10 else [])]
    print(f"net             {network.notation}")
    print(f"classes         {', '.join(shown)}")
    print(f"decision        {network.decision}")
    print(f"written         {path}")
    return 0


def image_shape(text: str) -> tuple[int, ...]:
    """Parse the shape of a sample."""
    sides = text.split("x")
    if len(sides) not in (2, 3) or not all(side.isdecimal() and len(side) < 10 for side in sides):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no shape of an image; write 28x28 or 3x32x32"
        )
    return tuple(map(int, sides))


def labels(text: str) -> NDArray[Any]:
    """Parse labels with commas between them: numbers if all of them are whole numbers as they are
    written by default, else texts."""
    parts = text.split(",")
    if all(
        part.removeprefix("-").isdecimal() and len(part) < 19 and str(int(part)) == part
        for part in parts
    ):
        return np.array([int(part) for part in parts])
    return np.array(parts)
