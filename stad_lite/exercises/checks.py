"""Saying whether an answer is right, without giving it away and without stopping the chapter.

A check prints one line and returns nothing: an exercise that nobody has answered yet must not
break "Run All". ``None`` and ``...`` (also as what a function returns) stand for no answer.
Where ``STAD_GRADING`` is 1 a check raises besides, as graders want it.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass
from math import log10
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stad_lite.errors import StadError

UNANSWERED = "not answered yet"
GRADING = "STAD_GRADING"
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LONGEST = 12
"""Numbers of an array that are written out."""

Cases = Iterable[tuple[Any, ...]]
Holds = Callable[[Any], bool]


class WrongAnswer(StadError):
    """An exercise that is not answered, or not rightly; raised only where answers are graded."""


def check_value(name: str, answer: Any, expected: Any, tolerance: float = 1e-6, hint: str = "") -> None:
    """Print whether an answer equals what is expected.

    answer, expected: a number, a string, or anything that numpy makes an array of
    tolerance: the largest absolute difference that is still right, a power of ten
    raises: WrongAnswer where STAD_GRADING is 1 and it does not

    >>> check_value("area", 12.0, 12)
    area: right
    >>> check_value("area", 11.0, 12.5, 0.01, hint="width times height")
    area: not right to two decimals; hint: width times height
    >>> check_value("area", None, 12)
    area: not answered yet
    """
    if _unanswered(answer):
        enough = f" ({_decimals(tolerance)} will do)" if tolerance > 1e-4 else ""
        return _say(name, UNANSWERED + enough, "")
    _say(name, _compare(answer, expected, tolerance), hint)


def check_function(
    name: str,
    answer: Callable[..., Any],
    reference: Callable[..., Any],
    cases: Cases | Mapping[str, Cases],
    tolerance: float = 1e-6,
    hint: str = "",
    in_place: str = "",
) -> None:
    """Print whether a function gives what the reference gives on every case, and leaves its input alone.

    Both get copies of their own. The first case that fails is told, and the property that it is a case of.

    cases: tuples of positional arguments; or such tuples by the property that they try ("where ...")
    in_place: the argument that the answer may change; what is left in it counts where nothing is returned
    raises: WrongAnswer where STAD_GRADING is 1 and it does not

    >>> check_function("square", lambda x: x + x, lambda x: x * x, {"x is odd": [(3,)]})
    square: not right where x is odd: for x = 3 it gives 6, expected 9
    """
    named = cases if isinstance(cases, Mapping) else {"": cases}
    names = list(inspect.signature(reference).parameters)
    answered, verdict = False, ""
    for words, case in ((words, case) for words, some in named.items() for case in some):
        where = f" where {words}:" if words else ""
        told = f"for {', '.join(f'{n} = {_short(v)}' for n, v in zip(names, case, strict=False))}"
        own = deepcopy(case)
        try:
            given = answer(*own)
        except Exception as error:  # the reader's code may raise anything
            return _say(name, f"raises {type(error).__name__}{where} {told}: {error}", hint)
        changed = {n for n, a, b in zip(names, own, case, strict=False) if not _same(a, b)}
        answered |= not _unanswered(given) or bool(changed)
        if given is None and in_place:
            given = own[names.index(in_place)]
        if verdict:
            continue
        if spoilt := sorted(changed - {in_place}):
            verdict = f"not right: changes its argument {', '.join(spoilt)}, which must stay as it is, {told}"
        elif _unanswered(given):
            verdict = f"not right{where} {told} it gives nothing"
        else:
            expected = reference(*deepcopy(case))
            if failing := _compare(given, expected, tolerance):
                verdict = f"{failing}{where} {told} it gives {_short(given)}, expected {_short(expected)}"
    _say(name, verdict if answered else UNANSWERED, hint)


def check_that(name: str, answer: Any, holds: Holds | Mapping[str, Holds], hint: str = "") -> None:
    """Print whether an answer has a property, for questions with many right answers.

    holds: tells whether it has; or several of these, by what they ask ("it is even"), tried in their order
    raises: WrongAnswer where STAD_GRADING is 1 and it has not

    >>> check_that("a divisor of 12", 4, {"it is above 4": lambda n: n > 4})
    a divisor of 12: not right: this does not hold: it is above 4
    """
    if _unanswered(answer):
        return _say(name, UNANSWERED, "")
    for words, has in (holds if isinstance(holds, Mapping) else {"": holds}).items():
        lacking = f": this does not hold: {words}" if words else ""
        try:
            if not has(answer):
                return _say(name, f"not right{lacking}", hint)
        except Exception as error:  # the reader's answer may be of any kind
            return _say(name, f"not right{lacking} ({type(error).__name__}: {error})", hint)
    _say(name, "", hint)


def check_made(
    name: str,
    answer: Callable[..., Any],
    given: tuple[Any, ...],
    holds: Holds | Mapping[str, Holds],
    hint: str = "",
) -> None:
    """Print whether what a function makes of its input has a property: something trained, or built.

    given: positional arguments; the function gets copies, and the same random numbers every time
    holds, raises: as in ``check_that``

    >>> check_made("even", lambda n: n + 1, (3,), lambda n: n % 2 == 0)
    even: right
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            made = answer(*deepcopy(given))
    except Exception as error:  # the reader's code may raise anything
        return _say(name, f"raises {type(error).__name__}: {error}", hint)
    with torch.no_grad():
        check_that(name, made, holds, hint)


def _say(name: str, verdict: str, hint: str) -> None:
    told = f"; hint: {hint}" if hint and verdict not in ("", UNANSWERED) else ""
    line = f"{name}: {verdict or 'right'}{told}"
    print(line)
    if verdict and os.environ.get(GRADING) == "1":
        raise WrongAnswer(line)


def _unanswered(answer: Any) -> bool:
    return answer is None or answer is ...


def _decimals(tolerance: float) -> str:
    count = round(-log10(tolerance))
    return f"{NUMBERS[count] if 0 <= count < len(NUMBERS) else count} decimal{'s' * (count != 1)}"


def _compare(answer: Any, expected: Any, tolerance: float) -> str:
    if isinstance(expected, str) or isinstance(answer, str):
        return "" if answer == expected else "not right"
    try:
        given, wanted = np.asarray(answer, dtype=float), np.asarray(expected, dtype=float)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor with gradients is no array
        return f"not right ({error})"
    if given.shape != wanted.shape:
        return f"not right (shape {given.shape}, expected {wanted.shape})"
    if np.allclose(given, wanted, rtol=0, atol=tolerance, equal_nan=True):
        return ""
    whole = np.asarray(expected).dtype.kind in "biu"
    return "not right" if whole else f"not right to {_decimals(tolerance)}"


def _same(one: Any, other: Any) -> bool:
    """Whether an argument is after a call what it was before."""
    if isinstance(one, Tensor):
        one, other = one.detach().cpu().numpy(), other.detach().cpu().numpy()
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if is_dataclass(one):
        return all(_same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)


def _short(value: Any) -> str:
    if isinstance(value, (np.ndarray, Tensor)):
        if value.ndim and np.prod(value.shape) > LONGEST:
            return f"an array of shape {tuple(value.shape)}"
        value = value.tolist()
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
