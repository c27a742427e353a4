"""Arrays from untrusted ``.npz`` archives: no pickle, and no more memory than the machine has."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from layermilp.checks import memory_bytes

BYTES_PER_NUMBER = 8
"""Bytes of a float64, which the numbers of arrays become."""

SHARE = 0.5
"""Largest share of the memory that the arrays of one file may take."""

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""Readers of the header of an array, by the version of its format; later ones are for fields, which
no array here has."""


class ArchiveError(ValueError):
    """An archive whose content is refused; the message says why."""


def read_arrays(
    path: Path, is_wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive by their names; those that are not wanted are empty.

    The sizes that the archive and the headers of its arrays claim are compared with each other and
    with the memory before anything is unpacked: a few kilobytes may claim to be any number of
    gigabytes.

    Raises
    ------
    ArchiveError
        If the archive holds pickled objects, something that is no array, or more than fits into the
        memory. On damaged bytes zipfile, zlib and numpy raise a dozen other types.
    """
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        wanted = {name: info for name, info in members.items() if is_wanted(name)}
        room = int(SHARE * memory_bytes())
        for name, info in wanted.items():
            with archive.open(info) as member:
                room -= _claimed(name, member, info.file_size)
            if room < 0:
                raise ArchiveError(
                    f"its arrays, up to {name!r}, claim more than {SHARE:.0%} of the memory of "
                    "this machine"
                )
        arrays = dict.fromkeys(members, np.empty(0))
        for name, info in wanted.items():
            with archive.open(info) as member:
                arrays[name] = npy.read_array(member, allow_pickle=False)
        return arrays


def _claimed(name: str, member: BinaryIO | Any, size: int) -> int:
    """Return the bytes of memory that an array of a member with this size claims to need."""
    try:
        read = HEADERS[npy.read_magic(member)]
    except (KeyError, ValueError):
        raise ArchiveError(f"its member {name!r} is no numpy array of a known version") from None
    shape, _, dtype = read(member)
    if dtype.hasobject:
        raise ArchiveError(f"its member {name!r} holds pickled objects, which are never read")
    count = math.prod(shape)
    if count * dtype.itemsize != size - member.tell() or (count and not dtype.itemsize):
        raise ArchiveError(
            f"its member {name!r} claims the shape {shape}, which is not what it holds"
        )
    return math.prod(max(side, 1) for side in shape) * max(dtype.itemsize, BYTES_PER_NUMBER)
