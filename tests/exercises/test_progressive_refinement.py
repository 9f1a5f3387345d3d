"""The printed solutions of the chapter pass its checks, wrong answers do not; the references are true."""

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.exercises import progressive_refinement as exercises
from stad_lite.step.config import StepConfig
from stad_lite.step.criterion import box_losses
from stad_lite.step.cuboids import CUBOIDS, compare, spread
from stad_lite.step.model import Answer, update
from stad_lite.step.sampling import Assignment, draw
from tests.exercises.references import right_and_silent

CHECKS = (
    (exercises.check_update, exercises.update),
    (exercises.check_drawn, exercises.drawn),
    (exercises.check_cost, exercises.cost),
)
PRINTED = [(0.3, 0.5, 5, 2), (0.5, 0.8, 1, 1)]


@pytest.mark.parametrize(("check", "reference"), CHECKS, ids=lambda one: one.__name__)
def test_the_reference_is_right_and_silence_is_no_answer(check, reference, capsys) -> None:
    right_and_silent(check, reference, capsys)


def test_wrong_answers(capsys: pytest.CaptureFixture[str]) -> None:
    def with_background(chances, boxes):
        return boxes[np.arange(len(boxes)), chances.argmax(1).clip(max=boxes.shape[1] - 1)]

    def with_replacement(scores, wanted):
        share = np.array(scores) / sum(scores)
        return 1 - (1 - share) ** wanted

    wrong = [
        (exercises.check_update, with_background),
        (exercises.check_drawn, with_replacement),
        (exercises.check_drawn, lambda scores, wanted: np.array(scores) / sum(scores) * wanted),
        (exercises.check_cost, lambda miss, width: abs(miss) / width),
        (exercises.check_cost, lambda miss, width: (miss / width) ** 2 / 2),
    ]
    for check, answer in wrong:
        check(answer)
        assert "not right" in capsys.readouterr().out


def test_eleven_boxes_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_grid(...)
    exercises.check_grid(spread(PRINTED))
    assert capsys.readouterr().out.splitlines() == ["eleven boxes: not answered yet", "eleven boxes: right"]
    outside = spread(PRINTED) + [0, 0, 0.2, 0]
    flat = spread(PRINTED)
    flat[0, 2] = flat[0, 0]
    for boxes, word in (
        (CUBOIDS["grid11"], "meet more"), (CUBOIDS["grid34"], "an array (11, 4)"),
        (outside, "inside the frame"), (flat, "a width and a height"),
    ):  # fmt: skip
        exercises.check_grid(boxes)
        told = capsys.readouterr().out
        assert "not right" in told and word in told


def test_recall_is_the_librarys_and_the_splits_are_other_clips() -> None:
    boxes = exercises.synthetic_boxes(clips=20)
    assert boxes.min() >= 0 and boxes.max() <= 1
    for name in ("grid11", "thirds11"):
        known = compare(boxes, {name: CUBOIDS[name]}, 0.2)[name]["recall"]
        assert exercises.recall(CUBOIDS[name], boxes) == known
    assert not np.isin(boxes[:, 0], exercises.synthetic_boxes("test", clips=20)[:, 0]).all()


def test_update_is_eq_1_of_the_library() -> None:
    generator = torch.Generator().manual_seed(0)
    chances = torch.rand(1, 11, 7, generator=generator).softmax(-1)
    corners = torch.rand(1, 11, 1, 6, 2, generator=generator) * 20
    boxes = torch.cat([corners, corners + 10], -1)
    answer = Answer(boxes[:, :, :, 0], chances[..., :-1], boxes, chances[..., :-1].argmax(-1), None, None)
    found = update(answer, StepConfig.smoke())
    by_hand = exercises.update(chances[0].numpy(), boxes[0, :, 0].numpy())
    np.testing.assert_allclose(found[0, :, 0], by_hand)


def test_drawn_adds_up_and_is_what_the_library_draws() -> None:
    scores = [0.9, 0.6, 0.2, 0.1, 0.05]
    chance = exercises.drawn(scores, 2)
    assert chance.sum() == pytest.approx(2) and (np.diff(chance) < 0).all()
    torch.manual_seed(0)
    count = 20_000
    nothing = torch.full((count, 5), -1)
    samples = draw(Assignment(nothing, nothing >= 0), torch.tensor(scores).expand(count, 5), negatives=2)
    found = torch.bincount(samples.proposal, minlength=5) / count
    np.testing.assert_allclose(found, chance, atol=0.015)


@pytest.mark.parametrize(("miss", "width"), [(3.0, 12.0), (-5.0, 20.0), (30.0, 10.0)])
def test_cost_is_eq_3_of_the_library(miss: float, width: float) -> None:
    proposal = torch.tensor([[[10.0, 10.0, 10.0 + width, 50.0]]]).expand(1, 6, 4)
    truth = proposal + torch.tensor([2.0, 0.0, 2.0, 0.0])
    told = truth + torch.tensor([miss, 0.0, miss, 0.0])
    offsets = box_ops.encode(told, proposal)[:, :, None]
    present, labels = torch.ones(1, 6, dtype=torch.bool), torch.ones(1, 1)
    each = box_losses(offsets, proposal, truth, present, labels)
    assert exercises.cost(miss, width) == pytest.approx(each.mean().item(), rel=1e-5)
