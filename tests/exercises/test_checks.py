"""The checks say right, not right or not answered, and never stop a chapter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from stad_lite.exercises.checks import WrongAnswer, check_function, check_made, check_that, check_value


def said(capsys) -> str:
    return capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("answer", "expected", "told"),
    [
        (0.5, 0.5 + 1e-9, "x: right"),
        (np.ones(3), [1, 1, 1], "x: right"),
        ("left", "left", "x: right"),
        ("left", "right", "x: not right; hint: look"),
        (0.51, 0.5, "x: not right to six decimals; hint: look"),
        (3, 4, "x: not right; hint: look"),
        (np.ones(2), np.ones(3), "x: not right (shape (2,), expected (3,)); hint: look"),
        (object(), 1.0, "x: not right ("),
        (None, 1.0, "x: not answered yet"),
        (..., 1.0, "x: not answered yet"),
    ],
)
def test_values(capsys, answer, expected, told):
    check_value("x", answer, expected, hint="look")
    assert said(capsys).startswith(told)


def test_a_coarse_tolerance_is_told_beforehand(capsys):
    check_value("x", ..., 0.5, 0.01, hint="look")
    assert said(capsys) == "x: not answered yet (two decimals will do)"
    check_value("x", 0.509, 0.5, 0.01)
    check_value("x", 0.511, 0.5, 0.01)
    assert said(capsys).splitlines() == ["x: right", "x: not right to two decimals"]


CASES = {"a is not 0": [(1, 2)], "a is 0": [(0, 5)]}


AT_0 = "where a is 0: for a = 0, b = 5"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda a, b: b + a, "right"),
        (lambda a, b: None, "not answered yet"),
        (lambda a, b: 3, f"not right {AT_0} it gives 3, expected 5; hint: add"),
        (lambda a, b: a + b if a else None, f"not right {AT_0} it gives nothing; hint: add"),
        (lambda a: a, "raises TypeError where a is not 0: for a = 1, b = 2: "),
        (lambda a, b: a + b if 1 / a else 0, f"raises ZeroDivisionError {AT_0}: division by zero; hint: add"),
    ],
)
def test_functions(capsys, answer, told):
    check_function("f", answer, lambda a, b: a + b, CASES, hint="add")
    assert said(capsys).startswith(f"f: {told}")


@dataclass
class Track:
    """Some object in a case."""

    boxes: np.ndarray


def zero_array(x):
    x[...] = 0
    return np.zeros(len(x))


def zero_list(x):
    x[0][1] = 0
    return 2 * np.array([1.0, 2.0])


def zero_track(x):
    x.boxes[0] = 0
    return 2 * np.array([1.0, 2.0])


@pytest.mark.parametrize(
    ("answer", "given", "numbers"),
    [
        (zero_array, np.array([1.0, 2.0]), np.asarray),
        (zero_array, torch.tensor([1.0, 2.0]), np.asarray),
        (zero_list, [[1.0, 2.0]], lambda x: np.array(x[0])),
        (zero_track, Track(np.array([1.0, 2.0])), lambda x: x.boxes),
    ],
)
def test_an_answer_gets_its_own_copy_and_must_not_change_it(capsys, answer, given, numbers):
    def double(x):
        return 2 * numbers(x)

    check_function("double", answer, double, [(given,)])
    assert said(capsys).startswith(
        "double: not right: changes its argument x, which must stay as it is, for x ="
    )
    check_function("double", lambda x: [2.0, 4.0], double, [(given,)])
    assert said(capsys) == "double: right"
    assert numbers(given).tolist() == [1, 2]


def test_an_answer_made_in_place_is_right_where_the_exercise_allows_it(capsys):
    def double(x, y):
        return x * 2

    def in_place(x, y):
        x *= 2

    def returned(x, y):
        x *= 2
        return x

    def of_the_other(x, y):
        y *= 2
        return x * 2

    def zeroed(x, y):
        x[...] = 0

    cases = {"x is 0": [(np.zeros(2), np.ones(2))], "x is not 0": [(np.ones(2), np.ones(2))]}
    for answer in (in_place, returned, zeroed, of_the_other):
        check_function("double", answer, double, cases, in_place="x")
    told = said(capsys).splitlines()
    assert told[:2] == ["double: right"] * 2
    assert told[2].startswith("double: not right") and "changes its argument y" in told[3]
    check_function("double", in_place, double, cases["x is not 0"], in_place="x")
    check_function("double", in_place, double, cases["x is not 0"])
    told = said(capsys).splitlines()
    assert told[0] == "double: right" and "changes its argument x" in told[1]


def test_properties(capsys):
    check_that("even", 4, lambda n: n % 2 == 0)
    assert said(capsys) == "even: right"
    check_that("even", 3, lambda n: n % 2 == 0, hint="halve it")
    assert said(capsys) == "even: not right; hint: halve it"
    check_that("even", "three", lambda n: n % 2 == 0)
    assert said(capsys).startswith("even: not right (TypeError")
    check_that("even", None, lambda n: False)
    assert said(capsys) == "even: not answered yet"


def test_the_property_that_fails_is_named(capsys):
    holds = {"it is even": lambda n: n % 2 == 0, "it is above 4": lambda n: n > 4}
    for answer in (6, 4, 7):
        check_that("x", answer, holds)
    told = said(capsys).splitlines()
    assert told[0] == "x: right"
    assert told[1:] == [
        "x: not right: this does not hold: it is above 4",
        "x: not right: this does not hold: it is even",
    ]


def test_what_is_made_gets_copies_and_the_same_random_numbers(capsys):
    seen, given = [], np.ones(2)

    def answer(x):
        seen.append(torch.rand(1).item())
        x[...] = 0
        return torch.ones(1, requires_grad=True) * 2

    for _ in range(2):
        check_made("two", answer, (given,), lambda made: made.item() == 2)
    check_made("two", lambda x: 1 / 0, (given,), lambda made: True, hint="look")
    check_made("two", lambda x: None, (given,), lambda made: True)
    assert said(capsys).splitlines() == [
        "two: right",
        "two: right",
        "two: raises ZeroDivisionError: division by zero; hint: look",
        "two: not answered yet",
    ]
    assert seen[0] == seen[1] and given.tolist() == [1, 1]


def test_a_grader_is_told_by_an_error(capsys, monkeypatch):
    monkeypatch.setenv("STAD_GRADING", "1")
    check_value("x", 1, 1)
    for answer in (2, ...):
        with pytest.raises(WrongAnswer, match="x: not"):
            check_value("x", answer, 1)
    monkeypatch.setenv("STAD_GRADING", "0")
    check_value("x", 2, 1)
