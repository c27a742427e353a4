"""The directive ``command-help``: what ``layermilp WORDS --help`` prints when the pages are
built."""

from __future__ import annotations

import contextlib
import io
import os
from typing import ClassVar
from unittest import mock

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from layermilp.cli import main

WIDTH = "90"


class CommandHelp(SphinxDirective):
    """The help of a command, as text; the argument are its words, which may be none."""

    optional_arguments: ClassVar[int] = 1
    final_argument_whitespace: ClassVar[bool] = True

    def run(self) -> list[nodes.Node]:
        """Return the text."""
        words = [*(self.arguments[0].split() if self.arguments else []), "--help"]
        text = help_of(words)
        return [
            nodes.literal_block(text, f"$ layermilp {' '.join(words)}\n\n{text}", language="none")
        ]


def help_of(words: list[str]) -> str:
    """Return what the command line prints for words with ``--help`` among them, as on a terminal of
    a fixed width."""
    out = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": WIDTH, "NO_COLOR": "1"}),
        contextlib.redirect_stdout(out),
    ):
        with contextlib.suppress(SystemExit):
            main(words)
    return out.getvalue()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
