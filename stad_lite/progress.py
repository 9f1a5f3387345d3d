"""A progress bar for long work, silent where nobody watches."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")


def progress(
    iterable: Iterable[Item],
    total: int | None = None,
    desc: str = "",
    after: Callable[[], str] | None = None,
) -> Iterator[Item]:
    """Iterate with a bar on standard error (tqdm, where it is installed).

    Without tqdm, without a terminal or with STAD_PROGRESS=0 in the environment it is silent.
    after: is asked for the words after the bar, such as the loss

    >>> list(progress([1, 2, 3]))
    [1, 2, 3]
    """
    wanted = os.environ.get("STAD_PROGRESS", "1") != "0" and sys.stderr.isatty()
    if wanted:
        try:
            from tqdm import tqdm
        except ImportError:
            wanted = False
    if not wanted:
        return iter(iterable)
    return _with_words(tqdm(iterable, total=total, desc=desc, leave=False), after)


def _with_words(bar: Any, after: Callable[[], str] | None) -> Iterator[Any]:
    for item in bar:
        if after is not None:
            bar.set_postfix_str(after(), refresh=False)
        yield item
