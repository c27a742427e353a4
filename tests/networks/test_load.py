"""Files of either kind of model, told apart and refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layermilp.errors import ModelFileError
from layermilp.networks.committee import Committee
from layermilp.networks.load import load_model
from layermilp.networks.network import Network
from tests.networks.committees import arrays_of, small_committee


def test_load_model_reads_either(tmp_path: Path) -> None:
    network = Network.dense([3, 2])
    assert isinstance(load_model(network.save(tmp_path / "network.npz")), Network)
    assert isinstance(
        load_model(str(Committee([network]).save(tmp_path / "committee.npz"))), Committee
    )


def test_the_wrong_kind_is_named(tmp_path: Path) -> None:
    network = Network.dense([3, 2])
    path = Committee([network]).save(tmp_path / "model.npz")
    with pytest.raises(
        ModelFileError,
        match=r"model\.npz holds a committee, not a network; load_model reads every kind",
    ):
        Network.load(path)
    network.save(path)
    with pytest.raises(
        ModelFileError,
        match=r"model\.npz holds a network, not a committee; load_model reads every kind",
    ):
        Committee.load(path)


@pytest.mark.parametrize("load", [Committee.load, load_model])
def test_missing_and_foreign_files_are_refused(load: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    with pytest.raises(ModelFileError, match=r"there is no model file .*model\.npz"):
        load(path)
    array = io.BytesIO()
    np.save(array, np.arange(3))
    whole = small_committee().save(tmp_path / "whole.npz").read_bytes()
    for content in (b"", b"PK", b"hello", array.getvalue(), whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"model\.npz is damaged or not a layermilp model"):
            load(path)
    for arrays in ({}, {"format": np.array("other")}, {"format": np.eye(2)}):
        np.savez(path, **arrays)
        with pytest.raises(ModelFileError, match=r"model\.npz is not a layermilp model"):
            load(path)


@pytest.mark.parametrize("version", [3, 0, "1", [1, 1]])
def test_other_versions_are_named(version: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", **{**arrays_of(tmp_path), "version": np.array(version)})
    for load in (Committee.load, load_model):
        with pytest.raises(
            ModelFileError, match=r"model\.npz has format version .*; this layermilp reads 1, 2$"
        ):
            load(tmp_path / "model.npz")


def test_pickles_are_never_executed(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "model.npz", **{**arrays_of(tmp_path), "extra": np.array([{}], dtype=object)}
    )
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "model.npz")
