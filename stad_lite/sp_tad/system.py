"""SP-TAD as a system: what it trains on, what it finds in videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stad_lite.arrays import check_finite_frames
from stad_lite.errors import FormatError
from stad_lite.nets.published import Trunk
from stad_lite.records import Predictions
from stad_lite.sp_tad.backbone import I3DStages, Source
from stad_lite.sp_tad.config import SpTadConfig
from stad_lite.sp_tad.criterion import Instances, make_truth, set_loss
from stad_lite.sp_tad.merging import merged_on
from stad_lite.sp_tad.model import Outputs, SpTad
from stad_lite.sp_tad.windows import FoundSegments, Item, Timeline, Window, WindowSet, decode
from stad_lite.systems.detect import batched, evaluated
from stad_lite.systems.items import together
from stad_lite.systems.seen import Seen


class Batch(NamedTuple):
    """Some windows.

    inputs: what the network takes, by name: features, or clips as they are stored
    truth: their instances
    windows: where they are
    """

    inputs: dict[str, Tensor | Seen]
    truth: Instances
    windows: list[Window]


class SpTadSystem:
    """SP-TAD with its classes: the network, its loss and its decoding.

    config: of the network and of the windows
    classes: names, in the order of the network's outputs
    """

    def __init__(self, config: SpTadConfig, classes: Sequence[str]) -> None:
        if not classes:
            raise FormatError("there are no classes", remedy="give the names of the classes")
        self.config, self.classes = config, tuple(classes)
        self.network = SpTad(config, len(self.classes))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of Eq. 2."""
        return set_loss(self.network(batch.inputs), batch.truth, self.config)

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[FoundSegments]:
        """Return what the last head finds in each window, best first."""
        return decode(self.network(batch.inputs), batch.windows, self.config)


def build(config: SpTadConfig, classes: Sequence[str]) -> SpTadSystem:
    """Return a new system. raises: FormatError without classes

    >>> build(SpTadConfig.smoke(), ["run", "jump"]).classes
    ('run', 'jump')
    """
    return SpTadSystem(config, classes)


def trunks(system: SpTadSystem) -> dict[str, Trunk]:
    """Return the networks that published weights fill, by stream: I3D's, nothing for a smaller backbone."""
    backbone, reach = system.network.backbone, system.config.backbone.flow_reach
    if not isinstance(backbone, I3DStages):
        return {}
    return {stream: Trunk((net,), reach=reach) for stream, net in backbone.streams.items()}


def training_set(system: SpTadSystem, source: Source, seed: int = 0) -> WindowSet:
    """Return the windows to train on: those that hold an instance.

    raises: FormatError where there is none or one holds more instances than there are proposals
    """
    return WindowSet(system.config, system.classes, source, training=True, seed=seed)


def test_windows(system: SpTadSystem, source: Source) -> WindowSet:
    """Return all windows of all videos, without their truth."""
    return WindowSet(system.config, system.classes, source, training=False)


def collate(items: Sequence[Item]) -> Batch:
    """Return some windows as a batch."""
    inputs = {name: together([item.inputs[name] for item in items]) for name in items[0].inputs}
    truth = make_truth([item.segments for item in items], [item.labels for item in items])
    return Batch(inputs, truth, [item.window for item in items])


@torch.no_grad()
def detect(system: SpTadSystem, source: Source, batch: int = 8) -> Predictions:
    """Return the segments of every video: windows, the network, soft-NMS over overlapping windows.

    batch: windows that go through the network together
    """
    data = test_windows(system, source)
    found: dict[str, list[FoundSegments]] = {name: [] for name in source.videos}
    with evaluated(system.network) as (_, device):
        for some in batched(data, collate, device, batch):
            outputs = system.network(some.inputs)
            check_outputs(outputs, some.windows, data.lines)
            for one in decode(outputs, some.windows, system.config):
                found[one.window.video].append(one)
    return merged_on(device, found, data.lines, system)


def check_outputs(outputs: Outputs, windows: Sequence[Window], lines: Mapping[str, Timeline]) -> None:
    """Refuse what the network says of some windows where it is not finite.

    raises: NotFiniteError with the video and the window's first frame
    """
    for place, window in enumerate(windows):
        said = [outputs.logits[None, :, place], outputs.segments[None, :, place]]
        said += [] if outputs.clip is None else [outputs.clip[None, place]]
        first = lines[window.video].frames[window.start : window.start + 1]
        check_finite_frames("what the network says", window.video, first, *said)
