"""From raw outputs to tubes: coarse tubes, suppression, refinement, interpolation (CFAD Sec. 3.3 and 4.1).

Inside a resampled video a tube has one box a frame of its span; at the very end its boxes are
asked for on the frames of the video itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.arrays import as_numpy
from stad_lite.cfad.coarse import Coarse, sample_times
from stad_lite.cfad.config import CfadConfig
from stad_lite.cfad.model import CfadNetwork
from stad_lite.cfad.proposals import propose
from stad_lite.cfad.refine import choose_keys, flat, joined_score, replace_boxes
from stad_lite.cfad.trajectory import decode_tube, normalised_time
from stad_lite.records import FrameBoxes
from stad_lite.systems.detect import Check, unchecked
from stad_lite.tubes import Tube, interpolate

SMALLEST = 1.0
"""Pixels: sides of a box that a spline or a cut would make smaller."""


@dataclass(frozen=True)
class CoarseTubes:
    """Tubes of one video, before refinement.

    theta: (n, order + 1, 4) coefficients; anchors: (n, 4) xyxy pixels
    number: (n,) of the span that each is of; spans: (n, 2) whole frames
    labels: (n,) class indices; scores: (n,) in [0, 1]
    """

    theta: np.ndarray
    anchors: np.ndarray
    number: np.ndarray
    spans: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: np.ndarray | Sequence[int]) -> CoarseTubes:
        """Return some of the tubes."""
        index = np.asarray(rows, dtype=np.int64)
        return CoarseTubes(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def at(self, row: int, time: np.ndarray) -> np.ndarray:
        """Return one tube's boxes (n, 4) at normalised times (n,) (CFAD Eq. 6)."""
        found: np.ndarray = decode_tube(self.theta[row], self.anchors[row], time)
        return found


@dataclass(frozen=True)
class Refined:
    """One tube after the search.

    times: (N,) frames of the samples; boxes: (N, 4) refined where a key found something, else coarse
    keys: samples that were looked at; box_scores: of each, -1 where nothing was found
    """

    times: np.ndarray
    boxes: np.ndarray
    keys: np.ndarray
    box_scores: np.ndarray


def coarse_tubes(coarse: Coarse, anchors: Tensor, spans: Tensor, config: CfadConfig) -> CoarseTubes:
    """Return the best (anchor, class) pairs of every span, nothing suppressed yet.

    anchors: (a, 4) xyxy pixels
    spans: (m, 2) whole frames
    """
    chances = coarse.logits.softmax(2)[..., :-1]
    classes = chances.shape[2]
    best, place = chances.flatten(1).topk(
        min(config.considered, chances[0].numel() if len(chances) else 0), 1
    )
    number, column = (best >= config.min_score).nonzero(as_tuple=True)
    place, scores = place[number, column], best[number, column]
    anchor = place // classes
    found = (
        coarse.theta[number, anchor],
        anchors[anchor],
        number,
        spans[number],
        place % classes,
        scores,
    )
    theta, places, *rest = (as_numpy(part) for part in found)
    return CoarseTubes(theta.astype(np.float64), places.astype(np.float64), *rest)


def suppress_tubes(tubes: CoarseTubes, config: CfadConfig) -> CoarseTubes:
    """Return the tubes that survive greedy suppression, best first, and no more than are wanted.

    A tube goes when its overlap with a better one that stays is above ``config.tube_nms``: temporal IoU times
    the mean box IoU over the common frames, of the coarse boxes on whole frames.

    Source: CFAD Sec. 4.1 (IoU .2, at most three tubes); the overlap is the usual one of ``stad_lite.tubes``.
    """
    dense = np.zeros((len(tubes), config.length, 4))
    for row, (start, end) in enumerate(tubes.spans.astype(int)):
        boxes = tubes.at(row, normalised_time(end - start))
        dense[row, start:end] = tidy(boxes, config.size)
    lengths = tubes.spans[:, 1] - tubes.spans[:, 0]
    left = np.ones(len(tubes), dtype=bool)
    kept: list[int] = []
    for row in np.argsort(-tubes.scores, kind="stable"):
        if not left[row]:
            continue
        kept.append(int(row))
        common = np.minimum(tubes.spans[:, 1], tubes.spans[row, 1]) - np.maximum(
            tubes.spans[:, 0], tubes.spans[row, 0]
        )
        union = lengths + lengths[row] - common.clip(0)
        # a box of zeros shares nothing, so the frames without one count nothing
        overlap = box_ops.iou(dense, dense[row]).sum(1) / union
        rivals = tubes.labels == tubes.labels[row] if config.suppression == "class" else True
        left &= ~((overlap > config.tube_nms) & rivals)
        group = tubes.number == tubes.number[row] if config.most_in == "proposal" else np.ones_like(left)
        if group[kept].sum() >= config.most:
            left &= ~group
    return tubes.take(kept)


