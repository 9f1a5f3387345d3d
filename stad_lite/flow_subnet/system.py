"""The flow subnet as a system: what it trains on, what it finds in videos, at once or as they come.

system = build(FlowSubnetConfig.lesson(), source.classes)
fit(system, training_set(system, source), schedule("lesson"), run_dir, collate=collate)
predictions = detect(system, other_source)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from stad_lite.data.flow import Estimator
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.flow_subnet.criterion import losses
from stad_lite.flow_subnet.decoding import found_in, frame_boxes, linking, trim_of
from stad_lite.flow_subnet.model import FlowSubnetNetwork, pixels_of
from stad_lite.flow_subnet.pretraining import fill
from stad_lite.flow_subnet.sequences import Sequences, collate, seen_item, sequence, training_sequences
from stad_lite.flow_subnet.stream import Account, Stream
from stad_lite.linking import link
from stad_lite.nets.published import Trunk
from stad_lite.records import Predictions, VideoPredictions
from stad_lite.systems import detect as detection
from stad_lite.systems.detect import Check, Found, evaluated, unchecked
from stad_lite.systems.items import Items
from stad_lite.systems.truth import TrueBoxes

__all__ = ["FlowSubnetSystem", "build", "collate", "detect", "stream", "training_set", "trunks"]


class FlowSubnetSystem:
    """The flow subnet as the training loop sees it. raises: FormatError for no classes"""

    def __init__(self, config: FlowSubnetConfig, classes: Sequence[str]) -> None:
        if not classes:
            raise FormatError("a detector for no classes", remedy="give the class names")
        self.config, self.classes = config, tuple(classes)
        self.network = FlowSubnetNetwork(config, len(self.classes))

    def loss(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the weighted terms (``criterion.losses``)."""
        frozen, shown = bool(batch["frozen"].all()), pixels_of(batch)
        flow = shown.get("flow")
        said = self.network(shown["frames"], flow if self.config.estimator == "given" else None, frozen)
        return losses(said, self.network.boxes, TrueBoxes(batch["boxes"], batch["labels"]), self.config, flow)

    @torch.no_grad()
    def predict(self, batch: dict[str, Any], check: Check = unchecked) -> list[Found]:
        """Return the boxes of the middle frame of every sequence of a batch.

        check: is told what the network says, a row a sequence
        """
        with evaluated(self.network) as (network, _):
            return found_in(network, batch, check)


def build(
    config: FlowSubnetConfig, classes: Sequence[str], pretraining: int = 0, device: torch.device | None = None
) -> FlowSubnetSystem:
    """Return a new system; small networks start from their pretrained weights (``config.pretrained``).

    pretraining: seed of the pretrained weights; the caller sets that of the rest
    device: that they are trained on where the cache lacks them
    raises: FormatError for no classes
    """
    system = FlowSubnetSystem(config, classes)
    if config.pretrained:
        fill(system.network, config.pretrained, pretraining, device)
    return system


def trunks(system: FlowSubnetSystem) -> dict[str, Trunk]:
    """Return the networks that published weights fill: VGG16, and the flow network with its teacher."""
    config, motion = system.config, system.network.motion
    found = {"rgb": Trunk((system.network.backbone.base,), fed=config.normalise)}
    if motion is not None and motion.net is not None:
        nets = (motion.net,) if motion.teacher is None else (motion.net, motion.teacher)
        # they are given [0, 1], whatever the backbone is fed
        fed = {"pwcnet": "bgr01", "spynet": "imagenet"}.get(config.estimator, "rgb01")
        found["flow"] = Trunk(nets, fed=fed)
    return found


def training_set(system: FlowSubnetSystem, source: VideoSource) -> Sequences:
    """Return the annotated frames of a source with their neighbours.

    raises: FormatError where classes or size are not the system's, or nothing is annotated
    """
    source.check(system.config.size, classes=system.classes)
    return training_sequences(source, system.config)


def detect(system: FlowSubnetSystem, source: VideoSource) -> Predictions:
    """Return the boxes on every frame of every video, and the tubes that they are linked to.

    raises: FormatError, NotFiniteError
    """
    config = system.config
    source.check(config.size, config.sees_motion and config.estimator == "given")

    def whole(video: str) -> Items:
        runs = [sequence(source, video, frame) for frame in range(source.num_frames(video))]
        return Items(runs, partial(seen_item, source=source, config=config))

    videos = {}
    for video, _, parts in detection.look(
        system.network, source, whole, collate, system.predict, lambda run: int(run.frames[1])
    ):
        videos[video] = VideoPredictions(frames=frame_boxes([one for part in parts for one in part]))
    return link(Predictions(system.classes, videos), "online", linking(config), trim_of(config))


def stream(
    system: FlowSubnetSystem, estimator: Estimator | None = None, account: Account | None = None
) -> Stream:
    """Return what takes a video's frames one by one (``stream.Stream``)."""
    return Stream(system.network, system.classes, estimator, account)
