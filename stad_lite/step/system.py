"""STEP as a system: what it trains on, what it finds in videos.

system = build(StepConfig.lesson(), source.classes)
fit(system, training_set(system, source), schedule("lesson"), run_dir, collate=collate)
predictions = detect(system, other_source)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stad_lite.baselines.pretraining import pretrained
from stad_lite.data.clips import FrameRun
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.nets.i3d import I3DBlocks
from stad_lite.nets.published import Trunk
from stad_lite.records import Predictions
from stad_lite.step.clips import asked, clip_runs, has_truth, read_seen, shown, training_item
from stad_lite.step.config import StepConfig
from stad_lite.step.criterion import losses
from stad_lite.step.model import Answer, Dense, StepNetwork, dense, found_by
from stad_lite.step.tubes import assemble
from stad_lite.systems.detect import Check, Found, evaluated, unchecked
from stad_lite.systems.items import Items, collated, run_title, some_places
from stad_lite.systems.maps import FrameMaps, frame_maps
from stad_lite.systems.seen import Seen


class StepSystem:
    """STEP as the training loop sees it. raises: FormatError for no classes"""

    def __init__(self, config: StepConfig, classes: Sequence[str]) -> None:
        if not classes:
            raise FormatError("STEP for no classes", remedy="give the class names")
        self.config, self.classes = config, tuple(classes)
        self.network = StepNetwork(config, len(self.classes))
        self.streams = () if config.backbone == "i3d" else (config.stream,)

    def backbone(self, stream: str) -> nn.Module:
        """Return the network that sees frames."""
        return self.network.backbone

    def seen(self, source: VideoSource, stream: str, video: str, numbers: np.ndarray, mirror: bool) -> Any:
        """Return some frames as they are stored."""
        return read_seen(source, self.config, video, numbers, mirror)

    def fed(self, seen: Mapping[str, Seen], stream: str) -> Tensor:
        """Return what the network is fed of them."""
        return shown(seen, self.config)

    def maps(self, batch: dict[str, Tensor]) -> Tensor:
        """Return a batch's maps (b, t, c, h, w): those it brings along, or the backbone's of its frames."""
        if "maps" in batch:
            return batch["maps"].float()
        return self.network.features(shown(batch["frames"], self.config))

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted terms of all steps (``criterion.losses``)."""
        return losses(self.network, self.maps(batch), batch)

    @torch.no_grad()
    def answers(self, batch: dict[str, Tensor], check: Check = unchecked) -> list[Answer]:
        """Return the answer of every step."""
        with evaluated(self.network) as (network, _):
            said: list[Answer] = network(self.maps(batch))
        check(*(part for one in said for part in one if part is not None))
        return said

    def predict(self, batch: dict[str, Tensor], check: Check = unchecked) -> list[Found]:
        """Return the last step's detections of every clip."""
        return found_by(self.answers(batch, check)[-1], self.config)


def build(
    config: StepConfig, classes: Sequence[str], pretraining: int = 0, device: torch.device | None = None
) -> StepSystem:
    """Return a new system; a small backbone starts from its pretrained weights (``config.pretrained``).

    pretraining: seed of the pretrained weights; the caller sets that of the rest
    device: that they are trained on where the cache lacks them (``pretrained``)
    raises: FormatError for no classes
    """
    system = StepSystem(config, classes)
    if config.pretrained and config.backbone == "small":
        known = pretrained(config.stream, config.pretrained, pretraining, device=device)
        system.network.backbone.load_state_dict(known.state_dict())
    return system


def trunks(system: StepSystem) -> dict[str, Trunk]:
    """Return the networks that published weights fill, by stream: the backbone, and blocks of I3D in heads.

    Early fusion begins with the weights of RGB, flow behind it.
    """
    config, network = system.config, system.network
    whole = config.width == 1024  # as published
    blocks = [part for part in network.heads.modules() if isinstance(part, I3DBlocks) and whole]
    early = config.stream == "early"
    trunk = Trunk((network.backbone, *blocks), config.normalise, config.flow_scale, behind=early)
    return {"rgb" if early else config.stream: trunk}


def training_set(
    system: StepSystem, source: VideoSource, maps: FrameMaps | None = None, empty: bool = False
) -> Items:
    """Return the clips of a source that hold an action.

    maps: of all frames; for a frozen backbone they are computed now unless they are given
    empty: take clips without an action too
    raises: FormatError where classes or size are not the system's, or no clip holds an action
    """
    config = system.config
    source.check(config.size, config.stream != "rgb", system.classes)
    runs = [run for run in clip_runs(source, config) if empty or has_truth(source, run, config)]
    some_places(source, runs, "no clip holds an annotated action")
    if maps is None and config.frozen:
        maps = frame_maps(system, source, mirror=True)
    return Items(runs, partial(training_item, config=config, source=source, maps=maps), run_title)


collate = partial(collated, padding={"truth": 0, "present": 0, "labels": 0, "valid": 0})
"""Makes a batch: what is seen stacked, truths padded to the largest number (``valid`` False)."""


def look(
    system: StepSystem, source: VideoSource, maps: FrameMaps | None = None
) -> Iterator[tuple[str, list[FrameRun], list[Dense]]]:
    """Yield every video's clips with what each step says of them, nothing left out yet (``asked``).

    returns: video, its n clips, and for each step boxes (n, m, classes, t, 4) and scores (n, m, classes)
    """
    for video, data, parts in asked(system, source, maps, collate, system.answers):
        each = ([dense(one, system.config) for one in step] for step in zip(*parts, strict=True))
        steps = [Dense(*map(np.concatenate, zip(*step, strict=True))) for step in each]
        yield video, list(data.places), steps


def detect(system: StepSystem, source: VideoSource, maps: FrameMaps | None = None) -> Predictions:
    """Return the last step's detections on frames, and the tubes that they are linked to (``assemble``)."""
    looks = asked(system, source, maps, collate, system.predict)
    found = ((video, data.places, [one for part in parts for one in part]) for video, data, parts in looks)
    return assemble(system.config, system.classes, source, found)
