"""STEP's network and Algorithm 1: extend, refine, update, step after step.

network   ``StepNetwork``: frames -> maps; maps -> what each step saw and said
matching  ``sampling.assign`` and ``sampling.draw``
criterion ``criterion.losses``
decoding  ``dense`` and ``decode``: a step's answer -> detections of the centre clips
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from stad_lite import boxes as box_ops
from stad_lite.arrays import as_numpy, readable, settled, suppress
from stad_lite.errors import FormatError
from stad_lite.nets.i3d import I3D
from stad_lite.nets.layers import freeze_norms
from stad_lite.nets.vgg import VGG, small_vgg
from stad_lite.step.config import Decoding, Heads, Input, StepConfig
from stad_lite.step.cuboids import cuboids
from stad_lite.step.extension import concatenate, extrapolate, outermost, replicate
from stad_lite.step.head import Raw, TwoBranchHead
from stad_lite.systems.detect import Found

SMALLEST = 2.0
"""Pixels: a proposal that is not wider and higher becomes the whole frame (the authors' code)."""


class Answer(NamedTuple):
    """What one step saw and said, for m proposals of each of b clips.

    proposals: (b, m, t, 4) xyxy pixels, the step's input B~
    scores: (b, m, classes) in [0, 1], without background
    boxes: (b, m, t, regressions, 4) xyxy pixels, decoded
    best: (b, m) the class with the highest score
    before, after: (b, m, boxes, regressions, 4) xyxy pixels anticipated in the next clips, or None
    """

    proposals: Tensor
    scores: Tensor
    boxes: Tensor
    best: Tensor
    before: Tensor | None
    after: Tensor | None


def make_backbone(config: Input) -> VGG | I3D:
    """Return the backbone with random weights; ``channels`` and ``strides`` tell its last map."""
    if config.backbone == "i3d":
        return I3D(config.channels, final="Mixed_4f", frozen=config.frozen_norms)
    if config.backbone == "vgg16":
        return VGG(config.channels)
    return small_vgg(config.channels)


def tidy(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes cut to the frame; what is hardly there any more becomes the whole frame.

    boxes: (..., 4) xyxy pixels
    size: (height, width) in pixels
    Source: the update of the authors' code.

    >>> tidy(torch.tensor([[-4.0, 2.0, 30.0, 9.0], [50.0, 2.0, 60.0, 9.0]]), (20, 40)).tolist()
    [[0.0, 2.0, 30.0, 9.0], [0.0, 0.0, 40.0, 20.0]]
    """
    height, width = size
    inside = box_ops.clip(boxes, width, height)
    sides = inside[..., 2:] - inside[..., :2]
    # numbers of the program need no copy to the device
    zero = torch.zeros_like(inside[..., 0])
    frame = torch.stack([zero, zero, zero + width, zero + height], -1)
    return torch.where((sides > SMALLEST).all(-1, keepdim=True), inside, frame)


def chances(logits: Tensor, config: Heads) -> Tensor:
    """Return the classes' scores (..., classes) in [0, 1] of raw logits."""
    return logits.softmax(-1)[..., :-1] if config.classification == "softmax" else logits.sigmoid()


def of_class(boxes: Tensor, label: Tensor) -> Tensor:
    """Return the boxes of one class of each proposal, or those for all classes where they are one.

    boxes: (..., t, regressions, 4)
    label: (...) class index
    returns: (..., t, 4)
    """
    if boxes.shape[-2] == 1:
        return boxes[..., 0, :]
    index = label[..., None, None, None].expand(*boxes.shape[:-2], 1, 4)
    return boxes.gather(-2, index)[..., 0, :]


def centre(tubelets: Tensor, boxes: int) -> Tensor:
    """Return the centre clip (..., boxes, 4) of tubelets (..., an odd number of clips, 4)."""
    first = (tubelets.shape[-2] - boxes) // 2
    return tubelets[..., first : first + boxes, :]


class StepNetwork(nn.Module):
    """Backbone, and one two-branch head for each step.

    classes: without background

    >>> config = StepConfig.smoke()
    >>> network = StepNetwork(config, classes=6)
    >>> answers = network(network.features(torch.zeros(1, 18, 3, 48, 48)))
    >>> [tuple(answer.proposals.shape) for answer in answers]
    [(1, 11, 6, 4), (1, 11, 18, 4)]
    """

    def __init__(self, config: StepConfig, classes: int) -> None:
        super().__init__()
        self.config = config
        backbone = make_backbone(config)
        channels = list(backbone.channels.values())[-1]
        self.backbone: nn.Module = backbone
        if isinstance(backbone, I3D):
            self.stride = list(backbone.strides.values())[-1][1]
        else:
            self.stride = list(backbone.strides.values())[-1]
        grown = [*config.clips[1:], config.clips[-1]]
        anticipates = [
            config.extension == "anticipation" and after > now
            for now, after in zip(config.clips, grown, strict=True)
        ]
        self.heads = nn.ModuleList(
            [TwoBranchHead(config, channels, self.stride, classes, asked) for asked in anticipates]
        )
        initial = torch.as_tensor(cuboids(config.cuboids, config.size, config.boxes), dtype=torch.float32)
        self.register_buffer("initial", initial, persistent=False)
        self.initial: Tensor
        self.train_only(None)
        self.train()

    def train(self, mode: bool = True) -> StepNetwork:
        """Switch to training, except published batch norms and a frozen backbone."""
        super().train(mode)
        if self.config.backbone == "i3d" and self.config.frozen_norms:
            freeze_norms(self)
        if self.config.frozen:
            self.backbone.eval()
        return self

    def train_only(self, step: int | None) -> None:
        """Choose what is trained: everything jointly (None), or one step's head, as in step-wise training.

        The backbone learns with the first step, unless the configuration freezes it; published batch norms
        never do.
        Source: STEP Sec. 3.4 (step-wise training is G-CNN's, which the paper compares with).
        """
        for number, head in enumerate(self.heads):
            head.requires_grad_(step in (None, number))
        self.backbone.requires_grad_(step in (None, 0) and not self.config.frozen)
        if self.config.backbone == "i3d" and self.config.frozen_norms:
            freeze_norms(self)

    def features(self, frames: Tensor) -> Tensor:
        """Return the backbone's maps of a run of clips.

        frames: (b, t, channels, h, w) as ``clips.shown`` gives them
        returns: (b, t / time stride, c, h / stride, w / stride)
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen):
            if self.config.backbone == "i3d":
                (maps,) = self.backbone(rearrange(frames, "b t c h w -> b c t h w")).values()
                return rearrange(maps, "b c t h w -> b t c h w")
            (maps,) = self.backbone(rearrange(frames, "b t c h w -> (b t) c h w")).values()
            return rearrange(maps, "(b t) c h w -> b t c h w", b=len(frames))

    def forward(self, maps: Tensor, steps: int | None = None) -> list[Answer]:
        """Algorithm 1: refine the initial proposals over the steps.

        maps: (b, t, c, h, w) of all clips that the last step sees, the target clip in the middle
        steps: only so many
        returns: one answer a step
        raises: FormatError where maps and configuration do not fit
        """
        config = self.config
        if maps.ndim != 5 or maps.shape[1] != config.clips[-1] * config.boxes:
            raise FormatError(
                f"maps of shape {tuple(maps.shape)} for {config.clips[-1]} clips of {config.boxes} boxes",
                remedy="give (b, clips * boxes, c, h, w)",
            )
        answers: list[Answer] = []
        for step in range(config.steps if steps is None else steps):
            proposals = self.propose(maps, answers[-1] if answers else None, step)
            answers.append(self.refine(maps, proposals, step))
        return answers

    def propose(self, maps: Tensor, answer: Answer | None, step: int) -> Tensor:
        """Return the input of a step, B~: the initial proposals, or the last answer updated and extended.

        returns: (b, m, clips * boxes, 4) xyxy pixels without gradient
        Source: STEP Algorithm 1, lines 3 to 9 and 12.
        """
        if answer is None:
            return repeat(self.initial[:, :1], "m 1 side -> b m t side", b=len(maps), t=self.seen(0))
        if self.seen(step) == answer.proposals.shape[2]:
            return update(answer, self.config)
        return extend(answer, self.config)

    def seen(self, step: int) -> int:
        """Return how many boxes a proposal has at a step."""
        return self.config.clips[step] * self.config.boxes

    def refine(self, maps: Tensor, proposals: Tensor, step: int) -> Answer:
        """Return what a step says of all proposals (b, m, t, 4) of all clips."""
        return self.answer(proposals, self.raw_of_all(maps, proposals, step))

    def answer(self, proposals: Tensor, raw: Raw) -> Answer:
        """Return a step's answer for its input (b, m, t, 4) from its raw outputs (b, m, ...)."""
        scores = chances(raw.logits, self.config)
        ends = outermost(proposals, self.config.boxes, self.config.anticipation)
        before, after = (
            None if offsets is None else box_ops.decode(offsets, anchors[..., None, :])
            for offsets, anchors in zip((raw.before, raw.after), ends, strict=True)
        )
        decoded = box_ops.decode(raw.offsets, proposals[..., None, :])
        return Answer(proposals, scores, decoded, scores.argmax(-1), before, after)

    def raw_of_all(self, maps: Tensor, proposals: Tensor, step: int) -> Raw:
        """Return a step's raw outputs (b, m, ...) for all proposals (b, m, t, 4) of all clips."""
        batch, count = proposals.shape[:2]
        item = torch.arange(batch, device=maps.device)
        item = item.repeat_interleave(count, output_size=batch * count)
        raw = self.raw(maps, rearrange(proposals, "b m t side -> (b m) t side"), item, step, each=count)
        parts = (x if x is None else rearrange(x, "(b m) ... -> b m ...", b=batch) for x in raw)
        return Raw(*parts)  # type: ignore[arg-type]

    def raw(self, maps: Tensor, tubelets: Tensor, item: Tensor, step: int, each: int = 0) -> Raw:
        """Return a step's raw outputs for tubelets (n, t, 4) in the clips ``item`` (n,).

        each: how many tubelets every clip has where all have as many, clip by clip
        """
        first = (maps.shape[1] - self.seen(step)) // 2
        output: Raw = self.heads[step](maps[:, first : first + self.seen(step)], tubelets, item, each)
        return output


@torch.no_grad()
def update(answer: Answer, config: StepConfig) -> Tensor:
    """Return each proposal's regression for its best class: (b, m, t, 4) xyxy pixels.

    Source: STEP Eq. 1; boxes are cut to the frame (``tidy``) as in the authors' code.
    """
    return tidy(of_class(answer.boxes, answer.best), config.size)


@torch.no_grad()
def extend(answer: Answer, config: StepConfig) -> Tensor:
    """Return the updated proposals with a clip more on either side: (b, m, t + 2 boxes, 4).

    Source: STEP Sec. 3.3.
    """
    updated = update(answer, config)
    if config.extension == "anticipation":
        if answer.before is None or answer.after is None:
            raise FormatError(
                "this step anticipates nothing", remedy="give a network built for its extension"
            )
        before, after = of_class(answer.before, answer.best), of_class(answer.after, answer.best)
    elif config.extension == "extrapolation":
        before, after = extrapolate(updated, config.boxes, config.extrapolation)
    else:
        before, after = replicate(updated, config.boxes)
    return concatenate(tidy(before, config.size), updated, tidy(after, config.size))


class Dense(NamedTuple):
    """Every proposal's boxes and scores on the centre clip, before anything is left out.

    boxes: (b, m, classes, boxes, 4) xyxy pixels inside the frame
    scores: (b, m, classes)
    """

    boxes: np.ndarray
    scores: np.ndarray


def dense(answer: Answer, config: StepConfig) -> Dense:
    """Return what a step says of the centre clips."""
    regressed = rearrange(answer.boxes, "b m t r side -> b m r t side")
    tubelets = tidy(centre(regressed, config.boxes), config.size)
    tubelets = tubelets.expand(-1, -1, answer.scores.shape[2], -1, -1)
    return Dense(tubelets.cpu().double().numpy(), answer.scores.cpu().double().numpy())


def decode(answer: Dense, config: Decoding) -> list[Found]:
    """Decoding: the boxes of every class that are sure enough and survive suppression in their class.

    returns: one a clip
    """
    label = np.broadcast_to(np.arange(answer.scores.shape[2]), answer.scores.shape[1:]).ravel()
    return [
        select(boxes.reshape(-1, *boxes.shape[2:]), label, scores.ravel(), config)
        for boxes, scores in zip(answer.boxes, answer.scores, strict=True)
    ]


def found_by(answer: Answer, config: StepConfig) -> list[Found]:
    """Return what ``decode`` does of a step's answer, suppressed on the device that it is on.

    returns: one a clip
    """
    if readable(answer.scores):
        return decode(dense(answer, config), config)
    scores = rearrange(answer.scores, "b m classes -> b classes m")
    order = (-scores).argsort(dim=-1, stable=True)
    scores = scores.gather(-1, order)
    regressed = rearrange(answer.boxes, "b m t r side -> b r m t side")
    boxes = tidy(centre(regressed, config.boxes), config.size).expand(-1, scores.shape[1], -1, -1, -1)
    boxes = boxes.gather(2, order[..., None, None].expand_as(boxes))
    covers = box_ops.tubelet_iou(boxes[:, :, :, None], boxes[:, :, None]) > config.nms
    stays = settled(covers, scores > config.min_score)
    scores = scores.masked_fill(~stays, -torch.inf).flatten(1)
    best = (-scores).argsort(dim=-1, stable=True)[:, : config.keep]
    scores, labels = scores.gather(1, best), best // answer.scores.shape[1]
    boxes = boxes.flatten(1, 2)[torch.arange(len(best), device=best.device)[:, None], best]
    columns = zip(*(as_numpy(part) for part in (boxes.double(), labels, scores.double())), strict=True)
    return [Found(*(part[row[2] >= 0] for part in row)) for row in columns]


def select(boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray, config: Decoding) -> Found:
    """Return the detections of one clip that are sure enough and survive suppression in their class.

    boxes: (n, t, 4) xyxy pixels; labels, scores: (n,)
    """
    sure = np.flatnonzero(scores > config.min_score)
    kept = [
        some[np.asarray(suppress(boxes[some], scores[some], config.nms, box_ops.tubelet_iou))]
        for label in np.unique(labels[sure])
        for some in [sure[labels[sure] == label]]
    ]
    chosen = np.concatenate([*kept, np.zeros(0, dtype=np.int64)])
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")][: config.keep]
    return Found(boxes[chosen], labels[chosen], scores[chosen])
