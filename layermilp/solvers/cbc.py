"""CBC as the program that PuLP brings, by an MPS file and CBC's binary solution file."""

from __future__ import annotations

import importlib.util
import itertools
import math
import os
import platform
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from layermilp.errors import OptionError, SolverNotAvailable
from layermilp.export import write_mps
from layermilp.program import FloatArray, Limits, Program, Status, check
from layermilp.solvers.base import INFINITE, PRIMAL_TOLERANCE, Answer, Option, Solver, absolute_gap

GRACE = 2.0
"""Seconds that CBC may overrun its time limit, with a tenth of the limit, before it is interrupted,
and then killed."""

_MODEL, _START, _LOG = "model.mps", "start.txt", "log.txt"
_TEXT, _BINARY = "solution.txt", "solution.bin"

_NO_GAP = 1e100  # larger than any that is asked for
_LARGEST_THREADS = 99  # CBC gives larger numbers another meaning

# CBC may call a program infeasible because time ran out; from this share of the time limit on it is
# not believed.
_UNSURE_AFTER = 0.5

# By how the first line of the solution file begins.
_STATUS = {
    "Optimal": Status.OPTIMAL,
    "Stopped": Status.FEASIBLE_AT_LIMIT,
    "Infeasible": Status.INFEASIBLE,
    "Integer infeasible": Status.INFEASIBLE,
    "Unbounded": Status.UNBOUNDED,
}


class Cbc(Solver):
    """CBC (Eclipse licence), no size limit: the executable that PuLP brings, or a ``cbc`` on the
    path."""

    name: ClassVar[str] = "cbc"
    title: ClassVar[str] = "CBC"
    modules: ClassVar[tuple[str, ...]] = ("pulp",)
    limit_options: ClassVar[Mapping[str, str]] = {
        "ratiogap": "gap",
        "allowablegap": "absolute_gap",
        "increment": "absolute_gap",
        "seconds": "time_limit",
        "maxnodes": "node_limit",
    }

    @classmethod
    def is_available(cls) -> bool:
        """Whether there is an executable; neither imports PuLP nor runs CBC."""
        return _find_executable() is not None

    def version(self) -> str:
        """Version of CBC."""
        found = re.search(r"Version:\s*(\S+)", _converse(["quit"]))
        return found.group(1) if found else "unknown"

    def asked(self, limits: Limits, options: Mapping[str, Option]) -> Limits:
        """Return the limits with those of the own options, the gap relative to the objective."""
        asked = super().asked(limits, options)
        is_own = any(self.limit_of(name) == "gap" for name in options)
        return replace(asked, gap=_to_objective(asked.relative_gap)) if is_own else asked

    def limit_of(self, option: str) -> str | None:
        """Return which field of `Limits` an own option sets; CBC takes abbreviations."""
        fields = self.limit_options.items()
        return next((field for name, field in fields if name.startswith(option.lower())), None)

    def _solve(self, program: Program, limits: Limits, options: dict[str, Option]) -> Answer:
        words = _limit_words(program, limits)
        for name, value in options.items():
            words += [f"-{name}", _checked_value(name, value)]
        with tempfile.TemporaryDirectory(
            prefix="layermilp-cbc-", ignore_cleanup_errors=True
        ) as place:
            folder = Path(place)
            write_mps(program, folder / _MODEL)
            if program.is_mip and program.start is not None:
                _write_start(program, program.start, folder / _START)
                words += ["-mips", _START]
            began = time.perf_counter()
            end = _run(folder, words, limits.time_limit)
            share = (time.perf_counter() - began) / (limits.time_limit or math.inf)
            return _answer(program, limits, folder, end, share)


def _find_executable() -> Path | None:
    """Return the executable inside the PuLP package, else one on the path, else None."""
    spec = importlib.util.find_spec("pulp")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        bundled = Path(folder, "solverdir", "cbc", *_platform_folder(), "cbc")
        if bundled.is_file():
            return bundled
    on_path = shutil.which("cbc")
    return Path(on_path) if on_path else None


def _platform_folder() -> tuple[str, str]:
    if sys.platform == "darwin":
        return "osx", "i64"
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "linux", "arm64"
    return "linux", "i64" if sys.maxsize > 2**32 else "i32"


def _executable() -> str:
    path = _find_executable()
    if path is None:
        raise SolverNotAvailable("no CBC executable was found; `pip install 'pulp<4'` brings one")
    if not os.access(path, os.X_OK):
        # Some installers lose the mode of the file.
        try:
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        except OSError as error:
            raise SolverNotAvailable(f"{path} is not executable; `chmod +x` makes it so") from error
    return str(path)


