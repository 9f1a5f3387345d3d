"""JHMDB-21 on tiny files of the published layouts, and on the real ones where they are."""

import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from stad_lite.data import jhmdb21
from stad_lite.errors import FormatError, MissingFileError, TruncatedFileError, UnknownVideoError


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**31))
def test_mask_boxes_against_a_loop(height: int, width: int, frames: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width, frames)) < 0.2
    boxes = jhmdb21.mask_boxes(mask)
    for frame in range(frames):
        rows, columns = np.nonzero(mask[:, :, frame])
        if len(rows) == 0:
            assert np.isnan(boxes[frame]).all()
        else:
            assert boxes[frame].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def mask_file(path: Path, frames: int = 3, empty: int | None = None) -> None:
    mask = np.zeros((240, 320, frames), np.uint8)
    for frame in range(frames):
        if frame != empty:
            mask[10:20, 30 + 4 * frame : 50 + 4 * frame, frame] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"part_mask": mask})


def test_masks_of_both_layouts(tmp_path: Path) -> None:
    mask_file(tmp_path / "run" / "a.mat")
    mask_file(tmp_path / "wave" / "b" / "puppet_mask.mat", empty=1)
    record, report = jhmdb21.read_masks(tmp_path)
    assert list(record.videos) == ["run/a", "wave/b"]
    for video in record.videos.values():
        assert (video.num_frames, video.width, video.height, video.fps) == (3, 320, 240, 30.0)
        assert video.tubes[0].boxes.tolist() == [[30, 10, 50, 20], [34, 10, 54, 20], [38, 10, 58, 20]]
    assert record.videos["wave/b"].tubes[0].label == "wave"
    assert report == ["frames without foreground, taken from the neighbours: 1 (wave/b)"]


def test_bad_masks(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no mask"):
        jhmdb21.read_masks(tmp_path)
    (tmp_path / "a.mat").write_bytes(b"not a mask at all" * 20)
    with pytest.raises(FormatError, match=r"a\.mat: not a readable MATLAB"):
        jhmdb21.read_mask(tmp_path / "a.mat")
    mask_file(tmp_path / "run" / "b.mat", frames=1, empty=0)
    (tmp_path / "a.mat").unlink()
    with pytest.raises(FormatError, match="video run/b: the mask has no foreground"):
        jhmdb21.read_masks(tmp_path)


def entry(boxes: np.ndarray, numf: int | None = None) -> dict:
    n = len(boxes)
    tube = {"sf": 0, "ef": n, "label": 0, "boxes": boxes}
    return {"numf": n if numf is None else numf, "label": 0, "annotations": tube}


BOXES = np.array([[1, 2, 10, 20], [1, 2, 11, 20]], np.int32)


def test_pickle(tmp_path: Path) -> None:
    path = tmp_path / "jhmdb_.pkl"
    table = {"run/a": entry(BOXES), "run/extra": entry(BOXES), "wave/b": entry(BOXES, numf=4)}
    path.write_bytes(pickle.dumps(table))
    record, report = jhmdb21.read_pickle(path, {"run/a", "wave/b"}, {"run/a": 2, "wave/b": 3})
    assert record.videos["run/a"].tubes[0].boxes.tolist() == [[1, 2, 11, 21], [1, 2, 12, 21]]
    assert record.videos["wave/b"].num_frames == 3 and record.videos["wave/b"].tubes[0].start == 1
    assert report == [
        "clips that are in no split, dropped: 1 (run/extra)",
        "clips whose frame count is not their number of boxes, the boxes taken: 1 (wave/b)",
        "clips with fewer boxes than frames, the first frames left bare: 1 (wave/b)",
    ]
    everything, report = jhmdb21.read_pickle(path)
    assert len(everything.videos) == 3 and everything.videos["wave/b"].num_frames == 2
    assert "that the pickle lacks: 1 (sit/c)" in jhmdb21.read_pickle(path, {"sit/c"}).report[-1]


def test_bad_pickles(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"run/a": {"numf": 2}}))
    with pytest.raises(FormatError, match="video run/a: the entry is garbled"):
        jhmdb21.read_pickle(path)
    wrong = entry(BOXES)
    wrong["annotations"]["ef"] = 5
    path.write_bytes(pickle.dumps({"run/a": wrong}))
    with pytest.raises(FormatError, match="2 boxes for frames 0 to 5"):
        jhmdb21.read_pickle(path)
    path.write_bytes(pickle.dumps([1]))
    with pytest.raises(FormatError, match="not a table of videos"):
        jhmdb21.read_pickle(path)


