"""Where MNIST is looked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layermilp.datasets import catalogue, idx, load, mnist
from layermilp.errors import ChecksumError, DataError
from tests.datasets.sources import NO_NETWORK, REAL_MNIST, pins, write_idx


@pytest.mark.parametrize("name", ["mnist", "auto"])
@pytest.mark.parametrize("compress", [False, True])
def test_other_content_under_mnists_names_is_refused(
    tmp_path: Path, name: str, compress: bool
) -> None:
    directory = write_idx(tmp_path / "d", compress)
    with pytest.raises(ChecksumError, match=f"{idx.TRAIN_IMAGES}.*ba891046e650.*--data DIR"):
        load(name, data_dir=directory)


@pytest.mark.parametrize("name", ["mnist", "auto"])
def test_explicit_directory_must_have_the_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"there is no directory .*nowhere"):
        load(name, data_dir=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"empty has no file {idx.TRAIN_IMAGES}"):
        load(name, data_dir=tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("subfolder", ["", "mnist"])
def test_directory_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subfolder: str
) -> None:
    write_idx(tmp_path / "data" / subfolder)
    monkeypatch.setenv("LAYERMILP_DATA", str(tmp_path / "data"))
    data = mnist.load_mnist(None, None, pinned=pins())
    assert data.source == f"MNIST from {tmp_path / 'data' / subfolder}"
    assert catalogue()[0] == ("mnist", "at hand", str(tmp_path / "data" / subfolder))
    with pytest.raises(ChecksumError):  # what is at hand is looked at before the network
        load("auto", download=NO_NETWORK)


def test_environment_with_only_some_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (write_idx(tmp_path / "data") / idx.TEST_IMAGES).unlink()
    monkeypatch.setenv("LAYERMILP_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError, match=f"data has no file {idx.TEST_IMAGES}"):
        load("auto", download=NO_NETWORK)
    assert catalogue()[0][1] == "not at hand" and idx.TEST_IMAGES in catalogue()[0][2]


def test_files_in_the_cache_are_used(cache: Path) -> None:
    write_idx(cache, compress=True)
    assert mnist.load_mnist(None, None, pinned=pins()).source == f"MNIST from {cache}"
    assert catalogue()[0] == ("mnist", "at hand", str(cache))


def test_mnist_without_files_and_network(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERMILP_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(
        DataError,
        match=r"not at hand.*elsewhere.*no connection.*LAYERMILP_DATA.*--data-dir.*digits",
    ):
        load("mnist", download=NO_NETWORK)
    with pytest.raises(DataError, match="downloads are not wanted"):
        load("mnist", download=None)
    assert not cache.exists()
    assert catalogue()[0] == ("mnist", "not at hand", f"would be downloaded to {cache}")


def test_real_mnist() -> None:
    named = REAL_MNIST
    if not named:
        pytest.skip(
            "REAL MNIST IS NOT TESTED: set LAYERMILP_DATA to a directory that has its four files"
        )
    data = load("mnist", data_dir=named, n_inputs=784)
    assert (
        data.X_train.shape == (60_000, 784)
        and data.X_test is not None
        and data.X_test.shape == (10_000, 784)
    )
    assert np.array_equal(data.classes, np.arange(10)) and data.y_train[:5].tolist() == [
        5,
        0,
        4,
        1,
        9,
    ]
    assert data.X_train.min() == 0.0 and data.X_train.max() == 1.0
    assert load("auto", data_dir=named).name == "mnist"
