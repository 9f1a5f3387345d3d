"""A dense detector of frames and tubelets: network, matching, criterion, decoding.

Every cell of a stride-4 map says how likely an action is under way there (actionness), which class it
is, and how far the sides of its box lie from the cell, on each of K frames. A frame detector has K = 1.
It slides over time: a clip of T frames gives T - K + 1 windows, whatever T is, and every frame passes the
backbone once.

network   ``DenseDetector``: streams -> ``Maps``
matching  ``assign``: boxes -> the actor that each cell stands for
criterion ``losses``: maps, boxes -> weighted terms
decoding  ``decode``: maps -> ``WindowDetections``, boxes in pixels

Source: Tian et al., FCOS, Sec. 3 (cells and distances); Kalogeiton et al., ACT, Sec. 3 (K boxes a cell).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from stad_lite import boxes as box_ops
from stad_lite.arrays import as_numpy, marked, settled
from stad_lite.baselines.config import Architecture, Decoding, DenseConfig
from stad_lite.errors import FormatError
from stad_lite.nets.losses import box_giou, sigmoid_focal
from stad_lite.nets.vgg import VGG, small_vgg
from stad_lite.systems.items import CHANNELS

MAX_LOG = 5.0
"""Largest log-distance that is followed, in strides: 148 strides are wider than any frame."""


class Maps(NamedTuple):
    """Raw outputs, a window and cell.

    actionness: (b, windows, h, w) logits
    classes: (b, windows, classes, h, w) logits of a softmax
    distances: (b, windows, frames, 4, h, w) logs of left, top, right, bottom in strides
    """

    actionness: Tensor
    classes: Tensor
    distances: Tensor


def make_backbone(stream: str, config: Architecture) -> VGG:
    """Return a new backbone of a stream; its end point is the last one (stride 4 at three stages)."""
    return small_vgg(
        CHANNELS[stream] * (config.flow_stack if stream == "flow" else 1),
        depth=config.depth,
        channels=config.channels,
        norm=config.norm,
        last_dilation=config.last_dilation,
    )


class DenseDetector(nn.Module):
    """Network: a 2-D backbone a stream, convolutions over time, and one head over K frames.

    classes: number of classes
    raises: FormatError for streams that are missing, or fewer than K frames

    >>> config = DenseConfig(modality="flow", frames=3, clip=8)
    >>> maps = DenseDetector(config, classes=6)({"flow": torch.zeros(2, 8, 2, 64, 64)})
    >>> maps.classes.shape, maps.distances.shape
    (torch.Size([2, 6, 6, 16, 16]), torch.Size([2, 6, 3, 4, 16, 16]))
    """

    def __init__(self, config: Architecture, classes: int) -> None:
        super().__init__()
        self.config, self.classes = config, classes
        self.backbones = nn.ModuleDict({name: make_backbone(name, config) for name in config.streams})
        width = config.channels[len(config.depth) - 1]
        groups = 1 if config.fusion == "early" else len(config.streams)
        inside = width * len(config.streams) // groups
        self.heads = nn.ModuleList([_Head(config, inside, classes) for _ in range(groups)])
        self.stride: int = 2 ** (len(config.depth) - 1)

    def forward(self, inputs: Mapping[str, Tensor]) -> Maps:
        """Return the maps of all windows.

        inputs: stream -> (b, t, channels, h, w) as ``nets.inputs`` gives them
        """
        missing = [name for name in self.config.streams if name not in inputs]
        if missing:
            raise FormatError(f"the input has no {', '.join(missing)}", remedy="give all streams")
        features = [self.features(name, inputs[name]) for name in self.config.streams]
        if features[0].shape[1] < self.config.frames:
            problem = f"{features[0].shape[1]} frames for tubelets of {self.config.frames}"
            raise FormatError(problem, remedy="repeat the last frame")
        joined = [torch.cat(features, 2)] if len(self.heads) == 1 else features
        return self.head(joined)

    def features(self, stream: str, inputs: Tensor) -> Tensor:
        """Return one stream's features (b, t, c, h / stride, w / stride) of inputs (b, t, channels, h, w)."""
        images = rearrange(inputs, "b t c h w -> (b t) c h w")
        maps = next(iter(self.backbones[stream](images).values()))
        return rearrange(maps, "(b t) c h w -> b t c h w", b=len(inputs))

    def head(self, features: list[Tensor]) -> Maps:
        """Return the maps of features, one a head; those of two heads are averaged.

        In float32 under autocast too: in bfloat16 a box beyond 256 pixels has no odd side.
        """
        found = [head(one) for head, one in zip(self.heads, features, strict=True)]
        return Maps(*(torch.stack(parts).float().mean(0) for parts in zip(*found, strict=True)))


