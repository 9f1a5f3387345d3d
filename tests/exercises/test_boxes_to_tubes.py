"""The printed solutions of the chapter pass its checks, wrong answers do not."""

import numpy as np
import pytest

from stad_lite.exercises import boxes_to_tubes as exercises
from stad_lite.linking import best_path, smooth_labels
from tests.exercises.references import verdicts


def test_the_best_sum(capsys: pytest.CaptureFixture[str]) -> None:
    def solution(weights: np.ndarray) -> float:
        best = np.zeros(weights.shape[1])
        for weight in weights:
            best = (best[:, None] + weight).max(axis=0)
        return float(best.max())

    def greedy(weights: np.ndarray) -> float:
        here = int(weights[0].max(axis=1).argmax())
        total = 0.0
        for weight in weights:
            there = int(weight[here].argmax())
            total, here = total + weight[here, there], there
        return total

    for answer in (solution, greedy, lambda weights: ...):
        exercises.check_best_sum(answer)
    told = verdicts(capsys)
    assert told[0] == "right" and told[1].startswith("not right") and told[2] == "not answered yet"


def test_the_reference_sum_is_the_librarys() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 3, 3))
    _, weight = best_path(weights, np.ones((5, 3), dtype=bool))
    assert exercises.best_sum(weights) == pytest.approx(float(weight))


def test_mending(capsys: pytest.CaptureFixture[str]) -> None:
    def solution(frames: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        every = np.arange(frames[0], frames[-1] + 1)
        return np.stack([np.interp(every, frames, c) for c in boxes.T], axis=1)

    def repeats(frames: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return np.repeat(boxes, np.append(1, np.diff(frames)), axis=0)

    exercises.check_mend(solution)
    exercises.check_mend(repeats)
    told = verdicts(capsys)
    assert told[0] == "right" and told[1].startswith("not right")


def test_the_bridging_price(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_bridging_price(1.8)
    exercises.check_bridging_price(3.6)
    assert verdicts(capsys) == ["right", "not right"]


@pytest.mark.parametrize("length, score", [(1, 0.0), (6, 0.2), (9, 0.45)])
def test_the_price_is_where_the_labels_change(length: int, score: float) -> None:
    own = np.array([0.9] * 10 + [score] * length + [0.9] * 10)
    table = np.stack([1 - own, own], axis=1)
    price = exercises.bridging_price(length, score)
    assert smooth_labels(table, price + 0.01).all()
    assert not smooth_labels(table, price - 0.01)[10 : 10 + length].any()


def test_patience(capsys: pytest.CaptureFixture[str]) -> None:
    box = [0.0, 0.0, 16.0, 32.0]
    frames = [0, 1, 2, 3, 6, 7, 8, 9]
    exercises.check_worse_with_patience((frames, [box] * 8))
    exercises.check_worse_with_patience((list(range(8)), [box] * 8))
    exercises.check_worse_with_patience(7)
    told = verdicts(capsys)
    assert told[0] == "right" and all(verdict.startswith("not right") for verdict in told[1:])


def test_patience_decides_where_tubes_end() -> None:
    box = [0.0, 0.0, 16.0, 32.0]
    frames = [0, 1, 4, 5]
    assert exercises.tubes_by_gap(frames, [box] * 4, gap=1) == [(0, 2), (4, 6)]
    assert exercises.tubes_by_gap(frames, [box] * 4, gap=3) == [(0, 6)]