def splits_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "run_test_split1.txt").write_text("a.avi 1\nb b.avi 2\nc.avi 0\n", "utf-8")
    (folder / "shoot_ball_test_split1.txt").write_text("d.avi 2\n", "utf-8")
    return folder


def test_splits_from_folder_and_archive(tmp_path: Path) -> None:
    folder = splits_folder(tmp_path / "splits")
    want = {1: (("run/a",), ("run/b b", "shoot_ball/d"))}
    assert jhmdb21.read_splits(folder) == want
    with tarfile.open(tmp_path / "splits.tar.gz", "w:gz") as archive:
        archive.add(folder, "splits")
    assert jhmdb21.read_splits(tmp_path / "splits.tar.gz") == want
    assert jhmdb21.split(tmp_path, 1, "test") == want[1][1]
    with pytest.raises(UnknownVideoError, match="no list train of split 4"):
        jhmdb21.split(tmp_path, 4, "train")
    whole = (tmp_path / "splits.tar.gz").read_bytes()
    (tmp_path / "splits.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises((TruncatedFileError, FormatError)):
        jhmdb21.read_splits(tmp_path / "splits.tar.gz")


def test_split_lines_and_counts(tmp_path: Path) -> None:
    folder = splits_folder(tmp_path / "splits")
    problems = jhmdb21.check_splits(jhmdb21.read_splits(folder), ["run/a"])
    assert problems[0] == "1 clips are annotated, the set has 928"
    assert "split 1 has 1 + 2 clips, not 660 + 268" in problems
    assert "split 1 and the annotations differ in run/b b" in problems
    (folder / "run_test_split1.txt").write_text("a.avi 3\n", "utf-8")
    with pytest.raises(FormatError, match=r"run_test_split1\.txt: line 1"):
        jhmdb21.read_splits(folder)
    with pytest.raises(MissingFileError, match="no split file"):
        (tmp_path / "empty").mkdir()
        jhmdb21.read_splits(tmp_path / "empty")


def test_arrays_and_load(tmp_path: Path) -> None:
    splits_folder(tmp_path / "splits")
    np.savez(tmp_path / "jhmdb21_mask_boxes.npz", boxes_xyxy=BOXES.astype(np.int16), video_offset=[0, 2])
    (tmp_path / "jhmdb21_index.json").write_text(json.dumps({"videos": ["run/a"]}), "utf-8")
    record, report = jhmdb21.load(tmp_path)
    assert record.videos["run/a"].tubes[0].boxes[0].tolist() == [1, 2, 11, 21] and report == []
    (tmp_path / "jhmdb21_index.json").write_text(json.dumps({"videos": ["run/a", "run/b"]}), "utf-8")
    with pytest.raises(FormatError, match="1 videos in the arrays, 2 in the index"):
        jhmdb21.load(tmp_path)
    (tmp_path / "jhmdb21_mask_boxes.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(TruncatedFileError):
        jhmdb21.load(tmp_path)
    (tmp_path / "jhmdb21_mask_boxes.npz").unlink()
    with pytest.raises(MissingFileError, match="no boxes"):
        jhmdb21.load(tmp_path)


def test_real_files(stad_data: Path) -> None:
    folder = stad_data / "jhmdb21"
    record, report = jhmdb21.load(folder)
    frames = sum(video.num_frames for video in record.videos.values())
    assert (len(record.videos), frames, report) == (jhmdb21.VIDEOS, jhmdb21.FRAMES, [])
    assert jhmdb21.check_splits(jhmdb21.read_splits(folder / "splits.tar.gz"), record.videos) == []
    counts = {name: video.num_frames for name, video in record.videos.items()}
    pickled, report = jhmdb21.read_pickle(folder / "jhmdb_.pkl", set(record.videos), counts)
    assert [sentence.rsplit(": ", 1)[1].split()[0] for sentence in report] == ["27", "5", "2"]
    other = [name for name in record.videos if record.videos[name] != pickled.videos[name]]
    assert [name.split("/")[0] for name in other] == ["clap", "pick"]
    for name in other:
        np.testing.assert_array_equal(
            record.videos[name].tubes[0].boxes[1:], pickled.videos[name].tubes[0].boxes
        )
    masks, _ = jhmdb21.read_masks(folder / "puppet_mask")
    assert len(masks.videos) == 5
    assert all(masks.videos[name] == record.videos[name] for name in masks.videos)
