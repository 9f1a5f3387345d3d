"""Segments of interest, dynamic convolutions, the head, and what each of them may depend on."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stad_lite.align import segment_align
from stad_lite.sp_tad.config import SpTadConfig
from stad_lite.sp_tad.interaction import (
    DELTA_WEIGHTS,
    DetectionHead,
    GlobalAttention,
    Levels,
    SparseInteraction,
    refine,
    segment_features,
)

CONFIG = SpTadConfig.smoke()
STRIDES = (2, 4, 8, 16)
NEAR = {"rtol": 1e-4, "atol": 1e-4}
"""Between two ways to add up the same."""


def levels(batch=2, channels=16, window=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randn(batch, channels, window // s, generator=generator) for s in STRIDES]
    return Levels(maps, STRIDES, window)


def proposals(batch=2, count=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(batch, count, generator=generator) * 0.6
    length = 0.03 + torch.rand(batch, count, generator=generator) * 0.9
    return torch.stack([start, start + length], -1)


def test_a_segment_of_a_ramp_by_hand():
    """The finest level holds the frame that each step stands for; 20 to 30 of 80 frames widen to 18 to 32."""
    maps = [torch.arange(80.0 // s).reshape(1, 1, -1) * s for s in STRIDES]
    segments = torch.tensor([[[20 / 80, 30 / 80]]])
    (found,) = segment_features(Levels(maps, STRIDES, 80), segments, eta=5, bins=7)[0]
    torch.testing.assert_close(found[:, 0], torch.arange(19.0, 32, 2))


def test_every_proposal_reads_its_own_level_and_item():
    pyramid, segments = levels(), proposals()
    found = segment_features(pyramid, segments, eta=5, bins=4)
    seen = set()
    for b in range(2):
        for n in range(5):
            start, end = segments[b, n].tolist()
            level = min(max(math.floor(3 + math.log2(end - start)), 0), 3)
            seen.add(level)
            wide = torch.tensor([[start - (end - start) / 5, end + (end - start) / 5]]) * 64
            expected = segment_align(
                pyramid.maps[level], wide, torch.tensor([b]), 4, 1 / STRIDES[level], samples=2
            )
            torch.testing.assert_close(found[b, n], expected[0].T)
    assert len(seen) > 1


def test_interaction_is_two_convolutions_that_the_proposal_makes():
    """By torch's own conv1d with kernels of one step: SP-TAD Fig. 3."""
    torch.manual_seed(0)
    layer = SparseInteraction(6, 4, bins=5)
    features, segments = torch.randn(1, 2, 6), torch.randn(1, 2, 5, 6)
    found = layer(features, segments)
    for n in range(2):
        made = layer.parameters_of(features[0, n])
        first, second = made[:24].reshape(6, 4).T, made[24:].reshape(4, 6).T
        step = F.conv1d(segments[0, n].T[None], first[..., None])
        step = F.relu(layer.norm_inner(step[0].T)).T[None]
        step = F.relu(layer.norm_outer(F.conv1d(step, second[..., None])[0].T))
        expected = F.relu(layer.norm_out(layer.out(step.flatten())))
        torch.testing.assert_close(found[0, n], expected)


def test_the_head_is_its_parts_in_their_order():
    """SP-TAD Sec. 3.1.3: attention, interaction and a network of two layers, each added; two branches."""
    torch.manual_seed(0)
    head, pyramid, spans, features = DetectionHead(CONFIG, 3, 4), levels(), proposals(), torch.randn(2, 5, 16)
    logits, moved, new = head(pyramid, spans, features)
    found = F.layer_norm(
        features + head.self_attention(features, features, features, need_weights=False)[0], (16,)
    )
    cut = segment_features(pyramid, spans, CONFIG.eta, CONFIG.bins, CONFIG.samples)
    found = F.layer_norm(found + head.interaction(found, cut), (16,))
    first, _, second = head.feed_forward
    found = F.layer_norm(found + second(F.relu(first(found))), (16,))
    torch.testing.assert_close(new, found, **NEAR)
    torch.testing.assert_close(logits, head.classes(head.cls_tower(found)), **NEAR)
    torch.testing.assert_close(moved, refine(spans, head.deltas(head.reg_tower(found))), **NEAR)


