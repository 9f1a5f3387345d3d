"""A system trains only on what it can use: nothing that is not annotated is background."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.baselines import system as dense
from stad_lite.baselines.config import DenseConfig
from stad_lite.baselines.dense import Actors, losses
from stad_lite.catalogue import ENTRIES
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.pcsc import stages
from stad_lite.records import Annotations, FrameBoxes, Segment, VideoAnnotation
from stad_lite.systems.truth import actor_tubes, is_boxed, known_frames
from stad_lite.tubes import Tube

CLASSES = ("run", "jump")
SEGMENTS = (Segment("run", 0.0, 1.0),)


def frame_boxes(frames: list[int], person: list[int] | None = None) -> FrameBoxes:
    rows = np.array([[8.0 + 0.5 * f, 6, 28 + 0.5 * f, 30] for f in frames]).reshape(-1, 4)
    return FrameBoxes(np.array(frames, int), np.zeros(len(frames), int), rows, person=person)  # type: ignore[arg-type]


def source_of(**videos: VideoAnnotation) -> VideoSource:
    known = {name: replace(video, num_frames=24, width=48, height=48) for name, video in videos.items()}
    noise = np.random.default_rng(0).integers(0, 255, (24, 48, 48, 3), np.uint8)
    flow = np.zeros((24, 48, 48, 2), np.float32)
    truth = Annotations("own", CLASSES, known)
    return VideoSource(truth, (48, 48), lambda _, n: noise[n], lambda _, n: flow[n])


TUBES = VideoAnnotation(tubes=(Tube(0, np.tile([8.0, 6, 28, 30], (24, 1)), "run"),))
FRAMES = VideoAnnotation(frames=frame_boxes(list(range(24))))
ONLY_SEGMENTS = VideoAnnotation(segments=SEGMENTS)


def test_what_says_where_actors_are() -> None:
    assert is_boxed(TUBES) and is_boxed(FRAMES) and is_boxed(VideoAnnotation(tubes=()))
    assert not is_boxed(ONLY_SEGMENTS) and not is_boxed(VideoAnnotation())
    assert not is_boxed(
        VideoAnnotation(tubes=(), segments=SEGMENTS)
    )  # something happens, and nobody says where
    assert known_frames(TUBES) is None and known_frames(replace(TUBES, frames=frame_boxes([3]))) is None
    some = VideoAnnotation(frames=frame_boxes([3, 9, 9]), evaluated_frames=np.array([3, 5]))
    assert known_frames(some).tolist() == [3, 5, 9]


@pytest.mark.parametrize("seed", range(30))
def test_every_box_is_in_one_tube_and_neighbours_are_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 40))
    corner = rng.uniform(0, 12, (count, 2))
    person = rng.integers(0, 3, count) if seed % 2 else None
    boxes = FrameBoxes(
        np.sort(rng.integers(0, 12, count)), rng.integers(0, 2, count),
        np.concatenate([corner, corner + rng.uniform(4, 20, (count, 2))], 1), person=person,
    )  # fmt: skip
    tubes = actor_tubes(VideoAnnotation(frames=boxes), CLASSES)
    told = sorted(
        (frame, tube.label, *box)
        for tube in tubes
        for frame, box in zip(tube.frames.tolist(), tube.boxes.tolist(), strict=True)
    )
    rows = zip(boxes.frame.tolist(), boxes.label.tolist(), boxes.box.tolist(), strict=True)
    assert told == sorted((frame, CLASSES[label], *box) for frame, label, box in rows)
    for tube in tubes:
        if person is None:
            assert (box_ops.iou(tube.boxes[1:], tube.boxes[:-1]) >= 0.5).all()
        else:
            who = [int(person[np.flatnonzero((boxes.box == box).all(1))[0]]) for box in tube.boxes]
            assert len(set(who)) == 1


def test_boxes_that_follow_one_another_are_one_tube() -> None:
    (tube,) = actor_tubes(FRAMES, CLASSES)
    assert (tube.start, len(tube), tube.label) == (0, 24, "run")
    assert [len(one) for one in actor_tubes(VideoAnnotation(frames=frame_boxes([1, 2, 4])), CLASSES)] == [
        2,
        1,
    ]


def term(source: VideoSource, name: str, config: DenseConfig) -> float:
    torch.manual_seed(0)
    system = dense.build(config, CLASSES)
    data = dense.training_set(system, source)
    return float(system.loss(dense.collate([data[0]]))[name].detach())


def test_the_baseline_trains_on_key_frames_as_on_tubes() -> None:
    config = replace(DenseConfig.smoke(), flip=0.0, crop="none", photometric=0.0)
    same = VideoAnnotation(tubes=actor_tubes(FRAMES, CLASSES))
    for name in ("actionness", "class", "box"):
        found = term(source_of(a=FRAMES), name, config)
        assert found > 0 and found == pytest.approx(term(source_of(a=same), name, config))


def test_frames_that_nobody_looked_at_are_no_background() -> None:
    config = DenseConfig.smoke()
    torch.manual_seed(0)
    system = dense.build(config, CLASSES)
    sparse = source_of(a=VideoAnnotation(frames=frame_boxes([10])))
    data = dense.training_set(system, sparse)
    assert data.places and all(10 in run.frames for run in data.places)
    batch = dense.collate([data[i] for i in range(len(data))])
    assert batch.actors.known is not None and batch.actors.known.sum() == len(data)
    maps = system.network(dense.fed_inputs(batch.inputs, system.config))
    some = losses(maps, batch.actors, system.network.stride, config)
    none = losses(maps, batch.actors._replace(known=None), system.network.stride, config)
    if config.clip > config.frames:
        assert some["actionness"] < none["actionness"]
    blank = Actors(*batch.actors[:3], torch.zeros_like(batch.actors.known))
    assert losses(maps, blank, system.network.stride, config)["actionness"] == 0


def test_videos_of_segments_alone_are_left_out_and_told() -> None:
    system = dense.build(DenseConfig.smoke(), CLASSES)
    mixed = dense.training_set(system, source_of(a=TUBES, b=ONLY_SEGMENTS, c=VideoAnnotation(tubes=())))
    assert {run.video for run in mixed.places} == {"a", "c"}
    assert mixed.notes == ["videos without boxes, not trained on: 1"]


@pytest.mark.parametrize("name", [name for name in ENTRIES if name != "sp_tad"])
def test_no_system_of_boxes_trains_on_segments_alone(name: str) -> None:
    entry = ENTRIES[name]
    config = entry.config("smoke")
    system = entry.rebuild(config, CLASSES)
    source = source_of(a=ONLY_SEGMENTS)
    resized = replace(source, size=tuple(config.size))
    with pytest.raises(FormatError, match=r"own: no (video|clip|frame)"):
        entry.training_set(system, resized)


def test_actionness_learns_from_known_frames_alone(monkeypatch) -> None:
    boxes = frame_boxes([3, 4, 5, 6, 7])
    rows = replace(boxes, score=np.ones(5))
    tube = Tube(3, rows.box, "run", 1.0)
    linked = type("Linked", (), {"tubes": (tube,), "members": (np.arange(5),)})()
    monkeypatch.setattr(stages, "tubes_of", lambda *_: linked)
    system = type("System", (), {"config": None, "classes": CLASSES})()
    seen = stages.Seen((rows,), np.arange(5.0)[:, None], {})
    sparse = VideoAnnotation(frames=frame_boxes([4]), evaluated_frames=np.array([4, 6]))
    found = stages.tube_boxes(system, seen, sparse)
    assert found.features[:, 0].tolist() == [1, 3] and found.target.tolist() == [1, 0]
    assert len(stages.tube_boxes(system, seen, ONLY_SEGMENTS)) == 0
