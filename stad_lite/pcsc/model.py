"""The network of PCSC, its criterion, and its decoding.

Per stream: bottom-up maps, a message at image level (flow to RGB, once), pyramid, RPN. Stage 0 is a detection
head a stream; each further stage joins proposals, passes a message between RoI features and has a head of
its own. All stages are trained together on the sum of their losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stad_lite import boxes as box_ops
from stad_lite.anchors import grid_anchors, ratio_sizes
from stad_lite.arrays import as_numpy
from stad_lite.errors import FormatError
from stad_lite.nets.fpn import FeaturePyramid
from stad_lite.nets.proposals import Output, Proposals, join, region_proposals
from stad_lite.nets.rpn import RPNHead, rpn_loss, sample_anchors
from stad_lite.pcsc import cooperation, detector, messages
from stad_lite.pcsc.actionness import ActionnessDetectors
from stad_lite.pcsc.config import Decoding, PCSCConfig, Sampling
from stad_lite.pcsc.cooperation import STREAMS, Detections, Turn, head_of, helper_of
from stad_lite.pcsc.detector import RegionHead, Targets
from stad_lite.pcsc.trunks import frame_network, trunk
from stad_lite.systems.detect import Found
from stad_lite.systems.seen import Seen, fed_volume
from stad_lite.systems.truth import TrueBoxes
from stad_lite.training.counts import normaliser

Levels = dict[str, list[Tensor]]
"""Stream -> the pyramid's maps (b, channels, h, w), finest first."""


@dataclass(frozen=True)
class Stage:
    """What one head did.

    number, stream: the stage and the stream whose boxes it finds
    proposals: what it looked at
    logits: (b, n, 1 + classes), offsets: (b, n, classes, 4); zeros where a proposal is not valid
    found: the boxes and probabilities that they stand for
    targets: what they should be, in training
    """

    number: int
    stream: str
    proposals: Proposals
    logits: Tensor
    offsets: Tensor
    found: Detections
    targets: Targets | None


@dataclass(frozen=True)
class Outputs:
    """Raw outputs of the network for a batch of key frames.

    levels: the pyramids of both streams
    anchors: (a, 4) xyxy pixels
    rpn: stream -> logits (b, a) and offsets (b, a, 4) of the anchors
    first: stream -> the RPN's proposals
    stages: stage 0 of RGB and of flow, then one a stage
    """

    levels: Levels
    anchors: Tensor
    rpn: dict[str, tuple[Tensor, Tensor]]
    first: dict[str, Proposals]
    stages: tuple[Stage, ...]


