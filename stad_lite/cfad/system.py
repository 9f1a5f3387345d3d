"""CFAD as a system: what it trains on, what it finds in videos. No linking anywhere.

system = build(CfadConfig.lesson(), source.classes)
fit(system, training_set(system, source), schedule("lesson"), run_dir, collate=collate)
predictions = detect(system, other_source)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stad_lite.baselines.pretraining import pretrained
from stad_lite.cfad.config import CfadConfig
from stad_lite.cfad.criterion import losses
from stad_lite.cfad.decoding import find_tubes, frame_boxes
from stad_lite.cfad.model import CfadNetwork
from stad_lite.cfad.videos import (
    Videos,
    anchor_sizes,
    item_of,
    read_seen,
    training_item,
    true_tubes,
    video_run,
)
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.nets.published import Trunk
from stad_lite.records import Predictions, VideoPredictions
from stad_lite.systems.detect import Check, evaluated, look, unchecked
from stad_lite.systems.items import Items, collated, first_frame, some_places
from stad_lite.systems.maps import FrameMaps, frame_maps
from stad_lite.systems.seen import Seen, fed_streams
from stad_lite.tubes import Tube


class CfadSystem:
    """CFAD as the training loop sees it. raises: FormatError for no classes"""

    def __init__(self, config: CfadConfig, classes: Sequence[str]) -> None:
        if not classes:
            raise FormatError("CFAD for no classes", remedy="give the class names")
        self.config, self.classes = config, tuple(classes)
        self.network = CfadNetwork(config, len(self.classes))
        self.streams = () if config.backbone == "i3d" else (config.stream,)

    def backbone(self, stream: str) -> nn.Module:
        """Return the network that sees frames."""
        return self.network.backbone

    def seen(self, source: VideoSource, stream: str, video: str, numbers: np.ndarray, mirror: bool) -> Any:
        """Return some frames as they are stored."""
        return read_seen(source, self.config, video, numbers, mirror)

    def fed(self, seen: Mapping[str, Seen], stream: str) -> Tensor:
        """Return what the network is fed of them."""
        return fed_streams(seen, self.config.flow_scale)

    def maps(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return a batch's maps (b, t, c, h, w): those it brings along, or the backbone's of its frames."""
        if "maps" in batch:
            return batch["maps"].float()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen):
            return self.network.maps(batch["frames"])

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted terms (``criterion.losses``)."""
        return losses(self.network, self.maps(batch), batch)

    @torch.no_grad()
    def predict(self, batch: Mapping[str, Tensor], check: Check = unchecked) -> list[tuple[Tube, ...]]:
        """Return the tubes of every video of a batch, with the ``count`` (b,) of its frames."""
        with evaluated(self.network) as (network, _):
            features = network.features(self.maps(batch))
            return find_tubes(network, features, batch["count"].tolist(), self.classes, check)


def build(
    config: CfadConfig, classes: Sequence[str], pretraining: int = 0, device: torch.device | None = None
) -> CfadSystem:
    """Return a new system; a small backbone starts from its pretrained weights (``config.pretrained``).

    pretraining: seed of the pretrained weights; the caller sets that of the rest
    device: that they are trained on where the cache lacks them (``pretrained``)
    raises: FormatError for no classes
    """
    system = CfadSystem(config, classes)
    if config.pretrained and config.backbone == "small":
        known = pretrained(config.stream, config.pretrained, pretraining, device=device)
        system.network.backbone.load_state_dict(known.state_dict())
    return system


def trunks(system: CfadSystem) -> dict[str, Trunk]:
    """Return the network that published weights fill; early fusion begins with those of RGB, flow behind."""
    config = system.config
    early = config.stream == "early"
    return {"rgb": Trunk((system.network.backbone,), reach=config.flow_scale if early else 0.0, behind=early)}


def training_set(system: CfadSystem, source: VideoSource, maps: FrameMaps | None = None) -> Videos:
    """Return the videos of a source that hold an action; the anchor boxes are clustered from their boxes.

    maps: of all frames; for a frozen small backbone they are computed now unless they are given
    raises: FormatError where classes or size are not the system's, or no video holds an action
    """
    config = system.config
    source.check(config.size, config.stream == "early", system.classes)
    runs = [video_run(source, video, config) for video in source.videos]
    truths = {run.video: true_tubes(source, config, run) for run in runs}
    runs = [run for run in runs if len(truths[run.video].labels)]
    some_places(source, runs, "no video holds an annotated action")
    system.network.sizes.copy_(anchor_sizes(truths, config.anchors))
    if maps is None and config.frozen and system.streams:
        maps = frame_maps(system, source, [run.video for run in runs], mirror=True)
    make = partial(training_item, config=config, source=source, truths=truths, maps=maps)
    return Videos(runs, make, attrgetter("video"), warm_epochs=config.proposal_epochs)


collate = partial(collated, padding={"boxes": 0, "spans": 0, "labels": 0, "keys": 0, "valid": 0})
"""Makes a batch: what is seen stacked, truths padded to the largest number (``valid`` False)."""


def detect(system: CfadSystem, source: VideoSource, maps: FrameMaps | None = None) -> Predictions:
    """Return the tubes of every video, and their boxes on frames with the tubes' scores.

    maps: of all frames; without them the backbone sees the resampled frames alone
    raises: FormatError, NotFiniteError
    """
    config = system.config
    source.check(config.size, config.stream == "early")

    def whole(video: str) -> Items:
        if maps is not None:
            maps.check(video)
        return Items([video_run(source, video, config)], lambda run, _: item_of(source, config, run, maps))

    videos = {}
    for video, _, parts in look(system.network, source, whole, collate, system.predict, first_frame):
        ((tubes,),) = parts
        videos[video] = VideoPredictions(tubes, frame_boxes(tubes, system.classes))
    return Predictions(system.classes, videos)
