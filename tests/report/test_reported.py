"""What is reported of a run: its data, its mistakes, its damage."""

from __future__ import annotations

from pathlib import Path
from shlex import split

import numpy as np
import pytest

from layermilp.cli import main
from layermilp.datasets import load
from layermilp.report import Judged, Reported
from layermilp.report.figures import FIGURES
from layermilp.report.reported import names_of
from tests.report.pages import LAYERWISE, page_of


def test_names_tell_directories_apart() -> None:
    assert names_of(["a/r", "b/r"]) == ["a/r", "b/r"]
    assert names_of(["a/r", "a/s"]) == ["r", "s"]
    assert names_of(["a/r", "a/r"]) == ["r", "r"]


def test_without_its_data_a_run_is_reported_too(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert (
        main(
            ["report", str(runs / "dense"), "--data", str(tmp_path / "gone.csv"), "--out", str(out)]
        )
        == 0
    )
    assert "there is no file" in capsys.readouterr().err
    assert "gone.csv" in page_of(out).text
    assert {path.stem for path in out.glob("*.png")} - {"accuracy"} == LAYERWISE - {
        "confusion",
        "mistakes",
    }


def test_data_of_a_run_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another directory, and with a label column of another name."""
    data = load("digits")
    lines = [",".join([*(f"p{i}" for i in range(64)), "digit"])]
    lines += [
        ",".join(map(str, [*row, label]))
        for row, label in zip(data.X_train[:100], data.y_train[:100], strict=True)
    ]
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    words = split("--net 64-3-10 --batches 1 --epochs 1 --jobs 1 --quiet --out run")
    assert main(["train", "--data", "own.csv", "--label-column", "digit", *words]) == 0
    monkeypatch.chdir(tmp_path / "other")
    assert main(["verify", "../run"]) == 0
    assert main(["report", "../run"]) == 0
    assert (tmp_path / "run" / "report" / "confusion.png").is_file()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("summary.json", "{", "is damaged"),
        ("history.jsonl", "[1]\n", "holds no JSON object"),
        ("history.jsonl", '{"batch": 1}\n', "is damaged"),
        ("model.npz", "nothing", "is damaged"),
    ],
)
def test_damage_is_named_in_one_line(
    name: str,
    content: str,
    words: str,
    runs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for file in ("model.npz", "history.jsonl", "summary.json"):
        (tmp_path / file).write_bytes((runs / "dense" / file).read_bytes())
    (tmp_path / name).write_text(content)
    assert main(["report", str(tmp_path)]) == 2
    error = capsys.readouterr().err.strip()
    assert (
        words in error and "\n" not in error and not (tmp_path / "report" / "report.html").exists()
    )


def test_no_directory_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "summary.json" in capsys.readouterr().err


def test_only_mistakes_are_mistakes(runs: Path) -> None:
    run = Reported.read(runs / "dense", "dense")
    assert run.model is not None
    judged = Judged.of(run.model, load("digits"))
    assert judged.part == "test" and np.all(
        judged.predicted[judged.wrong] != judged.labels[judged.wrong]
    )
    assert len(judged.labels) - judged.wrong.size == round(
        run.summary["test_accuracy"] * len(judged.labels)
    )
    assert len({drawing.key for drawing in FIGURES}) == len(FIGURES)
