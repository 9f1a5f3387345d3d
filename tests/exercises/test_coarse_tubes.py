"""The printed solutions of the chapter pass its checks, wrong answers do not; the references are true."""

import numpy as np
import pytest
import torch

from stad_lite.cfad.coarse import sample_features
from stad_lite.cfad.trajectory import decode_tube, encode_tube, fit
from stad_lite.exercises import coarse_tubes as exercises
from stad_lite.nets.blocks import temporal_difference
from tests.exercises.references import right_and_silent

CHECKS = (
    (exercises.check_weights, exercises.weights),
    (exercises.check_moved, exercises.moved),
    (exercises.check_mean_difference, exercises.mean_difference),
)


@pytest.mark.parametrize(("check", "reference"), CHECKS, ids=lambda one: one.__name__)
def test_the_reference_is_right_and_silence_is_no_answer(check, reference, capsys) -> None:
    right_and_silent(check, reference, capsys)


def test_wrong_answers(capsys: pytest.CaptureFixture[str]) -> None:
    def nearest(time, stride, steps):
        return np.eye(steps)[min(int(time / stride), steps - 1)]

    def from_the_first_frame(time, stride, steps):
        return exercises.weights(time + (stride - 1) / 2, stride, steps)

    def shifted_alone(theta, anchor, other):
        found = theta.copy()
        found[0] = exercises.moved(theta, anchor, other)[0]
        return found

    wrong = [
        (exercises.check_weights, nearest),
        (exercises.check_weights, from_the_first_frame),
        (exercises.check_moved, lambda theta, anchor, other: theta),
        (exercises.check_moved, shifted_alone),
        (exercises.check_mean_difference, lambda first, last, count: (last - first) / count),
    ]
    for check, answer in wrong:
        check(answer)
        assert "not right" in capsys.readouterr().out


def test_a_tube_that_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    tube = np.tile(exercises.ANCHOR, (24, 1))
    tube[6:] += [40, 0, 40, 0]  # the printed solution
    exercises.check_lost(...)
    exercises.check_lost(tube)
    assert capsys.readouterr().out.splitlines() == [
        "a tube that is lost by its mean: not answered yet",
        "a tube that is lost by its mean: right",
    ]
    late = tube.copy()
    late[:4] += [40, 0, 40, 0]
    flat = tube.copy()
    flat[3, 2] = flat[3, 0]
    still = np.tile(exercises.ANCHOR, (24, 1))
    for boxes, word in (
        (late, "meets its first six"),
        (still, "mean IoU"),
        (tube[:20], "an array (24, 4)"),
        (flat, "an array (24, 4)"),
    ):
        exercises.check_lost(boxes)
        told = capsys.readouterr().out
        assert "not right" in told and word in told


@pytest.mark.parametrize("stride", [1, 8])
def test_weights_are_what_the_library_interpolates_with(stride: int) -> None:
    maps = torch.randn(1, 3, 12, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    times = torch.linspace(-2.0, 12.0 * stride, 40, dtype=torch.float64)[None]
    found = sample_features(maps, torch.tensor([0]), times, stride)
    rows = np.stack([exercises.weights(time, stride, 12) for time in times[0].tolist()])
    np.testing.assert_allclose(found[0], np.einsum("nt,cthw->cnhw", rows, maps[0]))
    np.testing.assert_allclose(rows.sum(1), 1)


def test_a_moved_tube_is_the_same_tube() -> None:
    random = np.random.default_rng(0)
    time = np.linspace(0, 1, 9)
    for _ in range(20):
        corners = random.uniform(0, 40, (2, 2))
        anchor, other = np.concatenate([corners, corners + random.uniform(4, 30, (2, 2))], 1)
        theta = random.normal(scale=0.3, size=(4, 4))
        boxes = decode_tube(theta, anchor, time)
        np.testing.assert_allclose(decode_tube(exercises.moved(theta, anchor, other), other, time), boxes)
        np.testing.assert_allclose(exercises.moved(theta, anchor, other), fit(encode_tube(boxes, other), 3))


def test_the_mean_difference_is_that_of_the_branch() -> None:
    row = torch.randn(1, 1, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    by_ends = exercises.mean_difference(row[0, 0, 0].item(), row[0, 0, -1].item(), 16)
    assert temporal_difference(row).mean().item() == pytest.approx(by_ends)
