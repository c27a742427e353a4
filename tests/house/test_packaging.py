"""The distributions: built, installed elsewhere, and run from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from shlex import split

import pytest

from tests.common import PATIENCE, ROOT


def run(*words: str, cwd: Path, path: Path | None = None) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": str(path or ""),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=cwd,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    # A copy, since building leaves files behind.
    tracked = (
        "layermilp",
        "tests",
        "bench",
        "docs",
        "data",
        "setup.cfg",
        "pyproject.toml",
        "MANIFEST.in",
        "README.md",
    )
    others = ("LICENSE", "CHANGELOG.md", "PERFORMANCE.md")
    source = folder / "source"
    source.mkdir()
    names = [name for name in (*tracked, *others) if (ROOT / name).exists()]
    pipe = subprocess.run(
        ["tar", "-c", "--exclude=__pycache__", *names], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x"], cwd=source, input=pipe.stdout, check=True)
    run(
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(source),
        cwd=folder,
    )
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "layermilp").rglob("*.py")}
    assert package <= set(names)
    assert {"layermilp/py.typed", "layermilp/report/report.html.jinja"} <= set(names)
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"layermilp"}
    assert any(name.endswith("LICENSE") for name in names)


def test_the_source_distribution_holds_tests_benches_and_docs(distributions: Path) -> None:
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    for part in (
        "tests/cli/test_train.py",
        "tests/conformance/test_solvers.py",
        "bench/README.md",
        "docs/index.md",
        "CHANGELOG.md",
    ):
        assert part in names
    assert not any(name.endswith((".pyc", ".gz")) for name in names)


def test_the_wheel_runs_where_there_is_no_checkout(distributions: Path, tmp_path: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    target, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    run(
        sys.executable,
        *split("-m pip install --quiet --no-deps --target"),
        str(target),
        str(wheel),
        cwd=work,
    )
    where = run(
        sys.executable, "-c", "import layermilp; print(layermilp.__file__)", cwd=work, path=target
    )
    assert Path(where.strip()).is_relative_to(target)
    script = target / "bin" / "layermilp"
    version = run(sys.executable, str(script), "--version", cwd=work, path=target)
    assert version.startswith("layermilp ")
    train = split("train --net 64-3-10 --batches 1 --epochs 1 --data digits --jobs 2 --quiet")
    run(sys.executable, str(script), *train, "--out", "run", cwd=work, path=target)
    run(sys.executable, str(script), "verify", "run", cwd=work, path=target)
    run(sys.executable, str(script), "report", "run", cwd=work, path=target)
    assert json.loads((work / "run" / "summary.json").read_text())["layermilp_version"] in version
    assert (work / "run" / "report" / "report.html").stat().st_size > 10_000
