"""An id means one file and one class means one name: places, copies, endings, marks, orders."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.data import folder as own_folder
from stad_lite.data import jhmdb21, ucf_sports, video
from stad_lite.data.folder import find_videos, list_videos, open_folder
from stad_lite.data.source import open_source
from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.records import Annotations, FrameBoxes, Predictions, Segment, VideoAnnotation, VideoPredictions
from stad_lite.records.exchange import ava, thumos14
from stad_lite.records.files import VIDEO_ENDINGS
from tests.data.field_files import av, pictures


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_each_id_takes_its_own_file(tmp_path: Path, monkeypatch) -> None:
    folder = touch(tmp_path / "both", "clip1.mp4", "cam2/clip1.mp4", "cam2/x y.avi", "z.v2.mkv", "named.mp4")
    ids = ["clip1", "cam2/clip1", "cam2/x y", "z.v2", "named.mp4"]
    places = ["clip1.mp4", "cam2/clip1.mp4", "cam2/x y.avi", "z.v2.mkv", "named.mp4"]
    for order in (ids, ids[::-1]):
        found = find_videos(folder, order)
        assert {name: path.relative_to(folder).as_posix() for name, path in found.items()} == dict(
            zip(ids, places, strict=True)
        )
    monkeypatch.chdir(folder)
    assert find_videos(Path(), ["clip1"]) == {"clip1": Path("clip1.mp4")}
    monkeypatch.chdir(folder / "cam2")
    assert find_videos(Path(), ["cam2/clip1"]) == {"cam2/clip1": Path("clip1.mp4")}


@pytest.mark.parametrize("seed", range(20))
def test_names_that_predict_gives_find_the_same_files(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = ["a", "b", "a b", "a.b"]
    names = {"/".join(rng.choice(parts, rng.integers(1, 4))) for _ in range(8)}
    folder = touch(tmp_path, *(f"{name}{rng.choice(['.mp4', '.MKV', '.ts'])}" for name in names))
    listed = list_videos(folder)
    assert set(listed) == names and find_videos(folder, listed) == listed


def test_no_file_is_two_videos(tmp_path: Path) -> None:
    folder = touch(tmp_path, "cam2/clip1.mp4")
    with pytest.raises(MissingFileError, match="video clip1: there is no file"):
        find_videos(folder, ["clip1", "cam2/clip1"])
    with pytest.raises(
        FormatError, match=r"cam2/clip1\.mp4, video y/clip1: its only file is also that of x/clip1"
    ):
        find_videos(folder, ["x/clip1", "y/clip1"])


def test_two_records_in_a_folder_are_refused(tmp_path: Path) -> None:
    folder = touch(tmp_path, "a.mp4")
    for name in ("annotations.json", "annotations.npz"):
        records.write(Annotations("own", (), {"a": VideoAnnotation()}), folder / name)
    for opening in (open_folder, open_source):
        with pytest.raises(FormatError, match=r"holds annotations\.json and annotations\.npz"):
            opening(folder)


def test_two_sets_of_thumos14_are_not_merged(tmp_path: Path) -> None:
    for part, second in (("val", 1.0), ("test", 5.0)):
        truth = Annotations(
            "t", thumos14.CLASSES, {part: VideoAnnotation(segments=(Segment("Diving", second, 9),))}
        )
        for file in thumos14.write_ground_truth(truth, tmp_path / part, part):
            shutil.copy(file, tmp_path)
    with pytest.raises(FormatError, match="several sets: test, val"):
        thumos14.read_ground_truth(tmp_path)
    assert list(thumos14.read_ground_truth(tmp_path, subset="val").record.videos) == ["val"]


def encoded(path: Path, codec: str, pixels: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, pixels
        for image in pictures(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


CONTAINERS = {
    **dict.fromkeys(("m4v", "mov", "3gp", "3g2", "flv", "f4v", "avi"), ("mpeg4", "yuv420p")),
    **dict.fromkeys(("ts", "mts", "m2ts", "mpg", "mpeg", "vob"), ("mpeg2video", "yuv420p")),
    "flv": ("flv1", "yuv420p"), "f4v": ("libx264", "yuv420p"), "wmv": ("wmv2", "yuv420p"),
    "asf": ("wmv2", "yuv420p"), "gif": ("gif", "rgb8"), "webm": ("libvpx", "yuv420p"),
    "mkv": ("libx264", "yuv420p"), "nut": ("libx264", "yuv420p"), "y4m": ("rawvideo", "yuv420p"),
}  # fmt: skip


def test_a_folder_holds_every_container(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for ending, (codec, pixels) in CONTAINERS.items():
        encoded(clips / f"{ending}.{ending.upper() if ending == 'avi' else ending}", codec, pixels)
    touch(clips, "notes.txt", "._avi.AVI", ".hidden.mp4", "odd.xyz")
    source = open_source(clips, size=(24, 32), cache_dir=tmp_path / "cache")
    assert set(source.videos) == set(CONTAINERS) and all(source.num_frames(v) == 5 for v in source.videos)
    assert source.notes == ("files whose ending is no video's, left out: 1 (odd.xyz)",)


def test_all_video_containers_of_the_decoder_have_an_ending_here() -> None:
    known = {ending[1:] for ending in VIDEO_ENDINGS}
    for name in ("mp4", "mov", "matroska", "webm", "avi", "asf", "flv", "mpegts", "3gp", "nut"):
        extensions = av.ContainerFormat(name, "w").extensions - {"mka", "mks", "webm_chunk", "wma", "isma"}
        assert extensions & known, name


def test_videos_that_the_record_does_not_name_are_told(tmp_path: Path) -> None:
    clip = video.write(tmp_path / "own" / "a.mp4", pictures(4), 10.0)
    shutil.copy(clip, clip.with_name("b.mp4"))
    records.write(Annotations("own", (), {"a": VideoAnnotation()}), tmp_path / "own" / "annotations.json")
    source = open_source(tmp_path / "own", cache_dir=tmp_path / "cache")
    assert source.videos == ("a",) and any(
        "does not name, left out: 1 (b.mp4)" in note for note in source.notes
    )
    assert own_folder.open_folder(tmp_path / "own").files == {"a": clip}


def test_marks_before_a_text_are_no_part_of_it(tmp_path: Path) -> None:
    for text, reader, place in (
        ("a.avi 1\nb.avi 2\n", jhmdb21._split_files, "run_test_split1.txt"),
        ("20 40 100 120 Running", ucf_sports._texts, "Run-Side/001/gt/1.txt"),
    ):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert [content for _, content in reader(tmp_path)][-1] == text
        path.unlink()


ODD = ["my clip 1", "a,b", 'say "x"', "cam2/clip1", "é视频", "v_1.mp4"]


def test_ids_pass_through_the_formats_or_are_refused(tmp_path: Path) -> None:
    boxes = FrameBoxes(np.array([3]), np.array([0]), np.array([[0.1, 0.1, 0.5, 0.5]]), np.array([0.5]))
    for name in ODD:
        found = Predictions(("run",), {name: VideoPredictions(frames=boxes, fps=1.0)})
        try:
            path = ava.write_results(found, tmp_path / "ava.csv", {1: "run"})
        except StadError as error:
            assert set(name) & set(',"') and name in str(error)
        else:
            assert ava.read_results(path, {1: "run"}).record == found
        timed = Predictions(
            thumos14.CLASSES, {name: VideoPredictions(segments=(Segment("Diving", 0, 1, 0.5),))}
        )
        try:
            path = thumos14.write_detections(timed, tmp_path / "t.txt")
        except StadError as error:
            assert " " in name and name in str(error)
        else:
            assert thumos14.read_detections(path).record == timed


@pytest.mark.parametrize("seed", range(10))
def test_classes_in_another_order_mean_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = ("run", "jump", "sit", "wave")
    label = rng.integers(0, 4, 9)
    boxes = FrameBoxes(np.arange(9), label, np.tile([1.0, 1, 5, 5], (9, 1)))
    record = Annotations(
        "own", classes, {"a": VideoAnnotation(9, 8, 8, frames=boxes), "b": VideoAnnotation()}
    )
    order = [classes[i] for i in rng.permutation(4)]
    turned = record.ordered(order)
    assert [order[i] for i in turned.videos["a"].frames.label] == [classes[i] for i in label]
    assert turned.ordered(classes) == record
    with pytest.raises(FormatError, match="classes are others"):
        record.ordered(["run"])
