"""The printed solutions of the chapter pass its checks, wrong answers do not."""

import numpy as np
import pytest

from stad_lite.cfad import keyframes
from stad_lite.exercises import key_timestamps as exercises


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip()


def turning_tube() -> np.ndarray:
    """A walk that turns back half-way: (31, 4) boxes, 20 pixels wide and 40 high."""
    x = 40 + 2.0 * np.minimum(np.arange(31), 30 - np.arange(31))
    return np.stack([x, 0 * x, x + 20, 0 * x + 40], -1)


def test_half_way_stamps(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_is_half(lambda i, n, count: 2 * i * (n - 1) % (2 * (count - 1)) == count - 1)
    assert said(capsys) == "is_half: right"
    exercises.check_is_half(lambda i, n, count: False)
    assert "not right" in said(capsys)
    exercises.check_is_half(lambda i, n, count: None)
    assert "not answered" in said(capsys)


def test_walks(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_walk_keys(2)
    exercises.check_turning_tube(turning_tube())
    assert said(capsys).count("right") == 2 and "not right" not in said(capsys)
    exercises.check_walk_keys(3)
    exercises.check_turning_tube(np.tile([0.0, 0, 20, 40], (31, 1)))
    assert said(capsys).count("not right") == 2


def test_prune(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_prune(exercises.prune)
    assert said(capsys) == "prune: right"
    exercises.check_prune(lambda boxes, keys, epsilon: sorted(keys))
    assert "not right" in said(capsys)


def test_pruning_keeps_the_promise() -> None:
    boxes = turning_tube()
    keys = keyframes.stamps(31, 16).tolist()
    kept = exercises.prune(boxes, keys, 0.9)
    assert set(kept) <= set(keys) and len(kept) < len(keys)
    assert keyframes.overlap(boxes, np.array(kept), "linear") > 0.9
