"""From a source to predictions: key frames, kept maps, detections, tubes, actionness; JHMDB-21."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.data.source import VideoSource, open_source, synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.errors import FormatError, StadError
from stad_lite.metrics import evaluate
from stad_lite.pcsc import stages
from stad_lite.pcsc import system as pipeline
from stad_lite.pcsc.config import PCSCConfig, schedule
from stad_lite.pcsc.cooperation import STREAMS
from stad_lite.pcsc.system import PCSCSystem
from stad_lite.records import Annotations, FrameBoxes, VideoAnnotation
from stad_lite.systems import maps as kept
from stad_lite.systems.items import mirrored
from stad_lite.systems.maps import frame_maps, kept_maps
from stad_lite.systems.truth import boxes_on, is_trimmed, key_frames
from stad_lite.training.loop import fit
from stad_lite.tubes import Tube

SMOKE = PCSCConfig.smoke()


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> VideoSource:
    return synthetic_source(Settings.smoke(), 3, "train", tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def system(source):
    torch.manual_seed(0)
    return pipeline.build(SMOKE, source.classes)


@pytest.fixture(scope="module")
def maps(system, source):
    return frame_maps(system, source)


def test_key_frames_are_the_frames_that_hold_an_action(source):
    places = key_frames(source)
    for video, known in source.annotations.videos.items():
        held = {frame for tube in known.tubes for frame in range(tube.start, tube.end)}
        assert [frame for name, frame in places if name == video] == sorted(held)
    tenth = key_frames(source, every=10)
    assert set(tenth) == {(video, frame) for video, frame in places if frame % 10 == 0}


def test_items_are_clips_around_the_key_frame(system, source, maps):
    data = pipeline.training_set(system, source, maps)
    index = len(data) // 2
    video, frame = data.places[index]
    assert data.name(index) == f"{video} frame {frame}"
    item = data[index]
    reach = range(frame - SMOKE.frames // 2, frame + SMOKE.frames // 2 + 1)
    inside = np.clip(list(reach), 0, source.num_frames(video) - 1)
    for stream in STREAMS:
        np.testing.assert_array_equal(item[stream].numpy(), maps.maps[stream][video][inside])
    tubes = [t for t in source.annotations.videos[video].tubes if t.start <= frame < t.end]
    np.testing.assert_allclose(item["boxes"], [t.boxes[frame - t.start] for t in tubes], atol=1e-3)
    assert [source.classes[label] for label in item["labels"]] == [t.label for t in tubes]


def test_maps_are_those_of_the_small_network(system, source, maps):
    video = source.videos[0]
    frames = torch.from_numpy(source.frames(video, np.arange(2))).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        (expected,) = system.network.backbones["rgb"](frames).values()
    np.testing.assert_allclose(maps.maps["rgb"][video][:2], expected, atol=1e-2, rtol=1e-2)


def test_kept_maps_are_read_again_and_made_anew_when_damaged(system, source, maps, tmp_path, monkeypatch):
    first = kept_maps(system, source, tmp_path, "clips")
    files = sorted(tmp_path.iterdir())
    assert [path.name.split("-")[0] for path in files] == ["flow", "rgb"]
    original = kept.video_maps
    monkeypatch.setattr(kept, "video_maps", None)
    again = kept_maps(system, source, tmp_path, "clips")
    monkeypatch.setattr(kept, "video_maps", original)
    assert kept_maps(system, source, tmp_path, "clips", mirror=True).mirrored
    assert len(list(tmp_path.iterdir())) == 4
    files[0].unlink()  # what was read is still mapped
    files[0].write_bytes(b"damaged")
    anew = kept_maps(system, source, tmp_path, "clips")
    for stream in STREAMS:
        for video in source.videos:
            for one in (first, again, anew):
                np.testing.assert_array_equal(one.maps[stream][video], maps.maps[stream][video])
                assert one.maps[stream][video].flags.c_contiguous  # a first run adds up as later ones do
    other = replace(SMOKE, stages=0)
    torch.manual_seed(1)
    kept_maps(pipeline.build(other, source.classes), source, tmp_path, "clips")
    assert len(list(tmp_path.iterdir())) == 6  # other weights, other files


def test_collate_pads_the_truth():
    streams = {stream: torch.zeros(5, 4, 3, 3) for stream in STREAMS}
    items = [{**streams, "boxes": torch.ones(n, 4), "labels": torch.full((n,), n)} for n in (2, 1)]
    batch = pipeline.collate(items)
    assert batch["rgb"].shape == (2, 5, 4, 3, 3)
    assert batch["labels"].tolist() == [[2, 2], [1, -1]]
    assert batch["boxes"][1].tolist() == [[1] * 4, [0] * 4]


def test_a_mirror_turns_clips_flow_and_boxes(system, source):
    """The maps of a mirrored clip are those of the clip seen in a mirror, and so are its boxes."""
    rgb, flow = torch.rand(3, 6, 8), torch.rand(2, 6, 8)
    assert torch.equal(mirrored(rgb, "rgb")[..., 0], rgb[..., 7])
    assert torch.equal(mirrored(flow, "flow")[0, :, 0], -flow[0, :, 7])
    assert torch.equal(mirrored(flow, "flow")[1, :, 0], flow[1, :, 7])
    both = frame_maps(system, source, source.videos[:1], mirror=True)
    data = pipeline.training_set(system, source.subset(source.videos[:1]), both)
    kinds = set()
    for index in range(8):
        item, (video, frame) = data[index], data.places[index]
        boxes, _ = boxes_on(source.annotations.videos[video], frame, source.classes)
        mirror = not np.allclose(item["boxes"], boxes, atol=1e-3)
        kinds.add(mirror)
        if mirror:
            np.testing.assert_allclose(item["boxes"], box_ops.mirrored(boxes, 48), atol=1e-3)
        table = both.mirrored if mirror else both.maps
        np.testing.assert_array_equal(item["rgb"][SMOKE.frames // 2], table["rgb"][video][frame])
    assert kinds == {True, False}


def test_training_detecting_and_finishing(source, tmp_path):
    """The whole way once; a record with every video, frames after NMS, tubes that can be scored."""
    torch.manual_seed(0)
    system = pipeline.build(replace(SMOKE, linking=replace(SMOKE.linking, min_boxes=1)), source.classes)
    data = pipeline.training_set(system, source)
    run = fit(system, data, schedule("smoke"), tmp_path / "run", device="cpu", collate=pipeline.collate)
    assert run.steps == schedule("smoke").steps
    before = pipeline.detect(system, source)
    assert set(before.videos) == set(source.videos)
    assert any(len(video.frames) for video in before.videos.values())
    assert evaluate(source.annotations, before, "frame-map", iou=0.5).iou[0.5] >= 0
    assert not system.network.actionness.trained.any()
    counts = pipeline.finish(system, source)
    assert [n > 0 for n in counts] == system.network.actionness.trained.tolist()
    after = pipeline.detect(system, source)
    whole = sum(len(t) for video in before.videos.values() for t in video.tubes)
    assert 0 < sum(len(t) for video in after.videos.values() for t in video.tubes) <= whole
    for name, video in after.videos.items():
        assert len(video.tubes) == len(before.videos[name].tubes)  # trimmed, none lost: empty="keep"


def test_detections_after_each_stage(system, source, maps):
    (video, seen), *_ = stages.look(system, source.subset(source.videos[:1]), maps)
    assert video == source.videos[0] and len(seen.stages) == SMOKE.stages + 1
    assert seen.features.shape == (len(seen.stages[-1]), 2 * SMOKE.hidden)
    assert all((np.diff(rows.frame) >= 0).all() for rows in seen.stages)
    ((_, only),) = stages.look(system, source.subset(source.videos[:1]), maps, last=True)
    assert only.stages == seen.stages[-1:]
    np.testing.assert_array_equal(only.features, seen.features)


def test_detections_under_another_way_to_combine(system, source, maps):
    some = source.subset(source.videos[:1])
    ((_, seen),) = stages.look(system, some, maps, also=("boost",))
    ((_, plain),) = stages.look(system, some, maps)
    assert seen.stages == plain.stages and not plain.also
    other = PCSCSystem(replace(SMOKE, combine="boost"), system.classes)
    other.network.load_state_dict(system.network.state_dict())
    ((_, boosted),) = stages.look(other, some, maps)
    assert seen.also["boost"] == boosted.stages != plain.stages


def toy(tubes: tuple[Tube, ...] | None, frames: FrameBoxes | None = None, flow: bool = True) -> VideoSource:
    video = VideoAnnotation(6, 48, 48, tubes=tubes, frames=frames)
    return VideoSource(
        Annotations("toy", ("run",), {"a": video}),
        (48, 48),
        lambda video, numbers: np.zeros((len(numbers), 48, 48, 3), np.uint8),
        (lambda video, numbers: np.zeros((len(numbers), 48, 48, 2), np.float32)) if flow else None,
    )


def test_boxes_of_a_record_with_single_frames():
    rows = FrameBoxes(np.array([4, 4]), np.array([0, 0]), np.array([[1.0, 1, 5, 5], [7, 7, 9, 9]]))
    boxes, labels = boxes_on(toy(None, rows).annotations.videos["a"], 4, ("run",))
    assert boxes.tolist() == rows.box.tolist() and labels.tolist() == [0, 0]
    assert key_frames(toy(None, rows)) == (("a", 4),)


def test_trimmed_videos_get_no_actionness():
    box = np.array([[4.0, 4, 20, 40]])
    whole, part = toy((Tube(0, box.repeat(6, 0), "run"),)), toy((Tube(0, box.repeat(5, 0), "run"),))
    assert is_trimmed(whole) and not is_trimmed(part)
    torch.manual_seed(0)
    system = pipeline.build(SMOKE, ("run",))
    assert pipeline.finish(system, whole) == (0,)
    assert not system.network.actionness.trained.any()


def test_bad_input(system, source):
    with pytest.raises(FormatError, match="no flow"):
        pipeline.training_set(system, toy(None, flow=False))
    with pytest.raises(FormatError, match="other classes"):
        pipeline.training_set(system, toy(None))
    with pytest.raises(FormatError, match="no frame holds"):
        pipeline.training_set(pipeline.build(SMOKE, ("run",)), toy(None))
    larger = pipeline.build(replace(SMOKE, size=(64, 64)), source.classes)
    with pytest.raises(FormatError, match="open the source at the configuration's size"):
        pipeline.training_set(larger, source)

    def flow(less: int, width: int) -> VideoSource:
        maps = lambda video, numbers: np.zeros((len(numbers) - less, 48, width, 2), np.float32)  # noqa: E731
        return replace(source, read_flow=maps)

    with pytest.raises(FormatError, match="the same frames at the same size") as caught:
        pipeline.training_set(system, flow(1, 48))
    assert caught.value.video == source.videos[0]
    with pytest.raises(FormatError, match="the same frames at the same size"):
        pipeline.training_set(system, flow(0, 40))
    with pytest.raises(StadError, match="no class has tubes"):
        pipeline.finish(pipeline.build(replace(SMOKE, min_score=0.99), source.classes), source)


def test_jhmdb21_end_to_end_in_two_streams(stad_data, tmp_path):
    """Real video, real flow, a few steps: the path, not a figure."""
    config = replace(SMOKE, size=(60, 80), stages=1, every=8, linking=replace(SMOKE.linking, min_boxes=1))
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    folder = stad_data / "jhmdb21"
    train = open_source("jhmdb21", "train", config.size, clips=2, data=folder, cache_dir=tmp_path)
    torch.manual_seed(0)
    system = pipeline.build(config, train.classes)
    data = pipeline.training_set(system, train)
    assert data[0]["flow"].values.any()
    one = replace(schedule("smoke"), steps=1)
    fit(system, data, one, tmp_path / "run", device="cpu", collate=pipeline.collate)
    assert pipeline.finish(system, train) == (0,) * 21
    found = pipeline.detect(system, train.subset(train.videos[:1]))
    assert evaluate(train.annotations.subset(train.videos[:1]), found, "video-map", iou=0.5).iou[0.5] >= 0
