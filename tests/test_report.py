"""The command ``report``: one page that needs no other file, and its figures."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layermilp import Network
from layermilp.cli import main
from layermilp.datasets import load
from layermilp.report import Judged, Reported
from layermilp.report.figures import FIGURES
from layermilp.report.reported import names_of

QUIET = ["--data", "digits", "--quiet"]
RUNS = {
    "dense": [
        "--net",
        "64-4-10",
        "--batches",
        "2",
        "--epochs",
        "2",
        "--max-sweeps",
        "2",
        "--jobs",
        "1",
    ],
    "conv": [
        "--net",
        "8x8-mean2-conv2-10",
        "--init",
        "positive",
        "--batches",
        "1",
        "--epochs",
        "1",
        "--jobs",
        "1",
    ],
    "committee": [
        "--net",
        "64-4-10",
        "--batches",
        "2",
        "--epochs",
        "1",
        "--committee",
        "2",
        "--jobs",
        "1",
    ],
    "integer": ["--method", "integer", "--samples", "60", "--hidden", "3", "--jobs", "1"],
    "hybrid": ["--method", "hybrid", "--samples", "80", "--rounds", "1", "--epochs", "2"],
    "smt": ["--method", "smt", "--samples", "50", "--net", "64-8-10"],
}
LAYERWISE = {"sweeps", "batches", "seconds", "endings", "gaps", "confusion", "weights", "mistakes"}
FIGURES_OF = {
    "dense": LAYERWISE,
    "conv": LAYERWISE,
    "committee": LAYERWISE,
    "integer": {"objective", "confusion", "weights", "mistakes"},
    "hybrid": {"validation", "seconds", "confusion", "weights", "mistakes"},
    "smt": {"seconds", "confusion", "weights", "mistakes"},
}


class Page(HTMLParser):
    """Tags that are open, addresses, images, and the text of tables."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.images: list[tuple[str, bytes]] = []
        self.rows: list[list[str]] = []
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)
        self.addresses += [
            value for name, value in found.items() if name in ("src", "href") and value
        ]
        if tag == "img":
            assert found["alt"]
            self.images.append(
                (str(found["alt"]), base64.b64decode(str(found["src"]).partition("base64,")[2]))
            )
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a run of every kind."""
    folder = tmp_path_factory.mktemp("runs")
    for name, words in RUNS.items():
        assert main(["train", *words, *QUIET, "--out", str(folder / name)]) == 0
    return folder


def page_of(folder: Path) -> Page:
    page = Page(folder / "report.html")
    assert not page.open
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
    return page


@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_its_figures_on_one_page(
    name: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(runs / name)]) == 0
    out = runs / name / "report"
    assert str(out / "report.html") in capsys.readouterr().out
    page = page_of(out)
    figures = {path.stem for path in out.glob("*.png")}
    assert figures - {"accuracy"} == FIGURES_OF[name]
    assert len(page.images) == len(figures)
    for _, content in page.images:
        image = Image.open(io.BytesIO(content))
        image.load()
        assert image.width > 200 and len(np.unique(np.asarray(image.convert("L")))) > 5
    summary = json.loads((runs / name / "summary.json").read_text())
    cells = {row[0]: row[1] for row in page.rows}
    assert cells["test accuracy"] == f"{summary['test_accuracy']:.4f}"
    assert cells["net"] == summary["net"] and cells["seed"] == "0"


def test_several_runs_stand_side_by_side(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *(str(runs / name) for name in RUNS)]) == 0
    page = page_of(tmp_path / "report")
    assert page.rows[0] == ["", *RUNS]
    assert all(len(row) == 1 + len(RUNS) for row in page.rows)
    assert sum(alt.startswith("Confusion of") for alt, _ in page.images) == len(RUNS)
    assert next(alt for alt, _ in page.images) == "accuracy over seconds of training"
    assert re.search(r'<a href="#gaps">', page.text) and "batch_size" in page.text


def test_names_tell_directories_apart() -> None:
    assert names_of(["a/r", "b/r"]) == ["a/r", "b/r"]
    assert names_of(["a/r", "a/s"]) == ["r", "s"]
    assert names_of(["a/r", "a/r"]) == ["r", "r"]


def test_what_a_file_says_stays_text(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "<b>&"
    folder.mkdir()
    for name in ("model.npz", "history.jsonl"):
        (folder / name).write_bytes((runs / "dense" / name).read_bytes())
    summary = json.loads((runs / "dense" / "summary.json").read_text())
    (folder / "summary.json").write_text(
        json.dumps(summary | {"init": "<script>alert(1)</script>"})
    )
    assert main(["report", str(folder), "--out", str(tmp_path / "out")]) == 0
    page = page_of(tmp_path / "out")
    assert "<script" not in page.text and "<b>" not in page.text
    assert ["init", "<script>alert(1)</script>"] in page.rows


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
    words = [
        "--net",
        "64-3-10",
        "--batches",
        "1",
        "--epochs",
        "1",
        "--jobs",
        "1",
        "--quiet",
        "--out",
        "run",
    ]
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


def test_kernels_and_images_are_what_the_network_has(runs: Path) -> None:
    """A convolution shows its kernel, a dense layer an image per neuron; other inputs a matrix."""
    from layermilp.report.images import weight_images

    conv, dense = (Reported.read(runs / name, name) for name in ("conv", "dense"))
    ((title, kernel),) = weight_images(conv)
    assert isinstance(conv.model, Network) and title == "kernel"
    np.testing.assert_array_equal(kernel.ravel(), conv.model.blocks[1].theta)
    images = list(weight_images(dense))
    assert isinstance(dense.model, Network) and len(images) == 4
    np.testing.assert_array_equal(images[2][1].ravel(), dense.model.blocks[0].weights[2])
    plain = Reported("plain", {}, [], Network.dense([5, 3, 2]))
    ((title, matrix),) = weight_images(plain)
    assert title == "" and matrix.shape == (3, 5)


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
