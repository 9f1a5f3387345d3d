"""Downloads that resume, and files that are whole or not there at all.

What has arrived of a file waits beside the target as ``.<name>.part`` and is carried on by the next
attempt. Only when size and checksum are right is it renamed to its name.
"""

from __future__ import annotations

import hashlib
import os
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stad_lite.errors import FormatError, MissingExtraError, MissingFileError, StadError, TruncatedFileError

REGISTRY = Path(__file__).with_name("registry.toml")
ATTEMPTS = 5
TIMEOUT = 30.0


@dataclass(frozen=True)
class Entry:
    """One file of the registry.

    path: where it belongs below the data set's folder
    url: its address, None for files that are made and not downloaded
    size, sha256: of the whole file
    licence: what its source states
    verified: when the address last gave it, or ``never``
    """

    path: str
    url: str | None
    size: int
    sha256: str
    licence: str
    verified: str


def read_registry(name: str, path: Path = REGISTRY) -> tuple[dict[str, Any], list[Entry]]:
    """Return a data set's table of the registry and its files.

    raises: MissingFileError, FormatError
    """
    if not path.is_file():
        raise MissingFileError("there is no registry", file=path)
    try:
        table = tomllib.loads(path.read_text("utf-8"))[name]
        entries = [
            Entry(
                item["path"],
                group["base"] + item.get("from", item["path"]).replace(" ", "%20")
                if "base" in group
                else None,
                int(item["size"]),
                item["sha256"],
                group["licence"],
                group.get("verified", "never"),
            )
            for group in table["group"]
            for item in group["files"]
        ]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise FormatError(f"the registry is damaged ({error!r})", file=path) from None
    return table, entries


def sha256_of(path: Path) -> str:
    """Return the checksum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_whole(path: Path, size: int, sha256: str) -> bool:
    """Tell whether a file is there with the right size and checksum."""
    return path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256


def fetch(entry: Entry, target: Path, attempts: int = ATTEMPTS, pause: float = 1.0) -> str:
    """Bring one file to its place; return ``here``, ``resumed`` or ``fetched``.

    pause: seconds before the second attempt, doubled before each further one
    raises: MissingExtraError; MissingFileError where nothing comes; TruncatedFileError where the
        connection keeps breaking (what came is kept for the next time); FormatError where the whole
        of it is another file (nothing is kept)
    """
    if is_whole(target, entry.size, entry.sha256):
        return "here"
    if entry.url is None:
        raise StadError("the file has no address", file=target, remedy="see what is said of files by hand")
    try:
        import pooch
    except ImportError:
        raise MissingExtraError(
            "downloads need pooch", remedy='install the extra: pip install "stad_lite[data]"'
        ) from None
    target.parent.mkdir(parents=True, exist_ok=True)
    # The checksum says what to keep; pooch.retrieve would start over with every break.
    part = target.with_name(f".{target.name}.part")
    begun = part.is_file()
    trouble = "no attempt was made"
    for attempt in range(attempts):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        begun = begun or part.is_file()
        trouble = _carry_on(pooch, entry, part)
        if not trouble:
            os.replace(part, target)
            return "resumed" if begun else "fetched"
        if part.is_file() and part.stat().st_size >= entry.size:
            part.unlink()
            begun = False
    got = part.stat().st_size if part.is_file() else 0
    if got == 0 and "checksum" in trouble:
        raise FormatError(trouble, file=target, remedy=f"look at what {entry.url} gives")
    if got == 0:
        raise MissingFileError(f"nothing came ({trouble})", file=target, remedy="check the connection")
    raise TruncatedFileError(
        f"{got} of {entry.size} bytes came ({trouble})", file=target, remedy="run the same command again"
    )


def _carry_on(pooch: Any, entry: Entry, part: Path) -> str:
    """Ask for what is missing of a part; return what went wrong, or nothing when it is whole."""
    import requests

    have = part.stat().st_size if part.is_file() else 0
    if have > entry.size:
        part.unlink()
        have = 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    trouble = ""
    if have < entry.size:
        try:
            with requests.get(str(entry.url), headers=headers, stream=True, timeout=TIMEOUT) as response:
                if response.status_code == 416:
                    return "the server has no more of it"
                if response.status_code == 206 and not _starts_at(response, have):
                    part.unlink(missing_ok=True)
                    return "the server would not go on where the last connection ended"
                response.raise_for_status()
                _pour(response, part, "ab" if response.status_code == 206 else "wb", entry.size)
        except (requests.RequestException, OSError) as error:
            trouble = f"{type(error).__name__}: {error}"
    got = part.stat().st_size if part.is_file() else 0
    if trouble or got < entry.size:
        return trouble or f"the connection ended at {got} bytes"
    if got > entry.size or pooch.file_hash(str(part), alg="sha256") != entry.sha256:
        return f"what came has {got} bytes and another checksum than the registry's {entry.sha256[:12]}"
    return ""


def _starts_at(response: Any, have: int) -> bool:
    return str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _pour(response: Any, part: Path, mode: str, size: int) -> None:
    """Write the body to the part; no more than one byte beyond the size that it should have."""
    with part.open(mode) as stream:
        for chunk in response.iter_content(1 << 16):
            stream.write(chunk)
            if stream.tell() > size:
                return
