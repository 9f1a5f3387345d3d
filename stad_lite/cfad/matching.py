"""What the anchors of a span should say: which tubes it shows, and which anchor stands for which.

Nothing here has a gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite import segments
from stad_lite.cfad.config import CfadConfig
from stad_lite.matching import IGNORED, NEGATIVE, POSITIVE, Labels, by_segment


class TrueTubes(NamedTuple):
    """The tubes of one resampled video.

    boxes: (g, T, 4) xyxy pixels; zeros on frames that a tube does not have
    spans: (g, 2) frames, half-open
    labels: (g,) class indices
    keys: (g, N) 1 where the greedy labelling takes a sample of the tube's own span, else 0
    """

    boxes: Tensor
    spans: Tensor
    labels: Tensor
    keys: Tensor

    def mirrored(self, width: int) -> TrueTubes:
        """Return the tubes as a mirror shows them, in frames of a width in pixels; keys know no side."""
        there = (self.boxes != 0).any(-1, keepdim=True)
        return self._replace(boxes=torch.where(there, box_ops.mirrored(self.boxes, width), self.boxes))


def seen_tube(truth: TrueTubes, number: int, span: Tensor, clock: str) -> Tensor:
    """Return the boxes of a tube that the normalised time runs over, 0 at the first and 1 at the last.

    span: (2,) that the features are sampled over, whole frames
    clock: ``tube``: its own boxes (Eq. 4 to the letter); ``span``: one a frame of the span, the nearest one
        of the tube where it has none there
    returns: (t, 4) xyxy pixels
    """
    start, end = (int(frame) for frame in truth.spans[number])
    if clock == "tube":
        return truth.boxes[number, start:end]
    frames = torch.arange(int(span[0]), int(span[1]), device=span.device)
    return truth.boxes[number, frames.clamp(start, end - 1)]


def shown(truth: TrueTubes, span: Tensor, config: CfadConfig) -> tuple[list[int], list[int]]:
    """Return the tubes that a span shows, and those that it shows a part of.

    Source: R-C3D Sec. 3.3 (a proposal stands for an action from a temporal IoU of .5).
    """
    overlap = segments.iou(truth.spans, span[None]).tolist()
    whole = [i for i, value in enumerate(overlap) if value >= config.span_match]
    part = [i for i, value in enumerate(overlap) if config.span_negative <= value < config.span_match]
    return whole, part


def label_anchors(
    anchors: Tensor, truth: TrueTubes, span: Tensor, config: CfadConfig
) -> tuple[Labels, list[Tensor], list[int]]:
    """Return what becomes of each anchor box of a span, the boxes of the tubes it shows, and which they are.

    Positives and negatives are told by ``stad_lite.matching.by_segment`` from the tubes that the span shows;
    a negative that overlaps a tube which it shows a part of is ignored.

    anchors: (n, 4) xyxy pixels
    returns: the labels' ``truth`` counts the tubes shown
    Source: CFAD Sec. 3.2 (segment-wise matching).
    """
    whole, part = shown(truth, span, config)
    tubes = [seen_tube(truth, number, span, config.clock) for number in whole]
    rules = (config.positive, config.negative, config.segment, config.position)
    found = by_segment(anchors, tubes, *rules, best_per_truth=config.best_anchor)
    if part:
        partial = [seen_tube(truth, number, span, "tube") for number in part]
        near = by_segment(anchors, partial, *rules).label != NEGATIVE
        found.label[near & (found.label == NEGATIVE)] = IGNORED
    return found, tubes, whole


def draw(labels: Tensor, count: int, share: float = 0.25) -> Tensor:
    """Choose the anchors of each span that the classification learns from, at random.

    labels: (m, n) POSITIVE, NEGATIVE or IGNORED
    count: how many of a span, at most ``share`` of them positive
    returns: (m, n) bool
    Source: Faster R-CNN Sec. 3.1.3, which CFAD Eq. 2 refers to; the share is ours.
    """
    chance = torch.rand(labels.shape).to(labels.device)
    positive, negative = labels == POSITIVE, labels == NEGATIVE

    def ranks(candidates: Tensor) -> Tensor:
        return chance.masked_fill(~candidates, 2).argsort(1).argsort(1)

    taken = positive & (ranks(positive) < max(1, int(count * share)))
    return taken | (negative & (ranks(negative) < count - taken.sum(1, keepdim=True)))
