"""The verbs convert and verify of every data set, on small folders and on the real files."""

import importlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.data import video as video_files
from stad_lite.errors import FormatError, FrameRangeError, UnknownLabelError
from stad_lite.records import Annotations, FrameBoxes, Segment, VideoAnnotation
from stad_lite.records.exchange.report import Tally
from stad_lite.tubes import Tube

pytest.importorskip("av")
common = importlib.import_module("common")
conversion = importlib.import_module("conversion")
NAMES = ("ucf101_24", "jhmdb21", "ucf_sports", "thumos14", "activitynet13", "ava")
SCRIPTS = Path(__file__).resolve().parents[2] / "data_scripts"


def script(name: str) -> object:
    return importlib.import_module(name).DATASET


def clip(path: Path, frames: int = 6, width: int = 320, height: int = 240) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return video_files.write(path, np.zeros((frames, height, width, 3), np.uint8))


@pytest.fixture
def ucf(tmp_path: Path) -> Path:
    """Four annotated videos of two classes, three of them with clips: whole, rescaled, a frame short."""
    folder = tmp_path / "from"
    boxes = np.array([[11, 21, 100, 50]] * 6, np.uint8)

    def entry(label: int) -> dict:
        tube = {"sf": 0, "ef": 6, "label": label, "boxes": boxes}
        return {"numf": 6, "label": label, "annotations": [tube]}

    names = [f"Basketball/v_Basketball_g0{i}_c01" for i in (1, 2, 3)] + ["Surfing/v_Surfing_g01_c01"]
    (folder / "deep").mkdir(parents=True)
    table = {name: entry(0 if name[0] == "B" else 19) for name in names}
    (folder / "deep" / "pyannot.pkl").write_bytes(pickle.dumps(table))
    (folder / "deep" / "testlist01.txt").write_text(f"{names[0]}\n{names[3]}", "utf-8")
    clip(folder / "clips" / "v_Basketball_g01_c01.mp4", width=340, height=256)
    clip(folder / "clips" / "more" / "v_Basketball_g02_c01.mp4")
    clip(folder / "Surfing" / "v_Surfing_g01_c01.mp4", frames=5)
    return folder


def run(name: str, *words: object) -> int:
    return common.main(script(name), [str(word) for word in words])