class _Head(nn.Module):
    """Convolutions over time, one that takes in the K frames of a window, one over space, the outputs."""

    def __init__(self, config: Architecture, channels: int, classes: int) -> None:
        super().__init__()
        hidden, self.frames = config.hidden, config.frames
        groups = config.head_groups
        self.time = nn.ModuleList([_TimeConv(channels, channels, 3, groups, gap) for gap in config.context])
        self.window = _TimeConv(channels, hidden, config.frames, groups)
        self.space = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, padding=1, bias=False), _norm(hidden, groups), nn.ReLU()
        )
        self.sizes = [1, classes, 4 * config.frames]
        self.out = nn.Conv2d(hidden, sum(self.sizes), 1)
        nn.init.normal_(self.out.weight, std=0.01)
        # at the start 2 % of the cells are positive, and boxes reach two strides
        first = [-4.0] + [0.0] * classes + [0.7] * self.sizes[2]
        self.out.bias = nn.Parameter(torch.tensor(first))

    def forward(self, maps: Tensor) -> Maps:
        for conv in self.time:
            maps = maps + conv(maps)
        maps = self.window(maps)
        out = self.out(self.space(rearrange(maps, "b t c h w -> (b t) c h w")))
        out = rearrange(out, "(b t) c h w -> b t c h w", b=len(maps))
        actionness, classes, distances = out.split(self.sizes, 2)
        distances = rearrange(distances, "b t (k side) h w -> b t k side h w", side=4)
        return Maps(actionness[:, :, 0], classes, distances)


def _norm(channels: int, groups: int) -> nn.GroupNorm:
    return nn.GroupNorm(gcd(channels, groups), channels)  # gcd(channels, 0) is channels


class _TimeConv(nn.Module):
    """Convolution over time alone, norm, ReLU: (b, t, c, h, w) -> (b, t', channels, h, w).

    gap: dilation; with one, the ends are filled up so that t' = t
    Two axes instead of three: much faster on the CPU than a 3-D convolution.
    """

    def __init__(self, in_channels: int, channels: int, kernel: int, groups: int, gap: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, channels, (kernel, 1), padding=(gap, 0), dilation=(max(gap, 1), 1), bias=False
        )
        self.norm = _norm(channels, groups)

    def forward(self, maps: Tensor) -> Tensor:
        height = maps.shape[3]
        out = self.conv(rearrange(maps, "b t c h w -> b c t (h w)"))
        out = rearrange(out, "b c t (h w) -> (b t) c h w", h=height)
        return torch.relu(rearrange(self.norm(out), "(b t) c h w -> b t c h w", b=len(maps)))


class Actors(NamedTuple):
    """The boxes of a batch of clips, padded to the clip with the most actors.

    boxes: (b, actors, t, 4) xyxy pixels, zeros where there is none
    present: (b, actors, t) whether the actor has a box there
    labels: (b, actors) class indices
    known: (b, t) frames whose actors are known; None for all
    """

    boxes: Tensor
    present: Tensor
    labels: Tensor
    known: Tensor | None = None


