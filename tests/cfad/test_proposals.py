"""Temporal proposals: offsets, suppression, what the network looks at, what it learns."""

import pytest
import torch

from stad_lite import segments
from stad_lite.cfad.proposals import (
    SpanNetwork,
    decode_spans,
    encode_spans,
    propose,
    span_anchors,
    span_losses,
)
from tests.cfad.cases import tiny


def test_decoding_undoes_encoding():
    spans = torch.tensor([[3.0, 9.0], [0.0, 16.0], [5.0, 6.0]])
    anchors = torch.tensor([[2.0, 10.0], [4.0, 7.0], [0.0, 3.0]])
    torch.testing.assert_close(decode_spans(encode_spans(spans, anchors), anchors), spans)


@pytest.mark.parametrize("factorised", [True, False])
def test_scores_follow_what_happens_in_time_and_not_where(factorised):
    config = tiny(factorised=factorised)
    network = SpanNetwork(config, 8).eval()
    maps = torch.zeros(1, 8, 16, 32, 32)
    maps[:, :, 5:7, 12:14, 12:14] = 3.0  # far from the edges, which are padded
    scores, offsets = network(maps)
    assert scores.shape == (1, len(span_anchors(config))) and offsets.shape == (*scores.shape, 2)
    step = len(config.span_lengths)
    later, _ = network(maps.roll(4, 2))
    torch.testing.assert_close(
        scores[:, step : 8 * step], later[:, 5 * step : 12 * step], atol=1e-6, rtol=1e-4
    )
    elsewhere, _ = network(maps.roll(4, 4))
    torch.testing.assert_close(scores, elsewhere, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(scores, later)


def test_proposals_are_whole_spans_inside_the_video_that_overlap_little():
    config = tiny(span_nms=0.5)
    anchors = len(span_anchors(config))
    torch.manual_seed(0)
    spans, scores = propose(torch.randn(anchors), torch.randn(anchors, 2), config, 5)
    assert 1 <= len(spans) <= 5 and (scores.diff() <= 0).all()
    assert (spans == spans.floor()).all() and (spans[:, 0] < spans[:, 1]).all()
    assert spans.min() >= 0 and spans.max() <= config.length
    assert (segments.pairwise_iou(spans, spans).triu(1) <= 0.5).all()


def test_no_proposal_below_the_threshold_and_one_for_trimmed_videos():
    anchors = len(span_anchors(tiny()))
    nothing = torch.full((anchors,), -9.0), torch.zeros(anchors, 2)
    assert len(propose(*nothing, tiny(), 5)[0]) == 0
    assert propose(*nothing, tiny(trimmed=True), 5)[0].tolist() == [[0.0, 16.0]]


def test_a_right_answer_costs_nothing_and_a_wrong_one_something():
    config = tiny()
    anchors, truth = span_anchors(config), torch.tensor([[2.0, 12.0]])
    right = torch.where(segments.iou(anchors, truth) >= config.span_negative, 20.0, -20.0)
    right[segments.iou(anchors, truth) >= config.span_positive] = 20.0
    offsets = encode_spans(truth, anchors)
    score, shift = span_losses(right[None], offsets[None], [truth], config)
    assert float(score) < 1e-6 and float(shift) < 1e-9
    score, shift = span_losses(-right[None], offsets[None] + 1, [truth], config)
    assert float(score) > 5 and float(shift) > 0.1
    score, shift = span_losses(-right[None].abs(), offsets[None], [truth[:0]], config)
    assert float(score) < 1e-6 and float(shift) == 0


def test_a_truth_that_no_anchor_fits_has_its_best_one():
    config = tiny(span_lengths=(4.0,), span_positive=0.9)
    anchors, truth = span_anchors(config), torch.tensor([[3.0, 13.0]])
    best = segments.iou(anchors, truth)
    assert best.max() < config.span_positive
    sure = torch.where(best == best.max(), 20.0, -20.0)
    assert float(span_losses(sure[None], encode_spans(truth, anchors)[None], [truth], config)[0]) < 1e-6
    assert float(span_losses(-sure[None].abs(), torch.zeros(1, len(anchors), 2), [truth], config)[0]) > 0.3
