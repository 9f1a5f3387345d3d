"""Where results go: a file, or standard output for ``-``."""

from __future__ import annotations

import json
import sys
from typing import Any

from stad_lite.records import atomic_write


def write_json(value: Any, path: str) -> None:
    """Write one JSON object to a file (whole or not at all) or, for ``-``, to standard output."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        atomic_write(path, lambda stream: stream.write(text.encode("utf-8")))
