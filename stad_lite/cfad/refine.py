"""The refine module: key timestamps, box proposals there, the search near the coarse box (CFAD Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from stad_lite import boxes as box_ops
from stad_lite.cfad.coarse import PRIOR
from stad_lite.cfad.config import CfadConfig
from stad_lite.cfad.keyframes import random_keys, stamps, uniform_keys
from stad_lite.cfad.labeller import label_tubes
from stad_lite.matching import POSITIVE, by_threshold
from stad_lite.nets.blocks import Hourglass1d
from stad_lite.nets.layers import ConvNorm
from stad_lite.nets.rpn import RPNHead


class RefineModule(nn.Module):
    """The selector of key timestamps, and the box proposals of the class-specific RPN.

    in_channels: of the features
    classes: without background
    """

    def __init__(self, config: CfadConfig, in_channels: int, classes: int) -> None:
        super().__init__()
        self.hourglass = Hourglass1d(in_channels, hidden=max(config.width // 2, 4))
        widths = [in_channels, config.width, config.width]
        self.convs = nn.Sequential(*(ConvNorm(a, b, 3, padding=1, norm="group") for a, b in pairwise(widths)))
        self.rpn = RPNHead(config.width, config.anchors, classes=classes)
        for conv in (*self.rpn.conv, self.rpn.scores):  # small first weights are too slow for classes
            conv.reset_parameters()
        # as in the coarse module: silence is no box
        self.rpn.scores.bias = nn.Parameter(torch.full((config.anchors * classes,), -PRIOR))

    def importance(self, features: Tensor) -> Tensor:
        """Return the logit (m, N) of each sample's importance: space is pooled, then the hourglass in time.

        features: (m, c, N, h, w)
        """
        found: Tensor = self.hourglass(reduce(features, "m c n h w -> m c n", "mean"))[:, 0]
        return found.float()

    def proposals(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (s, anchors, classes) and offsets (s, anchors, 4) of s samples.

        features: (s, c, h, w)
        """
        logits, offsets = self.rpn([self.convs(features)])
        return logits.float(), offsets.float()


def key_labels(tubes: Sequence[np.ndarray], config: CfadConfig) -> np.ndarray:
    """Return which samples of true tubes are keys: (tubes, N) of 0 and 1.

    Sample i stands for the frame nearest to s_i; samples of one frame (a tube shorter than N) have one label.

    tubes: arrays (t, 4) xyxy pixels
    Source: CFAD Eq. 5 and the labels below it.

    >>> key_labels([np.tile([0.0, 0.0, 4.0, 4.0], (9, 1))], CfadConfig(samples=4)).tolist()
    [[1.0, 0.0, 0.0, 1.0]]
    """
    found = label_tubes(tubes, config.samples, config.epsilon, config.interpolation)
    steps = np.arange(config.samples)
    labels = np.zeros((len(tubes), config.samples))
    for row, tube, keys in zip(labels, tubes, found.keys, strict=True):
        row[:] = np.isin(np.rint(steps * (len(tube) - 1) / (config.samples - 1)), keys)
    return labels


def choose_keys(chances: np.ndarray, config: CfadConfig, seed: Sequence[int] = (0,)) -> np.ndarray:
    """Return the samples of a span that are refined, rising.

    chances: (N,) importance in [0, 1]
    seed: of the ``random`` selection
    Source: CFAD Sec. 3.3 (importance of alpha or more); the other selections are those of Fig. 4b, at equal
        cost: as many as the learned one takes.

    >>> choose_keys(np.array([0.9, 0.1, 0.2, 0.3]), CfadConfig(samples=4, alpha=0.25)).tolist()
    [0, 3]
    """
    count = len(chances)
    learned = np.flatnonzero(chances >= config.alpha)
    if config.selection == "all":
        return stamps(count, count)
    if config.selection == "none":
        return learned[:0]
    if config.selection == "uniform":
        return uniform_keys(count, count, len(learned))
    if config.selection == "random":
        return random_keys(count, count, len(learned), np.random.default_rng(list(seed)))
    return learned


