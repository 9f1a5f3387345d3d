"""Algorithm 1: what goes into each step, what the update takes, what is decoded."""

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError
from stad_lite.step.config import StepConfig
from stad_lite.step.extension import extrapolate
from stad_lite.step.head import Raw
from stad_lite.step.model import (
    Answer,
    Dense,
    StepNetwork,
    centre,
    chances,
    decode,
    dense,
    extend,
    of_class,
    select,
    tidy,
    update,
)
from tests.step.cases import batch, system, tiny


def answer(config: StepConfig, proposals: int = 5, clips: int = 1, seed: int = 0) -> Answer:
    """A random answer of one clip with boxes inside the frame."""
    generator = torch.Generator().manual_seed(seed)
    length = clips * config.boxes

    def boxes(*shape):
        corner = torch.rand(*shape, 2, generator=generator) * 20 + 2
        return torch.cat([corner, corner + 5 + torch.rand(*shape, 2, generator=generator) * 15], -1)

    scores = torch.rand(1, proposals, 3, generator=generator)
    edge = (1, proposals, config.boxes, 3)
    return Answer(
        boxes(1, proposals, length),
        scores,
        boxes(1, proposals, length, 3),
        scores.argmax(-1),
        boxes(*edge),
        boxes(*edge),
    )


def test_update_takes_the_best_classs_regression():
    config = tiny()
    said = answer(config)
    found = update(said, config)
    for m in range(5):
        best = int(said.scores[0, m].argmax())
        torch.testing.assert_close(found[0, m], said.boxes[0, m, :, best])


def test_update_cuts_boxes_and_replaces_what_is_gone():
    boxes = torch.tensor([[-5.0, 3, 60, 20], [10, 10, 11, 30], [60, 0, 70, 5], [5, 5, 9, 9]])
    wanted = torch.tensor([[0.0, 3, 48, 20], [0, 0, 48, 40], [0, 0, 48, 40], [5, 5, 9, 9]])
    torch.testing.assert_close(tidy(boxes, (40, 48)), wanted)


@pytest.mark.parametrize("kind", ["extrapolation", "anticipation", "copy"])
def test_extension_concatenates_in_order(kind):
    config = tiny(extension=kind)
    said = answer(config)
    updated = update(said, config)
    found = extend(said, config)
    assert found.shape == (1, 5, 18, 4)
    torch.testing.assert_close(centre(found, 6), updated)
    if kind == "anticipation":
        before, after = of_class(said.before, said.best), of_class(said.after, said.best)
    elif kind == "extrapolation":
        before, after = extrapolate(updated, 6)
    else:
        before, after = updated[..., :1, :].expand(-1, -1, 6, -1), updated[..., -1:, :].expand(-1, -1, 6, -1)
    torch.testing.assert_close(found[..., :6, :], tidy(before, config.size))
    torch.testing.assert_close(found[..., 12:, :], tidy(after, config.size))


def test_the_recursive_reading_is_a_setting():
    said = answer(tiny())
    closed, recursive = (
        extend(said, tiny(extension="extrapolation", extrapolation=name)) for name in ("closed", "recursive")
    )
    torch.testing.assert_close(closed[..., 6:13, :], recursive[..., 6:13, :])
    assert not torch.allclose(closed[..., 13:, :], recursive[..., 13:, :])


def test_algorithm_1_step_by_step():
    """Each step's input is the last step's answer, extended where the clips grow."""
    one = system(clips=(1, 1, 3), thresholds=(0.2, 0.35, 0.5), extension="extrapolation")
    network = one.network.eval()
    maps = one.maps(batch(one.config))
    first, second, third = network(maps)
    assert first.proposals.shape == (2, 11, 6, 4)
    torch.testing.assert_close(first.proposals, network.initial.expand(2, -1, -1, -1))
    torch.testing.assert_close(second.proposals, update(first, one.config))
    torch.testing.assert_close(third.proposals, extend(second, one.config))
    alone = network.refine(maps, third.proposals, 2)
    torch.testing.assert_close(alone.scores, third.scores)
    assert len(network(maps, steps=2)) == 2


def test_early_steps_see_the_centre_clip_alone():
    one = system(clips=(1, 3), context=True)
    network = one.network.eval()
    maps = one.maps(batch(one.config)).detach()
    changed = maps.clone()
    changed[:, :6] += 1
    changed[:, 12:] += 1
    before, after = network(maps), network(changed)
    torch.testing.assert_close(before[0].scores, after[0].scores)
    assert not torch.allclose(before[1].scores, after[1].scores)


def test_all_frames_at_once():
    one = system(clips=(3, 3))
    found = one.network.eval()(one.maps(batch(one.config)))
    assert [step.proposals.shape[2] for step in found] == [18, 18]
    assert (found[0].proposals == found[0].proposals[:, :, :1]).all()
    assert found[0].before is None


def test_scores_and_decoded_boxes():
    config = tiny()
    one = system()
    maps = one.maps(batch(config)).detach()
    network = one.network.eval()
    said = network(maps)[0]
    item = torch.tensor([1])
    raw = network.raw(maps, said.proposals[1, 4][None], item, 0)
    near = {"atol": 1e-3, "rtol": 0}  # pixels; one cuboid alone against all of a batch
    torch.testing.assert_close(said.scores[1, 4], raw.logits.softmax(-1)[0, :-1], **near)
    decoded = box_ops.decode(raw.offsets[0], said.proposals[1, 4][:, None])
    torch.testing.assert_close(said.boxes[1, 4], decoded, **near)
    torch.testing.assert_close(chances(raw.logits, tiny(classification="bce")), raw.logits.sigmoid())


