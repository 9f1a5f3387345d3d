"""The dense detector as a system: training data, one clip learnt by heart, whole videos, linked tubes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.baselines.config import DenseConfig
from stad_lite.baselines.dense import WindowDetections
from stad_lite.baselines.detect_and_link import detect, find, frame_boxes, link_found, without_classes
from stad_lite.baselines.system import build, collate, fed_inputs, training_item, training_set
from stad_lite.data.clips import tubelets
from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.errors import FormatError, UnknownLabelError
from stad_lite.metrics import evaluate
from stad_lite.nets.inputs import flow_input
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.schedule import TrainConfig
from stad_lite.systems.seen import pixels
from stad_lite.systems.truth import actor_tubes
from stad_lite.training.loop import fit

SMALL = Settings(frames=8, height=32, width=32, actors=(1, 2), span=(3, 6))


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> VideoSource:
    return synthetic_source(SMALL, 3, "train", tmp_path_factory.mktemp("cache"))


def tiny(**changes):
    sizes = {"size": (32, 32), "channels": (8, 8, 8), "hidden": 8, "clip": 4, "context": (1,)}
    return DenseConfig(**{**sizes, **changes})


def random_system(config, classes, seed=0):
    """A detector with random weights that finds something everywhere."""
    torch.manual_seed(seed)
    system = build(config, classes)
    for head in system.network.heads:
        torch.nn.init.normal_(head.out.weight, std=0.5)
    return system


@pytest.mark.parametrize("modality", ["rgb", "flow", "both"])
def test_batches_hold_what_the_config_asks_for(source, modality):
    config = tiny(modality=modality)
    data = training_set(config, source)
    batch = collate([data[0], data[len(data) - 1]])
    shapes = {"rgb": (2, 4, 3, 32, 32), "flow": (2, 4, 2, 32, 32)}
    found = {name: tuple(stream.shape) for name, stream in fed_inputs(batch.inputs, config).items()}
    assert found == {name: shapes[name] for name in config.streams}
    assert batch.actors.boxes.shape[2:] == (4, 4)
    assert batch.names == (data.name(0), data.name(len(data) - 1))


def test_clips_cover_all_frames_and_carry_their_boxes(source):
    config = tiny(flip=0.0)
    data = training_set(config, source)
    assert len(data) == 3 * 5  # starts 0 to 4 of 8 frames
    for index in range(len(data)):
        inputs, clip, name = data[index]
        video, start = name.split(" from frame ")
        frames = source.frames(video, range(int(start), int(start) + 4))
        np.testing.assert_array_equal(inputs["rgb"].values, frames)
        rgb = fed_inputs(inputs, config)["rgb"]
        np.testing.assert_allclose(rgb[:, 0], frames[..., 0] / 127.5 - 1, atol=1e-6)
        true = {
            (frame, tuple(tube.boxes[frame - tube.start]), source.classes.index(tube.label))
            for tube in source.annotations.videos[video].tubes
            for frame in range(max(tube.start, int(start)), min(tube.end, int(start) + 4))
        }
        ours = {
            (int(start) + t, tuple(clip.boxes[actor, t]), int(clip.labels[actor]))
            for actor, t in zip(*np.nonzero(clip.present), strict=True)
        }
        assert ours == true


def test_items_depend_on_seed_epoch_and_index_alone(source):
    data = replace(training_set(tiny(), source), seed=3)
    first = [pixels(data[i][0]["flow"], "flow") for i in range(len(data))]
    again = [pixels(data[i][0]["flow"], "flow") for i in reversed(range(len(data)))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    data.epoch = 1
    assert not all(torch.equal(a, pixels(data[i][0]["flow"], "flow")) for i, a in enumerate(first))


def test_short_videos_repeat_their_last_frame_without_a_box(source):
    video = source.videos[0]
    run = tubelets(video, 8, 12)[0]
    tubes = {video: actor_tubes(source.annotations.videos[video], source.classes)}
    rng = np.random.default_rng(0)
    seen, clip, _ = training_item(run, rng, source, tiny(modality="both", flip=0.0), tubes)
    frames = seen["rgb"].values
    assert len(frames) == 12
    assert (frames[8:] == frames[7]).all()
    assert not clip.present[:, 8:].any()


def test_a_clip_is_learnt_by_heart(source, tmp_path):
    one = source.subset(source.videos[:1])
    config = tiny(frames=2, context=(1,), channels=(8, 16, 16), hidden=32, head_groups=0, flip=0.0, clip=8)
    torch.manual_seed(0)
    system = build(config, one.classes)
    train = TrainConfig(steps=200, batch=1, lr=5e-3, checkpoint_every=1000)
    fit(system, training_set(system, one), train, tmp_path, device="cpu", collate=collate, say=lambda _: None)
    predictions = detect(system, one)
    for metric, least in (("frame-map", 80), ("video-map", 49)):
        assert evaluate(one.annotations, predictions, metric, iou=0.5).iou[0.5] > least


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_the_result_does_not_depend_on_the_chunk(source, frames, chunk):
    system = random_system(tiny(frames=frames, context=(1, 1)), source.classes)
    video = source.videos[0]
    whole, parts = find(system, source, video), find(system, source, video, chunk)
    assert len(whole.start) > 10
    np.testing.assert_array_equal(whole.start, parts.start)
    np.testing.assert_allclose(whole.boxes, parts.boxes, atol=1e-3)
    np.testing.assert_allclose(whole.scores, parts.scores, atol=1e-5)


def found(start, length, classes=2):
    """One detection a start; the box on frame f has its left edge at f."""
    start = np.array(start)
    frame = start[:, None] + np.arange(length)
    boxes = np.stack([frame, 0 * frame, frame + 10, 0 * frame + 10], -1).astype(np.float32)
    scores = np.tile(np.linspace(0.5, 0.25, classes), (len(start), 1))
    return WindowDetections(start, boxes, scores.sum(1), scores)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_every_frame_has_the_boxes_of_one_window(length):
    rows = frame_boxes(found(range(8 - length + 1), length), length, 8)
    assert rows.frame.tolist() == [frame for frame in range(8) for _ in range(2)]
    assert rows.label.tolist() == [0, 1] * 8
    np.testing.assert_array_equal(rows.box[:, 0], rows.frame)


def test_frames_without_detections_have_no_boxes():
    assert len(frame_boxes(found([], 2), 2, 8)) == 0
    assert frame_boxes(found([3], 1), 1, 8).frame.tolist() == [3, 3]


def test_scores_of_all_classes_sum_to_the_actionness():
    one = found([0, 1], 1)
    np.testing.assert_array_equal(without_classes(one).scores[:, 0], one.scores.sum(1))


@pytest.mark.parametrize("linking", ["online", "tubelets"])
@pytest.mark.parametrize("length", [1, 3])
def test_detections_are_linked_into_tubes(linking, length):
    config = tiny(frames=length, clip=4, linking=linking)
    one = found(range(12 - length + 1), length)
    tubes = link_found({"a": one}, {"a": 12}, config, ("run", "sit")).videos["a"].tubes
    assert [(tube.start, tube.end, tube.label) for tube in tubes] == [(0, 12, "run"), (0, 12, "sit")]
    for tube in tubes:
        np.testing.assert_allclose(tube.boxes[:, 0], tube.frames)


def test_trimming_is_applied():
    one = found(range(30), 1)
    one.scores[:, 0] = np.where(np.arange(30) < 18, 0.9, 0.02)
    config = tiny(trim="median")
    tubes = link_found({"a": one}, {"a": 30}, config, ("run", "sit")).videos["a"].tubes
    assert [tube.end for tube in tubes if tube.label == "run"] == [18]


@pytest.mark.parametrize("linking", ["online", "tubelets"])
def test_videos_shorter_than_a_tubelet(source, linking):
    config = tiny(frames=4, linking=linking, min_score=0.0)
    system = random_system(config, source.classes)
    video = source.videos[0]
    annotation = replace(source.annotations.videos[video], num_frames=3, tubes=())
    short = replace(source, annotations=Annotations("short", source.classes, {video: annotation}))
    predictions = detect(system, short).videos[video]
    assert set(predictions.frames.frame) == {0, 1, 2}
    assert all(tube.end <= 3 for tube in predictions.tubes)


def test_predictions_have_the_classes_and_lie_in_the_frame(source):
    system = random_system(tiny(), source.classes)
    predictions = detect(system, source)
    assert predictions.classes == source.classes
    assert tuple(predictions.videos) == source.videos
    for video in predictions.videos.values():
        boxes = video.frames.box
        assert len(boxes) and boxes.min() >= 0 and boxes.max() <= 32
        assert (box_ops.area(boxes) > 0).all()


def test_predicting_leaves_the_mode_of_the_network(source):
    system = random_system(tiny(), source.classes)
    system.network.train()
    system.predict(collate([training_set(system, source)[0]]))
    assert system.network.training


def test_bad_sources_are_refused(source):
    with pytest.raises(FormatError, match=r"frames of \(32, 32\) and the configuration of \(64, 64\)"):
        training_set(tiny(size=(64, 64)), source)
    with pytest.raises(FormatError, match="frames of"):
        detect(build(tiny(size=(64, 64)), source.classes), source)
    with pytest.raises(UnknownLabelError, match="are not the system's"):
        training_set(build(tiny(), ("run", "sit")), source)
    with pytest.raises(FormatError, match="no classes"):
        build(tiny(), ())
    nameless = replace(source, annotations=Annotations("none", (), {"a": VideoAnnotation(num_frames=4)}))
    with pytest.raises(FormatError, match="no truth to train on"):
        training_set(tiny(), nameless)
    flowless = replace(source, read_flow=None)
    with pytest.raises(FormatError, match="no flow"):
        training_set(tiny(), flowless)[0]
    with pytest.raises(IndexError):
        training_set(tiny(), source)[99]


def test_flow_is_stacked_with_the_maps_around_and_the_video_s_ends_repeat(source):
    config = tiny(modality="flow", clip=2, flow_stack=3, flow_gap=2, flip=0.0, context=())
    data = training_set(config, source)
    video, last = source.videos[0], source.num_frames(source.videos[0]) - 1
    run = next(i for i, one in enumerate(data.places) if one.video == video and one.start == 0)
    seen, clip, _ = data[run]
    streams = fed_inputs(seen, config)
    assert streams["flow"].shape[:2] == (2, 6) and clip.present.shape[1] == 2
    flow = flow_input(source.flow(video, range(last + 1)), config.flow_scale)
    torch.testing.assert_close(streams["flow"][0], torch.cat([flow[0], flow[0], flow[2]]))
    torch.testing.assert_close(streams["flow"][1], torch.cat([flow[0], flow[1], flow[3]]))


def test_a_whole_video_gives_what_its_clips_give(source):
    config = tiny(modality="flow", clip=1, flow_stack=5, context=(), min_score=0.0, keep=3)
    system, video = random_system(config, source.classes), source.videos[0]
    whole = find(system, source, video)
    data = training_set(replace(config, flip=0.0), source)
    for index, run in enumerate(data.places):
        if run.video == video:
            part = system.predict(collate([data[index]]))[0]
            np.testing.assert_allclose(part.boxes, whole.boxes[whole.start == run.start], atol=1e-3)
