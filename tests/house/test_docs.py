"""Every code block of the documentation runs and prints what stands beneath it, and the site is
built without a warning.

The blocks of a page run in the order of the page, in a temporary directory: ```python blocks in one
process, ```sh blocks in one shell, in which ``layermilp`` is a command. A ```text block is what the
block before it prints, with ``...`` for what differs between machines. A line ``<!-- not run:
REASON -->`` before a block leaves it out.
"""

from __future__ import annotations

import doctest
import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shlex import split

import pytest

from layermilp.cli.commands import COMMANDS
from layermilp.runs.methods import METHODS
from tests.common import PATIENCE, ROOT

DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
MOST_LEFT_OUT = 8
"""Blocks of all pages together that may be left out."""
FENCE = re.compile(
    r"^(?P<mark><!-- not run: \S[^\n]* -->\n\n?)?```(?P<kind>[^\n]*)\n(?P<body>.*?)^```$",
    re.M | re.S,
)
RUN = ("python", "sh")
MARK = "have `<!-- not run: REASON -->` before it"
CHILD = r"""
import contextlib, io, json, subprocess, sys, traceback, types

page = sys.modules["__main__"] = types.ModuleType("__main__")
END = "--- the end of a block ---"
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
shell = subprocess.Popen(["bash", "-eu"], text=True, **pipes)

def in_shell(body):
    shell.stdin.write(f"{body}\necho '{END}'\n")
    shell.stdin.flush()
    lines = []
    for line in shell.stdout:
        if line.strip() == END:
            return "".join(lines), True
        lines.append(line)
    return "".join(lines), False

def in_python(body):
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(body, "block", "exec"), vars(page))
    except BaseException:
        return out.getvalue() + traceback.format_exc(), False
    return out.getvalue(), True

outputs, holds = [], True
for kind, body in json.load(sys.stdin):
    output, holds = (in_shell if kind == "sh" else in_python)(body)
    outputs.append(output)
    if not holds:
        break
shell.stdin.close()
shell.wait()
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump([outputs, holds], file)
"""


@dataclass(frozen=True)
class Block:
    """A block of code, what it is to print, if that is said, and the line of the page where it
    begins."""

    kind: str
    body: str
    prints: str | None
    line: int


def blocks(page: str) -> tuple[list[Block], int]:
    """Return the blocks of a page that run, in order, and how many are left out."""
    text = (DOCS / page).read_text(encoding="utf-8")
    fences = [fence for fence in FENCE.finditer(text) if not fence["kind"].startswith("{")]
    found: list[Block] = []
    left_out, end = 0, -1
    for fence in fences:
        line = text.count("\n", 0, fence.start("kind")) + 1
        if fence["mark"]:
            left_out += 1
        elif fence["kind"] in RUN:
            found.append(Block(fence["kind"], fence["body"], None, line))
            end = fence.end()
        else:
            what = f"{page}, line {line}: a block of {fence['kind'] or 'no language'!r}"
            assert fence["kind"] == "text", (
                f"{what}; it must be one of {', '.join(RUN)}, text, or {MARK}"
            )
            follows = end >= 0 and not text[end : fence.start()].strip()
            assert follows, f"{what} that no block prints; indent it by four blanks, or {MARK}"
            found[-1] = Block(found[-1].kind, found[-1].body, fence["body"], found[-1].line)
            end = -1
    return found, left_out


def outputs_of(found: list[Block], folder: Path) -> tuple[list[str], bool]:
    """Run blocks in a folder; return what each of them printed, up to the first that failed, and
    whether none did."""
    commands, work = folder / "commands", folder / "work"
    for path in (commands, work):
        path.mkdir()
    command = commands / "layermilp"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m layermilp "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "LAYERMILP_DATA"}
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), environment.get("PYTHONPATH")])
    )
    environment["PATH"] = os.pathsep.join(
        [str(commands), str(Path(sys.executable).parent), environment["PATH"]]
    )
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder / "outputs.json")],
        input=json.dumps([(block.kind, block.body) for block in found]),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=work,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs, holds = json.loads((folder / "outputs.json").read_text(encoding="utf-8"))
    return outputs, holds


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)[0]])
def test_blocks_run_and_print_what_is_said(page: str, tmp_path: Path) -> None:
    found, _ = blocks(page)
    outputs, holds = outputs_of(found, tmp_path)
    checker = doctest.OutputChecker()
    for block, output in zip(found, outputs, strict=False):
        if not holds and output is outputs[-1]:
            pytest.fail(f"{page}, line {block.line}: the block failed:\n{output}")
        if block.prints is not None and not checker.check_output(
            block.prints, output, doctest.ELLIPSIS
        ):
            pytest.fail(
                f"{page}, line {block.line}: the block printed\n{output}\nand not\n{block.prints}"
            )


def test_few_blocks_are_left_out() -> None:
    assert sum(blocks(page)[1] for page in PAGES) <= MOST_LEFT_OUT


def test_a_block_that_escapes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "DOCS", tmp_path)
    for text, words in (
        ("```console\n$ ls\n```\n", "'console'"),
        ("```text\nhello\n```\n", "no block prints"),
    ):
        (tmp_path / "page.md").write_text(text, encoding="utf-8")
        with pytest.raises(AssertionError, match=words):
            blocks("page.md")
    (tmp_path / "page.md").write_text(
        "<!-- not run: installs -->\n```sh\nfalse\n```\n\n```sh\nfalse\n```\n", encoding="utf-8"
    )
    found, left_out = blocks("page.md")
    assert left_out == 1 and len(found) == 1
    assert outputs_of(found, tmp_path) == ([""], False)


def test_every_command_has_its_help() -> None:
    shown = re.findall(
        r"^```\{command-help\} *(.*)$",
        (DOCS / "command-line.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    train = {f"train --method {method}" for method in METHODS}
    assert set(shown) == {"", *train, *(set(COMMANDS) - {"train"})}


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    missing = [
        name
        for name in ("sphinx", "myst_parser", "numpydoc", "furo")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        pytest.skip(
            f"THE SITE IS NOT BUILT: not installed: {', '.join(missing)}; `pip install '.[docs]'` "
            "brings them"
        )
    site = tmp_path / "site"
    words = [
        sys.executable,
        *split("-m sphinx -q -W --keep-going -b html -d"),
        str(tmp_path / "doctrees"),
    ]
    done = subprocess.run(
        [*words, str(DOCS), str(site)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    built = {
        path.relative_to(site): path.read_text(encoding="utf-8") for path in site.rglob("*.html")
    }
    pages = {path.with_suffix(".md").as_posix(): text for path, text in built.items()}
    assert set(PAGES) <= set(pages)
    for page in PAGES:
        # The pages work without internet.
        assert not re.search(r"<(script|link|img)[^>]*(src|href)=\"(https?:)?//", pages[page]), page
    assert (
        "<math" in pages["mathematics/layerwise.md"]
        and "usage: layermilp train" in pages["command-line.md"]
    )
    for name in (
        "layermilp.train",
        "layermilp.estimators.LayerwiseClassifier",
        "layermilp.solvers.base.Solver",
    ):
        assert any(f'id="{name}"' in text for text in pages.values()), name
