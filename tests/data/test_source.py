"""Sources of videos: one face for the synthetic benchmark, published sets, folders and single files."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.data import decoded, synthetic, video
from stad_lite.data.folder import open_folder
from stad_lite.data.source import (
    DataConfig,
    VideoSource,
    as_published,
    files_source,
    open_source,
    scaled,
    synthetic_source,
)
from stad_lite.errors import FormatError, FrameRangeError, MissingFileError, StadError, UnknownVideoError
from stad_lite.records import Annotations, FrameBoxes, Predictions, VideoAnnotation, VideoPredictions
from stad_lite.tubes import Tube

SMOKE = synthetic.Settings.smoke()


def moving(count: int = 6, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    """Smooth pictures that move 2 pixels to the right a frame."""
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    waves = [np.sin((x - 2 * t) / 4) + np.cos(y / 5) + np.sin((x - 2 * t + y) / 7) for t in range(count)]
    return [np.repeat((wave[..., None] * 40 + 128), 3, -1).astype(np.uint8) for wave in waves]


def folder_of_clips(folder: Path, boxes: int = 6, num_frames: int | None = None) -> Path:
    for name in ("run/a", "b"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        video.write(folder / f"{name}.mp4", moving(), 10.0)
    tube = Tube(0, np.tile([4.0, 6, 20, 42], (boxes, 1)), "run")
    entry = VideoAnnotation(num_frames, 64, 48, 12.5, tubes=(tube,))
    records.write(
        Annotations("own", ("run",), {"run/a": entry, "b": replace(entry, tubes=())}),
        folder / "annotations.json",
    )
    return folder


def test_the_synthetic_source_is_the_benchmark(tmp_path):
    source = synthetic_source(SMOKE, 2, "val", tmp_path)
    clip = synthetic.dataset(SMOKE, 2, "val", tmp_path)[1]
    name = source.videos[1]
    assert name == "val/1000001" and source.size == (48, 48) and source.classes == synthetic.CLASSES
    assert source.num_frames(name) == 16 and source.fps(name) == 25 and source.flow_name == "exact"
    assert source.annotations == synthetic.annotate(SMOKE, 2, "val")
    np.testing.assert_array_equal(source.frames(name, [3, 0, 3]), clip.frames[[3, 0, 3]])
    flow = source.flow(name, range(16))
    assert flow.dtype == np.float32 and flow.shape == (16, 48, 48, 2)
    np.testing.assert_array_equal(flow, clip.flow[[*range(15), 14]].astype(np.float32))  # the last repeats
    assert not np.array_equal(clip.flow[15], clip.flow[14])


def test_few_clips_in_memory_read_the_same(tmp_path):
    clips = synthetic.dataset(SMOKE, 3, "train", tmp_path)
    small = decoded.Clips(clips, kept=1)
    assert small.room == 1
    for name in (*clips.ids, *clips.ids[::-1]):
        np.testing.assert_array_equal(small.frames(name, np.array([2])), clips[small.index[name]].frames[[2]])
    assert list(small._held) == [clips.ids[0]]
    assert not pickle.loads(pickle.dumps(small))._held  # worker processes start empty


def test_size_and_settings_of_the_synthetic_source(tmp_path):
    source = open_source("synthetic", "test", (40, 56), settings=SMOKE, clips=[4], cache_dir=tmp_path)
    assert source.videos == ("test/2000004",) and source.frames(source.videos[0], [0]).shape == (1, 40, 56, 3)
    assert open_source("synthetic", settings=SMOKE, clips=1, cache_dir=tmp_path).videos == ("train/0000000",)
    silent = synthetic_source(replace(SMOKE, flow=False), 1, "train", tmp_path)
    with pytest.raises(FormatError, match="no flow"):
        silent.flow(silent.videos[0], [0])


def test_a_folder_with_its_record(tmp_path):
    source = open_source(folder_of_clips(tmp_path / "own"), size=(24, 128), cache_dir=tmp_path / "cache")
    assert source.videos == ("run/a", "b") and source.num_frames("b") == 6 and source.fps("b") == 10
    entry = source.annotations.videos["run/a"]
    assert (entry.width, entry.height, entry.num_frames) == (128, 24, 6)
    np.testing.assert_array_equal(entry.tubes[0].boxes[0], [8, 3, 40, 21])
    frames = source.frames("run/a", [5, 0])
    expected = video.read(tmp_path / "own" / "run" / "a.mp4", [5, 0], (24, 128))
    assert np.abs(frames.astype(int) - expected).mean() < 4  # JPEG


def test_flow_of_files_is_estimated_once(tmp_path, monkeypatch):
    path = video.write(tmp_path / "a.mp4", moving(), 10.0)
    source = open_source(path, cache_dir=tmp_path / "cache", form="npz")
    flow = source.flow("a", [0, 2, 5, 4])
    assert source.flow_name == "dis" and flow.shape == (4, 48, 64, 2) and flow.dtype == np.float32
    assert np.abs(np.median(flow[:2, 8:-8, 8:-8].reshape(-1, 2), 0) - [2, 0]).max() < 0.3
    np.testing.assert_array_equal(flow[2], flow[3])
    monkeypatch.setitem(decoded.flow_maps.ESTIMATORS, "dis", lambda: pytest.fail("estimated again"))
    np.testing.assert_array_equal(source.flow("a", [2])[0], flow[1])
    next((tmp_path / "cache").rglob("flow_dis.npy")).write_bytes(b"half")
    with pytest.raises(FormatError, match="flow in the cache is damaged"):
        source.flow("a", [2])


def test_files_are_decoded_once_unless_they_change(tmp_path, monkeypatch):
    path = video.write(tmp_path / "a.mp4", moving(), 10.0)
    first = open_source(path, size=(24, 32), cache_dir=tmp_path / "cache")
    calls = []
    build = decoded.build_cache
    monkeypatch.setattr(decoded, "build_cache", lambda *args: calls.append(args) or build(*args))
    again = open_source(path, size=(24, 32), cache_dir=tmp_path / "cache")
    assert not calls and np.array_equal(again.frames("a", [1]), first.frames("a", [1]))
    video.write(path, moving(9), 10.0)
    changed = open_source(path, size=(24, 32), cache_dir=tmp_path / "cache")
    assert len(calls) == 1 and changed.num_frames("a") == 9


def test_videos_without_a_record(tmp_path):
    for name in ("x/a", "b", "y/a", "z"):
        (tmp_path / "v" / name).parent.mkdir(parents=True, exist_ok=True)
        video.write(tmp_path / "v" / f"{name}.mp4", moving(4), 10.0)
    source = open_source(tmp_path / "v", cache_dir=tmp_path / "cache")
    assert source.videos == ("b", "x/a", "y/a", "z") and source.classes == () and source.size == (48, 64)
    assert source.annotations.videos["b"].tubes is None and source.fps("b") == 10
    assert source.subset(["x/a"]).videos == ("x/a",)
    for clips, names in ((1, ("b",)), (2, ("b", "y/a")), ([3, 1], ("z", "x/a")), (9, source.videos)):
        assert open_source(tmp_path / "v", clips=clips, cache_dir=tmp_path / "cache").videos == names


def test_a_tube_may_lose_its_last_box_and_no_more(tmp_path):
    cut = open_source(folder_of_clips(tmp_path / "one", boxes=7), cache_dir=tmp_path / "cache")
    assert len(cut.annotations.videos["run/a"].tubes[0]) == 6
    with pytest.raises(FrameRangeError, match=r"a\.mp4, video run/a, tube 0.*decodes to 6 frames"):
        open_source(folder_of_clips(tmp_path / "two", boxes=8), cache_dir=tmp_path / "cache")


def test_frames_after_the_annotated_ones_are_left_out(tmp_path):
    opened = open_folder(folder_of_clips(tmp_path / "own", boxes=4, num_frames=4))
    source = files_source(opened.annotations, opened.files, decoded.Store(tmp_path / "cache"), whole=False)
    assert source.num_frames("run/a") == 4
    with pytest.raises(FrameRangeError, match="video run/a, frame 4: the video has 4 frames"):
        source.frames("run/a", [0, 4])
    with pytest.raises(FrameRangeError, match="frame -1"):
        source.flow("run/a", [-1])
    with pytest.raises(UnknownVideoError, match="video c"):
        source.frames("c", [0])
    with pytest.raises(UnknownVideoError, match="video c"):
        source.subset(["c"])


def test_a_still_picture_does_not_move():
    entry = VideoAnnotation(1, 4, 3)
    source = VideoSource(Annotations("one", (), {"a": entry}), (3, 4), None, lambda *_: None)
    assert source.flow("a", [0, 0]).shape == (2, 3, 4, 2) and not source.flow("a", [0]).any()
    with pytest.raises(FormatError, match="video a: the number of frames"):
        VideoSource(Annotations("one", (), {"a": VideoAnnotation()}), (3, 4), None)


def test_boxes_on_single_frames_are_scaled_too():
    boxes = FrameBoxes(np.array([0]), np.array([0]), np.array([[2.0, 2, 4, 6]]))
    found = scaled(VideoAnnotation(2, 8, 8, frames=boxes), (16, 4))
    np.testing.assert_array_equal(found.frames.box, [[1, 4, 2, 12]])


def test_predictions_go_back_to_the_published_pixels(tmp_path):
    folder = folder_of_clips(tmp_path / "own")
    entry = records.read_annotations(folder / "annotations.json").videos["run/a"]
    source = open_source(folder, size=(24, 128), cache_dir=tmp_path / "cache")
    tube = replace(source.annotations.videos["run/a"].tubes[0], score=0.5)
    boxes = FrameBoxes(np.array([0]), np.array([0]), tube.boxes[:1], np.array([0.5]))
    video_of = {"run/a": VideoPredictions((tube,), boxes), "b": VideoPredictions(tubes=())}
    back = as_published(Predictions(("run",), video_of), source)
    np.testing.assert_allclose(back.videos["run/a"].tubes[0].boxes, entry.tubes[0].boxes)
    np.testing.assert_allclose(back.videos["run/a"].frames.box, entry.tubes[0].boxes[:1])
    assert back.videos["b"] == video_of["b"]
    bare = open_source(folder / "b.mp4", size=(24, 128), cache_dir=tmp_path / "cache")
    found = as_published(Predictions(("run",), {"b": video_of["run/a"]}), bare).videos["b"]
    np.testing.assert_allclose(found.tubes[0].boxes, entry.tubes[0].boxes)  # the file is 48 x 64 too
    clips = synthetic_source(SMOKE, 1, "val", tmp_path / "cache")
    same = Predictions(("run",), {clips.videos[0]: video_of["run/a"]})
    assert as_published(same, clips) == same


def test_settings_open_a_source(tmp_path):
    config = DataConfig("synthetic", "val", clips=2, limit=1, settings=SMOKE)
    assert config.open((48, 48), tmp_path).videos == ("val/1000000", "val/1000001")
    own = DataConfig(str(folder_of_clips(tmp_path / "own")), "all", limit=1, form="npz")
    assert own.open((24, 32), tmp_path / "cache").videos == ("run/a",)


@pytest.mark.parametrize(
    ("name", "subset", "options", "message"),
    [
        ("nowhere", "all", {}, "no such file, folder or data set; give a folder, a video file or one of"),
        ("own", "train", {}, "has no list 'train'"),
        ("empty", "all", {}, "holds no video"),
        ("own", "all", {"flow": "tvl2"}, "no flow estimator is called 'tvl2'"),
        ("own", "all", {"form": "png"}, "no form of cache is called 'png'"),
        ("text.mp4", "all", {}, "text.mp4, video text: the file is not a video"),
        ("synthetic", "dev", {}, "no split is called 'dev'"),
    ],
)
def test_what_cannot_be_opened(tmp_path, monkeypatch, name, subset, options, message):
    monkeypatch.chdir(tmp_path)
    folder_of_clips(tmp_path / "own")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("not a video " * 100, "utf-8")
    with pytest.raises(StadError) as caught:
        open_source(name, subset, cache_dir=tmp_path / "cache", **options)
    assert message in str(caught.value)


def test_published_sets_that_are_not_here(tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_DATA", str(tmp_path))
    with pytest.raises(MissingFileError, match="jhmdb21 is not here"):
        open_source("jhmdb21")


def test_videos_of_a_published_set_without_files(tmp_path):
    tube = {"sf": 0, "ef": 6, "label": 0, "boxes": np.full((6, 4), 20, np.uint8)}
    table = {f"Basketball/{name}": {"numf": 6, "label": 0, "annotations": [tube]} for name in ("a", "b", "c")}
    (tmp_path / "pyannot.pkl").write_bytes(pickle.dumps(table))
    (tmp_path / "testlist01.txt").write_text("Basketball/c.avi\n", "utf-8")
    with pytest.raises(MissingFileError, match="2 of 2 videos of train, such as Basketball/a; run python"):
        open_source("ucf101-24", "train", data=tmp_path, cache_dir=tmp_path / "cache")
    (tmp_path / "videos" / "Basketball").mkdir(parents=True)
    for name in ("a", "c"):
        video.write(tmp_path / "videos" / "Basketball" / f"{name}.mp4", moving(), 25.0)
    source = open_source("ucf101-24", "train", (120, 160), data=tmp_path, cache_dir=tmp_path / "cache")
    assert source.videos == ("Basketball/a",)
    assert source.notes == ("1 of 2 videos have no file and are left out",)
    np.testing.assert_array_equal(source.annotations.videos["Basketball/a"].tubes[0].boxes[0],
                                  [9.5, 9.5, 19.5, 19.5])  # fmt: skip
    with pytest.raises(UnknownVideoError, match="choose train, test or all of split 1"):
        open_source("ucf101-24", "train", split=2, data=tmp_path)


def test_files_source_takes_any_record(tmp_path):
    path = video.write(tmp_path / "a.mp4", moving(), 10.0)
    record = Annotations("any", ("run",), {"v": VideoAnnotation()})
    source = files_source(record, {"v": path}, decoded.Store(tmp_path / "cache", (24, 32)))
    assert source.classes == ("run",) and source.num_frames("v") == 6
    with pytest.raises(FormatError, match="there is no video"):
        files_source(record, {}, decoded.Store(tmp_path / "cache"))


def test_jhmdb21(stad_data, tmp_path):
    if not (stad_data / "jhmdb21" / "videos").is_dir():
        pytest.skip("no videos of JHMDB-21 here")
    source = open_source("jhmdb21", "test", (60, 80), split=2, clips=3, cache_dir=tmp_path)
    assert len(source.videos) == 3 and len(source.classes) == 21
    for name in source.videos:
        entry = source.annotations.videos[name]
        assert (entry.width, entry.height) == (80, 60) and source.num_frames(name) == len(entry.tubes[0])
        frames = source.frames(name, [0, source.num_frames(name) - 1])
        assert frames.shape == (2, 60, 80, 3) and frames.std() > 5


def test_ucf101_24(stad_data, tmp_path):
    if not (stad_data / "ucf101_24" / "clips").is_dir():
        pytest.skip("no videos of UCF101-24 here")
    source = open_source("ucf101-24", "all", (60, 80), clips=2, cache_dir=tmp_path)
    assert len(source.videos) == 2 and "have no file" in source.notes[0]
    assert source.flow(source.videos[0], [0]).shape == (1, 60, 80, 2)
