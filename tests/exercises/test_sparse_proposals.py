"""The printed solutions of the chapter pass its checks, wrong answers do not; the references are true."""

import math

import numpy as np
import pytest
import torch

from stad_lite.exercises import sparse_proposals as exercises
from stad_lite.segments import expand
from stad_lite.sp_tad.config import Backbone, SpTadConfig
from stad_lite.sp_tad.interaction import GlobalAttention, Levels, SparseInteraction, refine
from stad_lite.sp_tad.model import Outputs
from stad_lite.sp_tad.pyramid import pyramid_level
from stad_lite.sp_tad.windows import Window, decode
from stad_lite.training.profile import operations
from tests.exercises.references import right_and_silent

CHECKS = (
    (exercises.check_steps_read, exercises.steps_read),
    (exercises.check_deltas_between, exercises.deltas_between),
    (exercises.check_break_even, exercises.break_even),
    (exercises.check_clip_scores, exercises.clip_scores),
)


@pytest.mark.parametrize(("check", "reference"), CHECKS, ids=lambda one: one.__name__)
def test_the_reference_is_right_and_silence_is_no_answer(check, reference, capsys) -> None:
    right_and_silent(check, reference, capsys)


def test_wrong_answers(capsys: pytest.CaptureFixture[str]) -> None:
    def no_floor(length, window, strides, eta):
        top = len(strides) - 1
        level = min(max(round(top + math.log2(length / window)), 0), top)
        return length * (1 + 2 / eta) / strides[level]

    def of_the_longer(length, window, strides, eta):
        return exercises.steps_read(length * (1 + 2 / eta), window, strides, 1e12)

    wrong = [
        (exercises.check_steps_read, no_floor),
        (exercises.check_steps_read, of_the_longer),
        (exercises.check_deltas_between, lambda s, t: (t[0] - s[0], math.log((t[1] - t[0]) / (s[1] - s[0])))),
        (exercises.check_break_even, lambda n, d, h, bins: bins),
        (exercises.check_clip_scores, lambda scores, clip: (0, int(np.argmax(scores[0])))),
    ]
    for check, answer in wrong:
        check(answer)
        assert "not right" in capsys.readouterr().out


@pytest.mark.parametrize("length", [3.0, 40.0, 64.0, 100.0, 128.0, 256.0])
def test_steps_read_is_what_the_library_reads(length: float) -> None:
    strides = (2, 4, 8, 16)
    level = int(pyramid_level(torch.tensor(length / 256), 4))
    start, end = expand(np.array([0.0, length]), eta=5) / strides[level]
    assert exercises.steps_read(length, 256, strides, 5) == pytest.approx(end - start)


def test_deltas_undo_refine() -> None:
    segment, target = (3.0, 8.0), (4.0, 5.5)
    deltas = torch.tensor(exercises.deltas_between(segment, target))
    torch.testing.assert_close(refine(torch.tensor(segment), deltas), torch.tensor(target))


@pytest.mark.parametrize("bins", [4, 16])
def test_the_costs_meet_at_the_break_even(bins: int) -> None:
    n, d, h = 12, 32, 8
    at = exercises.break_even(n, d, h, bins)
    features, segments = torch.zeros(1, n, d), torch.rand(1, n, 2)
    sparse = SparseInteraction(d, h, bins)
    own = operations(lambda: sparse(features, torch.zeros(1, n, bins, d)))[0]
    attend = GlobalAttention(d, 4, 1)

    def dearer(steps: int) -> bool:
        levels = Levels([torch.zeros(1, d, steps)], (1,), steps)
        query = 2 * n * 2 * d * d  # the proposals' own places, which the exercise leaves out
        return operations(lambda: attend(features, segments, levels))[0] - query > own

    assert not dearer(math.floor(at)) and dearer(math.floor(at) + 1)


def test_clip_scores_are_what_is_decoded() -> None:
    scores, clip = torch.tensor([[0.6, 0.5], [0.4, 0.2]]), torch.tensor([0.5, 0.9])
    config = SpTadConfig.smoke(Backbone("features", channels=(8, 8, 8)))
    outputs = Outputs(scores.logit()[None, None], torch.rand(1, 1, 2, 2), clip.logit()[None])
    (found,) = decode(outputs, [Window("a", 0, 64)], config)
    proposal, label = exercises.clip_scores(scores.tolist(), clip.tolist())
    assert found.labels[0] == label
    np.testing.assert_allclose(found.segments[0], outputs.segments[0, 0, proposal])
