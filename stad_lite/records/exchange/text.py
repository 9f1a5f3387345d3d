"""Lines, tables and JSON of text files, plain or gzipped, with errors that name the line."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec

from stad_lite import packed
from stad_lite.errors import FormatError, NotFiniteError, TruncatedFileError
from stad_lite.records.files import atomic_write

LONGEST_LINE = 100_000
"""Letters of a table's line; Python's reader of csv takes little more in a field."""


def read_text(path: str | PathLike[str]) -> str:
    """Return the text of a file; one that is gzipped is unpacked, whatever its name.

    raises: MissingFileError, TruncatedFileError, FormatError
    """
    return _decoded(packed.read(path), path)


def _decoded(data: bytes, path: str | PathLike[str]) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8 ({error.reason} at byte {error.start})", file=path) from None


def write_text(path: str | PathLike[str], text: str) -> Path:
    """Write a text file whole or not at all; a name in .gz is gzipped (equal texts, equal bytes)."""
    data = text.encode("utf-8")
    if Path(path).suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    return atomic_write(path, lambda stream: stream.write(data))


def read_json(path: str | PathLike[str]) -> Any:
    """Return what a JSON file holds.

    raises: TruncatedFileError where it ends too early, FormatError and what ``read_text`` raises
    """
    data = packed.read(path)
    try:  # faster by far, and it reads less than json: what it refuses is left to that
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = _decoded(data, path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()):
            raise TruncatedFileError(
                "the JSON ends too early", file=path, remedy="copy the file again"
            ) from None
        raise FormatError(
            f"not JSON: {error.msg} in line {error.lineno}, column {error.colno}", file=path
        ) from None
    except RecursionError:
        raise FormatError("the JSON is nested too deeply", file=path) from None
    except ValueError:  # Python refuses to convert whole numbers of thousands of digits
        raise FormatError("a number is too long to read", file=path, remedy="correct the number") from None


def rows(path: str | PathLike[str], comma: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of a table's non-empty lines.

    comma: fields stand between commas; otherwise between blanks and tabs
    """
    lines = read_text(path).splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if len(line) > LONGEST_LINE:
            raise FormatError(f"line {number} has {len(line)} letters", file=path, remedy="correct the line")
        yield number, [field.strip() for field in next(csv.reader([line]))] if comma else line.split()


def numbers(fields: list[str], path: str | PathLike[str], line: int) -> list[float]:
    """Return fields as finite numbers.

    raises: FormatError, NotFiniteError with file and line
    """
    try:
        values = [float(field) for field in fields]
    except ValueError:
        raise FormatError(
            f"line {line} has {str(fields)[:200]} where numbers are expected", file=path
        ) from None
    if not all(abs(value) < float("inf") for value in values):
        raise NotFiniteError(f"line {line} has a number that is not finite", file=path)
    return values


def word(name: str) -> str:
    """Return a video id that may stand in a table between blanks. raises: FormatError"""
    if name.split() != [name]:
        raise FormatError("an id with blanks cannot stand here", video=name, remedy="rename the video")
    return name


def cell(name: str) -> None:
    """Hold a video id to what may stand in a table between commas. raises: FormatError"""
    if name.splitlines() != [name] or name.strip() != name or next(csv.reader([name])) != [name]:
        raise FormatError("an id with such letters cannot stand here", video=name, remedy="rename the video")