def refine_tubes(
    network: CfadNetwork,
    tubes: CoarseTubes,
    sampled: Tensor,
    times: Tensor,
    anchors: Tensor,
    check: Check = unchecked,
) -> list[Refined]:
    """Return every tube after the search at its span's keys.

    Box proposals are made at the keys of the spans that still have tubes, once a span, and nowhere else.

    sampled: (m, c, N, h, w) features of all spans
    times: (m, N) frames of the samples
    check: is shown what the network says, as one row
    Source: CFAD Sec. 3.3.
    """
    config = network.config
    if not len(tubes):
        return []
    spans = np.unique(tubes.number)
    importance = network.refine.importance(sampled[spans])
    check(importance[None])
    chances = as_numpy(importance.sigmoid())
    chosen = {n: choose_keys(row, config, (int(n),)) for n, row in zip(spans, chances, strict=True)}
    looked = {n: _look(network, sampled[n], keys, anchors) for n, keys in chosen.items() if len(keys)}
    check(*(said[None] for both in looked.values() for said in both))
    steps = np.linspace(0, 1, config.samples)
    found = []
    for row, number in enumerate(tubes.number):
        keys, boxes, scores = chosen[number], tubes.at(row, steps), np.zeros(0)
        if len(keys):
            proposals, chance = looked[number]
            coarse = torch.as_tensor(boxes[keys], dtype=proposals.dtype, device=proposals.device)
            better, best = replace_boxes(coarse, proposals, chance[..., int(tubes.labels[row])], config)
            boxes[keys], scores = as_numpy(better), as_numpy(best)
        found.append(Refined(as_numpy(times[number]), boxes, keys, scores))
    return found


