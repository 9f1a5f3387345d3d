"""Saying whether an answer is right, without giving it away and without stopping the chapter.

A check prints one line and returns nothing: an exercise that nobody has answered yet must not
break "Run All". ``None`` and ``...`` (also as what a function returns) stand for no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

UNANSWERED = "not answered yet"


def check_value(name: str, answer: Any, expected: Any, tolerance: float = 1e-6, hint: str = "") -> None:
    """Print whether an answer equals what is expected.

    answer, expected: a number, a string, or anything that numpy makes an array of
    tolerance: the largest absolute difference that is still right

    >>> check_value("area", 12.0, 12)
    area: right
    >>> check_value("area", 11.0, 12, hint="width times height")
    area: not right; hint: width times height
    >>> check_value("area", None, 12)
    area: not answered yet
    """
    _say(name, UNANSWERED if _unanswered(answer) else _compare(answer, expected, tolerance), hint)


def check_function(
    name: str,
    answer: Callable[..., Any],
    reference: Callable[..., Any],
    cases: Iterable[tuple[Any, ...]],
    tolerance: float = 1e-6,
    hint: str = "",
) -> None:
    """Print whether a function gives what the reference gives on every case; name the first that fails.

    cases: tuples of positional arguments

    >>> check_function("square", lambda x: x + x, lambda x: x * x, [(2,), (3,)])
    square: not right for (3,): got 6, expected 9
    """
    for case in cases:
        try:
            given = answer(*case)
        except Exception as error:  # the reader's code may raise anything
            return _say(name, f"raises {type(error).__name__} for {_short(case)}: {error}", hint)
        if _unanswered(given):
            return _say(name, UNANSWERED, hint)
        expected = reference(*case)
        if verdict := _compare(given, expected, tolerance):
            told = f"{verdict} for {_short(case)}: got {_short(given)}, expected {_short(expected)}"
            return _say(name, told, hint)
    return _say(name, "", hint)


def check_that(name: str, answer: Any, holds: Callable[[Any], bool], hint: str = "") -> None:
    """Print whether an answer has a property, for questions with many right answers.

    >>> check_that("a divisor of 12", 4, lambda n: 12 % n == 0)
    a divisor of 12: right
    """
    if _unanswered(answer):
        return _say(name, UNANSWERED, hint)
    try:
        verdict = "" if holds(answer) else "not right"
    except Exception as error:  # the reader's answer may be of any kind
        verdict = f"not right ({type(error).__name__}: {error})"
    return _say(name, verdict, hint)


def _say(name: str, verdict: str, hint: str) -> None:
    told = f"; hint: {hint}" if hint and verdict not in ("", UNANSWERED) else ""
    print(f"{name}: {verdict or 'right'}{told}")


def _unanswered(answer: Any) -> bool:
    return answer is None or answer is ...


def _compare(answer: Any, expected: Any, tolerance: float) -> str:
    if isinstance(expected, str) or isinstance(answer, str):
        return "" if answer == expected else "not right"
    try:
        given, wanted = np.asarray(answer, dtype=float), np.asarray(expected, dtype=float)
    except (TypeError, ValueError) as error:
        return f"not right ({error})"
    if given.shape != wanted.shape:
        return f"not right (shape {given.shape}, expected {wanted.shape})"
    return "" if np.allclose(given, wanted, rtol=0, atol=tolerance, equal_nan=True) else "not right"


def _short(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
