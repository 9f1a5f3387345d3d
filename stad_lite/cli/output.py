"""Where results go: a file, or standard output for ``-``."""

from __future__ import annotations

import json
import sys
from os import PathLike
from pathlib import Path
from typing import Any

from stad_lite.records import atomic_write
from stad_lite.records.files import keep_apart


def claim(out: str | PathLike[str] | None, *inputs: str | PathLike[str] | None) -> None:
    """Refuse an output that is an input, and say so where it replaces another file.

    out: None and ``-`` are no files
    raises: FormatError
    """
    if out is None or str(out) == "-":
        return
    keep_apart(out, *(path for path in inputs if path is not None))
    if Path(out).is_file():
        print(f"note: {out} is replaced")


def write_json(value: Any, path: str) -> None:
    """Write one JSON object to a file (whole or not at all) or, for ``-``, to standard output."""
    shown = path != "-" or (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, indent=2, ensure_ascii=not shown, allow_nan=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        atomic_write(path, lambda stream: stream.write(text.encode("utf-8")))
