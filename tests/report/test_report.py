"""The command ``report``: one page that needs no other file, and its figures."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layermilp.cli import main
from tests.cli.commands import QUICK
from tests.report.pages import LAYERWISE, page_of

FIGURES_OF = {
    "dense": LAYERWISE,
    "conv": LAYERWISE,
    "committee": LAYERWISE,
    "bcd": {"objective", "confusion", "weights", "mistakes"},
    "integer": {"objective", "confusion", "weights", "mistakes"},
    "hybrid": {"validation", "seconds", "confusion", "weights", "mistakes"},
    "smt": {"seconds", "confusion", "weights", "mistakes"},
}


@pytest.mark.parametrize("name", QUICK)
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
    assert main(["report", *(str(runs / name) for name in QUICK)]) == 0
    page = page_of(tmp_path / "report")
    assert page.rows[0] == ["", *QUICK]
    assert all(len(row) == 1 + len(QUICK) for row in page.rows)
    assert sum(alt.startswith("Confusion of") for alt, _ in page.images) == len(QUICK)
    assert next(alt for alt, _ in page.images) == "accuracy over seconds of training"
    assert re.search(r'<a href="#gaps">', page.text) and "batch_size" in page.text


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
