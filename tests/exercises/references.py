"""What every exercise with a reference answer has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def right_and_silent(
    check: Callable[..., Any], reference: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Assert that the check takes the reference for right and says so of no answer."""
    check(reference)
    assert capsys.readouterr().out.strip() == f"{reference.__name__}: right"
    check(lambda *given: ...)
    assert "not answered" in capsys.readouterr().out


def verdicts(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was said of each answer, without where and why."""
    words = ("right", "not right", "not answered yet")
    said = [line.split(": ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    return [next((word for word in words if one.startswith(word)), one) for one in said]
