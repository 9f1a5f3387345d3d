"""Linkers over many synthetic clips with made detections: the chapter *From boxes to tubes*.

A clip's number is the seed of its detections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from stad_lite import boxes as box_ops
from stad_lite.data.synthetic import CLASSES, Settings, build_scene
from stad_lite.data.synthetic.detectors import Noise, boxes_seen
from stad_lite.data.synthetic.scene import Scene
from stad_lite.linking import OnlineConfig, from_scores, link_online
from stad_lite.metrics import evaluate
from stad_lite.records import Annotations, Predictions, VideoPredictions
from stad_lite.tubes import Tube, tube_iou

LinkAll = Callable[[Scene, Noise, int], Mapping[str, Sequence[Tube]]]
"""Clip, noise and seed -> the tubes of each linker, by its name."""


def scored(
    link_all: LinkAll, noise: Noise, numbers: Iterable[int], settings: Settings
) -> dict[str, tuple[float | None, float]]:
    """Return (v-MABO, video-mAP at .5) in percent of each linker over some clips.

    v-MABO is None where the clips hold no action.
    """
    scenes = {str(number): build_scene(settings, number) for number in numbers}
    truth = Annotations("synthetic", CLASSES, {name: scene.annotation() for name, scene in scenes.items()})
    made = {name: link_all(scene, noise, int(name)) for name, scene in scenes.items()}
    found = {}
    for linker in next(iter(made.values())):
        videos = {name: VideoPredictions(tubes=tuple(tubes[linker])) for name, tubes in made.items()}
        said = Predictions(CLASSES, videos)
        precise = evaluate(truth, said, "video-map", iou=0.5).mean
        found[linker] = evaluate(truth, said, "v-mabo").value, precise
    return found


def space_and_time(
    noise: Noise, numbers: Iterable[int], config: OnlineConfig, settings: Settings
) -> tuple[float, float]:
    """Return how well the best tube of an actor fits in space and in time, the mean over actors.

    In space: over the frames that both have. In time: of the spans. Both are 0 where there is no tube of the
    actor's class.
    """
    rows = []
    for scene, tubes in _linked(noise, numbers, config, settings):
        for true in scene.tubes():
            same = [tube for tube in tubes if tube.label == true.label]
            best = max(same, key=lambda tube: tube_iou(tube, true), default=None)
            kinds = ("mean_common", "temporal_iou")
            rows.append([0.0 if best is None else tube_iou(best, true, kind) for kind in kinds])
    space, time = np.mean(rows, axis=0)
    return float(space), float(time)


def followed(
    noise: Noise, numbers: Iterable[int], config: OnlineConfig, settings: Settings, least: float = 0.3
) -> tuple[np.ndarray, np.ndarray]:
    """Follow each actor's first tube: is it still on its actor, and how well?

    An actor's first tube is of its class and begins on one of the first four frames, where it fits best.

    least: IoU from which on a tube is on its actor
    returns: (frames,) share of the actors whose tube is on them, and (frames,) mean IoU of those that are,
        NaN on a frame where none is
    """
    rows = []
    for scene, tubes in _linked(noise, numbers, config, settings):
        for body, true in zip(scene.presence(), scene.tubes(), strict=True):
            row = np.zeros(settings.frames)
            near = [tube for tube in tubes if tube.label == true.label and tube.start < 4]
            if near:
                fits = [box_ops.iou(tube.boxes[0], body.boxes[tube.start]) for tube in near]
                own = near[int(np.argmax(fits))]
                row[own.frames] = box_ops.iou(own.boxes, body.boxes[own.start : own.end])
            rows.append(row)
    table = np.array(rows)
    on = table >= least
    empty = np.full(settings.frames, np.nan)
    return on.mean(0), np.divide(table.sum(0, where=on), on.sum(0), out=empty, where=on.any(0))


def _linked(
    noise: Noise, numbers: Iterable[int], config: OnlineConfig, settings: Settings
) -> Iterator[tuple[Scene, Sequence[Tube]]]:
    for number in numbers:
        scene = build_scene(settings, number)
        yield scene, link_online(from_scores(*boxes_seen(scene, noise, number)), config, CLASSES).tubes