class PCSC(nn.Module):
    """Both streams and all stages of cooperation.

    config: settings
    classes: number of classes

    >>> config = PCSCConfig.smoke()
    >>> maps = torch.zeros(2, config.frames, 32, 12, 12)
    >>> outputs = PCSC(config, classes=6).eval()(maps, maps)
    >>> [(stage.number, stage.stream) for stage in outputs.stages]
    [(0, 'rgb'), (0, 'flow'), (1, 'rgb'), (2, 'flow')]
    """

    def __init__(self, config: PCSCConfig, classes: int) -> None:
        super().__init__()
        self.config, self.classes = config, classes
        small = config.trunk == "stack"
        self.backbones = nn.ModuleDict({s: frame_network(s, config) for s in STREAMS if small})
        self.trunks = nn.ModuleDict({s: trunk(s, config) for s in STREAMS})
        one: Any = self.trunks["rgb"]
        bottom_up: tuple[int, ...] = one.channels
        self.strides: tuple[int, ...] = one.strides
        image = config.messages in ("both", "image") and config.directions != "to_flow"
        self.image_messages = (
            nn.ModuleList([messages.Message(c, config.reduction) for c in bottom_up]) if image else None
        )
        width = config.channels
        self.pyramids = nn.ModuleDict({s: FeaturePyramid(bottom_up, width) for s in STREAMS})
        self.rpns = nn.ModuleDict({s: RPNHead(width, len(config.ratios)) for s in STREAMS})
        turns = [cooperation.turn(t) for t in range(1, config.stages + 1)]
        names = [head_of(s, 0) for s in STREAMS] + [head_of(turn.stream, turn.stage) for turn in turns]
        heads = {name: RegionHead(width, config.roi, config.hidden, classes) for name in names}
        self.heads = nn.ModuleDict(heads)
        helped = [head_of(turn.stream, turn.stage) for turn in turns if self.helps(turn)]
        roi = config.messages in ("both", "roi")
        self.roi_messages = nn.ModuleDict(
            {name: messages.Message(width, config.reduction) for name in helped if roi}
        )
        self.actionness = ActionnessDetectors(2 * config.hidden, classes, config.actionness_hidden)
        self._anchors: dict[tuple[Any, ...], Tensor] = {}

    def helps(self, turn: Turn) -> bool:
        """Tell whether a stage's helper may help (``config.directions``)."""
        return self.config.directions in ("both", f"to_{turn.stream}")

    def features(self, rgb: Tensor | Seen, flow: Tensor | Seen) -> Levels:
        """Return the image-level features of both streams, after the message and the top-down path.

        rgb, flow: for I3D clips as they are stored, or (b, 3, k, h, w) and (b, 2, k, h, w); (b, k, c, h, w)
            maps of the frames else
        raises: FormatError for streams of different lengths or sizes
        Source: PCSC Sec. 3.3.
        """
        rgb, flow = (fed_volume(x, s, self.config.flow_scale) for s, x in (("rgb", rgb), ("flow", flow)))
        axes = (0, 2, 3, 4) if self.config.trunk == "i3d" else (0, 1, 3, 4)
        if rgb.ndim != 5 or flow.ndim != 5 or any(rgb.shape[i] != flow.shape[i] for i in axes):
            raise FormatError(
                f"RGB {tuple(rgb.shape)} and flow {tuple(flow.shape)} do not belong together",
                remedy="give both streams the same frames at the same size",
            )
        maps = {"rgb": self.trunks["rgb"](rgb), "flow": self.trunks["flow"](flow)}
        maps["rgb"] = messages.receive_levels(maps["rgb"], maps["flow"], self.image_messages)
        return {stream: self.pyramids[stream](maps[stream]) for stream in STREAMS}

    def forward(self, rgb: Tensor | Seen, flow: Tensor | Seen, truth: TrueBoxes | None = None) -> Outputs:
        """Return the raw outputs of all stages.

        rgb, flow: as in ``features``
        truth: in training: proposals are labelled and sampled, and true boxes stand beside them
        """
        levels = self.features(rgb, flow)
        anchors, rpn, first = self.propose(levels)
        return Outputs(levels, anchors, rpn, first, self.cooperate(levels, first, truth))

    def cooperate(
        self, levels: Levels, first: Mapping[str, Proposals], truth: TrueBoxes | None = None
    ) -> tuple[Stage, ...]:
        """Return all stages, from the pyramids and the region proposals of both streams.

        Source: PCSC Fig. 1(a).
        """
        stages = {(s, 0): self.stage(0, s, first[s], levels, truth) for s in STREAMS}
        for number in range(1, self.config.stages + 1):
            turn = cooperation.turn(number)
            proposals = self.joined(turn, {key: stage.found for key, stage in stages.items()})
            stages[turn.stream, number] = self.stage(number, turn.stream, proposals, levels, truth)
        return tuple(stages.values())

    def propose(
        self, levels: Levels
    ) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]], dict[str, Proposals]]:
        """Return the anchors, the RPNs' raw outputs and the region proposals P_0 (``Outputs``)."""
        config, place = self.config, 0 if self.training else 1
        anchors, counts = self.anchors(levels["rgb"])
        raw, first = {}, {}
        for stream in STREAMS:
            scores, offsets = self.rpns[stream](levels[stream])
            raw[stream] = scores[..., 0].float(), offsets.float()
            first[stream] = region_proposals(
                *raw[stream], anchors, counts, config.size,
                before=config.rpn_before[place],
                after=config.rpn_after[place],
                threshold=config.rpn_nms,
            )  # fmt: skip
        return anchors, raw, first

    def anchors(self, levels: list[Tensor]) -> tuple[Tensor, list[int]]:
        """Return the anchors of all levels (a, 4) xyxy pixels, and how many each level has."""
        config, device = self.config, levels[0].device
        sizes = [(maps.shape[2], maps.shape[3]) for maps in levels]
        key = (*sizes, device)
        if key not in self._anchors:
            grids = [
                grid_anchors(ratio_sizes([scale], config.ratios), h, w, stride)
                for scale, (h, w), stride in zip(config.scales, sizes, self.strides, strict=True)
            ]
            self._anchors[key] = torch.as_tensor(np.concatenate(grids), dtype=torch.float32, device=device)
        return self._anchors[key], [h * w * len(config.ratios) for h, w in sizes]

    def joined(self, turn: Turn, found: Mapping[tuple[str, int], Detections]) -> Proposals:
        """Return P_t of a stage: the stream's own boxes, and the helper's under a lower NMS threshold."""
        config, least = self.config, self.config.confidence
        least = cooperation.least_sure(least, self.classes) if self.training else least
        own = cooperation.confident(found[turn.own], least, config.own_nms, config.stage_keep)
        if not (config.proposals and self.helps(turn)):
            return own
        others = found[turn.other]
        other = cooperation.confident(others, least, config.other_nms, config.stage_keep)
        return join(own, other)

    def stage(
        self, number: int, stream: str, proposals: Proposals, levels: Levels, truth: TrueBoxes | None
    ) -> Stage:
        """Run the detection head of a stage on its proposals."""
        config, targets = self.config, None
        if truth is not None:
            proposals = detector.with_truth(proposals, truth)
            targets = detector.label(proposals, truth, config.overlap)
            proposals, targets = detector.sample(proposals, targets, config.head_batch, config.positive_share)
        name = head_of(stream, number)
        item, flat = detector.flat(proposals.boxes, proposals.valid)
        features = self.region_features(levels, flat, item, stream, name)
        logits, offsets, _ = self.heads[name](features)
        logits, offsets = (detector.in_table(x.float(), proposals.valid) for x in (logits, offsets))
        height, width = config.size
        found = detector.detections(logits.detach(), offsets.detach(), proposals, height, width)
        return Stage(number, stream, proposals, logits, offsets, found, targets)

    def region_features(self, levels: Levels, boxes: Tensor, item: Tensor, stream: str, name: str) -> Tensor:
        """Return the RoI features (r, c, size, size) that a head sees, after its message if it has one.

        boxes: (r, 4) xyxy pixels; item: (r,) frame of the batch
        name: of the head
        """
        config = self.config
        cut = (boxes, item, config.roi, config.canonical, config.samples)
        own = detector.pool(levels[stream], self.strides, *cut)
        if name not in self.roi_messages:
            return own
        sent = detector.pool(levels[helper_of(stream)], self.strides, *cut)
        return messages.receive(own, sent, self.roi_messages[name])

    def describe(self, levels: Levels, boxes: Tensor, item: Tensor) -> Tensor:
        """Return what actionness is read from: (r, 2 hidden) of boxes (r, 4), after feature cooperation.

        The hidden layers of each stream's latest head side by side (ours; the paper: "the same features").
        Source: PCSC Sec. 3.4.
        """
        parts = []
        for stream in STREAMS:
            name = head_of(stream, cooperation.latest(stream, self.config.stages))
            features, head = self.region_features(levels, boxes, item, stream, name), self.heads[name]
            assert isinstance(head, RegionHead)
            parts.append(head.hidden(features))
        return torch.cat(parts, 1)


