"""From a source to predictions: data set, mirror, borders, frames, tubes, and what cannot be read."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from stad_lite.baselines.pretraining import pretrained
from stad_lite.data.clips import FrameRun, tubelets
from stad_lite.data.source import VideoSource, open_source, synthetic_source
from stad_lite.data.synthetic import CLASSES, Settings
from stad_lite.errors import FormatError, StadError
from stad_lite.metrics import evaluate
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.reproduce.experiments.step import detect_in
from stad_lite.step import clips, tubes
from stad_lite.step import system as pipeline
from stad_lite.step.clips import read_seen, shown
from stad_lite.step.config import StepConfig, schedule
from stad_lite.step.model import Dense
from stad_lite.systems.detect import Found
from stad_lite.systems.maps import FrameMaps, frame_maps, kept_maps
from stad_lite.training.loop import fit
from stad_lite.tubes import Tube
from tests.step.cases import tiny


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> VideoSource:
    return synthetic_source(Settings.smoke(), 3, "train", tmp_path_factory.mktemp("clips"))


def make(**settings) -> pipeline.StepSystem:
    torch.manual_seed(0)
    return pipeline.StepSystem(tiny(**settings), CLASSES)


def test_training_clips_hold_an_action(source):
    one = make()
    data = pipeline.training_set(one, source)
    assert 0 < len(data) <= 3 * 11
    for index in range(len(data)):
        item = data[index]
        assert item["valid"].any()
        assert item["maps"].shape == (18, 32, 12, 12)
    everything = pipeline.training_set(one, source, empty=True)
    assert len(everything) == 3 * 11
    assert data.name(0) == f"{data.places[0].video} from frame {data.places[0].start}"


def test_collate_fills_up_truths(source):
    data = pipeline.training_set(make(), source, empty=True)
    items = [data[index] for index in (0, 5, 12, 25)]
    batch = pipeline.collate(items)
    counts = [len(item["valid"]) for item in items]
    assert batch["truth"].shape == (4, max(1, *counts), 18, 4)
    for row, count in enumerate(counts):
        assert not batch["valid"][row, count:].any()
        torch.testing.assert_close(batch["truth"][row, :count], items[row]["truth"])


def test_maps_on_disk_equal_maps_and_frames(source, tmp_path):
    one = make()
    made = frame_maps(one, source, mirror=True)
    kept = kept_maps(one, source, tmp_path, "smoke", mirror=True)
    again = kept_maps(one, source, tmp_path, "smoke", mirror=True)
    tables = [*kept.maps["rgb"].values(), *kept.mirrored["rgb"].values()]
    assert all(maps.flags.c_contiguous for maps in tables)
    video = source.videos[1]
    for other in (kept, again):
        np.testing.assert_array_equal(made.maps["rgb"][video], other.maps["rgb"][video])
        np.testing.assert_array_equal(made.mirrored["rgb"][video], other.mirrored["rgb"][video])
    assert len(list(tmp_path.iterdir())) == 2
    files = sorted(tmp_path.iterdir())
    files[0].write_bytes(files[0].read_bytes()[:100])
    np.testing.assert_array_equal(
        kept_maps(one, source, tmp_path, "smoke", mirror=True).maps["rgb"][video], made.maps["rgb"][video]
    )
    torch.manual_seed(5)
    other = pipeline.StepSystem(tiny(), CLASSES)
    kept_maps(other, source, tmp_path, "smoke")
    assert len(list(tmp_path.iterdir())) == 3


def test_items_from_maps_are_items_from_frames(source):
    """Up to float16."""
    one = make()
    run = tubelets(source.videos[0], 16, 6)[0]
    maps = frame_maps(one, source, mirror=True)
    for mirror in (False, True):
        kept = clips.item_of(one.config, source, run, maps, mirror)
        seen = clips.item_of(one.config, source, run, None, mirror)
        features = one.network.features(clips.shown(seen["frames"], one.config)[None])[0]
        torch.testing.assert_close(kept["maps"].float(), features, atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(kept["truth"], seen["truth"])


@pytest.mark.parametrize(("stream", "channels"), [("rgb", 3), ("flow", 4), ("early", 7)])
def test_streams_and_their_mirror_images(source, stream, channels):
    config = tiny(stream=stream, flow_depth=2)
    video, numbers = source.videos[0], np.array([3, 15])
    plain = shown(read_seen(source, config, video, numbers), config)
    turned = shown(read_seen(source, config, video, numbers, mirror=True), config)
    assert plain.shape == (2, channels, 48, 48)
    back = turned.flip(-1)
    if stream != "rgb":
        first = channels - 4
        sign = torch.tensor([-1.0, 1, -1, 1])[:, None, None]
        torch.testing.assert_close(back[:, first:] * sign, plain[:, first:])
        flow = torch.as_tensor(source.flow(video, np.array([3, 4, 15, 15])), dtype=torch.float32)
        wanted = flow.permute(0, 3, 1, 2).reshape(2, 4, 48, 48) / config.flow_scale
        torch.testing.assert_close(plain[:, first:], wanted)
    if stream != "flow":
        torch.testing.assert_close(back[:, :3], plain[:, :3])


def test_bgr_is_what_published_vgg_weights_expect(source):
    video, numbers = source.videos[0], np.array([2])
    config = tiny(normalise="bgr")
    found = shown(read_seen(source, config, video, numbers), config)[0]
    frame = source.frames(video, numbers)[0].astype(np.float32)
    np.testing.assert_allclose(found[0], frame[..., 2] - 104)
    np.testing.assert_allclose(found[2], frame[..., 0] - 123)


def test_detect_gives_boxes_and_tubes_inside_the_videos(source):
    one = make(min_score=0.001)
    found = pipeline.detect(one, source)
    assert tuple(found.videos) == source.videos
    for video in found.videos.values():
        assert video.frames.box.min() >= 0 and video.frames.box.max() <= 48
        assert set(video.frames.frame.tolist()) <= set(range(16))
        assert all(0 <= tube.start < tube.end <= 16 for tube in video.tubes)
    steps = detect_in([one], source, [frame_maps(one, source)])
    assert len(steps) == 2
    for video in source.videos:
        assert steps[-1].videos[video].frames == found.videos[video].frames
    again = pipeline.detect(one, source, frame_maps(one, source))
    assert again == found


def test_a_backbone_that_is_trained_sees_each_frame_once_too(source):
    one, seen = make(frozen=False, stride=2), []
    one.network.backbone.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    video = source.videos[0]
    ((_, runs, steps),) = pipeline.look(one, source.subset([video]))
    assert sum(seen) == source.num_frames(video) == 16 and len(runs) == 6
    batch = pipeline.collate([clips.item_of(one.config, source, run, None) for run in runs])
    for found, answer in zip(steps, one.answers(batch), strict=True):
        np.testing.assert_allclose(found.scores, answer.scores.numpy(), atol=1e-3)  # up to float16


def test_a_frame_takes_its_boxes_from_the_nearest_clip():
    config = tiny(clip=6)
    runs = tubelets("v", 14, 6, 4)
    assert [run.start for run in runs] == [0, 4, 8]
    found = [
        Found(np.full((1, 6, 4), 10.0 * i) + np.arange(4), np.array([i]), np.array([0.5])) for i in range(3)
    ]
    boxes = tubes.on_frames(runs, found, 14, config)
    assert boxes.frame.tolist() == list(range(14))
    assert boxes.label.tolist() == [0] * 5 + [1] * 4 + [2] * 5


def test_a_video_shorter_than_a_clip():
    frames = np.zeros((4, 48, 48, 3), np.uint8)
    tube = Tube(0, np.tile([4.0, 4, 30, 30], (4, 1)), CLASSES[0])
    truth = Annotations("short", CLASSES, {"v": VideoAnnotation(4, 48, 48, fps=10, tubes=(tube,))})
    source = VideoSource(truth, (48, 48), lambda video, numbers: frames[numbers])
    one = make(min_score=0.001)
    data = pipeline.training_set(one, source)
    assert len(data) == 1
    assert all(torch.isfinite(v) for v in one.loss(pipeline.collate([data[0]])).values())
    found = pipeline.detect(one, source).videos["v"]
    assert found.frames.frame.max() == 3
    assert found.tubes and all(tube.end <= 4 for tube in found.tubes)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7])
def test_a_video_of_a_few_frames_in_both_streams(count):
    """A clip at a border, and beyond both: three clips of six frames around one of a few."""
    tube = Tube(0, np.tile([4.0, 4, 30, 30], (count, 1)), CLASSES[0])
    truth = Annotations("short", CLASSES, {"v": VideoAnnotation(count, 48, 48, fps=10, tubes=(tube,))})
    frames = np.random.default_rng(0).integers(0, 256, (count, 48, 48, 3), np.uint8)
    flow = np.random.default_rng(1).normal(size=(count, 48, 48, 2)).astype(np.float32)
    source = VideoSource(truth, (48, 48), lambda _, n: frames[n], lambda _, n: flow[n])
    one = make(min_score=0.001, stream="early")
    found = pipeline.detect(one, source).videos["v"]
    assert set(found.frames.frame.tolist()) == set(range(count))
    assert found.tubes and all(0 <= tube.start < tube.end <= count for tube in found.tubes)
    data = pipeline.training_set(one, source)
    assert all(torch.isfinite(v) for v in one.loss(pipeline.collate([data[0]])).values())


def test_beyond_a_border_the_outermost_frame_is_seen_again():
    one, count = make(), 14
    maps = np.arange(count, dtype=np.float16)[:, None, None, None] * np.ones((1, 2, 3, 3), np.float16)
    tube = Tube(0, np.tile([4.0, 4, 30, 30], (count, 1)), CLASSES[0])
    truth = Annotations("a", CLASSES, {"v": VideoAnnotation(count, 48, 48, fps=10, tubes=(tube,))})
    source = VideoSource(truth, (48, 48), lambda _, n: np.zeros((len(n), 48, 48, 3), np.uint8))
    runs = clips.video_runs(source, "v", one.config, 8)
    seen = [clips.item_of(one.config, source, run, FrameMaps({"rgb": {"v": maps}})) for run in runs]
    assert [item["maps"][:, 0, 0, 0].tolist() for item in seen] == [
        [0] * 6 + list(range(12)),
        list(range(2, 14)) + [13] * 6,
    ]
    assert [item["present"][0].tolist() for item in seen] == [
        [False] * 6 + [True] * 12,
        [True] * 12 + [False] * 6,
    ]


def test_a_video_of_two_frames_trains_and_is_searched():
    """K = 6: the clip is filled up with the last frame."""
    one, count = make(min_score=0.0), 2
    tube = Tube(0, np.tile([4.0, 4, 30, 30], (count, 1)), CLASSES[0])
    truth = Annotations("a", CLASSES, {"v": VideoAnnotation(count, 48, 48, fps=10, tubes=(tube,))})
    source = VideoSource(truth, (48, 48), lambda _, n: np.zeros((len(n), 48, 48, 3), np.uint8))
    data = pipeline.training_set(one, source)
    terms = one.loss(pipeline.collate([data[0]]))
    assert len(data) == 1 and all(torch.isfinite(value) for value in terms.values())
    assert terms["class_1"] > 0 and terms["box_1"] > 0
    found = pipeline.detect(one, source).videos["v"]
    assert set(found.frames.frame.tolist()) == {0, 1} and {tube.end for tube in found.tubes} == {2}


def test_tubes_follow_their_class_alone():
    """Two classes on one path give two tubes: no suppression crosses the classes."""
    one = make(stride=2, trim_alpha=0.0)
    runs = tubelets("v", 12, 6, 2)
    walk = np.arange(12)[:, None] + np.array([0.0, 0, 12, 12])
    found = [
        Found(np.stack([walk[run.start : run.start + 6]] * 2), np.array([0, 1]), np.array([0.9, 0.8]))
        for run in runs
    ]
    linked = tubes.link_clips(runs, found, 12, one.config, one.classes)
    assert [(tube.label, tube.start, tube.end) for tube in linked] == [
        (CLASSES[0], 0, 12),
        (CLASSES[1], 0, 12),
    ]
    np.testing.assert_allclose(linked[0].boxes, walk)
    assert linked[0].score == pytest.approx(0.9)


def test_clips_that_do_not_share_frames_are_linked_too():
    one = make(stride=6, trim_alpha=0.0)
    runs = tubelets("v", 12, 6, 6)
    box = np.tile([0.0, 0, 12, 12], (6, 1))
    found = [Found(box[None], np.array([2]), np.array([0.9])) for _ in runs]
    linked = tubes.link_clips(runs, found, 12, one.config, one.classes)
    assert [(tube.start, tube.end) for tube in linked] == [(0, 12)]


def test_the_papers_linking_has_the_numbers_of_act():
    """Gone: what is shorter than 15 frames, less sure than .01, or overlaps a better tube by .3."""
    box = np.tile([0.0, 0, 12, 12], (6, 1))
    rows = {"long": (range(0, 15), 0, 0.9), "beside": (range(0, 15), 2, 0.5), "short": (range(0, 9), 30, 0.9)}
    rows["unsure"] = (range(0, 15), 60, 0.009)
    runs = tubelets("v", 30, 6, 1)
    found = []
    for run in runs:
        here = [(box + x, s) for starts, x, s in rows.values() if run.start in starts]
        boxes = np.array([b for b, _ in here]).reshape(-1, 6, 4)
        found.append(Found(boxes, np.zeros(len(here), np.int64), np.array([s for _, s in here])))
    kept = {}
    for name, linking in (("lesson", make().config.linking), ("paper", StepConfig.paper().linking)):
        config = replace(make(stride=1, trim_alpha=0.0).config, linking=linking)
        linked = tubes.link_clips(runs, found, 30, config, CLASSES)
        kept[name] = sorted((tube.boxes[0, 0], len(tube)) for tube in linked)
    assert kept["lesson"] == [(0, 20), (2, 20), (30, 14), (60, 20)]
    assert kept["paper"] == [(0, 20)]


def test_trimming_cuts_what_is_unsure():
    """Label smoothness: a run of low scores is worth two switches."""
    one = make(stride=6, trim_alpha=1.0)
    runs = tubelets("v", 30, 6, 6)
    box = np.tile([0.0, 0, 12, 12], (6, 1))
    scores = [0.9, 0.9, 0.05, 0.9, 0.9]
    found = [Found(box[None], np.array([0]), np.array([score])) for score in scores]
    linked = tubes.link_clips(runs, found, 30, one.config, one.classes)
    assert sorted((tube.start, tube.end) for tube in linked) == [(0, 12), (18, 30)]


def test_boxes_of_i3d_are_interpolated():
    config = tiny(backbone="i3d", clip=12, clips=(1, 1))
    boxes = np.array([2.0, 6, 10])[None, :, None] * np.ones(4)
    found = tubes.every_frame(boxes, config)[0, :, 0]
    np.testing.assert_allclose(found, [2, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10])


def test_key_frames_have_boxes_of_their_own_and_no_tubes():
    frames = np.zeros((40, 48, 48, 3), np.uint8)
    video = VideoAnnotation(40, 48, 48, fps=10, evaluated_frames=[0, 20])
    source = VideoSource(Annotations("keys", CLASSES, {"v": video}), (48, 48), lambda v, n: frames[n])
    one = make(min_score=0.001)
    runs = clips.video_runs(source, "v", one.config, 6)
    assert [(run.start, run.frames[3]) for run in runs] == [(-3, 0), (17, 20)]
    found = pipeline.detect(one, source).videos["v"]
    assert found.tubes is None and set(found.frames.frame.tolist()) == {0, 20}


def test_key_frame_boxes_are_those_of_the_key_frame():
    runs = [FrameRun("v", np.arange(6), np.ones(6, bool), 0)]
    boxes = np.arange(6)[:, None] + np.array([0.0, 0, 5, 5])
    found = [Found(boxes[None], np.array([0]), np.array([0.9]))]
    assert tubes.on_keys(np.array([3]), found, tiny()).box.tolist() == [[3, 3, 8, 8]]
    assert len(runs) == 1


def test_fit_and_resume_through_the_loop(source, tmp_path):
    one = make()
    data = pipeline.training_set(one, source)
    before = one.network.heads[0].location.weight.detach().clone()
    run = fit(one, data, schedule("smoke"), tmp_path, collate=pipeline.collate, say=lambda text: None)
    assert run.steps == 6
    assert not torch.equal(before, one.network.heads[0].location.weight)
    assert len(one.predict(pipeline.collate([data[0], data[1]]))) == 2


def test_sources_that_cannot_be_read_are_refused(source):
    with pytest.raises(FormatError, match="flow"):
        pipeline.detect(make(stream="flow"), replace(source, read_flow=None))
    with pytest.raises(FormatError, match="configuration"):
        pipeline.training_set(make(size=(64, 64)), source)
    with pytest.raises(FormatError, match="classes"):
        pipeline.training_set(pipeline.StepSystem(tiny(), ("a",)), source)
    with pytest.raises(FormatError, match="no classes"):
        pipeline.StepSystem(tiny(), ())
    none = replace(
        source,
        annotations=Annotations(
            "none", CLASSES, {v: replace(a, tubes=()) for v, a in source.annotations.videos.items()}
        ),
    )
    with pytest.raises(FormatError, match="no clip"):
        pipeline.training_set(make(), none)
    with pytest.raises(StadError, match="I3D"):
        frame_maps(make(backbone="i3d", clip=12, clips=(1, 1)), source)


def test_build_takes_the_pretrained_backbone(tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    config = StepConfig.smoke()
    one = pipeline.build(config, CLASSES)
    for ours, theirs in zip(
        one.network.backbone.parameters(), pretrained("rgb", "smoke").parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
    early = pipeline.build(replace(config, stream="early"), CLASSES)
    again = pretrained("early", "smoke")
    torch.testing.assert_close(early.network.backbone.features[0].weight, again.features[0].weight)
    with pytest.raises(StadError, match="paper"):
        pretrained("early", "paper")


def test_empty_looks_have_their_shapes(source):
    one = make()
    for video, runs, steps in pipeline.look(one, source, frame_maps(one, source)):
        assert video in source.videos
        for seen in steps:
            assert isinstance(seen, Dense)
            assert seen.boxes.shape == (len(runs), 11, 6, 6, 4) and seen.scores.shape == (len(runs), 11, 6)


def test_maps_without_mirror_are_never_turned(source):
    one = make()
    maps = frame_maps(one, source)
    data = pipeline.training_set(one, source, FrameMaps(maps.maps))
    data.make = partial(data.make, flip=1.0)
    plain = clips.item_of(one.config, source, data.places[0], maps)["maps"]
    torch.testing.assert_close(data[0]["maps"], plain)


def test_real_video_end_to_end(stad_data, tmp_path):
    """Two clips of JHMDB-21, a few updates, boxes inside the frames."""
    pytest.importorskip("av")
    if not (stad_data / "jhmdb21" / "videos").is_dir():
        pytest.skip("no JHMDB-21 videos here")
    shown = open_source("jhmdb21", "test", (48, 48), clips=2, data=stad_data / "jhmdb21", cache_dir=tmp_path)
    torch.manual_seed(0)
    one = pipeline.StepSystem(tiny(min_score=0.001), shown.classes)
    data = pipeline.training_set(one, shown)
    fit(one, data, schedule("smoke"), tmp_path / "run", collate=pipeline.collate, say=lambda text: None)
    found = pipeline.detect(one, shown)
    score = evaluate(shown.annotations, found, "frame-map", iou=0.5)
    assert 0 <= score.iou[0.5] <= 100
    for video in shown.videos:
        assert found.videos[video].tubes
        assert all(tube.end <= shown.num_frames(video) for tube in found.videos[video].tubes)