def test_convert_ucf(ucf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run("ucf101_24", "convert", "--from", ucf, "--out", out) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == "3 videos 17 frames 3 tubes 17 boxes"
    assert "annotated videos without a clip, left out (--all keeps them): 1" in told
    assert "boxes on frames that do not decode, dropped: 1 (Surfing/v_Surfing_g01_c01)" in told
    record = records.read_annotations(out / "annotations.json.gz")
    scaled, same = (record.videos[f"Basketball/v_Basketball_g0{i}_c01"] for i in (1, 2))
    np.testing.assert_array_equal(same.tubes[0].boxes[0], [10, 20, 110, 70])
    ratio = np.array([340 / 320, 256 / 240] * 2)
    np.testing.assert_allclose(scaled.tubes[0].boxes[0], np.array([10, 20, 110, 70]) * ratio)
    assert (scaled.width, scaled.height, scaled.num_frames) == (340, 256, 6)
    assert record.videos["Surfing/v_Surfing_g01_c01"].num_frames == 5
    index = json.loads((out / "clips.json").read_text("utf-8"))["videos"]
    assert set(index) == set(record.videos)
    for entry in index.values():
        assert (out / entry["file"]).is_symlink() and (out / entry["file"]).is_file()


def test_where_links_are_refused_it_says_to_copy(
    ucf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refused)
    assert run("ucf101_24", "convert", "--from", ucf, "--out", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "A required privilege is not held" in told and "--clips copy" in told


def test_convert_subsets_classes_and_clips(ucf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    where = ["convert", "--from", ucf, "--out", out, "--split", 1, "--subset"]
    assert run("ucf101_24", *where, "train", "--all") == 0
    record = records.read_annotations(out / "annotations.json.gz")
    assert list(record.videos) == [f"Basketball/v_Basketball_g0{i}_c01" for i in (2, 3)]
    assert run("ucf101_24", *where, "test", "--classes", "Surfing,Basketball", "--clips", "copy") == 0
    record = records.read_annotations(out / "annotations.json.gz")
    assert record.classes == ("Basketball", "Surfing") and len(record.videos) == 2
    held = sorted(path.name for path in (out / "videos").rglob("*.mp4"))
    assert held == ["v_Basketball_g01_c01.mp4", "v_Surfing_g01_c01.mp4"]
    assert run("ucf101_24", *where, "test", "--classes", "Surfing", "--clips", "index") == 0
    assert not list((out / "videos").rglob("*.mp4"))
    (entry,) = json.loads((out / "clips.json").read_text("utf-8"))["videos"].values()
    assert Path(entry["file"]).is_absolute() and Path(entry["file"]).is_file()


def test_out_below_from_is_not_its_own_source(ucf: Path) -> None:
    for _ in range(2):
        assert run("ucf101_24", "convert", "--from", ucf, "--out", ucf / "out") == 0
    index = json.loads((ucf / "out" / "clips.json").read_text("utf-8"))["videos"]
    targets = [(ucf / "out" / entry["file"]).resolve() for entry in index.values()]
    assert all(
        target.is_file() and "out" not in target.relative_to(ucf.resolve()).parts for target in targets
    )


def test_converted_folders_are_verified(
    ucf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("ucf101_24", "convert", "--from", ucf, "--out", out, "--clips", "copy") == 0
    assert run("ucf101_24", "verify", "--from", out) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 videos 17 frames 3 tubes 17 boxes"
    victim = out / "videos" / "Surfing" / "v_Surfing_g01_c01.mp4"
    victim.write_bytes(victim.read_bytes()[:-1])
    assert run("ucf101_24", "verify", "--from", out) == 1
    assert "Surfing/v_Surfing_g01_c01: the clip is another file" in capsys.readouterr().err
    victim.unlink()
    assert run("ucf101_24", "verify", "--from", out) == 1
    (out / "clips.json").write_text('{"videos": 3}', "utf-8")
    assert run("ucf101_24", "verify", "--from", out) == 1
    assert "index is damaged" in capsys.readouterr().err


def test_a_broken_clip_leaves_no_record(
    ucf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("ucf101_24", "convert", "--from", ucf, "--out", out) == 0
    path = ucf / "Surfing" / "v_Surfing_g01_c01.mp4"
    path.write_bytes(path.read_bytes()[:300])
    assert run("ucf101_24", "convert", "--from", ucf, "--out", out) == 2
    assert "v_Surfing_g01_c01.mp4" in capsys.readouterr().err
    assert not (out / "annotations.json.gz").exists()


def test_bad_input_is_one_sentence(ucf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ucf101_24", "convert", "--from", ucf, "--out", tmp_path / "o", "--classes", "Chess") == 2
    assert "'Chess' is not a class of the set" in capsys.readouterr().err
    assert run("ucf101_24", "convert", "--from", tmp_path / "none", "--out", tmp_path / "o") == 2
    assert run("ucf101_24", "verify", "--from", ucf) == 1
    error = capsys.readouterr().err.splitlines()
    assert error[-1] == "annotated videos: 4, expected 3194"
    with pytest.raises(SystemExit):
        run("ucf101_24", "convert", "--from", ucf, "--out", tmp_path / "o", "--split", 7)


@pytest.mark.parametrize("name", NAMES)
def test_verify_of_an_empty_folder_fails(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(name, "verify", "--from", tmp_path) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert run(name, "convert", "--from", tmp_path, "--out", tmp_path / "out") == 2


@pytest.mark.parametrize("name", NAMES)
def test_scripts_run_alone(name: str) -> None:
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), "convert", "--help"]
    told = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    for flag in ("--from", "--out", "--split", "--subset", "--classes"):
        assert flag in told


INFO = video_files.VideoInfo(10, 64, 48, 25.0, "h264", "none")


def test_fitting_key_frames_and_segments() -> None:
    tally = Tally()
    boxes = FrameBoxes(np.array([902]), np.array([0]), np.array([[0.25, 0.5, 0.75, 1.0]]))
    film = conversion.fitted(VideoAnnotation(width=1, height=1, fps=1.0, frames=boxes), INFO, "a", tally)
    assert film.frames.box.tolist() == [[16, 24, 48, 48]] and (film.fps, film.num_frames) == (1.0, None)
    video = VideoAnnotation(duration=9.0, segments=(Segment("x", 0, 1),))
    fitted = conversion.fitted(video, INFO, "b", tally)
    assert (fitted.num_frames, fitted.duration, fitted.width) == (10, 0.4, 64) and tally.sentences() == []


def test_fitting_guessed_sizes_and_long_tubes() -> None:
    tube = Tube(0, np.array([[1.0, 2, 3, 4]] * 10), "x")
    guessed = VideoAnnotation(10, 720, 404, tubes=(tube,))
    assert conversion.fitted(guessed, INFO, "a", Tally(), guessed=True).tubes[0].boxes[0].tolist() == [
        1,
        2,
        3,
        4,
    ]
    long = VideoAnnotation(12, 64, 48, tubes=(Tube(0, np.array([[1.0, 2, 3, 4]] * 12), "x"),))
    with pytest.raises(FrameRangeError, match="video a, tube 0"):
        conversion.fitted(long, INFO, "a", Tally())


def test_classes_of_all_kinds() -> None:
    boxes = FrameBoxes(
        np.array([0, 1]), np.array([0, 2]), np.array([[0.0, 0, 1, 1]] * 2), person=np.array([4, 5])
    )
    video = VideoAnnotation(5, 8, 8, frames=boxes, segments=(Segment("a", 0, 1), Segment("b", 0, 1)))
    bare = VideoAnnotation(5, 8, 8, segments=(Segment("b", 0, 1),))
    record = conversion.with_classes(Annotations("x", ("a", "b", "c"), {"v": video, "w": bare}), ("c", "a"))
    assert record.classes == ("a", "c") and list(record.videos) == ["v"]
    assert record.videos["v"].frames.label.tolist() == [0, 1]
    assert record.videos["v"].frames.person.tolist() == [4, 5]
    with pytest.raises(UnknownLabelError):
        conversion.with_classes(record, ("z",))


def test_files_are_compared(tmp_path: Path) -> None:
    download = importlib.import_module("download")
    entry = download.Entry("a.txt", None, 3, download.hashlib.sha256(b"abc").hexdigest(), "free", "never")
    assert common.check_files([entry], tmp_path) == "0 of 1 registered files are here and whole"
    (tmp_path / "a.txt").write_bytes(b"abc")
    assert common.check_files([entry], tmp_path) == "1 of 1 registered files are here and whole"
    (tmp_path / "a.txt").write_bytes(b"abd")
    with pytest.raises(common.Difference, match=r"a\.txt: 3 bytes"):
        common.check_files([entry], tmp_path)
    (tmp_path / "a.txt").rename(tmp_path / "a.txt.gz")
    with pytest.raises(common.Difference, match="not a whole gzip"):
        common.check_files([entry], tmp_path)


def test_clips_with_missing_frames_differ(tmp_path: Path) -> None:
    record = Annotations("x", ("a",), {"a/v": VideoAnnotation(6), "a/w": VideoAnnotation(6)})
    dataset = common.Dataset("x", lambda *_: None, lambda _: [])
    assert common.check_clips(dataset, tmp_path, record) == "0 of 2 clips are here and decode"
    clip(tmp_path / "v.mp4", 5, 32, 32)
    assert common.check_clips(dataset, tmp_path, record, short=1).endswith("1 of them a frame short")
    with pytest.raises(common.Difference, match="5 frames decode, expected 6"):
        common.check_clips(dataset, tmp_path, record)
    with pytest.raises(common.Difference, match=r"a/w: 1 of 2 clips are missing"):
        common.check_clips(dataset, tmp_path, record, short=1, complete=True)
    (tmp_path / "v.mp4").write_bytes(b"no video")
    with pytest.raises(common.Difference, match=r"v\.mp4"):
        common.check_clips(dataset, tmp_path, record)


LAST = {
    "ucf101_24": "3194 videos 4458 tubes 573862 boxes",
    "ucf_sports": "150 videos 9580 frames",
    "thumos14": "413 videos 6365 instances",
    "activitynet13": "19994 videos 23064 instances",
    "ava": "64 videos 93400 rows",
}


@pytest.mark.parametrize("name", list(LAST))
def test_real_sets_verify(name: str, stad_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = importlib.import_module("download").read_registry(name)[0]["folder"]
    assert run(name, "verify", "--from", stad_data / folder) == 0
    assert capsys.readouterr().out.splitlines()[-1] == LAST[name]


@pytest.mark.slow
def test_real_jhmdb_verifies(stad_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("jhmdb21", "verify", "--from", stad_data / "jhmdb21") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "928 videos 31838 frames"


def test_real_jhmdb_differences_are_found(
    stad_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Annotations alone verify; one clip of 928, or a split too short, does not."""
    source = stad_data / "jhmdb21"
    for name in ("jhmdb21_mask_boxes.npz", "jhmdb21_index.json", "splits.tar.gz"):
        (tmp_path / name).symlink_to(source / name)
    assert run("jhmdb21", "verify", "--from", tmp_path) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == "928 videos 31838 frames" and told[-2].startswith("0 of 928 clips")
    (tmp_path / "golf").symlink_to(source / "clips" / "golf")
    assert run("jhmdb21", "verify", "--from", tmp_path) == 1
    assert "927 of 928 clips are missing" in capsys.readouterr().err


def test_real_ucf_clips_convert(stad_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = stad_data / "ucf101_24"
    assert (
        run("ucf101_24", "convert", "--from", source, "--out", tmp_path, "--split", 1, "--subset", "test")
        == 0
    )
    assert capsys.readouterr().out.splitlines()[-1] == "7 videos 1033 frames 12 tubes 897 boxes"
    record = records.read_annotations(tmp_path / "annotations.json.gz")
    sizes = {name.split("_", 1)[1]: (video.width, video.height) for name, video in record.videos.items()}
    assert sizes["Fencing_g01_c06"] == (340, 256) and sizes["Basketball_g01_c01"] == (320, 240)
    with pytest.raises(FormatError):
        records.read_predictions(tmp_path / "annotations.json.gz")
