"""PCSC as a system: what it trains on, what it finds in videos.

config = PCSCConfig.lesson()
system = build(config, source.classes)
fit(system, training_set(system, source), schedule("lesson"), run_dir, collate=collate)
finish(system, source)                    # actionness, for untrimmed videos
predictions = detect(system, other_source)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from stad_lite.arrays import check_finite_frames
from stad_lite.baselines.pretraining import pretrained
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.nets.published import Trunk
from stad_lite.pcsc import actionness, stages
from stad_lite.pcsc.clips import key_clip, place_title, read_seen, training_clip
from stad_lite.pcsc.config import PCSCConfig
from stad_lite.pcsc.cooperation import STREAMS
from stad_lite.pcsc.model import PCSC, criterion, decode, output_after
from stad_lite.pcsc.trunks import I3DTrunk
from stad_lite.records import Predictions, VideoPredictions
from stad_lite.systems import detect as detection
from stad_lite.systems.detect import Check, Found
from stad_lite.systems.items import Items, collated, some_places
from stad_lite.systems.maps import FrameMaps, frame_maps, maps_of
from stad_lite.systems.seen import Seen, fed
from stad_lite.systems.truth import PADDING, TrueBoxes, key_frames


class PCSCSystem:
    """PCSC as the training loop sees it. raises: FormatError for no classes"""

    def __init__(self, config: PCSCConfig, classes: Sequence[str]) -> None:
        if not classes:
            raise FormatError("there are no classes", remedy="train on a source with truth")
        self.config, self.classes = config, tuple(classes)
        self.network = PCSC(config, len(classes))
        self.streams = STREAMS if config.trunk == "stack" else ()

    def backbone(self, stream: str) -> nn.Module:
        """Return the small network that sees a stream's frames."""
        return self.network.backbones[stream]

    seen = staticmethod(read_seen)

    def fed(self, seen: Seen, stream: str) -> Tensor:
        """Return what a stream's network is fed of them."""
        return fed(seen, stream, self.config.flow_scale)

    def loss(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the losses of the RPNs and of all stages.

        batch: ``rgb``, ``flow`` as the network takes them; ``boxes`` (b, m, 4), ``labels`` (b, m)
        """
        truth = TrueBoxes(batch["boxes"], batch["labels"])
        return criterion(self.network(batch["rgb"], batch["flow"], truth), truth, self.config)

    def predict(self, batch: Mapping[str, Any]) -> list[Found]:
        """Return the detections of each key frame after the last stage."""
        outputs = self.network(batch["rgb"], batch["flow"])
        return decode(output_after(outputs, self.config, self.config.stages))

    def ask(
        self, source: VideoSource, maps: FrameMaps | None, answer: Callable[[dict[str, Tensor], Check], Any]
    ) -> Iterator[tuple[str, list[Any]]]:
        """Yield every video with what is answered to the batches of its frames, each a key frame in turn.

        raises: FormatError, NotFiniteError
        """
        config = self.config
        source.check(config.size, flow=True)

        def clips(video: str) -> Items:
            known = maps_of(self, source, video, maps)
            places = range(source.num_frames(video))
            return Items(places, lambda frame, _: key_clip(source, config, (video, frame), known))

        for video, _, parts in detection.look(self.network, source, clips, collate, answer, int):
            yield video, parts


def build(
    config: PCSCConfig, classes: Sequence[str], pretraining: int = 0, device: torch.device | None = None
) -> PCSCSystem:
    """Return a new system; small networks start from their pretrained weights (``config.pretrained``).

    pretraining: seed of the pretrained weights; the caller sets that of the rest
    device: that they are trained on where the cache lacks them (``pretrained``)
    raises: FormatError for no classes
    """
    system = PCSCSystem(config, classes)
    for stream in system.streams if config.pretrained else ():
        known = pretrained(stream, config.pretrained, pretraining, device=device)
        system.backbone(stream).load_state_dict(known.state_dict())
    return system


def trunks(system: PCSCSystem) -> dict[str, Trunk]:
    """Return the networks that published weights fill, by stream: I3D's, or the small ones."""
    network, reach = system.network, system.config.flow_scale
    nets = {s: network.backbones[s] for s in network.backbones}
    big = {s: part.net for s, part in network.trunks.items() if isinstance(part, I3DTrunk)}
    return {stream: Trunk((net,), reach=reach) for stream, net in {**nets, **big}.items()}


def training_set(system: PCSCSystem, source: VideoSource, maps: FrameMaps | None = None) -> Items:
    """Return the key frames of a source that hold a true box.

    maps: of the small networks, computed now unless they are given
    raises: FormatError where classes or size are not the system's, or no frame holds an action
    """
    config = system.config
    source.check(config.size, flow=True, classes=system.classes)
    places = some_places(source, key_frames(source, config.every), "no frame holds an annotated action")
    if system.streams and maps is None:
        maps = frame_maps(system, source, mirror=True)
    return Items(places, partial(training_clip, source=source, config=config, maps=maps), place_title)


collate = partial(collated, padding=PADDING)
"""Makes a batch: clips stacked, boxes (b, m, 4) and labels (b, m) padded with zeros and -1."""
finish = stages.finish


def detect(system: PCSCSystem, source: VideoSource, maps: FrameMaps | None = None) -> Predictions:
    """Return detections of frames and tubes of all videos.

    Tubes are trimmed where actionness has been trained (``finish``).
    """
    videos = {}
    for video, seen in stages.look(system, source, maps, last=True):
        rows = seen.stages[-1]
        linked = stages.tubes_of(rows, system.config, system.classes)
        tubes = linked.tubes
        if bool(system.network.actionness.trained.any()):
            under_way = stages.along(system, seen, linked)
            for tube, scores in zip(tubes, under_way, strict=True):
                check_finite_frames("the actionness", video, tube.frames, scores)
            tubes = actionness.refine(tubes, under_way, system.config.trim).tubes
        videos[video] = VideoPredictions(tubes=tubes, frames=rows)
    return Predictions(system.classes, videos)
