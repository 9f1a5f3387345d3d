"""The printed solutions of the chapter pass its checks, wrong answers do not; the references are right."""

import numpy as np
import pytest

from stad_lite.exercises import extrapolation as exercises
from stad_lite.step import extension


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip()


def test_weights(capsys: pytest.CaptureFixture[str]) -> None:
    def printed(horizon: int, clip: int) -> np.ndarray:
        answer = np.zeros(clip)
        answer[0], answer[-1] = -horizon / (clip - 1), 1 + horizon / (clip - 1)
        return answer

    exercises.check_weights(printed)
    assert said(capsys) == "weights: right"
    exercises.check_weights(lambda horizon, clip: np.full(clip, 1 / clip))
    assert "not right" in said(capsys)
    exercises.check_weights(lambda horizon, clip: ...)
    assert "not answered" in said(capsys)


def test_weights_are_those_of_the_library() -> None:
    seen = np.random.default_rng(0).normal(size=(6, 4))
    expected = [exercises.weights(horizon, 6) @ seen for horizon in range(1, 7)]
    np.testing.assert_allclose(extension.ahead(seen, 6), expected, atol=1e-12)


def test_final_step(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_final_step(lambda s: np.average(s, weights=np.arange(1, len(s) + 1)))
    assert said(capsys) == "final_step: right"
    exercises.check_final_step(np.mean)
    assert "not right" in said(capsys)


def test_the_recursion_tends_to_the_final_step() -> None:
    seen = np.random.default_rng(1).normal(size=(6, 4))
    boxes = seen
    for _ in range(60):
        boxes = np.concatenate([boxes, extension.ahead(boxes, 6, "recursive")])
    expected = [exercises.final_step(np.diff(column)) for column in seen.T]
    np.testing.assert_allclose(boxes[-1] - boxes[-2], expected, atol=1e-9)


def test_pays(capsys: pytest.CaptureFixture[str]) -> None:
    def printed(speed: float, acceleration: float, horizon: int, clip: int) -> bool:
        missed = abs(acceleration * horizon * (horizon + clip - 1) / 2)
        return missed < abs(speed * horizon + acceleration * horizon**2 / 2)

    exercises.check_pays(printed)
    assert said(capsys) == "pays: right"
    exercises.check_pays(lambda speed, acceleration, horizon, clip: speed > 0)
    assert "not right" in said(capsys)


@pytest.mark.parametrize("speed, acceleration", [(1.0, 0.1), (1.0, -0.2), (0.2, 0.3), (3.0, -0.15)])
def test_pays_agrees_with_the_library(speed: float, acceleration: float) -> None:
    time = np.arange(-5.0, 7)[:, None]
    place = (speed * time + acceleration * time**2 / 2) * np.ones(4)
    missed = np.abs(extension.ahead(place[:6], 6) - place[6:])[:, 0]
    held = np.abs(extension.replicate(place[:6], 6)[1] - place[6:])[:, 0]
    own = [exercises.pays(speed, acceleration, horizon, 6) for horizon in range(1, 7)]
    assert own == (missed < held).tolist()


def test_best_share(capsys: pytest.CaptureFixture[str]) -> None:
    def printed(seen: np.ndarray, truth: np.ndarray) -> float:
        last, horizons = seen[:, -1:], np.arange(1, truth.shape[1] + 1)[:, None]
        motion = horizons * (last - seen[:, :1]) / (seen.shape[1] - 1)
        return (motion * (truth - last)).sum() / (motion**2).sum()

    exercises.check_best_share(printed)
    assert said(capsys) == "best_share: right"
    exercises.check_best_share(lambda seen, truth: 1.0)
    assert "not right" in said(capsys)


def test_no_share_is_better_than_the_best() -> None:
    generator = np.random.default_rng(2)
    boxes = generator.normal(size=(30, 12, 4)).cumsum(1)
    seen, truth = boxes[:, :6], boxes[:, 6:]
    motion = extension.ahead(seen, 6) - seen[:, -1:]
    best = exercises.best_share(seen, truth)

    def missed(share: float) -> float:
        return float(((seen[:, -1:] + share * motion - truth) ** 2).sum())

    assert missed(best) < min(missed(best - 0.01), missed(best + 0.01))
    assert exercises.best_share(np.zeros((2, 6, 4)), np.ones((2, 6, 4))) == 0.0
