"""Runs of the library: any method, committees, trials, limits, callbacks, from a few lines."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import layermilp
from layermilp import BCD, SMT, Committee, Hybrid, Integer, Layerwise, Run, load_model
from layermilp.datasets import load
from layermilp.datasets.dataset import from_arrays
from layermilp.errors import DataError, ModelFileError, OptionError, SharedSamplesWarning
from layermilp.method import Method
from layermilp.runs.callbacks import Callback, RunView

METHODS: dict[str, Method] = {
    "layerwise": Layerwise(net="64-4-2", batches=2, batch_size=50, epochs=2),
    "bcd": BCD(net="64-4-2", samples=200, sweeps=6, seed=4),
    "integer": Integer(hidden=(3,), bound=3, samples=60, node_limit=10),
    "hybrid": Hybrid(hidden=(8,), samples=200, rounds=2, epochs=3),
    "smt": SMT(net="64-40-2", samples=40, time_limit=None),
}


@pytest.fixture(scope="module")
def arrays() -> tuple[np.ndarray, ...]:
    """Digits as black and white images, odd or even, in a training and a test part."""
    data = load("digits")
    X_test, y_test = data.X_test, data.y_test
    assert X_test is not None and y_test is not None
    return (
        (data.X_train > 0.5).astype(float),
        data.y_train % 2,
        (X_test > 0.5).astype(float),
        y_test % 2,
    )


class Told(Callback):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.hooks: list[str] = []
        self.shown: list[str] = []

    def on_begin(self, run: RunView) -> None:
        self.hooks.append("begin")

    def on_state(self, run: RunView) -> None:
        assert run.states
        self.hooks.append("state")

    def on_end(self, run: RunView) -> None:
        self.hooks.append("end")

    def show(self, text: str, share: float = 0.0) -> None:
        self.shown.append(text)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_a_committee_that_goes_on_from_its_checkpoint(
    name: str, arrays: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    told = Told()
    run = Run(METHODS[name], arrays, tmp_path / "run", [told], committee=3).follow()
    assert run.is_over and isinstance(run.model, Committee) and len(run.model.networks) == 3
    assert told.hooks == ["begin", *["state"] * 3, "end"] and told.shown
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["method"], summary["committee"], summary["members_done"]) == (name, 3, 3)
    assert not summary["interrupted"] and summary["net"].startswith("3 x ")
    accuracy = run.model.accuracy(arrays[2], arrays[3])
    assert summary["test_accuracy"] == accuracy > 0.5
    again = load_model(tmp_path / "run" / "model.npz")
    assert (again.predict(arrays[2]) == run.model.predict(arrays[2])).all()
    lines = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert {json.loads(line)["member"] for line in lines} == {1, 2, 3}
    members = [network.arrays() for network in run.model.networks]
    assert any((members[0][key] != members[1][key]).any() for key in members[0])
    resumed = Run.resume(tmp_path / "run", data=arrays).follow()
    assert isinstance(resumed.model, Committee) and len(resumed.states) == 3


@pytest.mark.parametrize("samples", [99, 100, 149])
def test_members_that_share_samples_say_so(samples: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.random((samples, 4)), rng.integers(2, size=samples)
    method = Layerwise(net="4-2-2", batches=2, batch_size=25, epochs=1, max_sweeps=1)
    run = Run(method, (X, y), tmp_path / "run", committee=2, n_jobs=1)
    if samples >= 100:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run.follow()
        assert "shared" not in run.report()
    else:
        words = (
            "all 2 members share 1 of their 50 samples with others, since there are only 99; it "
            "takes at most 49 samples a member (batches times batch size) or 100 training samples "
            "to share none"
        )
        with pytest.warns(SharedSamplesWarning) as caught:
            run.follow()
        assert [str(each.message) for each in caught] == [words]
        assert caught[0].filename == __file__
        assert f"shared samples  {words}" in run.report().splitlines()
    counts = json.loads((tmp_path / "run" / "summary.json").read_text())["shared_samples"]
    assert counts == [1, 1] if samples == 99 else counts == [0, 0]


@pytest.mark.parametrize("name", ["bcd", "integer", "hybrid", "smt"])
def test_members_draw_different_samples_while_there_are_enough(
    name: str, arrays: tuple[np.ndarray, ...]
) -> None:
    method, data = METHODS[name], from_arrays(*arrays)
    size, n = method.values()["samples"], len(arrays[0])
    parts = [method.member(number).used(data) for number in range(n // size + 1)]
    assert np.unique(np.concatenate(parts[:-1])).size == size * (n // size)
    assert all(np.unique(part).size == size for part in parts)
    assert parts[0].tolist() == method.used(data).tolist()
    sharing = Run(method, data, committee=len(parts)).sharing
    assert sharing.counts[-1] >= size - n % size and sharing.n_samples == n


@pytest.mark.parametrize("name", METHODS)
def test_trials_choose_among_initializations(name: str, arrays: tuple[np.ndarray, ...]) -> None:
    run = Run(METHODS[name], arrays, init_trials=3, n_jobs=1).follow()
    (scores,) = run.scores
    assert len(scores) == 3 and run.model is not None
    alone = Run(METHODS[name], arrays, n_jobs=1).follow()
    assert alone.scores == [] and alone.model is not None


@pytest.mark.parametrize("name", [name for name in METHODS if name != "smt"])
def test_a_run_ends_at_its_limit_and_goes_on_later(
    name: str, arrays: tuple[np.ndarray, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Run(METHODS[name], arrays, n_jobs=1).follow()
    look, looks = Run._check_time, 0

    def late(run: Run) -> None:
        nonlocal looks
        looks += 1
        if run.states and looks > 3:
            run._end -= 1000.0
        look(run)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_check_time", late)
        run = Run(METHODS[name], arrays, tmp_path / "run", max_seconds=900.0, n_jobs=1).follow()
    assert run.is_out_of_time and not run.is_over
    assert "stopped by its limit" in run.report()
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["interrupted"]
    later = Run.resume(tmp_path / "run", data=arrays, n_jobs=1).follow()
    assert later.is_over and later.model is not None and whole.model is not None
    found, expected = later.model.arrays(), whole.model.arrays()
    assert found.keys() == expected.keys()
    assert all((found[key] == expected[key]).all() for key in found)


@pytest.mark.parametrize("name", ["bcd", "integer", "hybrid"])
@pytest.mark.parametrize("trials", [1, 4])
def test_a_run_with_trials_goes_on_with_the_one_that_was_chosen(
    name: str, trials: int, arrays: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    """The best of the trials is not the first, and samples are those of the run, not of a trial."""
    method = METHODS[name]
    if name == "integer":
        method = Integer(hidden=(3,), bound=1, samples=60, node_limit=10, stop_accuracy=1.0)
    whole = Run(method, arrays, n_jobs=1, init_trials=trials).follow()
    run = Run(method, arrays, tmp_path / "run", [Stopping()], n_jobs=1, init_trials=trials)
    run.follow()
    assert not run.is_over
    later = Run.resume(tmp_path / "run", data=arrays, n_jobs=1).follow()
    assert later.is_over and later.scores == whole.scores
    if trials > 1:
        assert int(np.argmax(whole.scores[0])) > 0
    assert later.model is not None and whole.model is not None
    found, expected = later.model.arrays(), whole.model.arrays()
    assert all((found[key] == expected[key]).all() for key in expected)
    seen = method.prepared(whole.dataset)  # by the seed of the run
    accuracy = "train_accuracy" if name == "integer" else "seen_accuracy"
    assert whole.summary()[accuracy] == whole.model.accuracy(seen.X_train, seen.y_train)
    if name == "integer":
        assert whole.states[0].score == whole.summary()[accuracy]


class Stopping(Callback):
    """Stops a run after its first state."""

    def on_state(self, run: RunView) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("options", [{"batches": np.int64(2)}, {"proximity": np.float32(0.5)}])
def test_numbers_of_numpy_are_options_too(
    options: dict[str, Any], arrays: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    method = Layerwise(**{"net": "64-2", "batches": 2, "batch_size": 20, "epochs": 1, **options})
    assert type(method.batches) is int and type(method.proximity) in (float, type(None))
    Run(method, arrays, tmp_path / "run", n_jobs=1).follow()
    assert Run.resume(tmp_path / "run", data=arrays, n_jobs=1).follow().is_over


def test_a_committee_of_runs_without_a_round_is_refused(arrays: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(OptionError, match="rounds is 0"):
        Run(Hybrid(rounds=0), arrays, committee=2).follow()


def test_data_are_named_or_given(arrays: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    method = Layerwise(net="64-10", batches=1, epochs=1)
    run = Run(method, "digits", tmp_path / "named", n_jobs=1).follow()
    assert run.summary()["data_options"]["data"] == "digits"
    assert Run.resume(tmp_path / "named").follow().is_over
    Run(METHODS["layerwise"], arrays[:2], tmp_path / "given", n_jobs=1).follow()
    with pytest.raises(ModelFileError, match="was trained on arrays; give them again"):
        Run.resume(tmp_path / "given")
    with pytest.raises(ModelFileError, match="other options or data"):
        Run.resume(tmp_path / "given", data=(arrays[0], 1 - arrays[1])).follow()
    with pytest.raises(DataError, match="test data need both"):
        Run(method, (*arrays[:3], None)).follow()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"committee": 0}, "committee is 0"),
        ({"init_trials": 0}, "init_trials is 0"),
        ({"max_seconds": 0.0}, "max_seconds is 0"),
        ({"n_jobs": 0}, "n_jobs is 0"),
        ({"backend": "threads"}, "backend 'threads' is unknown"),
    ],
)
def test_options_of_a_run_are_checked(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Run(Layerwise(), "digits", **changes)


def test_the_package_has_the_names_that_are_spoken_of() -> None:
    for name in layermilp.__all__:
        assert getattr(layermilp, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trainn'"):
        _ = layermilp.trainn
