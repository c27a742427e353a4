"""Sources by name, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from layermilp.datasets import catalogue, load, remote
from layermilp.errors import DataError
from tests.datasets.sources import NO_NETWORK, REFUSING, SAMPLES, Y, write_idx, write_npz


@pytest.mark.parametrize("n_inputs", [None, 784])
def test_auto_without_mnist_says_so(n_inputs: int | None) -> None:
    data = load("auto", n_inputs=n_inputs, download=NO_NETWORK)
    assert data.name == ("digits (28 x 28)" if n_inputs else "digits")
    assert "INSTEAD OF MNIST" in data.source and REFUSING in data.source


def test_auto_for_another_number_of_inputs_never_asks_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("no download was wanted")

    monkeypatch.setattr(remote, "fetch", refuse)
    data = load("auto", n_inputs=64)
    assert data.name == "digits" and "MNIST has 784 inputs" in data.source
    with pytest.raises(DataError, match="wants 10 inputs, but digits has 64"):
        load("auto", n_inputs=10)
    with pytest.raises(DataError, match="the network wants 10 inputs, but mnist has 784"):
        load("mnist", n_inputs=10)


def test_import_loads_no_heavy_package() -> None:
    script = "import layermilp.datasets.loading, sys; print(*sys.modules)"
    package = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    without = subprocess.run(
        [sys.executable, "-c", "import layermilp, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not (set(package) - set(without)) & {"sklearn", "scipy", "pooch", "requests"}


def test_unknown_names_are_told_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"unknown data 'minst'; use auto, mnist, adult, digits, a \.csv or \.npz file",
    ):
        load("minst")
    with pytest.raises(DataError, match=r"there is no file .*absent\.csv"):
        load(tmp_path / "absent.csv")
    (tmp_path / "data.txt").write_text("x,label\n1,2\n")
    with pytest.raises(DataError, match="unknown data"):
        load(tmp_path / "data.txt")


def test_number_of_inputs_must_fit(tmp_path: Path) -> None:
    path = write_npz(tmp_path, X=SAMPLES, y=Y)
    assert load(path, n_inputs=3).n_inputs == 3
    with pytest.raises(DataError, match=r"the network wants 10 inputs, but arrays\.npz has 3"):
        load(path, n_inputs=10)
    with pytest.raises(DataError, match=r"wants 10 inputs, but digits has 64 \(or 784"):
        load("digits", n_inputs=10)


def test_catalogue(tmp_path: Path) -> None:
    names = [row[0] for row in catalogue()]
    assert names == ["mnist", "adult", "digits"]
    assert catalogue(tmp_path / "nowhere")[0][1:] == (
        "not at hand",
        f"there is no directory {tmp_path / 'nowhere'}",
    )
    assert catalogue(write_idx(tmp_path / "d"))[0] == ("mnist", "at hand", str(tmp_path / "d"))
