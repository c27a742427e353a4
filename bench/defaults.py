"""Why the defaults of training are what they are: each of them changed by itself, over five seeds.

All variants but those of the epochs take five epochs, not the 20 that are the default for ten
batches, to take less time. Every variant is a run of ``train.py --held-out``: it trains on MNIST's
first images and is judged on training images 50,001 to 60,000, never on test images. In DIR go one
JSON file a variant and ``results.md``; variants that are there are not repeated."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VARIANTS = (
    (),
    ("proximity=0",),
    ("proximity=0.1",),
    ("proximity=1",),
    ("weight_fit=ridge",),
    ("weight_decay=0",),
    ("weight_decay=0.03",),
    ("weight_decay=0.3",),
    ("objective=l1",),
    ("input_penalty=0.02",),
    ("input_penalty=0.12",),
    ("trust_offset=0.01",),
    ("trust_offset=0.1",),
    ("target_gap=0.01",),
    ("average=0",),
    ("average=0.9",),
    ("epochs=1",),
    ("epochs=10",),
    ("epochs=20",),
    ("tie_break=l1", "proximity=0"),
)
"""Options of `layermilp.train` that differ from the defaults."""

FOR_ALL = "epochs=5"
"""What a variant has besides, unless it says otherwise."""


def path_of(variant: tuple[str, ...], out: Path) -> Path:
    """Where a variant's results are."""
    return out / f"{'_'.join(variant) or 'defaults'}.json"


def run(variant: tuple[str, ...], arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Run a variant unless it is there; return what ``train.py`` measured."""
    path = path_of(variant, out)
    if not path.is_file():
        options = [word for option in (FOR_ALL, *variant) for word in ("--option", option)]
        sizes = [
            "--batches",
            str(arguments.batches),
            "--seeds",
            str(arguments.seeds),
            "--jobs",
            str(arguments.jobs),
        ]
        source = ["--data", arguments.data] + (
            ["--data-dir", arguments.data_dir] if arguments.data_dir else []
        )
        quick = ["--quick"] if arguments.quick else ["--held-out", *source]
        script = str(Path(__file__).with_name("train.py"))
        subprocess.run(
            [sys.executable, script, *sizes, *options, *quick, "--json", str(path)],
            check=True,
            stdout=sys.stderr,
        )
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def table(found: dict[tuple[str, ...], dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table, in Markdown."""
    yield "| changed | mean | seeds from 0 on | seconds |"
    yield "|---|---|---|---|"
    for variant, result in found.items():
        seeds = " ".join(f"{row['judged_accuracy']:.4f}" for row in result["rows"])
        means = result["means"]
        name = ", ".join(variant) or "nothing"
        yield f"| {name} | {means['judged_accuracy']:.4f} | {seeds} | {means['seconds']:.0f} |"


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument(
        "--only",
        nargs="*",
        metavar="OPTION=VALUE",
        help="variants by their first option (default: all)",
    )
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--quick", action="store_true", help="the digits, 64-4-10, two batches, one seed"
    )
    arguments = parser.parse_args()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for variant in VARIANTS:
        wanted = not arguments.only or (variant[0] if variant else "defaults") in arguments.only
        if wanted or path_of(variant, out).is_file():
            found[variant] = run(variant, arguments, out)
            (out / "results.md").write_text("\n".join(table(found)) + "\n")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