def test_answers_count_from_the_proposals_of_their_own_frames():
    """Of 18 frames that differ: L from each frame's box, L_-1 from the first clip's, L_+1 from the last's."""
    network, said = system(clips=(1, 3, 5), thresholds=(0.2, 0.35, 0.5)).network, answer(tiny(), clips=3)
    generator = torch.Generator().manual_seed(1)
    offsets = {
        name: torch.randn(1, 5, length, 3, 4, generator=generator) * 0.1
        for name, length in (("offsets", 18), ("before", 6), ("after", 6))
    }
    raw = Raw(logits=torch.randn(1, 5, 4, generator=generator), **offsets)
    found = network.answer(said.proposals, raw)
    told = ((found.boxes, "offsets", 0), (found.before, "before", 0), (found.after, "after", 12))
    for boxes, name, first in told:
        for k in range(boxes.shape[2]):
            wanted = box_ops.decode(offsets[name][:, :, k], said.proposals[:, :, first + k, None])
            torch.testing.assert_close(boxes[:, :, k], wanted, rtol=1e-4, atol=1e-4)
    assert found.best[0].tolist() == [max(range(3), key=row.__getitem__) for row in raw.logits[0].tolist()]


def test_predictions_are_the_last_steps():
    one = system(min_score=0.0)
    shown = batch(one.config)
    with torch.no_grad():
        last = one.network.eval()(one.maps(shown))[-1]
    for found, wanted in zip(one.predict(shown), decode(dense(last, one.config), one.config), strict=True):
        assert len(found) > 5
        np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-5)


def test_one_regression_serves_all_classes():
    boxes = torch.rand(2, 5, 6, 1, 4)
    torch.testing.assert_close(of_class(boxes, torch.full((2, 5), 2)), boxes[..., 0, :])


def test_dense_keeps_the_centre_clip_in_the_frame():
    config = tiny()
    said = answer(config, clips=3)
    said = said._replace(boxes=said.boxes * 2)
    found = dense(said, config)
    assert found.boxes.shape == (1, 5, 3, 6, 4) and found.scores.shape == (1, 5, 3)
    wanted = tidy(centre(said.boxes.permute(0, 1, 3, 2, 4), 6), config.size)
    np.testing.assert_allclose(found.boxes, wanted)
    assert found.boxes.max() <= 48


def test_suppression_stays_within_the_classes():
    config = tiny(nms=0.4, min_score=0.1)
    box = np.tile([0.0, 0, 10, 10], (6, 1))
    boxes = np.stack([box, box + 0.5, box, box + 30])
    labels, scores = np.array([0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.05])
    found = select(boxes, labels, scores, config)
    assert found.labels.tolist() == [0, 1] and found.scores.tolist() == [0.9, 0.7]


def test_suppression_takes_the_mean_over_the_frames():
    """Boxes that agree on half of the frames only overlap by a half."""
    still = np.tile([0.0, 0, 10, 10], (6, 1))
    leaves = still.copy()
    leaves[3:] += 20
    boxes, labels, scores = np.stack([still, leaves]), np.zeros(2, int), np.array([0.9, 0.8])
    assert len(select(boxes, labels, scores, tiny(nms=0.4))) == 1
    assert len(select(boxes, labels, scores, tiny(nms=0.6))) == 2


def test_keep_takes_the_best():
    boxes = np.arange(5)[:, None, None] * 20.0 + np.tile([0.0, 0, 10, 10], (6, 1))
    found = select(boxes, np.array([0, 1, 2, 0, 1]), np.array([0.2, 0.9, 0.5, 0.7, 0.3]), tiny(keep=3))
    assert found.scores.tolist() == [0.9, 0.7, 0.5]
    nothing = decode(Dense(np.zeros((1, 2, 3, 6, 4)), np.zeros((1, 2, 3))), tiny())
    assert len(nothing[0]) == 0


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(FormatError, match="3 clips of 6"):
        system().network(torch.zeros(1, 6, 32, 12, 12))


def test_an_extension_that_was_not_trained_is_refused():
    said = answer(tiny())._replace(before=None, after=None)
    with pytest.raises(FormatError, match="anticipates"):
        extend(said, tiny())


def test_a_frozen_backbone_gets_no_gradient_and_stays_in_evaluation():
    one = system(frozen=True)
    sum(one.loss(batch(one.config)).values()).backward()
    assert not one.network.backbone.training
    assert all(p.grad is None for p in one.network.backbone.parameters())
    free = system(frozen=False)
    sum(free.loss(batch(free.config)).values()).backward()
    assert all(p.grad is not None for p in free.network.backbone.parameters())


def test_every_step_has_its_own_head():
    heads = StepNetwork(tiny(clips=(1, 3), extension="anticipation"), 3).heads
    assert heads[0].after is not None and heads[1].after is None
    shared = {id(p) for p in heads[0].parameters()} & {id(p) for p in heads[1].parameters()}
    assert not shared