def cell_centres(height: int, width: int, stride: int) -> Tensor:
    """Return the centres (h, w, 2) of a map's cells, x and y in pixels.

    >>> cell_centres(1, 2, 4).tolist()
    [[[2.0, 2.0], [6.0, 2.0]]]
    """
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (torch.stack([x, y], -1) + 0.5) * stride


@torch.no_grad()
def assign(
    boxes: Tensor, present: Tensor, height: int, width: int, stride: int, shrink: float = 1.0
) -> Tensor:
    """Matching: which actor does each cell stand for?

    A cell is an actor's where its centre lies in the middle part of the box (``shrink`` of each side, at
    least one stride, so that every actor inside the frame has a cell); of several actors the one with the
    smallest box has it.

    boxes: (..., actors, 4) xyxy pixels
    present: (..., actors)
    returns: (..., height, width) index of the actor, -1 for none
    Source: FCOS Sec. 3.1 (ambiguous cells go to the smallest box) and its centre sampling.

    >>> assign(torch.tensor([[0., 0., 8., 8.]]), torch.tensor([True]), 2, 3, stride=4).tolist()
    [[0, 0, -1], [0, 0, -1]]
    """
    if boxes.shape[-2] == 0:
        return boxes.new_full((*boxes.shape[:-2], height, width), -1, dtype=torch.long)
    size = boxes[..., 2:] - boxes[..., :2]
    # the frame may cut an actor so that no cell holds its centre: then the nearest cell does
    limit = torch.tensor([width, height], device=boxes.device) * stride - stride / 2
    centre = ((boxes[..., 2:] + boxes[..., :2]) / 2).clamp(min=stride / 2).minimum(limit)
    half = (size * shrink).clamp(min=stride) / 2
    cells = cell_centres(height, width, stride).to(boxes.device)
    low, high = (rearrange(x, "... xy -> ... 1 1 xy") for x in (centre - half, centre + half))
    inside = ((cells >= low) & (cells < high)).all(-1) & present[..., None, None]
    area = torch.where(inside, size.prod(-1)[..., None, None], torch.inf)
    smallest = area.min(-3)
    return torch.where(smallest.values.isfinite(), smallest.indices, -1)


def to_boxes(distances: Tensor, stride: int) -> Tensor:
    """Return the boxes (..., h, w, 4) xyxy pixels at log-distances (..., 4, h, w) from the cells."""
    reach = rearrange(distances.clamp(max=MAX_LOG).exp() * stride, "... side h w -> ... h w side")
    height, width = distances.shape[-2:]
    cells = cell_centres(height, width, stride).to(distances)
    return torch.cat([cells - reach[..., :2], cells + reach[..., 2:]], -1)


def to_distances(boxes: Tensor, stride: int) -> Tensor:
    """Return the log-distances (..., 4, h, w) of boxes (..., h, w, 4): the inverse of ``to_boxes``.

    Only for cells inside their boxes; elsewhere the logarithm is not a number.
    """
    height, width = boxes.shape[-3:-1]
    cells = cell_centres(height, width, stride).to(boxes)
    reach = torch.cat([cells - boxes[..., :2], boxes[..., 2:] - cells], -1)
    return rearrange((reach / stride).log(), "... h w side -> ... side h w")


