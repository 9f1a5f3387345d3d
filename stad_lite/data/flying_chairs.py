"""Pairs of FlyingChairs: chairs that fly over photographs, with exact flow."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

import numpy as np

from stad_lite import packed
from stad_lite.data.flow import read_flo
from stad_lite.data.location import find_data
from stad_lite.errors import FormatError, MissingFileError

MISSING = "the FlyingChairs pairs are not here (no flow/): set STAD_DATA to the folder of the data sets"


def read_pairs() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the pairs below the data root by number: both frames and the flow from one to the other.

    returns: number -> (h, w, 3) uint8 RGB twice, (h, w, 2) float32 pixels
    raises: MissingFileError where none are here, FormatError for another kind of file
    """
    folder = find_data("flow")
    if folder is None:
        raise MissingFileError(MISSING)
    found = {}
    for path in sorted(folder.glob("flyingchairs_*_flow.flo.gz")):
        number = path.name.split("_")[1]
        first, second = (read_ppm(folder / f"flyingchairs_{number}_img{which}.ppm.gz") for which in (1, 2))
        found[number] = first, second, read_flo(path)
    return found


def read_ppm(path: str | PathLike[str]) -> np.ndarray:
    """Return a gzipped binary PPM of 8 bits as (h, w, 3) uint8.

    raises: MissingFileError, FormatError
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("there is no such picture", file=path, remedy="check the path")
    data = packed.gunzip(path.read_bytes(), path)
    head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
    if head is None:
        raise FormatError("not a binary PPM of 8 bits", file=path)
    width, height = map(int, head.groups())
    if len(data) != head.end() + height * width * 3:
        raise FormatError(f"not as many bytes as {width} x {height} pixels have", file=path)
    return np.frombuffer(data, np.uint8, offset=head.end()).reshape(height, width, 3)
