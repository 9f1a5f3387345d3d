"""The printed solutions of the chapter pass its checks, wrong answers do not."""

import numpy as np
import pytest

from stad_lite.exercises import tubes_and_overlap as exercises
from stad_lite.tubes import Tube
from tests.exercises.references import verdicts


def test_half_a_box(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_half_box(0.5, 0.5)
    exercises.check_half_box(0.25, ...)
    assert verdicts(capsys) == ["right", "right", "not right", "not answered yet"]


def test_spans(capsys: pytest.CaptureFixture[str]) -> None:
    def solution(a_start: int, a_end: int, b_start: int, b_end: int) -> float:
        common = max(0, min(a_end, b_end) - max(a_start, b_start))
        return common / (a_end - a_start + b_end - b_start - common)

    def forgets_the_gap(a_start: int, a_end: int, b_start: int, b_end: int) -> float:
        common = min(a_end, b_end) - max(a_start, b_start)
        return common / (a_end - a_start + b_end - b_start - common)

    exercises.check_temporal(solution)
    exercises.check_temporal(forgets_the_gap)
    told = verdicts(capsys)
    assert told[0] == "right" and told[1].startswith("not right")


def test_judges(capsys: pytest.CaptureFixture[str]) -> None:
    small, large = [0, 0, 4, 4], [0, 0, 40, 40]
    truth = Tube(0, np.array([small] * 12 + [large] * 8, float))
    first, second = Tube(0, np.array([small] * 12, float)), Tube(12, np.array([large] * 8, float))
    exercises.check_judges((truth, first, second))
    exercises.check_judges((truth, second, first))
    exercises.check_judges(7)
    told = verdicts(capsys)
    assert told[0] == "right" and all(verdict.startswith("not right") for verdict in told[1:])
