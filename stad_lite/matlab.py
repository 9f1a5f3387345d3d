"""Files of MATLAB v5, looked through before they are read: sizes have to fit the bytes that are there."""

from __future__ import annotations

import math
import struct
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

from stad_lite import packed
from stad_lite.errors import FormatError, MissingFileError, StadError

DEEPEST = 32
_COMPRESSED, _MATRIX = 15, 14
_CELL, _STRUCT, _CHARS, _NUMBERS = 1, 2, 4, range(6, 16)


def read(path: str | PathLike[str], **options: Any) -> dict[str, Any]:
    """Return the variables of a MATLAB v5 file; ``options`` are those of ``scipy.io.loadmat``.

    raises: MissingFileError, FormatError
    """
    from scipy.io import loadmat

    path = Path(path)
    if not path.is_file():
        raise MissingFileError("there is no such file", file=path, remedy="check the path")
    try:
        _look_through(path.read_bytes())
        content: dict[str, Any] = loadmat(path, **options)
    except Exception as error:  # scipy raises many kinds for a damaged or a v7.3 file
        problem = error.problem if isinstance(error, StadError) else f"{type(error).__name__}: {error}"
        raise FormatError(
            f"not a readable MATLAB v5 file ({problem})",
            file=path,
            remedy="a v7.3 file has to be saved again as v7",
        ) from None
    return content


def _look_through(data: bytes) -> None:
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise FormatError("its header says so")
    room = packed.limit(len(data))
    at = 128
    while at < len(data):
        kind, content, at = _element(data, at, order)
        if kind == _COMPRESSED:
            part = zlib.decompressobj()
            content = part.decompress(content, room + 1)
            room -= len(content)
            if room < 0:
                raise FormatError(f"it unpacks to more than {packed.limit(len(data))} bytes")
            kind, content, _ = _element(content, 0, order)
        if kind == _MATRIX:
            _check_matrix(content, order, 0)


def _element(data: bytes, at: int, order: str) -> tuple[int, bytes, int]:
    """Kind and content of the element at a place, and the place of the next."""
    kind, size = struct.unpack_from(f"{order}II", data, at)
    if kind >> 16:  # a short one: both numbers in one word, then up to four bytes
        return kind & 0xFFFF, data[at + 4 : at + 4 + min(4, kind >> 16)], at + 8
    if at + 8 + size > len(data):
        raise FormatError("it ends too early")
    end = at + 8 + size
    return kind, data[at + 8 : end], end if kind == _COMPRESSED else end + -size % 8


def _check_matrix(data: bytes, order: str, depth: int) -> None:
    if depth > DEEPEST:
        raise FormatError("it is nested too deeply")
    if not data:  # an empty cell
        return
    _, flags, at = _element(data, 0, order)
    _, sides, at = _element(data, at, order)
    _, _, at = _element(data, at, order)  # the name
    kind = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
    shape = struct.unpack(f"{order}{len(sides) // 4}i", sides)
    cells = math.prod(shape)
    if min(shape, default=0) < 0 or math.prod(side for side in shape if side) > packed.limit(len(data)):
        raise FormatError(f"an array has the shape {shape}")
    if kind in _NUMBERS or kind == _CHARS:
        _, values, _ = _element(data, at, order)
        if len(values) < cells:
            raise FormatError(f"{len(values)} bytes are an array of shape {shape}")
        return
    fields = 1
    if kind == _STRUCT:
        _, width, at = _element(data, at, order)
        _, names, at = _element(data, at, order)
        fields = len(names) // max(1, struct.unpack_from(f"{order}i", width)[0])
    elif kind != _CELL:
        raise FormatError("it holds something else than numbers, text, cells and structures")
    if cells * max(1, fields) * 8 > len(data):
        raise FormatError(f"{len(data)} bytes are an array of shape {shape}")
    for _ in range(cells * fields):
        kind, content, at = _element(data, at, order)
        if kind != _MATRIX:
            raise FormatError("a part is no array")
        _check_matrix(content, order, depth + 1)
