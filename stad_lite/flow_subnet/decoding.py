"""Raw outputs to boxes with classes and scores: the best of each class, then suppression (SSD Sec. 2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from einops import rearrange, repeat
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite.arrays import as_numpy
from stad_lite.flow_subnet.config import Decoding
from stad_lite.flow_subnet.criterion import VARIANCES
from stad_lite.flow_subnet.model import FlowSubnetNetwork, pixels_of
from stad_lite.flow_subnet.sequences import as_one
from stad_lite.linking import TRIMS, OnlineConfig
from stad_lite.linking.trimming import Trim
from stad_lite.nets.proposals import survivors
from stad_lite.records import FrameBoxes
from stad_lite.systems.detect import Check, Found, joined


class Candidates(NamedTuple):
    """The best default boxes of every frame and class, as they enter suppression.

    boxes: (b, classes, k, 4) xyxy pixels, cut to the frame
    scores: (b, classes, k) falling
    """

    boxes: Tensor
    scores: Tensor


def candidates(
    scores: Tensor, offsets: Tensor, defaults: Tensor, size: tuple[int, int], config: Decoding
) -> Candidates:
    """Return the ``keep`` best boxes of each class; nothing here waits for the device.

    scores: (b, n, 1 + classes) raw, background first
    offsets: (b, n, 4)
    defaults: (n, 4) xyxy pixels
    size: (height, width) of the frames
    """
    chances = rearrange(scores.softmax(2)[..., 1:], "b n k -> b k n")
    best, place = chances.topk(min(config.keep, chances.shape[2]), dim=2)
    rows = repeat(place, "b k n -> b (k n) xyxy", xyxy=4)
    near = defaults.expand(len(offsets), -1, -1).gather(1, rows)
    # by columns: a tensor of the four variances would be copied to the device first
    moved = offsets.gather(1, rows)
    moved = torch.cat([moved[..., :2] * VARIANCES[0], moved[..., 2:] * VARIANCES[2]], -1)
    boxes = box_ops.clip(box_ops.decode(moved, near), size[1], size[0])
    return Candidates(boxes.unflatten(1, best.shape[1:]), best)


def on_cpu(found: Candidates) -> Candidates:
    """Return candidates in float32 on the CPU: the one place where a frame waits for the device."""
    together = torch.cat([found.boxes, found.scores[..., None]], -1).float().cpu()
    return Candidates(together[..., :4], together[..., 4])


@torch.no_grad()
def suppressed(found: Candidates, config: Decoding) -> list[Found]:
    """Return the boxes of each frame that survive, class by class, best first; all classes at once."""
    boxes, scores = on_cpu(found)
    valid = (scores > config.min_score) & (boxes[..., 2:] > boxes[..., :2]).all(-1)
    kept = survivors(boxes, valid, config.nms)
    frames = []
    for stays, box, score in zip(kept, boxes, scores, strict=True):
        label, row = stays.nonzero(as_tuple=True)
        frames.append(Found(*(as_numpy(column) for column in (box[label, row], label, score[label, row]))))
    return frames


@torch.no_grad()
def found_in(network: FlowSubnetNetwork, batch: Mapping[str, Any], check: Check) -> list[Found]:
    """Return the boxes of the middle frame of every sequence of a batch.

    Sequences of consecutive frames share what they have in common.
    batch: ``frames`` (b, 3, 3, h, w), and ``flow`` where it is given
    check: is told what the network says, a row a sequence
    """
    shown = pixels_of(batch)
    frames = shown["frames"]
    follow = len(frames) > 1 and torch.equal(frames[:-1, 1:], frames[1:, :2])
    said = network(*as_one(shown)) if follow else network(frames, shown.get("flow"))
    scores, offsets = said.scores.flatten(0, 1), said.offsets.flatten(0, 1)
    check(scores, offsets)
    config = network.config
    return suppressed(candidates(scores, offsets, network.boxes, config.size, config), config)


def linking(config: Decoding) -> OnlineConfig:
    """Return ROAD's linking, for boxes that are suppressed already (flow subnet Sec. 4.2 and 4.7)."""
    return replace(OnlineConfig.road(), pre_nms=None, nms=None, keep=config.linked)


def trim_of(config: Decoding) -> Trim | None:
    """Return what cuts finished tubes in time, None for nothing."""
    return TRIMS[config.trim]() if config.trim else None


def frame_boxes(found: Sequence[Found]) -> FrameBoxes:
    """Return what was found on frames 0, 1, ... as one table. raises: ValueError for no frames"""
    number = np.repeat(np.arange(len(found)), [len(one) for one in found])
    rows = joined(found)
    return FrameBoxes(number, rows.labels, rows.boxes, rows.scores)


def score_table(found: Found, classes: int) -> np.ndarray:
    """Return the scores (n, classes) of boxes of one class each, 0 for the others, for the linker."""
    table = np.zeros((len(found), classes))
    table[np.arange(len(found)), found.labels] = found.scores
    return table
