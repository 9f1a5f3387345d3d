"""The files of annotations and predictions: JSON, gzipped JSON and an ``.npz`` twin.

Both twins hold the same; reading either and writing the other loses nothing (float64 in, float64
out). Files are checked while they are read, and written whole or not at all.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from stad_lite import packed
from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.records.document import from_document, parse, to_document
from stad_lite.records.types import Annotations, Predictions

DEVICE = r"(con(in\$|out\$)?|prn|aux|nul|(com|lpt)[\d¹²³]) *(\.|\Z)"
REFUSED = re.compile(rf'[<>:"/|?*\\%\x00-\x1f]|[. ]\Z|\A(?={DEVICE}).', re.IGNORECASE)
"""What Windows refuses in a file's name, and our own %; of a device's name the first letter."""
OUTSIDE = re.compile(r"[\x00-\x1f\\]")
"""What leads out of a folder on some platform, or ends a name."""
LONGEST_NAME = 150
"""Letters of a file's name, without its ending."""


_ENDINGS = """mp4 avi mkv mov webm mpg mpeg m4v wmv asf flv f4v ts mts m2ts m2t tp trp vob mpe m1v m2v mpv 3gp
3g2 ogv ogg ogm qt rm rmvb mxf dv gif divx xvid amv mjpeg mjpg y4m nut ivf obu h264 264 h265 265 hevc avc vro
wtv mod tod m4s mk3d"""
VIDEO_ENDINGS = tuple(f".{ending}" for ending in _ENDINGS.split())
"""Endings of video files, of all containers that PyAV opens and people have."""
ID = re.compile(rf"(?P<id>.+?)({'|'.join(map(re.escape, VIDEO_ENDINGS))})(\s.*)?\Z", re.IGNORECASE)
"""A line of a list that names a video file, perhaps with further words."""


def safe_name(name: str, folders: bool = False) -> str:
    """Return a name that a file may have on every platform: what one refuses is written as ``%XX``.

    ``urllib.parse.unquote`` gives the name back, unless it was too long for a file and was cut.
    folders: whether slashes in the name are folders, unless one has no name

    >>> safe_name("v_Run_g01.c2"), safe_name("val/10: left?"), safe_name("a/con", folders=True)
    ('v_Run_g01.c2', 'val%2F10%3A left%3F', 'a/%63on')
    """
    if folders and all(name.split("/")):
        return "/".join(safe_name(part) for part in name.split("/"))
    safe = REFUSED.sub(lambda found: f"%{ord(found[0]):02X}", name)
    if len(safe) > LONGEST_NAME:
        safe = f"{safe[: LONGEST_NAME - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return safe


def below(folder: str | PathLike[str], name: str, ending: str = "") -> Path:
    """Return the path of what bears a name, its slashes as folders, if that lies below a folder.

    raises: FormatError for a name that leads out of the folder, or that no file can have

    >>> below("out", "run/a", ".mp4").as_posix()
    'out/run/a.mp4'
    """
    *folders, last = name.split("/")
    parts = [*folders, f"{last}{ending}"]
    odd = any(part in ("", ".", "..") or len(part.encode("utf-8", "replace")) > 255 for part in parts)
    if not last or odd or OUTSIDE.search(name) or Path(name).is_absolute() or Path(name).drive:
        raise FormatError(
            f"the name {name[:100]!r} cannot be that of a file below {folder}",
            remedy="rename the video or class",
        )
    return Path(folder, *parts)


