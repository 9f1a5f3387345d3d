"""The printed solutions pass the checks, wrong answers do not; the references are what the library does."""

import numpy as np
import pytest
import torch

from stad_lite.exercises import proposals_and_boundaries as exercises
from stad_lite.linking import MedianFilter, trim_tubes
from stad_lite.nets.proposals import Proposals, join
from stad_lite.pcsc import cooperation, recall
from stad_lite.pcsc.cooperation import Detections
from stad_lite.systems.truth import TrueBoxes
from stad_lite.tubes import Tube
from tests.exercises.references import right_and_silent

CHECKS = (
    (exercises.check_proposals_of, exercises.proposals_of),
    (exercises.check_joined, exercises.joined),
    (exercises.check_kept_frames, exercises.kept_frames),
    (exercises.check_union_recall, exercises.union_recall),
)
LOST = [0.0, 0.9, 0.9, 0, 0, 0, 0.9, 0.9, 0, 0, 0, 0]


@pytest.mark.parametrize(("check", "reference"), CHECKS, ids=lambda one: one.__name__)
def test_the_reference_is_right_and_silence_is_no_answer(check, reference, capsys) -> None:
    right_and_silent(check, reference, capsys)


def test_a_lost_tube(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_lost(LOST)
    assert capsys.readouterr().out == "lost: right\n"
    exercises.check_lost(...)
    assert "not answered" in capsys.readouterr().out
    survives = [0.9, *LOST[1:]]  # the first score also stands for the frames before it
    for wrong in (survives, LOST[:11], [0.0] * 12, [9.0 * score for score in LOST], [LOST], "no"):
        exercises.check_lost(wrong)
        assert "not right" in capsys.readouterr().out


def test_wrong_answers(capsys: pytest.CaptureFixture[str]) -> None:
    def one_list(own, a, other, b, first, second):
        return exercises.joined(
            np.concatenate([own, other]), np.concatenate([a, b]), other[:0], b[:0], first, second
        )

    def drops(scores, width, threshold):
        found = exercises.kept_frames(scores, width, threshold)
        return (0, 0) if max(scores) < threshold else found

    wrong = [
        (exercises.check_proposals_of, lambda t: (1 - t % 2, t - 2, t - 1)),
        (exercises.check_proposals_of, lambda t: (t % 2, max(t - 2, 0), t - 1)),
        (exercises.check_joined, one_list),
        (exercises.check_joined, lambda own, a, other, b, i, j: exercises.joined(own, a, other, b, i, i)),
        (exercises.check_kept_frames, drops),
        (exercises.check_kept_frames, lambda s, width, t: exercises.kept_frames(s, 1, t)),
        (exercises.check_kept_frames, lambda s, width, t: exercises.kept_frames(s, width, t + 0.01)),
        (exercises.check_union_recall, lambda rgb, flow, n: exercises.union_recall(rgb, flow, 2 * n)),
        (exercises.check_union_recall, lambda rgb, flow, n: exercises.union_recall(rgb, rgb, n)),
    ]
    for check, answer in wrong:
        check(answer)
        assert "not right" in capsys.readouterr().out


@pytest.mark.parametrize("stage", range(1, 9))
def test_proposals_of_is_the_schedule(stage: int) -> None:
    turn = cooperation.turn(stage)
    told = exercises.proposals_of(stage)
    assert told == (cooperation.STREAMS.index(turn.stream), turn.own[1], turn.other[1])


@pytest.mark.parametrize("seed", range(4))
def test_joined_is_the_cooperation_of_proposals(seed: int) -> None:
    torch.manual_seed(seed)
    corner = torch.rand(2, 9, 2) * 14
    boxes, scores = torch.cat([corner, corner + 8 + 6 * torch.rand(2, 9, 2)], -1), torch.rand(2, 9)
    parts = []
    for one, chance, nms in zip(boxes, scores, (0.5, 0.3), strict=True):
        found = Detections(one[None, :, None], chance[None, :, None], torch.ones(1, 9, dtype=torch.bool))
        parts.append(cooperation.confident(found, 0.0, nms, 9))
    both = join(*parts)
    arrays = (boxes[0].numpy(), scores[0].numpy(), boxes[1].numpy(), scores[1].numpy())
    np.testing.assert_array_equal(exercises.joined(*arrays, 0.5, 0.3), both.boxes[both.valid].numpy())


@pytest.mark.parametrize("seed", range(30))
def test_kept_frames_are_those_of_the_median_filter(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.uniform(size=int(random.integers(1, 20))).round(1)
    width, threshold = int(random.choice([1, 3, 5, 7])), float(random.uniform(0.2, 0.9))
    tube = Tube(0, np.tile([0.0, 0, 8, 8], (len(scores), 1)), "a", 0.5, scores)
    (kept,) = trim_tubes([tube], MedianFilter(width, threshold, empty="keep")).tubes
    assert exercises.kept_frames(scores.tolist(), width, threshold) == (kept.start, kept.end)


def test_union_recall_is_the_library_s() -> None:
    torch.manual_seed(0)
    corner = torch.rand(3, 1, 8, 2) * 12
    truth, *streams = torch.cat([corner, corner + 8 + 6 * torch.rand(3, 1, 8, 2)], -1)
    rgb, flow = (Proposals(b, torch.arange(8.0).flip(0)[None], torch.ones(1, 8) > 0) for b in streams)
    true = TrueBoxes(truth, torch.zeros(1, 8, dtype=torch.long))
    tables = [recall.box_ops.pairwise_iou(truth, one.boxes)[0].tolist() for one in (rgb, flow)]
    for count in (2, 4, 8):
        found = recall.found(recall.united(rgb, flow, count), true, count)
        assert exercises.union_recall(*tables, count) == pytest.approx(found.float().mean().item())