def search_area(boxes: Tensor, sigma: float) -> Tensor:
    """Return the areas in which a better box's centre may lie: sigma widths and heights to each side.

    boxes: (..., 4) xyxy pixels
    returns: (..., 4) xyxy pixels, edges included
    Source: CFAD Eq. 7.

    >>> search_area(torch.tensor([10.0, 20.0, 20.0, 40.0]), 0.8).tolist()
    [7.0, 14.0, 23.0, 46.0]
    """
    centred = box_ops.xyxy_to_cxcywh(boxes)
    reach = sigma * centred[..., 2:]
    return torch.cat([centred[..., :2] - reach, centred[..., :2] + reach], -1)


def replace_boxes(
    coarse: Tensor, proposals: Tensor, scores: Tensor, config: CfadConfig
) -> tuple[Tensor, Tensor]:
    """Return the boxes at the keys after the search, and the score of each, -1 where the coarse box stays.

    The proposal with the highest score whose centre lies in the search area takes the coarse box's place;
    of equal ones the first. A suppression among the proposals before it would not change which is highest.

    coarse: (s, 4) xyxy pixels
    proposals: (s, n, 4) xyxy pixels
    scores: (s, n) of the tube's class
    Source: CFAD Sec. 3.3.
    """
    area = search_area(coarse, config.sigma)[:, None]
    centre = (proposals[..., :2] + proposals[..., 2:]) / 2
    inside = ((centre >= area[..., :2]) & (centre <= area[..., 2:])).all(-1)
    usable = scores.masked_fill(~inside | (scores < config.box_score), -1)
    best, place = usable.max(1)
    found = proposals.gather(1, place[:, None, None].expand(-1, 1, 4))[:, 0]
    return torch.where(best[:, None] >= 0, found, coarse), best


def joined_score(score: float, box_scores: np.ndarray) -> float:
    """Return a tube's score: the mean of the class score and the mean RPN score of its refined boxes.

    box_scores: of the keys; -1 where nothing was found, which does not count
    Source: CFAD Sec. 3.3 ("smooth average"); that a tube without a refined box keeps its score is ours.

    >>> [round(joined_score(0.8, np.array(found)), 3) for found in ([0.5, 0.7, -1.0], [-1.0])]
    [0.7, 0.8]
    """
    refined = box_scores[box_scores >= 0]
    return float((score + refined.mean()) / 2) if len(refined) else float(score)


def box_targets(
    anchors: Tensor, boxes: Tensor, labels: Tensor, classes: int, config: CfadConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the RPN should say of one sample: labels, class targets, offsets.

    anchors: (n, 4) xyxy pixels
    boxes: (g, 4) of the tubes that are there on the sample's frame
    labels: (g,) their classes
    returns: (n,) POSITIVE, NEGATIVE or IGNORED; (n, classes) 0 or 1; (n, 4)
    Source: Faster R-CNN Sec. 3.1.2, a class each (CFAD Sec. 3.3).
    """
    overlaps = box_ops.pairwise_iou(anchors, boxes)
    found = by_threshold(overlaps, config.box_positive, config.box_negative, best_per_truth=True)
    wanted = anchors.new_zeros(len(anchors), classes)
    if not len(boxes):
        return found.label, wanted, torch.zeros_like(anchors)
    positive = found.label == POSITIVE
    wanted[positive, labels[found.truth[positive]]] = 1
    return found.label, wanted, box_ops.encode(boxes[found.truth], anchors)


def flat(features: Tensor, chosen: Tensor) -> Tensor:
    """Return the features (s, c, h, w) of the chosen samples, row by row.

    features: (m, c, N, h, w)
    chosen: (m, N) bool
    """
    return rearrange(features, "m c n h w -> m n c h w")[chosen]
