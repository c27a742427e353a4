"""The command ``verify``: claims that hold, and claims that do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from layermilp.cli import main
from tests.cli.commands import QUICK


@pytest.mark.parametrize("name", QUICK)
def test_what_a_run_claims_holds(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["train", *QUICK[name], "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    capsys.readouterr()
    assert main(["verify", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "all claims hold" in printed
    claims = [
        key
        for key in summary
        if key.endswith("accuracy") and key not in ("start_accuracy", "stop_accuracy")
    ]
    assert len(claims) >= 2 and all(f"{claim} " in printed for claim in claims)


def test_what_does_not_hold_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", *QUICK["dense"], "--out", str(out)]) == 0
    path = out / "summary.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps(summary | {"test_accuracy": summary["test_accuracy"] + 0.01}))
    capsys.readouterr()
    assert main(["verify", str(out / "model.npz"), "--data", "digits"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith(": differs")] == ["test_accuracy"]
    assert lines[-1] == "1 of 4 claims do not hold"
    for content, words in (
        ("{", "is damaged"),
        ("[]", "holds no JSON object"),
        ("{}", "is not the summary of"),
    ):
        path.write_text(content)
        assert main(["verify", str(out), "--data", "digits"]) == 2
        assert words in capsys.readouterr().err
    path.unlink()
    assert main(["verify", str(out)]) == 2
    assert "give the directory of a run" in capsys.readouterr().err
