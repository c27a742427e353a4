"""The command line. Every command only translates arguments into library calls and prints what
comes back."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from layermilp.cli.commands import COMMANDS
from layermilp.cli.parser import USAGE_ERROR, parse
from layermilp.cli.train import INTERRUPTED
from layermilp.errors import LayermilpError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, 1 without an answer, 2 for a refused input,
    130 when interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = parse(COMMANDS, words)
        arguments.argv = words
        return int(arguments.command(arguments))
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
    return USAGE_ERROR
