"""Decoding by hand: offsets, scores, suppression class by class, what the linker is given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.flow_subnet.criterion import VARIANCES
from stad_lite.flow_subnet.decoding import candidates, found_in, linking, score_table, suppressed
from stad_lite.linking import OnlineConfig, OnlineLinker
from stad_lite.systems.detect import Found, unchecked
from tests.flow_subnet.cases import CLASSES, config, network, sequences, video

SIZE = (48, 48)


def raw(seed: int = 0, count: int = 40) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=random) * 30
    boxes = torch.cat([corner, corner + 6 + 12 * torch.rand(count, 2, generator=random)], 1)
    scores = torch.randn(2, count, 4, generator=random) * 2
    return scores, torch.randn(2, count, 4, generator=random), boxes


@pytest.mark.parametrize("keep", [3, 50])
def test_by_hand(keep):
    scores, offsets, defaults = raw()
    settings = config(min_score=0.1, nms=0.4, keep=keep)
    found = suppressed(candidates(scores, offsets, defaults, SIZE, settings), settings)
    for frame in range(2):
        chances = scores[frame].softmax(1)[:, 1:]
        boxes = box_ops.clip(box_ops.decode(offsets[frame] * torch.tensor(VARIANCES), defaults), 48, 48)
        rows = []
        for label in range(3):
            best = chances[:, label].argsort(descending=True)[:keep].tolist()
            kept: list[int] = []
            for n in best:
                if chances[n, label] > 0.1 and all(box_ops.iou(boxes[n], boxes[k]) <= 0.4 for k in kept):
                    kept.append(n)
            rows += [(label, float(chances[n, label]), *boxes[n].tolist()) for n in kept]
        one = found[frame]
        answer = np.column_stack([one.labels, one.scores, one.boxes])
        np.testing.assert_allclose(answer, np.array(rows), rtol=1e-4, atol=1e-4)
        assert len(rows) > 3


def test_the_variances_undo_what_the_criterion_divides_by():
    defaults = raw()[2]
    wanted = (defaults + torch.tensor([1.0, -1, 2, 3])).clamp(0, 48)
    offsets = box_ops.encode(wanted, defaults) / torch.tensor(VARIANCES)
    scores = torch.zeros(1, len(defaults), 2)
    scores[..., 1] = torch.linspace(3, 1, len(defaults))
    found = candidates(scores, offsets[None], defaults, SIZE, config())
    torch.testing.assert_close(found.boxes[0, 0], wanted, rtol=1e-4, atol=1e-3)


def test_background_is_no_class():
    scores = torch.zeros(1, 40, 4)
    scores[..., 0] = 20
    settings = config()
    (found,) = suppressed(candidates(scores, *raw()[1:2], raw()[2], SIZE, settings), settings)
    assert len(found) == 0


def test_sequences_in_a_row_are_answered_like_single_ones():
    net, frames = network(), sequences(video(6))
    batch = {"frames": torch.cat([frames[:, n : n + 3] for n in range(4)])}
    together = found_in(net, batch, unchecked)
    apart = [found_in(net, {"frames": batch["frames"][n : n + 1]}, unchecked)[0] for n in range(4)]
    mixed = found_in(net, {"frames": batch["frames"][[2, 0]]}, unchecked)
    for found, alone in [*zip(together, apart, strict=True), (mixed[0], apart[2]), (mixed[1], apart[0])]:
        assert found.labels.tolist() == alone.labels.tolist()
        np.testing.assert_allclose(found.scores, alone.scores, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(found.boxes, alone.boxes, rtol=1e-3, atol=1e-3)


def test_linking_is_roads_without_a_second_suppression():
    ours, road = linking(config(linked=7)), OnlineConfig.road()
    same = ("min_score", "overlap", "gap", "rank", "motion", "fill", "min_boxes", "pixel", "tube_nms")
    assert all(getattr(ours, name) == getattr(road, name) for name in same)
    assert (ours.nms, ours.pre_nms, ours.keep) == (None, None, 7)


def test_the_linker_is_given_each_box_for_its_class_alone():
    found = Found(np.array([[0.0, 0, 9, 9], [1.0, 1, 9, 9]]), np.array([2, 0]), np.array([0.8, 0.6]))
    table = score_table(found, 3)
    assert table.tolist() == [[0, 0, 0.8], [0.6, 0, 0]]
    linker = OnlineLinker(3, linking(config()), CLASSES)
    paths = [linker.step(frame, found.boxes, table) for frame in range(4)]
    assert (paths[-1] >= 0).tolist() == [[False, False, True], [True, False, False]]
    assert sorted(tube.label for tube in linker.tubes()) == ["run", "wave"]