def changed_outside(interaction: str) -> torch.Tensor:
    """Return which proposals change when everything behind the 40th frame of the window changes."""
    torch.manual_seed(0)
    head = DetectionHead(replace(CONFIG, interaction=interaction), 3, 4).eval()
    segments = torch.tensor([[[0.05, 0.2], [0.1, 0.4], [0.5, 0.9], [0.0, 1.0]]])
    features = torch.randn(1, 4, 16)
    before = levels(batch=1)
    after = before._replace(maps=[m.clone() for m in before.maps])
    for sequence, stride in zip(after.maps, STRIDES, strict=True):
        sequence[..., 40 // stride + 1 :] += 1
    with torch.no_grad():
        return (head(before, segments, features)[0] - head(after, segments, features)[0]).abs().amax(-1)[0]


def test_sparse_interaction_is_local_and_global_attention_is_not():
    local = changed_outside("sparse")
    assert (local[:2] == 0).all() and (local[2:] > 0).all()
    assert (changed_outside("global") > 0).all()


def test_global_attention_tells_places_apart():
    """The same value everywhere but in one step: moving that step changes what is found."""
    torch.manual_seed(0)
    layer = GlobalAttention(16, 2, 1)
    maps = torch.zeros(2, 16, 8)
    maps[0, :, 1] = 1
    maps[1, :, 6] = 1
    segments = torch.tensor([[[0.1, 0.2]]]).expand(2, 1, 2)
    found = layer(torch.ones(2, 1, 16), segments, Levels([maps], (8,), 64))
    assert (found[0] - found[1]).abs().max() > 1e-4


@pytest.mark.parametrize("shift", [-0.5, 0.0, 2.0])
@pytest.mark.parametrize("factor", [0.1, 1.0, 7.0])
def test_refining_moves_and_stretches(shift, factor):
    segments = torch.tensor([[3.0, 5.0], [-1.0, 0.5]])
    deltas = torch.tensor([shift * DELTA_WEIGHTS[0], math.log(factor) * DELTA_WEIGHTS[1]]).expand(2, 2)
    found = refine(segments, deltas)
    length = segments[:, 1] - segments[:, 0]
    torch.testing.assert_close(found[:, 1] - found[:, 0], length * factor)
    torch.testing.assert_close(found.mean(1), segments.mean(1) + shift * length)


def test_no_prediction_explodes():
    assert torch.isfinite(refine(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1e9]))).all()


def test_a_head_without_proposals_alike_has_gradients_everywhere():
    head = DetectionHead(CONFIG, 3, 4)
    features = torch.randn(2, 5, 16, requires_grad=True)
    logits, segments, new = head(levels(), proposals(), features)
    assert logits.shape == (2, 5, 3) and segments.shape == (2, 5, 2) and new.shape == features.shape
    (logits.square().sum() + segments.square().sum()).backward()
    assert all(p.grad is not None and p.grad.any() for p in head.parameters()), "a parameter learns nothing"


@pytest.mark.parametrize(("branches", "linear", "norms"), [("paper", (1, 3), 0), ("sparse_rcnn", (2, 4), 4)])
def test_branches_of_a_head(branches, linear, norms):
    """The paper: "the classification branch is a linear layer", the other "a 3-layer ... network"."""
    torch.manual_seed(0)
    head = DetectionHead(replace(SpTadConfig.smoke(), branches=branches), 3, levels=2)
    towers = (nn.Sequential(head.cls_tower, head.classes), nn.Sequential(head.reg_tower, head.deltas))
    counts = tuple(sum(isinstance(part, nn.Linear) for part in tower.modules()) for tower in towers)
    assert counts == linear
    assert sum(isinstance(p, nn.LayerNorm) for tower in towers for p in tower.modules()) == norms
    features = torch.randn(2, 5, 16)
    if branches == "paper":
        torch.testing.assert_close(towers[0](features), features @ head.classes.weight.T + head.classes.bias)
        by_hand = features
        for layer in (head.reg_tower[0], head.reg_tower[2]):
            by_hand = (by_hand @ layer.weight.T + layer.bias).clamp(min=0)
        torch.testing.assert_close(towers[1](features), by_hand @ head.deltas.weight.T + head.deltas.bias)