def losses(maps: Maps, actors: Actors, stride: int, config: DenseConfig) -> dict[str, Tensor]:
    """Criterion: focal loss of the actionness, cross entropy of the class, 1 - GIoU of the boxes.

    A window's label is what happens on its middle frame, if that is known; boxes count on the frames that
    have one, their mean over these. All are summed over a window's cells and divided by the number of
    windows, which is the same in every process.
    returns: ``actionness``, ``class``, ``box``, each weighted
    """
    windows, height, width = maps.actionness.shape[1:]
    middle = torch.arange(windows, device=actors.boxes.device) + config.frames // 2
    boxes, present = (x[:, :, middle].transpose(1, 2) for x in actors[:2])
    chosen = assign(boxes, present, height, width, stride, config.shrink)
    positive = chosen >= 0
    number = positive.shape[0] * windows
    actionness = sigmoid_focal(maps.actionness, positive, config.alpha, config.gamma, "none")
    if actors.known is not None:  # where nothing is annotated there may be actors
        actionness = actionness * actors.known[:, middle, None, None]
    actionness = actionness.sum()
    (clip, window, row, column), counts = marked(positive)
    actor = chosen[clip, window, row, column].clamp(min=0)
    logits, label = maps.classes[clip, window, :, row, column], actors.labels[clip, actor]
    classes = (nn.functional.cross_entropy(logits, label, reduction="none") * counts).sum()
    times = window[:, None] + torch.arange(config.frames, device=window.device)
    wanted = actors.boxes[clip[:, None], actor[:, None], times]
    there = actors.present[clip[:, None], actor[:, None], times]
    reach = maps.distances[clip, window, :, :, row, column].clamp(max=MAX_LOG).exp() * stride
    cell = cell_centres(height, width, stride).to(reach)[row, column][:, None]
    found = torch.cat([cell - reach[..., :2], cell + reach[..., 2:]], -1)
    box = (box_giou(found, wanted, "none") * there).sum(1) / there.sum(1).clamp(min=1)
    return {
        "actionness": actionness / number,
        "class": config.class_weight * classes / number,
        "box": config.box_weight * (box * counts).sum() / number,
    }


class WindowDetections(NamedTuple):
    """The detections of one clip, window by window, best first.

    start: (n,) first frame of each, counted from the clip's first
    boxes: (n, frames, 4) xyxy pixels, cut to the frame
    actionness: (n,) in [0, 1]
    scores: (n, classes), their sum is the actionness
    """

    start: np.ndarray
    boxes: np.ndarray
    actionness: np.ndarray
    scores: np.ndarray


@torch.no_grad()
def decode(maps: Maps, stride: int, size: tuple[int, int], config: Decoding) -> list[WindowDetections]:
    """Decoding: maps -> the best cells of each window, after suppression over all classes together.

    size: (height, width) of the frames in pixels
    returns: one a clip
    """
    actionness = maps.actionness.sigmoid()
    chance = maps.classes.softmax(2)
    boxes = box_ops.clip(to_boxes(maps.distances, stride), size[1], size[0])
    found = []
    for clip in range(len(actionness)):
        rows = _best(actionness[clip], boxes[clip], config)
        window, row, column = rows.T
        score = actionness[clip][window, row, column]
        classes = score[:, None] * chance[clip][window, :, row, column]
        kept = boxes[clip][window, :, row, column]
        found.append(WindowDetections(*(as_numpy(x) for x in (window, kept, score, classes))))
    return found


def _best(actionness: Tensor, boxes: Tensor, config: Decoding) -> Tensor:
    """Places (n, 3) window, row, column of the detections that stay in one clip.

    actionness: (windows, h, w)
    boxes: (windows, frames, h, w, 4)
    """
    width = actionness.shape[2]
    # neighbours of a good cell say the same box: more are offered than may stay (4 is our choice)
    scores, cells = actionness.flatten(1).topk(min(4 * config.keep, actionness[0].numel()))
    index = rearrange(cells, "w n -> w 1 n 1").expand(-1, boxes.shape[1], -1, 4)
    offered = rearrange(boxes.flatten(2, 3).gather(2, index), "w t n side -> w n t side")
    good = (scores >= config.min_score) & (offered[..., 2:] > offered[..., :2]).all(-1).all(-1)
    covers = box_ops.tubelet_iou(offered[:, :, None], offered[:, None]) > config.nms
    stays = settled(covers, good)
    window, place = (stays & (stays.cumsum(1) <= config.keep)).nonzero(as_tuple=True)
    cell = cells[window, place]
    return torch.stack([window, cell // width, cell % width], 1)
