"""What a run writes before its end: little of its time, and nothing that is not so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from layermilp import Layerwise, Run
from layermilp.cli import main
from layermilp.runs import keeping
from layermilp.runs.callbacks import Callback, RunView
from layermilp.runs.directory import read_history

METHOD = Layerwise(net="64-4-10", batches=5, batch_size=20, epochs=1)


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_work_takes_no_more_than_its_share(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(keeping, "time", clock)
    ration, spent = keeping._Ration(share), [0.0]

    def work() -> None:
        seconds = 0.1 + 0.01 * len(spent)  # a history grows
        clock.now += seconds
        spent.append(seconds)

    while clock.now < 1000.0:
        if ration.is_due:
            ration.spend(work)
        clock.now += 0.05
    assert len(spent) > 10
    assert sum(spent[:-1]) <= share * clock.now <= 2.0 * sum(spent)


class Killed(Callback):
    """Keeps a directory as a run leaves it that is killed in its fourth batch."""

    def __init__(self, directory: Path, copy: Path) -> None:
        self.directory, self.copy = directory, copy

    def on_state(self, run: RunView) -> None:
        if len(run.states[0].records) == 4 and not self.copy.exists():
            shutil.copytree(self.directory, self.copy)


def test_a_killed_run_leaves_a_summary_of_the_batch_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MOST_SHARE_OF_FILES", 1e-9)  # once, and again at the end
    evaluations, results = [], Layerwise.results

    def counted(method: Layerwise, *arguments: Any) -> dict[str, Any]:
        evaluations.append(method)
        return results(method, *arguments)

    monkeypatch.setattr(Layerwise, "results", counted)
    out, killed = tmp_path / "out", tmp_path / "killed"
    method = Layerwise.of(METHOD, max_sweeps=1, postprocess="none")
    run = Run(method, "digits", out, [Killed(out, killed)], n_jobs=1).follow()
    assert len(evaluations) == 2 and run.report() and len(evaluations) == 2
    summary = json.loads((killed / "summary.json").read_text())
    assert (summary["batches_done"], summary["sweeps"], summary["interrupted"]) == (1, 1, True)
    assert [record["batch"] for record in read_history(killed)] == [1]
    assert summary["train_accuracy"] != run.summary()["train_accuracy"]
    assert main(["verify", str(killed)]) == 0 == main(["verify", str(out)])
    assert run.summary()["batches_done"] == 5 and len(evaluations) == 2


def test_every_state_is_written_where_time_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MOST_SHARE_OF_FILES", float("inf"))
    out, found = tmp_path / "out", []

    class Reader(Callback):
        def on_state(self, run: RunView) -> None:
            if (out / "summary.json").exists():
                found.append(json.loads((out / "summary.json").read_text())["batches_done"])

    Run(Layerwise.of(METHOD, max_sweeps=1), "digits", out, [Reader()], n_jobs=1).follow()
    assert sorted(set(found)) == [1, 2, 3, 4]
