"""Which anchor stands for which tube: cases by hand, and what must not change anything."""

import numpy as np
import pytest
import torch

from stad_lite.cfad.matching import draw, label_anchors, seen_tube, shown
from stad_lite.cfad.trajectory import decode_tube, encode_tube, fit, normalised_time
from stad_lite.matching import IGNORED, NEGATIVE, POSITIVE
from tests.cfad.cases import moving, tiny, truth

FAST = moving(2, 12, speed=2.5)


def labels_of(anchors, tubes, span, **settings):
    config = tiny(best_anchor=False, segment=3, **settings)
    found, _, which = label_anchors(
        torch.tensor(anchors).float(), truth(tubes, config), torch.tensor(span), config
    )
    return found, which


def test_the_first_segment_tells_positives_and_all_tell_negatives():
    first, last = FAST[1], FAST[-2]
    far = [30.0, 30, 44, 46]
    anchors = [first.tolist(), last.tolist(), far]
    found, which = labels_of(anchors, [(2, FAST)], [2.0, 14.0])
    assert which == [0]
    # the last place is no positive, and no negative either: the tube comes by there
    assert found.label.tolist() == [POSITIVE, IGNORED, NEGATIVE]
    found, _ = labels_of(anchors, [(2, FAST)], [2.0, 14.0], position=-1)
    assert found.label.tolist() == [IGNORED, POSITIVE, NEGATIVE]


def test_of_concurrent_tubes_the_one_with_the_larger_overlap_counts():
    one, other = moving(0, 8, 0.0, corner=4.0), moving(0, 8, 0.0, corner=7.0)
    anchors = [[5.0, 5, 19, 26], [6.4, 6.4, 20.4, 27.4]]
    found, which = labels_of(anchors, [(2, one), (2, other)], [2.0, 10.0])
    assert which == [0, 1] and found.label.tolist() == [POSITIVE] * 2
    assert found.truth.tolist() == [0, 1]


def test_a_tube_that_a_span_shows_a_part_of_is_neither_there_nor_absent():
    tube = moving(0, 10, 0.0)
    anchors = [tube[0].tolist(), [30.0, 30, 44, 46]]
    for span, wanted in (([2.0, 12.0], POSITIVE), ([2.0, 6.0], IGNORED), ([11.0, 16.0], NEGATIVE)):
        found, _ = labels_of(anchors, [(2, tube)], span)
        assert found.label.tolist() == [wanted, NEGATIVE]


def test_without_a_tube_all_is_background():
    found, which = labels_of([[0.0, 0, 9, 9]], [], [2.0, 6.0])
    assert which == [] and found.label.tolist() == [NEGATIVE]


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_tube_shorter_than_a_segment_is_one_segment(length):
    tube = moving(0, length)
    config = tiny(segment=6)
    found, _, _ = label_anchors(
        torch.as_tensor(tube[:1]).float(),
        truth([(3, tube)], config),
        torch.tensor([3.0, 3.0 + length]),
        config,
    )
    assert found.label.tolist() == [POSITIVE]


def test_targets_know_neither_place_nor_scale():
    config, anchors = tiny(), torch.rand(40, 4, generator=torch.Generator().manual_seed(0)) * 20
    anchors[:, 2:] = anchors[:, :2] + 10 + anchors[:, 2:]
    tube, factor, shift = moving(0, 10, 1.5), 1.7, np.array([3.0, -2.0, 3.0, -2.0])
    moved = torch.as_tensor(anchors.numpy() * factor + shift).float()
    span = torch.tensor([2.0, 12.0])
    before, tubes, _ = label_anchors(anchors, truth([(2, tube)], config), span, config)
    after, others, _ = label_anchors(moved, truth([(2, tube * factor + shift)], config), span, config)
    assert before.label.tolist() == after.label.tolist() and (before.label == POSITIVE).any()
    torch.testing.assert_close(
        encode_tube(others[0], moved[0]), encode_tube(tubes[0], anchors[0]), rtol=1e-4, atol=1e-4
    )


def test_a_tube_is_the_same_whichever_anchor_says_it():
    random = np.random.default_rng(0)
    time, theta = normalised_time(12), random.normal(0, 0.2, (4, 4))
    anchors = np.array([[4.0, 6, 18, 30], [10.0, 2, 19, 12]])
    boxes = decode_tube(theta, anchors[0], time)
    again = decode_tube(fit(encode_tube(boxes, anchors[1]), order=3), anchors[1], time)
    np.testing.assert_allclose(again, boxes, atol=1e-8)


def test_the_clock_runs_over_the_tube_or_over_the_span():
    tube = moving(0, 6)
    one = truth([(4, tube)], tiny())
    np.testing.assert_allclose(seen_tube(one, 0, torch.tensor([2.0, 8.0]), "tube"), tube)
    seen = seen_tube(one, 0, torch.tensor([2.0, 8.0]), "span")
    np.testing.assert_allclose(seen, tube[[0, 0, 0, 1, 2, 3]])
    np.testing.assert_allclose(seen_tube(one, 0, torch.tensor([4.0, 10.0]), "span"), tube)


def test_shown_counts_temporal_overlap():
    one = truth([(0, moving(0, 10)), (4, moving(0, 4)), (12, moving(0, 2))], tiny())
    assert shown(one, torch.tensor([0.0, 10.0]), tiny()) == ([0], [1])


def test_draw_takes_a_share_of_positives_and_never_what_is_ignored():
    torch.manual_seed(0)
    labels = torch.full((3, 50), NEGATIVE)
    labels[0, :20], labels[1, 3], labels[2, :48] = POSITIVE, POSITIVE, IGNORED
    taken = draw(labels, 16)
    assert (taken & (labels == POSITIVE)).sum(1).tolist() == [4, 1, 0]
    assert taken.sum(1).tolist() == [16, 16, 2] and not (taken & (labels == IGNORED)).any()
    assert not torch.equal(taken, draw(labels, 16))
