"""The data of Adult, encoded by its training part."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from layermilp.datasets import adult, load, remote
from layermilp.errors import ChecksumError, DataError
from tests.datasets.sources import NO_NETWORK, REAL_MNIST, Server, download

ROWS = (
    "39, State-gov, 100, Bachelors, 13, Never-married, Sales, Not-in-family, White, Male, 0, 0, "
    "40, Cuba, <=50K",
    "50, ?, 300, HS-grad, 9, Divorced, Sales, Husband, White, Female, 10, 0, 20, ?, >50K",
    "20, Private, 200, HS-grad, 9, Divorced, Sales, Husband, Black, Male, 5, 50, 60, Cuba, <=50K",
)
TEST_ROWS = (
    "60, Private, 200, Masters, 9, Divorced, Sales, Husband, Black, Male, 5, 0, 60, Cuba, >50K.",
    "30, ?, 50, HS-grad, 13, Divorced, Sales, Husband, White, Male, 0, 0, 40, Cuba, <=50K.",
)


def write_adult(directory: Path, comment: bool = True) -> dict[str, remote.PinnedFile]:
    """Write small files of Adult's kind; return what pins them."""
    directory.mkdir(parents=True, exist_ok=True)
    pinned = {}
    for name, rows in ((adult.TRAIN, ROWS), (adult.TEST, TEST_ROWS)):
        content = ("\n".join(rows) + "\n\n").encode()
        whole = (b"|1x3 Cross validator\n" if comment and name == adult.TEST else b"") + content
        (directory / name).write_bytes(whole)
        pinned[name] = remote.PinnedFile(
            hashlib.sha256(whole).hexdigest(), hashlib.sha256(content).hexdigest()
        )
    return pinned


@pytest.mark.parametrize("comment", [True, False])
def test_adult_is_encoded_by_its_training_part(tmp_path: Path, comment: bool) -> None:
    pinned = write_adult(tmp_path / "adult", comment)
    data = adult.load_adult(tmp_path, None, pinned=pinned)
    assert data.classes.tolist() == ["<=50K", ">50K"] and data.y_train.tolist() == [0, 1, 0]
    assert data.X_test is not None and data.y_test is not None and data.y_test.tolist() == [1, 0]
    # Six numeric inputs, then 3, 2, 2, 1, 2, 2, 2 and 2 values.
    assert data.X_train.shape == (3, 6 + 16) and data.X_test.shape == (2, 22)
    np.testing.assert_allclose(data.X_train[:, 0], [19 / 30, 1.0, 0.0])
    np.testing.assert_allclose(data.X_test[:, 0], [1.0, 1 / 3])  # 60 is beyond the range
    assert data.X_test[1, 1] == 0.0  # and so is 50
    np.testing.assert_array_equal(data.X_train[:, 6:].sum(axis=1), [8, 8, 8])
    np.testing.assert_array_equal(
        data.X_test[:, 6:].sum(axis=1), [7, 8]
    )  # the first has a degree that no one had


def test_adult_that_is_something_else_is_refused(tmp_path: Path) -> None:
    write_adult(tmp_path)
    with pytest.raises(ChecksumError, match=r"adult\.data is not the file of Adult"):
        load("adult", data_dir=tmp_path)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"nothing has no file adult\.data, nor .*: adult\.test"):
        load("adult", data_dir=tmp_path / "nothing")
    with pytest.raises(
        remote.Unavailable, match=r"Adult is not at hand .* and could not be downloaded"
    ):
        load("adult", download=NO_NETWORK)


def test_adult_is_downloaded(tmp_path: Path, cache: Path, server: Server) -> None:
    pinned = write_adult(tmp_path / "served")
    server.files = {f"/{path.name}": path.read_bytes() for path in (tmp_path / "served").iterdir()}
    data = adult.load_adult(None, download(server.url), None, pinned)
    assert data.source.endswith("(downloaded now)") and len(data.X_train) == 3
    assert (
        adult.load_adult(None, None, pinned=pinned).source == f"Adult from {cache.parent / 'adult'}"
    )


@pytest.mark.skipif(
    not REAL_MNIST,
    reason="THE REAL ADULT IS NOT TESTED: set LAYERMILP_DATA to a directory that has its files",
)
def test_the_real_adult_loads() -> None:
    assert REAL_MNIST is not None
    if not (Path(REAL_MNIST) / "adult").is_dir():
        pytest.skip("THE REAL ADULT IS NOT TESTED: there is no subfolder adult in LAYERMILP_DATA")
    data = load("adult", data_dir=REAL_MNIST)
    assert (
        data.X_train.shape == (32_561, 108)
        and data.X_test is not None
        and data.X_test.shape == (16_281, 108)
    )
