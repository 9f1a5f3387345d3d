"""The refine module: who is a key, where a better box may lie, which one is taken, what is learnt."""

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.cfad.keyframes import greedy_keys
from stad_lite.cfad.refine import (
    RefineModule,
    box_targets,
    choose_keys,
    flat,
    joined_score,
    key_labels,
    replace_boxes,
    search_area,
)
from stad_lite.matching import IGNORED, NEGATIVE, POSITIVE
from tests.cfad.cases import moving, tiny


def module() -> RefineModule:
    torch.manual_seed(0)
    return RefineModule(tiny(), 8, classes=3)


def test_importance_pools_space_and_looks_along_time():
    one, features = module(), torch.randn(2, 8, 6, 4, 4)
    importance = one.importance(features)
    assert importance.shape == (2, 6)
    cells = torch.randperm(16)
    shuffled = features.flatten(3)[..., cells].unflatten(3, (4, 4))
    torch.testing.assert_close(one.importance(shuffled), importance, atol=1e-5, rtol=1e-4)
    evened = features.mean((3, 4), keepdim=True).expand_as(features)
    torch.testing.assert_close(one.importance(evened), importance, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(one.importance(features.flip(2)).flip(1), importance, atol=1e-4)
    other = features.clone()
    other[:, :, 1] += 1  # a neighbour in time
    assert not torch.allclose(one.importance(other)[:, 2], importance[:, 2], atol=1e-5)


def test_box_proposals_of_a_sample_come_from_its_own_features():
    one, features = module(), torch.randn(2, 8, 6, 4, 4)
    chosen = torch.zeros(2, 6, dtype=torch.bool)
    chosen[0, 4] = chosen[1, 1] = True
    found = one.proposals(flat(features, chosen))
    wanted = one.proposals(torch.stack([features[0, :, 4], features[1, :, 1]]))
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert found[0].shape == (2, 96, 3) and found[1].shape == (2, 96, 4)


@pytest.mark.parametrize("length", [1, 2, 4, 9, 15])
def test_labels_are_the_greedy_keys(length):
    config = tiny(samples=6)
    random = np.random.default_rng(length)
    corner = np.cumsum(random.normal(0, 3, (length, 2)), 0)
    tube = np.concatenate([corner, corner + 12], 1)
    keys = greedy_keys(tube, 6, config.epsilon)
    (labels,) = key_labels([tube], config)
    frames = np.rint(np.arange(6) * (length - 1) / 5)
    assert labels.tolist() == [float(frame in keys) for frame in frames]
    assert labels[0] == labels[-1] == 1


def test_selections_cost_the_same_and_learned_goes_by_alpha():
    chances = np.array([0.9, 0.3, 0.29, 0.1, 0.3, 0.05])
    assert choose_keys(chances, tiny(alpha=0.3)).tolist() == [0, 1, 4]
    assert choose_keys(chances, tiny(alpha=0.3, selection="uniform")).tolist() == [0, 2, 5]
    random = [
        choose_keys(chances, tiny(alpha=0.3, selection="random"), (seed,)).tolist() for seed in range(9)
    ]
    assert {len(keys) for keys in random} == {3} and len({tuple(keys) for keys in random}) > 1
    assert (
        choose_keys(chances, tiny(selection="random"), (3,)).tolist()
        == choose_keys(chances, tiny(selection="random"), (3,)).tolist()
    )
    assert choose_keys(chances, tiny(selection="all")).tolist() == [0, 1, 2, 3, 4, 5]
    assert choose_keys(chances, tiny(selection="none")).tolist() == []
    for selection in ("learned", "uniform", "random"):
        assert choose_keys(chances * 0, tiny(selection=selection)).tolist() == []


def centred(x: float, y: float) -> list[float]:
    return [x - 3, y - 2, x + 3, y + 2]


def test_the_edge_of_the_search_area_belongs_to_it():
    coarse = torch.tensor([[10.0, 20, 20, 40]])  # centre 15, 30; sigma .5 reaches 5 and 10
    assert search_area(coarse, 0.5).tolist() == [[10.0, 20.0, 20.0, 40.0]]
    config, score = tiny(sigma=0.5), torch.tensor([[0.9]])
    for x, y in ((20.0, 30.0), (10.0, 30.0), (15.0, 40.0), (15.0, 20.0), (20.0, 40.0)):
        box = torch.tensor([[centred(x, y)]])
        found, best = replace_boxes(coarse, box, score, config)
        assert found.tolist() == box[0].tolist() and best.tolist() == score[0].tolist()
    for x, y in ((20.01, 30.0), (9.99, 30.0), (15.0, 40.01), (15.0, 19.99)):
        found, best = replace_boxes(coarse, torch.tensor([[centred(x, y)]]), score, config)
        assert found.tolist() == coarse.tolist() and best.tolist() == [-1]


def test_the_best_score_inside_wins_and_suppression_changes_nothing():
    random = torch.Generator().manual_seed(0)
    config = tiny(sigma=0.8, box_score=0.2)
    for _ in range(30):
        coarse = torch.tensor([[15.0, 15, 30, 35]])
        corner = torch.rand(20, 2, generator=random) * 40
        proposals = torch.cat([corner, corner + 4 + torch.rand(20, 2, generator=random) * 12], 1)
        scores = torch.rand(20, generator=random) * 0.5
        found, best = replace_boxes(coarse, proposals[None], scores[None], config)
        centre = (proposals[:, :2] + proposals[:, 2:]) / 2
        inside = [
            i
            for i, (x, y) in enumerate(centre.tolist())
            if abs(x - 22.5) <= 0.8 * 15 and abs(y - 25) <= 0.8 * 20 and scores[i] >= 0.2
        ]
        if not inside:
            assert best.tolist() == [-1] and found.tolist() == coarse.tolist()
            continue
        winner = max(inside, key=lambda i: float(scores[i]))
        assert found[0].tolist() == proposals[winner].tolist() and float(best) == float(scores[winner])
        kept = box_ops.nms(proposals[inside], scores[inside], 0.7)
        assert inside[int(kept[0])] == winner


def test_a_proposal_with_too_low_a_score_is_none():
    coarse, box = torch.tensor([[10.0, 20, 20, 40]]), torch.tensor([[[11.0, 21, 21, 41]]])
    for score, found in ((0.3, True), (0.29, False)):
        boxes, best = replace_boxes(coarse, box, torch.tensor([[score]]), tiny(box_score=0.3))
        assert boxes.tolist() == (box[0] if found else coarse).tolist() and (float(best) >= 0) is found


def test_scores_are_averaged_over_what_was_found():
    assert joined_score(0.6, np.array([0.2, 0.4])) == pytest.approx(0.45)
    assert joined_score(0.6, np.array([0.2, -1.0])) == pytest.approx(0.4)
    assert joined_score(0.6, np.zeros(0)) == 0.6


def test_targets_of_the_box_proposals():
    boxes = torch.tensor([[4.0, 4, 16, 24], [20.0, 4, 32, 24]])
    anchors = torch.tensor([[4.0, 4, 16, 24], [21.0, 4, 33, 24], [4.0, 4, 16, 16], [30.0, 30, 40, 40]])
    config = tiny(box_positive=0.7, box_negative=0.3)
    label, wanted, shift = box_targets(anchors, boxes, torch.tensor([2, 0]), 3, config)
    assert label.tolist() == [POSITIVE, POSITIVE, IGNORED, NEGATIVE]
    assert wanted.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    torch.testing.assert_close(box_ops.decode(shift[:2], anchors[:2]), boxes)
    label, wanted, _ = box_targets(anchors, boxes[:0], torch.tensor([]).long(), 3, config)
    assert label.tolist() == [NEGATIVE] * 4 and not wanted.any()


def test_still_tubes_need_their_ends_alone():
    assert key_labels([moving(0, 12, 0.0)], tiny(samples=6)).tolist() == [[1, 0, 0, 0, 0, 1]]