def _converse(lines: list[str]) -> str:
    """Return what CBC prints when the lines are typed in."""
    typed = "".join(f"{line}\n" for line in lines)
    try:
        done = subprocess.run(
            [_executable()], input=typed, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SolverNotAvailable(f"CBC cannot be run: {error}") from error
    return done.stdout


def _limit_words(program: Program, limits: Limits) -> list[str]:
    if limits.threads > _LARGEST_THREADS:
        raise OptionError(
            f"CBC refuses threads={limits.threads}; it takes at most {_LARGEST_THREADS}"
        )
    # CBC would read seed 0 as the time of day.
    seed = limits.seed % (2**31 - 2) + 1
    values: dict[str, Option | None] = {
        "randomSeed": seed,
        "timeMode": "elapsed",
        "primalTolerance": PRIMAL_TOLERANCE,
        "dualTolerance": PRIMAL_TOLERANCE,
        "seconds": limits.time_limit,
    }
    if program.is_mip:
        values |= {
            "randomCbcSeed": seed,
            "integerTolerance": PRIMAL_TOLERANCE,
            # By default CBC gives up improvements below 1e-5, whatever the gaps.
            "increment": PRIMAL_TOLERANCE,
            "ratioGap": _to_larger(limits.relative_gap),
            "allowableGap": absolute_gap(limits),
            "maxNodes": limits.node_limit,
            "threads": limits.threads if limits.threads > 1 else None,
        }
    named = ((f"-{name}", str(value)) for name, value in values.items() if value is not None)
    return list(itertools.chain.from_iterable(named))


def _to_larger(gap: float) -> float:
    """Return the gap relative to the larger of objective and bound, as CBC measures it, that leaves
    no more than a gap relative to the objective."""
    return gap / (1.0 + gap)


def _to_objective(gap: float) -> float:
    """Return the gap relative to the objective that CBC may leave."""
    return gap / (1.0 - gap) if gap < 1.0 else _NO_GAP


def _checked_value(name: str, value: Option) -> str:
    """Return the value as CBC reads it, after CBC has confirmed it."""
    word = ("off", "on")[value] if isinstance(value, bool) else str(value)
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise OptionError(f"CBC does not know the option {name!r}")
    if not re.fullmatch(r"[\w.+-]+", word):
        raise OptionError(f"CBC refuses the option {name}={value!r}")
    # CBC only prints a complaint about what it refuses and goes on, so it is asked for the value
    # that it has kept. Commands, such as `solve`, have no value.
    kept = re.findall(r"\S+ has value (\S+)", _converse([f"{name} {word}", name, "quit"]))
    if not kept:
        raise OptionError(
            f"CBC does not know the option {name!r}; `cbc`, then `?`, lists its parameters"
        )
    if not _is_same(word, kept[-1]):
        raise OptionError(f"CBC refuses the option {name}={value!r}: it would keep {kept[-1]}")
    return word


def _is_same(asked: str, kept: str) -> bool:
    try:
        # CBC prints six digits.
        return math.isclose(float(asked), float(kept), rel_tol=1e-5)
    except ValueError:
        return kept.lower().startswith(asked.lower())


def _write_start(program: Program, start: FloatArray, path: Path) -> None:
    # CBC fixes the integers of a start and solves for the rest.
    point = np.where(program.integrality, np.round(start), start).tolist()
    named = enumerate(zip(program.column_names(), point, strict=True))
    lines = [f"{j} {name} {value!r} 0" for j, (name, value) in named]
    path.write_text(
        "\n".join(["Stopped on time - objective value 0", *lines, ""]), encoding="utf-8"
    )


def _run(folder: Path, words: list[str], time_limit: float | None) -> str:
    """Run CBC in the folder, no longer than the limit and the grace; return how it ended, in
    words."""
    # Relative names keep blanks in the folder's name away from CBC.
    command = [_executable(), _MODEL, *words, "-solve"]
    command += ["-solution", _TEXT, "-saveSolution", _BINARY, "-quit"]
    with (folder / _LOG).open("wb") as log:
        child = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            return _wait(child, time_limit)
        finally:
            # Also on KeyboardInterrupt; a child that has ended is not touched.
            if child.poll() is None:
                child.kill()
                child.wait()


def _wait(child: subprocess.Popen[bytes], time_limit: float | None) -> str:
    if time_limit is None:
        return f"exit code {child.wait()}"
    grace = GRACE + 0.1 * time_limit
    try:
        return f"exit code {child.wait(time_limit + grace)}"
    except subprocess.TimeoutExpired:
        # An interrupted CBC still writes its incumbent.
        child.send_signal(signal.SIGINT)
    try:
        child.wait(grace)
        return "interrupted after its time limit"
    except subprocess.TimeoutExpired:
        return "killed after its time limit"


def _answer(program: Program, limits: Limits, folder: Path, end: str, share: float) -> Answer:
    """Return what the files say of a run that took a share of its time limit."""
    log = _text(folder / _LOG)
    words = _text(folder / _TEXT).partition("\n")[0].strip()
    # At very short limits CBC may crash when its time is up.
    is_late = share >= 1.0
    if not words:
        last_words = log.rstrip().rpartition("\n")[2].strip() or "none"
        status = Status.NO_SOLUTION_AT_LIMIT if is_late else Status.ERROR
        return Answer(
            status, message=f"CBC wrote no solution ({end}); its last words: {last_words}"
        )
    said = (status for beginning, status in _STATUS.items() if words.startswith(beginning))
    status = next(said, Status.ERROR)
    if status is Status.INFEASIBLE and share > _UNSURE_AFTER:
        status = Status.FEASIBLE_AT_LIMIT
    x = None
    if status in (Status.OPTIMAL, Status.FEASIBLE_AT_LIMIT) and "no integer solution" not in words:
        x = _point(folder / _BINARY, program)
    if status is Status.OPTIMAL and x is None and is_late:
        status = Status.FEASIBLE_AT_LIMIT
    if status is Status.FEASIBLE_AT_LIMIT and x is not None and not check(program, x).holds():
        # An LP that is stopped early leaves a point that need not be feasible.
        x = None
    nodes = re.findall(r"^Enumerated nodes:\s+(\d+)", log, re.MULTILINE)
    return Answer(
        status=status,
        x=x,
        bound=_bound(log, status, program, x, limits),
        nodes=int(nodes[-1]) if nodes else 0,
        message=words.partition(" - objective")[0],
    )


def _point(path: Path, program: Program) -> FloatArray | None:
    """Read the columns from CBC's binary file, which unlike its text file keeps all digits; return
    None if it is not there or damaged.

    The file holds two 32-bit integers, rows and columns, and doubles: the objective, activities and
    duals of the rows, values and reduced costs of the columns. Rows without bounds are not among
    them."""
    data = path.read_bytes() if path.exists() else b""
    if len(data) < 16:
        return None
    rows, columns = np.frombuffer(data, dtype=np.int32, count=2).tolist()
    if columns != program.n_columns or len(data) != 16 + 16 * (rows + columns):
        return None
    return np.frombuffer(data, dtype=np.float64, offset=16 + 16 * rows, count=columns).copy()


def _bound(
    log: str, status: Status, program: Program, x: FloatArray | None, limits: Limits
) -> float:
    """Return the lower bound that the search has proven, never rounded up."""
    if status is Status.OPTIMAL and x is not None:
        # A finished search is proven only up to the gaps that CBC was told to leave; the log may
        # know better.
        objective = program.objective(x)
        ratio = _setting(log, "ratioGap", _to_larger(limits.relative_gap))
        left = max(
            _to_objective(ratio) * abs(objective),
            _setting(log, "allowableGap", absolute_gap(limits)),
            _setting(log, "increment", PRIMAL_TOLERANCE),
        )
        return max(objective - left, _logged_bound(log))
    return _logged_bound(log) if status is Status.FEASIBLE_AT_LIMIT else -math.inf


def _setting(log: str, name: str, asked: float) -> float:
    """Return the last value to which a parameter was set, 0 if it was not. The log rounds it to six
    digits; where these are the value that was asked for, that is it."""
    values = re.findall(rf"^{name} was changed from \S+ to (\S+)", log, re.MULTILINE)
    value = max(0.0, _float(values[-1])) if values else 0.0
    return asked if math.isclose(value, asked, rel_tol=1e-5) else value * (1.0 + 1e-5)


def _logged_bound(log: str) -> float:
    printed = re.findall(r"^Lower bound:\s+(\S+)", log, re.MULTILINE)
    if not printed:
        return -math.inf
    bound = _float(printed[-1])
    # That number has three decimals; the line of the search has eight digits.
    searched = [_float(word) for word in re.findall(r"\(best possible (\S+)\)", log)]
    if searched and abs(searched[-1] - bound) <= 6e-4:
        bound = searched[-1] - 1e-7 * abs(searched[-1])
    else:
        bound -= 5e-4
    return bound if abs(bound) < INFINITE else -math.inf


def _float(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        return -math.inf
    return -math.inf if math.isnan(value) else value


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
