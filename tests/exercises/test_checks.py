"""The checks say right, not right or not answered, and never stop a chapter."""

from __future__ import annotations

import numpy as np
import pytest

from stad_lite.exercises.checks import check_function, check_that, check_value


def said(capsys) -> str:
    return capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("answer", "expected", "told"),
    [
        (0.5, 0.5 + 1e-9, "x: right"),
        (np.ones(3), [1, 1, 1], "x: right"),
        ("left", "left", "x: right"),
        ("left", "right", "x: not right; hint: look"),
        (0.51, 0.5, "x: not right; hint: look"),
        (np.ones(2), np.ones(3), "x: not right (shape (2,), expected (3,)); hint: look"),
        (object(), 1.0, "x: not right ("),
        (None, 1.0, "x: not answered yet"),
        (..., 1.0, "x: not answered yet"),
    ],
)
def test_values(capsys, answer, expected, told):
    check_value("x", answer, expected, hint="look")
    assert said(capsys).startswith(told)


def test_functions(capsys):
    def check(answer):
        check_function("f", answer, lambda a, b: a + b, [(1, 2), (0, 5)], hint="add")
        return said(capsys)

    assert check(lambda a, b: b + a) == "f: right"
    assert check(lambda a, b: None) == "f: not answered yet"
    assert check(lambda a, b: 3) == "f: not right for (0, 5): got 3, expected 5; hint: add"
    assert check(lambda a: a).startswith("f: raises TypeError for (1, 2):")
    assert check(lambda a, b: 1 / 0) == "f: raises ZeroDivisionError for (1, 2): division by zero; hint: add"


def test_properties(capsys):
    check_that("even", 4, lambda n: n % 2 == 0)
    assert said(capsys) == "even: right"
    check_that("even", 3, lambda n: n % 2 == 0, hint="halve it")
    assert said(capsys) == "even: not right; hint: halve it"
    check_that("even", "three", lambda n: n % 2 == 0)
    assert said(capsys).startswith("even: not right (TypeError")
    check_that("even", None, lambda n: False)
    assert said(capsys) == "even: not answered yet"
