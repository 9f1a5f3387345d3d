"""Packed files (gzip, zip of arrays) unpacked within bounds: memory follows the data, not a number in it."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from os import PathLike
from pathlib import Path

import numpy as np

from stad_lite.errors import FormatError, MissingFileError, TruncatedFileError

ALWAYS = 1 << 24
"""Bytes that any packed file may unpack to."""
RATIO = 50
"""Bytes that may come of a packed one beyond that: JSON gives 5 to 20, blanks a thousand."""
_HEADER = 1 << 16
_TOO_MUCH = "check where the file comes from; if it is sound, unpack it first"


def limit(packed: int) -> int:
    """Return how many bytes may come of so many packed ones."""
    return max(ALWAYS, RATIO * packed)


def read(path: str | PathLike[str]) -> bytes:
    """Return a file's bytes, unpacked where they are gzipped, whatever its name.

    raises: MissingFileError, TruncatedFileError, FormatError (damaged, or it grows without measure)
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("there is no such file", file=path, remedy="check the path")
    data = path.read_bytes()
    return gunzip(data, path) if data.startswith(b"\x1f\x8b") else data


def gunzip(data: bytes, path: str | PathLike[str]) -> bytes:
    """Return what gzipped bytes hold, all members of them; ``path`` is named in errors.

    raises: TruncatedFileError, FormatError
    """
    if data and not data.startswith(b"\x1f\x8b"):
        raise FormatError("not a gzip file", file=path, remedy="check what kind of file it is")
    parts, room = [], limit(len(data))
    rest = data
    try:
        while rest.strip(b"\0"):
            member = zlib.decompressobj(wbits=31)
            parts.append(member.decompress(rest, room + 1))
            room -= len(parts[-1])
            if room < 0:
                raise FormatError(
                    f"{len(data)} bytes unpack to more than {limit(len(data))}", file=path, remedy=_TOO_MUCH
                )
            if not member.eof:
                raise TruncatedFileError(
                    "the gzip stream ends too early", file=path, remedy="download or copy the file again"
                )
            rest = member.unused_data
    except zlib.error as error:
        raise FormatError(f"not a gzip file ({error})", file=path, remedy="copy the file again") from None
    return b"".join(parts)


def arrays(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz archive by name; nothing in it is ever unpickled.

    raises: MissingFileError, TruncatedFileError, FormatError
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("there is no such file", file=path, remedy="check the path")
    with path.open("rb") as stream:
        if stream.read(2) not in (b"", b"P", b"PK"):
            raise FormatError("not an archive of arrays", file=path, remedy="write the file again")
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path)
            return {m.filename.removesuffix(".npy"): array(archive.read(m)) for m in archive.infolist()}
    except (FormatError, TruncatedFileError) as error:
        raise error.at(file=path) from None
    except (zipfile.BadZipFile, EOFError, zlib.error, OSError) as error:
        raise TruncatedFileError(
            f"the archive cannot be read ({error})", file=path, remedy="copy the file again"
        ) from None
    except Exception as error:  # a damaged archive can make its reader raise nearly anything
        raise FormatError(
            f"not an archive of arrays ({error})", file=path, remedy="write the file again"
        ) from None


def check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    """Hold what a zip archive says of its members to what may come of its bytes. raises: FormatError"""
    room = limit(path.stat().st_size)
    if sum(member.file_size for member in archive.infolist()) > room:
        raise FormatError(f"the archive unpacks to more than {room} bytes", file=path, remedy=_TOO_MUCH)


def array(data: bytes) -> np.ndarray:
    """Return the array of an .npy file's bytes. raises: TruncatedFileError, FormatError"""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = header[version](stream, max_header_size=_HEADER)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise FormatError(f"not an array of plain numbers ({error})", remedy="write the file again") from None
    return shaped(memoryview(data)[stream.tell() :], dtype, shape, "F" if fortran else "C")


def shaped(
    raw: bytes | bytearray | memoryview, dtype: np.dtype, shape: tuple[int, ...], order: str
) -> np.ndarray:
    """Return bytes as an array of its own memory, if they are as many as shape and type ask for.

    dtype: of numbers or text; one that holds Python objects, fields or no bytes is refused
    raises: TruncatedFileError, FormatError
    """
    if dtype.kind not in "biufcSU" or dtype.itemsize == 0:
        raise FormatError(f"an array of {dtype} is no plain data", remedy="write numbers or text")
    if not (isinstance(shape, tuple) and len(shape) <= 32 and all(type(n) is int and n >= 0 for n in shape)):
        raise FormatError(f"an array of shape {shape!r} cannot be", remedy="write the file again")
    needed = math.prod(shape) * dtype.itemsize
    # a long side of nothing takes no bytes, but a loop over it would not end
    if not needed and math.prod(n for n in shape if n) > ALWAYS:
        raise FormatError("an array is longer than its bytes", remedy="write the file again")
    if needed > len(raw):
        raise TruncatedFileError(
            f"an array lacks {needed - len(raw)} of {needed} bytes", remedy="copy the file again"
        )
    if needed < len(raw):
        raise FormatError(f"{len(raw) - needed} bytes follow an array", remedy="write the file again")
    flat = np.frombuffer(raw, dtype).copy() if needed else np.zeros(0, dtype)
    if dtype.kind == "U" and (flat.view(np.dtype("u4").newbyteorder(dtype.byteorder)) > 0x10FFFF).any():
        raise FormatError("a text holds what is no letter", remedy="write the file again")
    return flat.reshape(shape, order="F" if order == "F" else "C")
