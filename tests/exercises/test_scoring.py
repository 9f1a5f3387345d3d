"""The printed solutions of the chapter on scoring pass its checks, wrong answers do not."""

import numpy as np
import pytest

from stad_lite.exercises import scoring as exercises
from tests.exercises.references import verdicts


def test_one_score_lower(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_one_score_lower(100 * (1 + 1 + 1 + 5 / 6 + 5 / 6) / 6)
    exercises.check_one_score_lower(100 * (1 + 1 + 1 + 4 / 5 + 5 / 6) / 6)
    exercises.check_one_score_lower(...)
    assert verdicts(capsys) == ["right", "not right", "not answered yet"]


def test_greedy(capsys: pytest.CaptureFixture[str]) -> None:
    def solution(overlaps: np.ndarray, threshold: float) -> list[bool]:
        free = np.ones(overlaps.shape[1], dtype=bool)
        hits = []
        for row in overlaps:
            row = np.where(free, row, -1)
            best = int(row.argmax())
            hits.append(bool(row[best] >= threshold))
            if hits[-1]:
                free[best] = False
        return hits

    def of_all(overlaps: np.ndarray, threshold: float) -> list[bool]:
        return exercises.greedy(overlaps, threshold, of_all=True)

    def forgets_who_is_taken(overlaps: np.ndarray, threshold: float) -> list[bool]:
        return [bool(row.max() >= threshold) for row in overlaps]

    def exceeds(overlaps: np.ndarray, threshold: float) -> list[bool]:
        return exercises.greedy(overlaps, threshold + 1e-9)

    for answer in (solution, of_all, forgets_who_is_taken, exceeds):
        exercises.check_greedy(answer)
    told = verdicts(capsys)
    assert told[0] == "right" and all(verdict.startswith("not right") for verdict in told[1:])


def test_scene(capsys: pytest.CaptureFixture[str]) -> None:
    truths = [[0, 0, 10, 10], [3, 0, 13, 10]]
    exercises.check_scene((truths, [[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]]))
    exercises.check_scene((truths, [[0, 0, 10, 10], [3, 0, 13, 10], [50, 50, 60, 60]]))
    exercises.check_scene((truths, truths))
    exercises.check_scene(7)
    told = verdicts(capsys)
    assert told[0] == "right" and all(verdict.startswith("not right") for verdict in told[1:])


def test_ends(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_ends(lambda n, k, m: (k / m * k / n, k / m))
    exercises.check_ends(lambda n, k, m: (0.0, k / m))
    exercises.check_ends(lambda n, k, m: None)
    told = verdicts(capsys)
    assert told[0] == "right" and told[1].startswith("not right") and told[2] == "not answered yet"
