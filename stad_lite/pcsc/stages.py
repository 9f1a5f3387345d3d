"""What PCSC finds in videos after each stage of cooperation, and the tubes and actionness made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from stad_lite.arrays import as_numpy
from stad_lite.data.source import VideoSource
from stad_lite.errors import StadError
from stad_lite.linking import from_rows, link_online
from stad_lite.linking.build import Linked
from stad_lite.pcsc import actionness
from stad_lite.pcsc.actionness import ActionnessDetectors, TubeBoxes
from stad_lite.pcsc.config import Linking
from stad_lite.pcsc.model import decode, output_after
from stad_lite.records import FrameBoxes, VideoAnnotation
from stad_lite.systems.detect import Check, Found, joined
from stad_lite.systems.maps import FrameMaps
from stad_lite.systems.truth import is_boxed, is_trimmed, known_frames

if TYPE_CHECKING:
    from stad_lite.pcsc.system import PCSCSystem


@dataclass(frozen=True, eq=False)
class Seen:
    """The detections of one video, after each stage or after the last alone.

    stages: one a stage, rows in the order of frames
    features: (n, features) of the last one's rows, for actionness
    also: the same after each stage under another ``combine``
    """

    stages: tuple[FrameBoxes, ...]
    features: np.ndarray
    also: dict[str, tuple[FrameBoxes, ...]] = field(default_factory=dict)


def look(
    system: PCSCSystem,
    source: VideoSource,
    maps: FrameMaps | None = None,
    last: bool = False,
    also: Sequence[str] = (),
) -> Iterator[tuple[str, Seen]]:
    """Yield every video's detections after each stage.

    maps: of the small networks, computed video by video where they are not given
    last: only those after the last stage
    also: other values of ``combine`` to tell the same by
    raises: FormatError, NotFiniteError
    """
    network, config = system.network, system.config
    wanted = range(config.stages if last else 0, config.stages + 1)
    ways = {way: replace(config, combine=way) for way in (config.combine, *also)}

    def answer(batch: dict[str, Tensor], check: Check) -> tuple[dict[str, list[list[Found]]], np.ndarray]:
        outputs = network(batch["rgb"], batch["flow"])
        check(*(raw for pair in outputs.rpn.values() for raw in pair))
        check(*(raw for stage in outputs.stages for raw in (stage.logits, stage.offsets)))
        found = {
            way: [decode(output_after(outputs, chosen, number)) for number in wanted]
            for way, chosen in ways.items()
        }
        boxes, item = _flat(found[config.combine][-1], outputs.anchors.device)
        return found, as_numpy(network.describe(outputs.levels, boxes, item))

    for video, parts in system.ask(source, maps, answer):
        told = {
            way: tuple(
                _rows([one for found, _ in parts for one in found[way][place]])
                for place in range(len(wanted))
            )
            for way in ways
        }
        features = np.concatenate([described for _, described in parts])
        yield video, Seen(told.pop(config.combine), features, told)


def _flat(frames: Sequence[Found], device: torch.device) -> tuple[Tensor, Tensor]:
    """The boxes of a batch of frames in one table, and the frame of each."""
    item = np.repeat(np.arange(len(frames)), [len(found) for found in frames])
    return torch.as_tensor(joined(frames).boxes, device=device), torch.as_tensor(item, device=device)


def _rows(frames: Sequence[Found]) -> FrameBoxes:
    """The detections of a video's frames as one table."""
    numbers, every = np.repeat(np.arange(len(frames)), [len(found) for found in frames]), joined(frames)
    return FrameBoxes(numbers.astype(np.int64), every.labels, every.boxes, every.scores)


def tubes_of(rows: FrameBoxes, config: Linking, classes: Sequence[str]) -> Linked:
    """Link a video's detections online, without temporal labelling (PCSC Sec. 3.4).

    ``members`` of the result are rows.
    """
    assert rows.score is not None
    found = from_rows(rows.frame, rows.label, rows.box, rows.score, len(classes))
    return link_online(found, config.linking, classes)


def along(
    system: PCSCSystem, seen: Seen, linked: Linked, general: ActionnessDetectors | None = None
) -> list[np.ndarray]:
    """Return the actionness of every tube on each of its frames.

    general: one classifier of all classes to ask in place of the system's own
    """
    rows, detectors = seen.stages[-1], system.network.actionness if general is None else general
    labels = [0 if general is not None else system.classes.index(tube.label) for tube in linked.tubes]
    return [
        actionness.scores_along(tube, rows.frame[member], seen.features[member], label, detectors)
        for tube, member, label in zip(linked.tubes, linked.members, labels, strict=True)
    ]


def tube_boxes(system: PCSCSystem, seen: Seen, truth: VideoAnnotation) -> TubeBoxes:
    """Return the boxes of a video's tubes with their labels, to train actionness on."""
    rows = seen.stages[-1]
    linked = tubes_of(rows, system.config, system.classes)
    members = [*linked.members, np.zeros(0, dtype=np.int64)]
    member = np.concatenate(members).astype(np.int64)
    frame, box, label = rows.frame[member], rows.box[member], rows.label[member]
    wanted = actionness.targets(frame, box, label, truth, system.classes)
    known = known_frames(truth)
    told = np.full(len(frame), is_boxed(truth)) if known is None else np.isin(frame, known)
    return TubeBoxes(seen.features[member][told], label[told], wanted[told])


def boxes_to_learn(system: PCSCSystem, source: VideoSource, maps: FrameMaps | None = None) -> list[TubeBoxes]:
    """Return the boxes of the tubes that the trained detector finds in every video, with their labels."""
    truth: Any = source.annotations.videos
    return [tube_boxes(system, seen, truth[video]) for video, seen in look(system, source, maps, last=True)]


def finish(
    system: PCSCSystem, source: VideoSource, maps: FrameMaps | None = None, seed: int = 0
) -> tuple[int, ...]:
    """Train the actionness detectors on the tubes that the trained detector finds in the training videos.

    returns: (classes,) boxes that each class learned from, 0 where none could be trained
    Source: PCSC Sec. 3.4; not for trimmed videos (Sec. 4.2.2), where all counts are 0.
    """
    if is_trimmed(source):
        return (0,) * len(system.classes)
    found = boxes_to_learn(system, source, maps)
    try:
        return actionness.train_actionness(system.network.actionness, found, seed=seed)
    except StadError as error:
        raise error.at(file=source.annotations.dataset) from None
