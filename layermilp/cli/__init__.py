"""The command line. Every command only translates arguments into library calls and prints what
comes back."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from layermilp.cli import models, parser, sources
from layermilp.cli.exchange import export, import_
from layermilp.cli.programs import dump_programs
from layermilp.cli.report import report
from layermilp.cli.train import INTERRUPTED, train
from layermilp.cli.verify import verify
from layermilp.errors import LayermilpError

COMMANDS: dict[str, tuple[parser.Command, str]] = {
    "train": (train, "train a network or a committee"),
    "dump-programs": (
        dump_programs,
        "write the programs of a training run as files for other solvers",
    ),
    "postprocess": (
        models.postprocess,
        "fit the last layer of a saved network to a complete training set",
    ),
    "evaluate": (models.evaluate, "print the accuracy of a saved network"),
    "verify": (verify, "recompute what a run claims, and say where it differs"),
    "report": (report, "write a page with figures on one run or several"),
    "predict": (models.predict, "predict labels with a saved network"),
    "export": (export, "write a saved network for ONNX or PyTorch"),
    "import": (import_, "read a network from ONNX or PyTorch"),
    "solvers": (sources.solvers, "list the solvers"),
    "data": (sources.data, "list data sets, or show one"),
}
"""Function and summary of every command by its name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, 1 without an answer, 2 for a refused input,
    130 when interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = parser.parse(COMMANDS, words)
        arguments.argv = words
        command: parser.Command = arguments.command
        return command(arguments)
    except LayermilpError as error:
        return _refused(str(error), error)
    except MemoryError as error:
        return _refused(
            f"not enough memory{f': {error}' if str(error) else ''}; use a smaller net or batch",
            error,
        )
    except BrokenPipeError:
        # Whoever read the output has gone; there is nobody to tell.
        sys.stderr.close()
        return 0
    except OSError as error:
        # What the system refuses anywhere else: processes, memory, room for temporary files.
        return _refused(f"the system refuses: {error}", error)
    except KeyboardInterrupt:
        print("layermilp: interrupted", file=sys.stderr)
        return INTERRUPTED


def _refused(message: str, error: Exception) -> int:
    """Print an error and its notes as one line; return the exit code."""
    words = "; ".join([message, *getattr(error, "__notes__", [])]).split()
    print(f"layermilp: {' '.join(words)}", file=sys.stderr)
    return parser.USAGE_ERROR
