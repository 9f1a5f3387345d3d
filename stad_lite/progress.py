"""A progress bar for long work, silent where nobody watches."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def progress(iterable: Iterable[Item], total: int | None = None, desc: str = "") -> Iterator[Item]:
    """Iterate with a bar on standard error (tqdm, where it is installed).

    Without tqdm, without a terminal or with STAD_PROGRESS=0 in the environment it is silent.

    >>> list(progress([1, 2, 3]))
    [1, 2, 3]
    """
    wanted = os.environ.get("STAD_PROGRESS", "1") != "0" and sys.stderr.isatty()
    if wanted:
        try:
            from tqdm import tqdm
        except ImportError:
            wanted = False
    return iter(tqdm(iterable, total=total, desc=desc, leave=False)) if wanted else iter(iterable)