def criterion(outputs: Outputs, truth: TrueBoxes, config: Sampling) -> dict[str, Tensor]:
    """Return the losses: ``rpn`` of both streams, and one a stage (``stage0`` of both streams).

    Source: PCSC Sec. 3.1 (the sum of the losses of all stages).
    """
    terms: dict[str, Tensor] = {}

    def add(name: str, *parts: Tensor) -> None:
        terms[name] = torch.stack([*parts, *([terms[name]] if name in terms else [])]).sum()

    for stream in STREAMS:
        add("rpn", *region_loss(*outputs.rpn[stream], outputs.anchors, truth, config))
    for stage in outputs.stages:
        if stage.targets is None:
            raise FormatError("the outputs have no targets", remedy="give the network the truth")
        parts = detector.head_loss(stage.logits, stage.offsets, stage.proposals, stage.targets)
        add(f"stage{stage.number}", *parts)
    return terms


def region_loss(
    scores: Tensor, offsets: Tensor, anchors: Tensor, truth: TrueBoxes, config: Sampling
) -> tuple[Tensor, Tensor]:
    """Return the RPN's losses of objectness and offsets: positives overlap by more than .5.

    scores: (b, a) logits; offsets: (b, a, 4); anchors: (a, 4)
    """
    everywhere = anchors.expand(len(scores), -1, -1)
    there = torch.ones(scores.shape, dtype=torch.bool, device=scores.device)
    targets = detector.label(Proposals(everywhere, scores, there), truth, config.overlap)
    labels = targets.labels.clamp(max=1)
    generator = torch.default_generator
    chosen = sample_anchors(labels, config.rpn_batch, 0.5, generator)
    positive = (labels == 1)[..., None]
    wanted = box_ops.encode(torch.where(positive, targets.boxes, everywhere), everywhere)
    flat = (scores.flatten(), offsets.flatten(0, 1), labels.flatten(), wanted.flatten(0, 1), chosen.flatten())
    return rpn_loss(*flat, number=normaliser(chosen.sum()))


def output_after(outputs: Outputs, config: Decoding, number: int) -> Output:
    """Return the detections after a stage: the union of all boxes up to it, after NMS.

    With ``combine="boost"`` the streams vote for each other's boxes first.
    Source: PCSC Sec. 4.3.
    """
    stages = [stage for stage in outputs.stages if stage.number <= number]
    found = [stage.found for stage in stages]
    if config.combine == "boost":
        found = cooperation.boost(found, [stage.stream for stage in stages], config.boost_overlap)
    return cooperation.union(found, config.min_score, config.nms, config.keep)


def outputs_by_stage(outputs: Outputs, config: PCSCConfig) -> list[Output]:
    """Return the detections after stage 0, 1, ... (``output_after``)."""
    return [output_after(outputs, config, number) for number in range(config.stages + 1)]


def decode(output: Output) -> list[Found]:
    """Return the detections of every frame of a batch as rows."""
    labels = torch.arange(output.scores.shape[1], device=output.scores.device)
    found = []
    for boxes, scores, valid in zip(*output, strict=True):
        of = labels[:, None].expand_as(scores)
        found.append(Found(*(as_numpy(x[valid]) for x in (boxes, of, scores))))
    return found
