"""Cost, matching and loss against the definitions, brute force and other orders."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite.errors import FormatError, NotFiniteError
from stad_lite.sp_tad.config import SpTadConfig
from stad_lite.sp_tad.criterion import clip_targets, make_truth, match, matching_cost, set_loss
from stad_lite.sp_tad.model import Outputs

CONFIG = SpTadConfig.smoke()
few = settings(max_examples=30, deadline=None)


def case(seed: int, counts=(2, 0, 3), heads: int = 2, proposals: int = 4, classes: int = 3):
    """Return random outputs and truths; some truths have no length."""
    random = np.random.default_rng(seed)
    logits = torch.tensor(random.normal(size=(heads, len(counts), proposals, classes)), dtype=torch.float32)
    start = random.uniform(0, 0.7, (heads, len(counts), proposals))
    segments = np.stack([start, start + random.uniform(0, 0.5, start.shape)], -1)
    clip = torch.tensor(random.normal(size=(len(counts), classes)), dtype=torch.float32)
    spans, labels = [], []
    for count in counts:
        low = random.uniform(0, 0.8, count)
        spans.append(torch.tensor(np.stack([low, low + random.choice([0, 0.1, 0.2], count)], -1)).float())
        labels.append(torch.tensor(random.integers(0, classes, count)))
    return Outputs(logits, torch.tensor(segments, dtype=torch.float32), clip), make_truth(spans, labels)


def focal(probability: float, positive: bool) -> float:
    p, alpha = (probability, 0.25) if positive else (1 - probability, 0.75)
    return -alpha * (1 - p) ** 2 * math.log(p + 1e-8)


def giou(a, b) -> float:
    """In one dimension, by the definition; 0 for what has no extent at all."""
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union, hull = (a[1] - a[0]) + (b[1] - b[0]) - shared, max(a[1], b[1]) - min(a[0], b[0])
    return (shared / union if union > 0 else 0.0) - ((hull - union) / hull if hull > 0 else 0.0)


def costs_by_hand(outputs, truth, head, item) -> np.ndarray:
    table = np.zeros((outputs.logits.shape[2], truth.counts[item]))
    for n in range(table.shape[0]):
        score = outputs.logits[head, item, n].double().sigmoid().tolist()
        span = outputs.segments[head, item, n].double().tolist()
        for g in range(table.shape[1]):
            label, want = int(truth.labels[item, g]), truth.segments[item, g].double().tolist()
            classes = focal(score[label], True) - focal(score[label], False)
            apart = abs(span[0] - want[0]) + abs(span[1] - want[1])
            table[n, g] = 2 * classes + 5 * apart - 2 * giou(span, want)
    return table


@few
@given(st.integers(0, 2**32))
def test_matching_is_the_cheapest_of_all_permutations(seed):
    outputs, truth = case(seed)
    cost = matching_cost(outputs.logits, outputs.segments, truth, CONFIG)
    for head, found in enumerate(match(outputs, truth, CONFIG)):
        for item, count in enumerate(truth.counts):
            table = costs_by_hand(outputs, truth, head, item)
            np.testing.assert_allclose(cost[head, item, :, :count].numpy(), table, atol=1e-4)
            mine = found.item == item
            got = table[found.proposal[mine].numpy(), found.truth[mine].numpy()].sum()
            best = min(table[list(p), range(count)].sum() for p in permutations(range(4), count))
            assert int(mine.sum()) == count and got == pytest.approx(best, abs=1e-4)


@few
@given(st.integers(0, 2**32))
def test_loss_by_hand(seed):
    outputs, truth = case(seed)
    matches = match(outputs, truth, CONFIG)
    cls = l1 = overlap = 0.0
    for head, found in enumerate(matches):
        owner = {
            (i, n): g
            for i, n, g in zip(*(column.tolist() for column in found), strict=True)
        }  # fmt: skip
        for item in range(len(truth.counts)):
            for n in range(outputs.logits.shape[2]):
                g = owner.get((item, n))
                for c, p in enumerate(outputs.logits[head, item, n].double().sigmoid().tolist()):
                    cls += focal(p, g is not None and c == int(truth.labels[item, g]))
                if g is not None:
                    span = outputs.segments[head, item, n].double().tolist()
                    want = truth.segments[item, g].double().tolist()
                    l1 += abs(span[0] - want[0]) + abs(span[1] - want[1])
                    overlap += 1 - giou(span, want)
    terms = set_loss(outputs, truth, CONFIG)
    number = sum(truth.counts)
    assert float(terms["cls"]) == pytest.approx(2 * cls / number, rel=1e-4)
    assert float(terms["l1"]) == pytest.approx(5 * l1 / number, rel=1e-4)
    assert float(terms["giou"]) == pytest.approx(2 * overlap / number, rel=1e-4)


def losses_anew(leaves, truth, matches) -> dict[str, torch.Tensor]:
    """Eq. 2 and 3 pair by pair, in torch's own terms."""
    logits, segments, clip = leaves
    wanted = {"cls": torch.zeros(()), "l1": torch.zeros(()), "giou": torch.zeros(())}
    targets = torch.zeros_like(logits)
    for head, found in enumerate(matches):
        for item, n, g in zip(*(column.tolist() for column in found), strict=True):
            targets[head, item, n, truth.labels[item, g]] = 1
            (a, b), (c, d) = segments[head, item, n], truth.segments[item, g]
            wanted["l1"] = wanted["l1"] + (a - c).abs() + (b - d).abs()
            shared = (torch.minimum(b, d) - torch.maximum(a, c)).clamp(min=0)
            union, hull = (b - a) + (d - c) - shared, torch.maximum(b, d) - torch.minimum(a, c)
            wanted["giou"] = wanted["giou"] + 1 - shared / union + (hull - union) / hull
    right = torch.where(targets == 1, logits.sigmoid(), 1 - logits.sigmoid())
    wanted["cls"] = (torch.where(targets == 1, 0.25, 0.75) * (1 - right) ** 2 * -right.log()).sum()
    weights, number = {"cls": 2, "l1": 5, "giou": 2}, sum(truth.counts)
    terms = {name: weights[name] * value / number for name, value in wanted.items()}
    present = clip_targets(truth, clip.shape[1])
    right = torch.where(present == 1, clip.sigmoid(), 1 - clip.sigmoid())
    return {**terms, "clip": -right.log().mean()}


