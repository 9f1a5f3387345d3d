"""What CFAD learns from: phases, the whole tube, keys of true spans, boxes at the samples' own frames."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stad_lite import boxes as box_ops
from stad_lite.cfad import criterion
from stad_lite.cfad.coarse import Coarse, sample_times
from stad_lite.cfad.criterion import Spans, box_losses, coarse_losses, drawn_samples, key_loss, training_spans
from stad_lite.cfad.proposals import encode_spans, span_anchors
from stad_lite.cfad.trajectory import encode_tube, fit
from tests.cfad.cases import batch, moving, system, tiny, truth

WALK = moving(0, 10, 1.0)


def test_proposals_are_trained_alone_at_first():
    one = system()
    truths = [truth([(2, WALK)], one.config), truth([(3, WALK), (5, moving(0, 6))], one.config, [1, 2])]
    first, later = one.loss(batch(one.config, truths, warm=True)), one.loss(batch(one.config, truths))
    assert set(first) == set(later) == {"span_score", "span_shift", *criterion.LATER}
    assert [float(first[name]) for name in criterion.LATER] == [0] * 5
    sum(first.values()).backward()
    touched = {name.split(".")[0] for name, p in one.network.named_parameters() if p.grad is not None}
    assert touched == {"neck", "proposals"}
    sum(later.values()).backward()
    untouched = [name for name, p in one.network.named_parameters() if p.grad is None]
    assert {name.split(".")[0] for name in untouched} == {"backbone"}  # maps were given


@pytest.mark.parametrize("selection", ["none", "learned"])
def test_parts_of_a_batch_ask_for_the_same_counts_whatever_phase_they_are_in(selection, monkeypatch):
    """Warm videos count in the temporal proposals alone, as if the others were a batch of their own."""
    one = system(selection=selection, sampled=9999, span_sampled=9999, refined=0)
    truths = [truth([(2, WALK)], one.config), truth([(3, WALK), (5, moving(0, 6))], one.config, [1, 2])]
    asked: list[float] = []

    def told(count):
        asked.append(float(count))
        return count.float().clamp(min=1)

    monkeypatch.setattr(criterion, "normaliser", told)
    found = {}
    for name, warm in {"warm": [True, True], "mixed": [True, False], "later": [False, False]}.items():
        asked.clear()
        terms = one.loss({**batch(one.config, truths), "warm": torch.tensor(warm)})
        found[name] = (terms, list(asked))
    terms, counts = found["mixed"]
    assert len({len(asked) for _, asked in found.values()}) == 1 and list(terms) == list(found["warm"][0])
    assert found["warm"][1] == [0] * len(counts)
    assert all(0 < few < all_of for few, all_of in zip(counts, found["later"][1], strict=True))
    alone = one.loss({name: value[1:] for name, value in batch(one.config, truths).items()})
    for name in list(terms)[2:]:
        torch.testing.assert_close(terms[name], alone[name])


def test_every_module_learns_through_the_shared_features():
    for term in ("span_score", "class", "tube", "key", "box_class"):
        one = system()
        for head in one.network.coarse.heads.values():
            torch.nn.init.normal_(head.everywhere.out.weight, std=0.1)
        one.loss(batch(one.config, [truth([(2, WALK)], one.config)]))[term].backward()
        assert one.network.neck.shrink.conv.weight.grad.abs().sum() > 0, term


@pytest.mark.parametrize("selection", ["none", "learned"])
def test_without_refinement_nothing_of_it_is_trained(selection):
    one = system(selection=selection)
    terms = one.loss(batch(one.config, [truth([(2, WALK)], one.config)]))
    assert ("key" in terms) == (selection == "learned") == ("box_class" in terms)


def test_a_batch_without_truth_or_proposals_has_a_loss_and_a_gradient():
    one = system(span_score=1.0)
    terms = one.loss(batch(one.config, [truth([], one.config)] * 2))
    sum(terms.values()).backward()
    assert all(torch.isfinite(value) for value in terms.values())


@pytest.mark.parametrize("start", [0, 7, 15])
def test_a_span_of_one_frame_can_be_learnt_from(start):
    one = system()
    terms = one.loss(batch(one.config, [truth([(start, moving(0, 1))], one.config)]))
    assert all(torch.isfinite(value) for value in terms.values())


def test_a_trimmed_video_is_its_own_proposal():
    one = system(trimmed=True)
    terms = one.loss(batch(one.config, [truth([(0, moving(0, 16, 0.3))], one.config)], warm=True))
    assert set(terms) == {"class", "tube", "key", "box_class", "box_shift"}
    logits, offsets = torch.zeros(1, 48), torch.zeros(1, 48, 2)
    spans = training_spans(logits, offsets, [truth([], one.config)], [0], one.config)
    assert spans.span.tolist() == [[0.0, 16.0]] and spans.truth.tolist() == [-1]


def test_the_detector_sees_true_spans_and_proposals():
    config = tiny(train_spans=2, span_nms=0.5)
    truths = [truth([(2, WALK)], config), truth([(3, WALK), (5, moving(0, 6))], config)]
    anchors = span_anchors(config)
    wanted = torch.tensor([0.0, 6.0])
    logits = torch.full((2, len(anchors)), -9.0)
    logits[1, 4], logits[1, 30] = 3.0, 2.0
    offsets = encode_spans(wanted, anchors).expand(2, -1, -1).clone()
    offsets[1, 30] = encode_spans(torch.tensor([8.0, 14.0]), anchors[30])
    spans = training_spans(logits, offsets, truths, [0, 1], config)
    assert spans.item.tolist() == [0, 1, 1, 1, 1] and spans.truth.tolist() == [0, 0, 1, -1, -1]
    assert spans.span.tolist() == [[2, 12], [3, 13], [5, 11], [0, 6], [8, 14]]
    assert training_spans(logits, offsets, truths, [1], config).item.tolist() == [1, 1, 1, 1]


def perfect(config, one, span, anchors, classes=3):
    """Outputs that say the truth: coefficients of every anchor, and logits that are sure."""
    theta = torch.stack(
        [
            torch.as_tensor(
                fit(encode_tube(one.boxes[0, int(span[0]) : int(span[1])], a).numpy(), config.order)
            )
            for a in anchors
        ]
    )
    return theta[None].float(), torch.zeros(1, len(anchors), classes + 1)


def test_the_whole_tube_is_regressed_and_not_its_first_segment():
    config = tiny(segment=3)
    one, span = truth([(2, WALK)], config, [1]), torch.tensor([[2.0, 12.0]])
    anchors = torch.as_tensor(WALK[:1] + [[0.0, 0, 0, 0]]).float().repeat(2, 1)
    anchors[1] += 30
    theta, logits = perfect(config, one, span[0], anchors)
    spans = Spans(torch.tensor([0]), span, torch.tensor([0]))
    terms = coarse_losses(Coarse(logits, theta), anchors, [one], spans, config)
    assert float(terms["tube"]) < 1e-6
    # Eq. 3 by hand: squared distances summed over coordinates, averaged over the frames
    shifted = one._replace(boxes=one.boxes.clone())
    shifted.boxes[0, 11, [0, 2]] += 4.2  # the last frame alone, by .3 widths
    terms = coarse_losses(Coarse(logits, theta), anchors, [shifted], spans, config)
    assert float(terms["tube"]) == pytest.approx(0.3**2 / 10, rel=1e-3)


def test_classes_are_those_of_the_matched_tube_and_background_is_last():
    config = tiny(sampled=64)
    other = moving(0, 10, 0.0, corner=26.0, side=12.0)
    one = truth([(2, WALK), (2, other)], config, [1, 2])
    anchors = torch.as_tensor(np.array([WALK[1], other[0], [40.0, 0, 47, 6]])).float()
    logits = torch.full((1, 3, 4), -20.0)
    logits[0, [0, 1, 2], [1, 2, 3]] = 20.0
    spans = Spans(torch.tensor([0]), torch.tensor([[2.0, 12.0]]), torch.tensor([0]))
    theta = torch.zeros(1, 3, config.order + 1, 4)
    assert float(coarse_losses(Coarse(logits, theta), anchors, [one], spans, config)["class"]) < 1e-6
    for row in range(3):
        wrong = logits.clone()
        wrong[0, row] = wrong[0, row].roll(1)
        value = coarse_losses(Coarse(wrong, theta), anchors, [one], spans, config)["class"]
        assert float(value) == pytest.approx(40 / 3, rel=1e-3)


def test_keys_are_learnt_on_true_spans_alone():
    config = tiny()
    one = truth([(2, moving(0, 10, 0.0))], config)
    spans = Spans(torch.tensor([0, 0]), torch.tensor([[2.0, 12.0], [0.0, 9.0]]), torch.tensor([0, -1]))
    importance = torch.zeros(2, config.samples, requires_grad=True)
    loss = key_loss(importance, [one], spans)
    wanted = F.binary_cross_entropy_with_logits(torch.zeros(6), torch.tensor([1.0, 0, 0, 0, 0, 1]))
    torch.testing.assert_close(loss, wanted)
    loss.backward()
    assert not importance.grad[1].any() and (importance.grad[0] < 0).tolist() == [True, *[False] * 4, True]


def test_boxes_are_learnt_at_the_frames_of_the_samples(monkeypatch):
    one = system(refined=0)
    network, config = one.network, one.config
    true = truth([(2, moving(0, 10, 2.0)), (0, moving(0, 5, 0.0, corner=20.0))], config, [1, 2])
    spans = Spans(torch.tensor([0]), torch.tensor([[2.0, 12.0]]), torch.tensor([0]))
    times = sample_times(spans.span, config.samples)
    asked = []

    def targets(anchors, boxes, labels, classes, settings):
        asked.append((boxes.tolist(), labels.tolist()))
        return real(anchors, boxes, labels, classes, settings)

    real = criterion.box_targets
    monkeypatch.setattr(criterion, "box_targets", targets)
    sampled = torch.randn(1, 16, config.samples, 6, 6)
    box_losses(network, sampled, times, network.anchors(6, 6), [true], spans)
    wanted = []
    for time in times[0].tolist():
        frame = int(time + 0.5)
        there = [row for row in (0, 1) if true.spans[row, 0] <= frame < true.spans[row, 1]]
        wanted.append((true.boxes[there, frame].tolist(), true.labels[there].tolist()))
    assert asked == wanted and [1, 2] in [labels for _, labels in asked]


def test_a_box_proposal_that_says_the_truth_costs_nothing():
    one = system(refined=0, box_negative=0.0, box_positive=0.01)
    network, config = one.network, one.config
    true = truth([(0, moving(0, 16, 0.0, corner=10.0))], config, [2])
    anchors, box = network.anchors(6, 6), true.boxes[0, 0]
    scores = torch.full((config.samples, len(anchors), 3), -30.0)
    scores[..., 2] = 30.0
    offsets = box_ops.encode(box, anchors).expand(config.samples, -1, -1)
    network.refine.proposals = lambda features: (scores, offsets)
    spans = Spans(torch.tensor([0]), torch.tensor([[0.0, 16.0]]), torch.tensor([0]))
    sampled, times = torch.randn(1, 16, config.samples, 6, 6), sample_times(spans.span, config.samples)
    terms = box_losses(network, sampled, times, anchors, [true], spans)
    assert float(terms["box_shift"]) < 1e-9 and float(terms["box_class"]) < 1e-6
    network.refine.proposals = lambda features: (-scores, offsets + 1)
    terms = box_losses(network, sampled, times, anchors, [true], spans)
    assert float(terms["box_shift"]) > 1 and float(terms["box_class"]) > 30


def test_samples_are_drawn_evenly():
    torch.manual_seed(0)
    times = torch.zeros(400, 6)
    drawn = drawn_samples(times, 2)
    assert (drawn.sum(1) == 2).all() and (drawn.float().mean(0) - 1 / 3).abs().max() < 0.1
    assert drawn_samples(times, 0).all() and drawn_samples(times, 9).all()
