"""What the programs of this package have in common: how they end where something is wrong."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

from stad_lite.errors import StadError


def program(name: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Let a ``main`` end with exit code 2 and one line on standard error where it raises a StadError.

    name: that the line begins with
    """

    def wrapped(main: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(main)
        def run(arguments: list[str] | None = None) -> int:
            try:
                return main(arguments)
            except StadError as error:
                print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
                return 2

        return run

    return wrapped