@pytest.mark.parametrize("term", ["cls", "l1", "giou", "clip"])
def test_gradients_are_those_of_the_definitions(term):
    """What a term says and what it teaches: a part that is detached has the value, but no gradient."""
    outputs, truth = case(5)
    truth = truth._replace(segments=truth.segments + torch.tensor([0.0, 0.05]))  # none without length
    leaves = [part.requires_grad_() for part in outputs]
    matches = match(outputs, truth, CONFIG)
    ours, theirs = set_loss(outputs, truth, CONFIG, matches)[term], losses_anew(leaves, truth, matches)[term]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    nothing = 0 * sum(leaf.sum() for leaf in leaves)  # what a term does not look at has a gradient of 0
    grads = (torch.autograd.grad(value + nothing, leaves, retain_graph=True) for value in (ours, theirs))
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-5)


@few
@given(st.integers(0, 2**32))
def test_order_of_proposals_and_truths_does_not_matter(seed):
    """Claim tad-match."""
    outputs, truth = case(seed, counts=(3, 3))
    random = np.random.default_rng(seed)
    rows, columns = random.permutation(4), random.permutation(3)
    there = Outputs(outputs.logits[:, :, rows], outputs.segments[:, :, rows], outputs.clip)
    other = truth._replace(segments=truth.segments[:, columns], labels=truth.labels[:, columns])
    for name, value in set_loss(there, other, CONFIG).items():
        torch.testing.assert_close(value, set_loss(outputs, truth, CONFIG)[name], atol=1e-4, rtol=1e-4)


def test_no_truth_at_all_leaves_the_class_loss():
    outputs, truth = case(0, counts=(0, 0))
    outputs.logits.requires_grad_(), outputs.segments.requires_grad_()
    terms = set_loss(outputs, truth, CONFIG)
    assert terms["l1"] == terms["giou"] == 0 and terms["cls"] > 0 and terms["clip"] > 0
    sum(terms.values()).backward()
    assert torch.isfinite(outputs.logits.grad).all() and not outputs.segments.grad.any()


def test_more_truths_than_proposals_matches_the_cheapest():
    outputs, truth = case(1, counts=(6, 1), proposals=4)
    found = match(outputs, truth, CONFIG)[0]
    assert torch.bincount(found.item).tolist() == [4, 1]
    assert all(torch.isfinite(term) for term in set_loss(outputs, truth, CONFIG).values())


def test_every_head_is_paid():
    outputs, truth = case(2, heads=3)
    outputs.logits.requires_grad_(), outputs.segments.requires_grad_()
    sum(set_loss(outputs, truth, CONFIG).values()).backward()
    assert outputs.logits.grad.flatten(1).any(1).all() and outputs.segments.grad.flatten(1).any(1).all()
    alone = [Outputs(outputs.logits[h : h + 1], outputs.segments[h : h + 1], None) for h in range(3)]
    for name in ("cls", "l1", "giou"):
        parts = sum(float(set_loss(one, truth, CONFIG)[name].detach()) for one in alone)
        assert float(set_loss(outputs, truth, CONFIG)[name].detach()) == pytest.approx(parts, rel=1e-4)


def test_weights_are_factors_and_the_clip_head_can_be_left_out():
    outputs, truth = case(3)
    plain = set_loss(outputs, truth, CONFIG)
    heavy = set_loss(outputs, truth, replace(CONFIG, clip_weight=3.0, cls_weight=4.0))
    assert float(heavy["clip"]) == pytest.approx(3 * float(plain["clip"]))
    assert float(heavy["cls"]) == pytest.approx(2 * float(plain["cls"]))
    assert "clip" not in set_loss(outputs._replace(clip=None), truth, CONFIG)


def test_clip_targets_are_the_classes_that_occur():
    truth = make_truth(
        [torch.tensor([[0.0, 0.1], [0.2, 0.3]]), torch.zeros(0, 2)], [torch.tensor([2, 2]), torch.zeros(0)]
    )
    assert clip_targets(truth, 3).tolist() == [[0, 0, 1], [0, 0, 0]]


def test_nan_predictions_are_refused_with_their_window():
    outputs, truth = case(4, counts=(2, 1, 1))
    outputs.segments[1, 1, 2] = torch.nan
    with pytest.raises(NotFiniteError, match="window 1 of the batch"):
        match(outputs, truth, CONFIG)


def test_labels_and_segments_must_agree():
    with pytest.raises(FormatError, match="one label for each"):
        make_truth([torch.zeros(2, 2)], [torch.zeros(1)])