def write_folder(folder: str | PathLike[str], files: Iterable[tuple[str, bytes]]) -> list[Path]:
    """Write a new folder whole or not at all: fill a neighbour, then rename it.

    files: names below the folder (``below``) and contents, taken one at a time
    raises: FormatError where the folder holds something already, or two files have one name
    """
    folder = Path(os.path.abspath(folder))
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise FormatError(
            "something is there already", file=folder, remedy="name a new folder, or empty this one"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    parts = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    names = []
    try:
        for name, content in files:
            path = below(parts, name)
            if path.exists():
                raise FormatError(
                    f"two files would be called {name}", file=folder, remedy="rename a video or class"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            names.append(name)
        os.chmod(parts, 0o777 & ~_mask())  # mkdtemp makes private folders
        if folder.is_dir():
            folder.rmdir()
        os.replace(parts, folder)
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    return [folder / name for name in names]


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def atomic_write(path: str | PathLike[str], fill: Callable[[BinaryIO], object]) -> Path:
    """Write a file whole or not at all: fill a neighbour, then rename it over the target.

    path: the target; its folder is made where it is missing
    fill: writes the content to the open binary file
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o666 & ~_mask())  # mkstemp makes private files
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def keep_apart(out: str | PathLike[str], *inputs: str | PathLike[str]) -> None:
    """Refuse an output that is one of the inputs, by whatever name. raises: FormatError"""
    for path in inputs:
        try:
            same = os.path.samefile(out, path)
        except OSError:  # one of them is not there
            same = os.path.abspath(out) == os.path.abspath(path)
        if same:
            raise FormatError("the output would replace its own input", file=out, remedy="name another file")


def _kind(path: Path) -> str:
    for suffix in (".json", ".json.gz", ".npz"):
        if path.name.endswith(suffix):
            return suffix
    raise FormatError(
        "the name says nothing of the format", file=path, remedy="end it in .json, .json.gz or .npz"
    )


def read(path: str | PathLike[str]) -> Annotations | Predictions:
    """Return the record that a .json, .json.gz or .npz file holds.

    raises: MissingFileError, TruncatedFileError, FormatError and what ``records`` raises, each with
        the file's name
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("there is no such file", file=path, remedy="check the path")
    try:
        if _kind(path) == ".npz":
            from stad_lite.records.columns import read_arrays

            return read_arrays(path)
        return _from_json(path)
    except StadError as error:
        raise error.at(file=path) from None


def _from_json(path: Path) -> Annotations | Predictions:
    from stad_lite.records.typed import from_json

    data = path.read_bytes()
    data = packed.gunzip(data, path) if _kind(path) == ".json.gz" else data
    record = from_json(data)
    return from_document(parse(data)) if record is None else record


def read_annotations(path: str | PathLike[str]) -> Annotations:
    """Return the annotations that a file holds; FormatError where it holds predictions."""
    record = read(path)
    if not isinstance(record, Annotations):
        raise FormatError(
            "the file holds predictions, not annotations", file=path, remedy="give the annotations' file"
        )
    return record


def read_predictions(path: str | PathLike[str]) -> Predictions:
    """Return the predictions that a file holds; FormatError where it holds annotations."""
    record = read(path)
    if not isinstance(record, Predictions):
        raise FormatError(
            "the file holds annotations, not predictions", file=path, remedy="give the predictions' file"
        )
    return record


def read_list(path: str | PathLike[str], known: Collection[str] = ()) -> tuple[str, ...]:
    """Return the video ids of a list, one a line; a video file's ending and what follows it are dropped.

    known: ids that there are; a line is first of all one of these, with an ending or further words or without
    raises: MissingFileError, FormatError for an empty list and for a name that stands twice
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("there is no such file", file=path, remedy="check the path")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise FormatError("the list is not UTF-8 text", file=path) from None
    names = [_listed(line.strip(), known) for line in lines if line.strip()]
    if len(set(names)) != len(names) or not names:
        raise FormatError(f"the list has {len(names)} lines, {len(set(names))} of them distinct", file=path)
    return tuple(names)


def _listed(line: str, known: Collection[str]) -> str:
    """The id that a line names: all of it, or what stands before an ending or before further words."""
    found = ID.match(line)
    short = found["id"] if found else line
    words = line
    while words:
        for name in (words, without_ending(words)):
            if name in known:
                return name
        words = words[: -len(words.split()[-1])].rstrip()
    return short


def without_ending(name: str) -> str:
    """Return a name without a video file's ending.

    >>> without_ending("run/a.b.MKV"), without_ending("a.b")
    ('run/a.b', 'a.b')
    """
    head, dot, ending = name.rpartition(".")
    return head if head and dot and f".{ending.lower()}" in VIDEO_ENDINGS else name


def write(record: Annotations | Predictions, path: str | PathLike[str]) -> Path:
    """Write a record to .json, .json.gz or .npz, whole or not at all.

    Equal records (with their videos in the same order) give equal bytes.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == ".npz":
        from stad_lite.records.columns import write_arrays

        return atomic_write(path, lambda stream: write_arrays(record, stream))
    text = json.dumps(to_document(record), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    data = text.encode("utf-8")
    if kind == ".json.gz":
        data = gzip.compress(data, mtime=0)
    return atomic_write(path, lambda stream: stream.write(data))