def _look(network: CfadNetwork, sampled: Tensor, keys: np.ndarray, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (s, anchors, 4), scores (s, anchors, classes) at the keys of one span's features (c, N, h, w)."""
    chosen = torch.zeros(1, sampled.shape[1], dtype=torch.bool, device=sampled.device)
    chosen[0, keys] = True
    logits, offsets = network.refine.proposals(flat(sampled[None], chosen))
    return box_ops.decode(offsets, anchors), logits.sigmoid()


@torch.no_grad()
def find_tubes(
    network: CfadNetwork,
    features: Tensor,
    counts: Sequence[int],
    classes: Sequence[str],
    check: Check = unchecked,
) -> list[tuple[Tube, ...]]:
    """Return the tubes of resampled videos, best first; none where no proposal is above its threshold.

    features: (b, c, t, h, w)
    counts: frames of each video before it was resampled
    check: is shown what the network says of a video, as one row
    """
    config = network.config
    logits, offsets = network.proposals(features)
    anchors = network.anchors(*features.shape[3:])
    found: list[tuple[Tube, ...]] = []
    for item, count in enumerate(counts):
        check(logits[item, None], offsets[item, None])
        spans, _ = propose(logits[item], offsets[item], config, config.spans)
        if not len(spans):
            found.append(())
            continue
        times = sample_times(spans, config.samples)
        sampled = network.sampled(features, torch.full((len(spans),), item, device=spans.device), times)
        coarse = network.coarse(sampled)
        check(*(said[None] for said in coarse))
        tubes = suppress_tubes(coarse_tubes(coarse, anchors, spans, config), config)
        refined: Sequence[Refined | None] = [None] * len(tubes)
        if config.refines:
            refined = refine_tubes(network, tubes, sampled, times, anchors, check)
        rows = range(len(tubes))
        whole = [final_tube(tubes, row, refined[row], count, classes, config) for row in rows]
        found.append(tuple(sorted(whole, key=lambda tube: -(tube.score or 0.0))))
    return found


def final_tube(
    tubes: CoarseTubes,
    row: int,
    refined: Refined | None,
    count: int,
    classes: Sequence[str],
    config: CfadConfig,
) -> Tube:
    """Return a tube with one box on every frame of the video that its span covers, at least one.

    refined: interpolated through all its boxes, refined and coarse; without it the polynomial itself
    count: frames of the video
    Source: CFAD Sec. 3.3 (interpolation, score).
    """
    span, score = tubes.spans[row], float(tubes.scores[row])
    frames = covered(span, count, config.length)
    at = ((frames + 0.5) * config.length / count - 0.5).clip(span[0], span[1] - 1)
    if refined is None:
        boxes = tubes.at(row, (at - span[0]) / max(span[1] - span[0] - 1, 1))
    else:
        knots = knots_of(refined, config)
        boxes = interpolate(refined.times[knots], refined.boxes[knots], at, config.interpolation)
        score = joined_score(score, refined.box_scores)
    return Tube(int(frames[0]), tidy(boxes, config.size), classes[tubes.labels[row]], score)


def knots_of(refined: Refined, config: CfadConfig) -> np.ndarray:
    """Return the samples whose boxes a tube goes through, rising in time; of several of one time a key."""
    count = len(refined.times)
    wanted = np.zeros(count, dtype=int)
    wanted[[0, -1]] = 1
    if config.through == "all":
        wanted[:] = 1
    wanted[refined.keys] = 2
    order = np.lexsort((-wanted, refined.times))
    order = order[wanted[order] > 0]
    _, first = np.unique(refined.times[order], return_index=True)
    return order[first]


def covered(span: np.ndarray, count: int, length: int) -> np.ndarray:
    """Return the frames of a video whose middle lies in a span of the resampled video, or the nearest one.

    span: (2,) resampled frames
    count, length: frames of the video and of the resampled one

    >>> covered(np.array([2.0, 4.0]), 16, 8).tolist(), covered(np.array([5.0, 6.0]), 2, 8).tolist()
    ([4, 5, 6, 7], [1])
    """
    frames = np.arange(count)
    middle = (frames + 0.5) * length / count
    inside = frames[(middle >= span[0]) & (middle < span[1])]
    return inside if len(inside) else frames[[np.abs(middle - span.mean()).argmin()]]


def tidy(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return boxes (..., 4) cut to the frame, with sides of at least a pixel.

    >>> tidy(np.array([[-3.0, 2.0, 9.0, 1.0], [50.0, 0.0, 60.0, 5.0]]), (20, 40)).tolist()
    [[0.0, 2.0, 9.0, 3.0], [39.0, 0.0, 40.0, 5.0]]
    """
    height, width = size
    low = np.minimum(np.maximum(boxes[..., :2], 0), [width - SMALLEST, height - SMALLEST])
    high = np.minimum(np.maximum(boxes[..., 2:], low + SMALLEST), [width, height])
    return np.concatenate([low, high], -1)


def frame_boxes(tubes: Sequence[Tube], classes: Sequence[str]) -> FrameBoxes:
    """Return the boxes of tubes on single frames, each with its tube's score (CFAD Sec. 4.3)."""
    sizes = [len(tube) for tube in tubes]
    labels = [classes.index(tube.label) for tube in tubes]
    return FrameBoxes(
        np.concatenate([tube.frames for tube in tubes] or [np.zeros(0, int)]),
        np.repeat(np.array(labels, dtype=int), sizes),
        np.concatenate([tube.boxes for tube in tubes] or [np.zeros((0, 4))]),
        np.repeat(np.array([tube.score for tube in tubes], dtype=float), sizes),
    )
