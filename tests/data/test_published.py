"""The published sets behind one door: lists, files of any spelling, and what is missing with its script."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stad_lite.data import published, video
from stad_lite.data.location import DATASETS, SETS, fetching, set_name
from stad_lite.data.source import DataConfig, open_source
from stad_lite.errors import MissingFileError, StadError, UnknownVideoError

COUNTS = {
    ("ucf101-24", "train"): 2284,
    ("ucf101-24", "test"): 910,
    ("ucf101-24", "all"): 3194,
    ("jhmdb21", "train"): 660,
    ("jhmdb21", "test"): 268,
    ("ucf-sports", "train"): 105,
    ("ucf-sports", "test"): 45,
    ("ava", "val"): 64,
    ("thumos14", "train"): 200,
    ("thumos14", "test"): 213,
    ("thumos14", "all"): 413,
    ("activitynet13", "train"): 10024,
    ("activitynet13", "val"): 4926,
    ("activitynet13", "all"): 14950,
}
FIRST = {
    "ucf101-24": ("train", "Basketball/v_Basketball_g08_c01.avi"),
    "jhmdb21": ("train", "catch/Faith_Rewarded_catch_f_cm_np1_fr_med_10.mp4"),
    "ucf-sports": ("test", "any/Diving-Side_003.mp4"),
    "ava": ("val", "1j20qq1JyX4.mp4"),
    "thumos14": ("train", "video_validation_0000051.mp4"),
    "activitynet13": ("val", "deeper/v_K6Tm5xHkJ5c.mp4"),
}
"""Set -> a list, and a file of one of its videos by the name under which it is distributed."""


def write_video(path: Path, count: int = 40, size: tuple[int, int] = (240, 320), fps: float = 12.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return video.write(path, np.broadcast_to(ramp * 5, (count, *size, 3)).copy(), fps)


def test_every_set_has_a_door():
    assert set(published.SETS) == set(DATASETS) == set(SETS) - {"synthetic"}
    for name, word in (("ucfsports", "ucf-sports"), ("activitynet-1.3", "activitynet13"), ("AVA", "ava")):
        assert set_name(name) == word == set_name(word)
    for path in ("ava/", "./jhmdb21", "activitynet", "own"):
        assert set_name(path) is None


@pytest.mark.parametrize("name", list(published.SETS))
def test_what_is_missing_names_the_script_that_fetches_it(tmp_path, monkeypatch, name):
    monkeypatch.setenv("STAD_DATA", str(tmp_path))
    config = DataConfig(name)
    assert fetching(name) in config.missing() and "\n" not in config.missing()
    with pytest.raises(MissingFileError, match="is not here.*" + fetching(name)):
        config.open((24, 32), tmp_path / "cache")
    (tmp_path / DATASETS[name][0]).mkdir()  # the folder without its files
    with pytest.raises(StadError, match=fetching(name)):
        config.open((24, 32), tmp_path / "cache")
    assert fetching(name) in config.missing()


@pytest.mark.parametrize(("name", "subset"), list(COUNTS))
def test_the_published_lists(stad_data, name, subset):
    record, _ = published.truth(name, subset)
    assert len(record.videos) == COUNTS[name, subset]


def test_other_lists_and_splits_are_refused(stad_data):
    assert len(published.truth("jhmdb21", "train", 2).record.videos) == 658
    for name in ("thumos14", "jhmdb21", "ucf-sports"):
        with pytest.raises(
            UnknownVideoError, match=f"{name} has no list 'val'; choose from train, test, all"
        ):
            published.truth(name, "val")
    with pytest.raises(UnknownVideoError, match="no split 2; choose train"):
        published.truth("ucf-sports", "train", 2)
    with pytest.raises(MissingFileError, match=f"no csv of train.*or run {fetching('ava')}"):
        published.truth("ava", "train")


def test_the_report_says_what_the_data_cannot(stad_data):
    assert "not the papers'" in published.truth("ucf-sports", "test").report[0]
    assert any("poses only" in line for line in published.truth("ava", "val").report)


@pytest.mark.parametrize("name", list(published.SETS))
def test_a_published_video_is_found_and_opened(stad_data, tmp_path, name):
    subset, file = FIRST[name]
    write_video(tmp_path / "files" / file, 160, (48, 64))
    config = DataConfig(name, subset, files=str(tmp_path / "files"), limit=1, start=902.0)
    assert config.missing() == ""
    source = config.open((24, 32), tmp_path / "cache")
    (one,) = source.videos
    entry = source.annotations.videos[one]
    assert Path(one).name in file.replace("_003", "/003") and (entry.width, entry.height) == (32, 24)
    assert source.num_frames(one) == 160 or name in ("ucf101-24", "jhmdb21", "ucf-sports")
    assert source.frames(one, [0]).shape == (1, 24, 32, 3) and (entry.tubes or entry.frames or entry.segments)
    assert any("have no file and are left out" in note for note in source.notes)
    assert "of " in DataConfig(name, subset, files=str(tmp_path / "files"), limit=2).missing()


def test_times_of_seconds_are_those_of_the_files(stad_data, tmp_path):
    write_video(tmp_path / "video_test_0000004.mp4", fps=10.0)
    source = open_source("thumos14", "test", (24, 32), files=tmp_path, cache_dir=tmp_path / "cache")
    (name,) = source.videos
    known = published.truth("thumos14", "test").record.videos[name]
    assert known.fps == 30 and source.fps(name) == 10 and source.num_frames(name) == 40
    assert source.annotations.videos[name].segments == known.segments


def sports(folder: Path) -> Path:
    """Write a tree of five sequences of three frames."""
    for name in ("Run-Side/001", "Run-Side/002", "Run-Side/003", "Lifting/001", "Lifting/002"):
        for frame in range(3):
            place = folder / name / "gt" / f"{frame + 1}.txt"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("20 40 100 120 Running", "utf-8")
    return folder


def test_sequences_that_share_a_number_are_not_mixed(tmp_path):
    folder = sports(tmp_path / "set")
    for file in ("Run-Side/001.mp4", "Run-Side_003.mp4", "002.mp4"):
        write_video(tmp_path / "files" / file, 3, (480, 720))
    source = open_source(
        "ucfsports", "all", (48, 72), data=folder, files=tmp_path / "files", cache_dir=tmp_path / "cache"
    )
    assert source.videos == ("Run-Side/001", "Run-Side/003")
    assert source.notes == ("3 of 5 videos have no file and are left out",)


def test_boxes_of_ucf_sports_are_pixels_of_its_files(tmp_path):
    folder = sports(tmp_path / "set")
    write_video(folder / "videos" / "Lifting_001.mp4", 3, (480, 720))
    source = open_source("ucf-sports", "train", (48, 72), data=folder, cache_dir=tmp_path / "cache")
    (tube,) = source.annotations.videos["Lifting/001"].tubes
    np.testing.assert_allclose(tube.boxes[0], [2, 4, 12, 16])
    assert source.published["Lifting/001"] == (480, 720) and "stad_lite thirds" in source.notes[0]
    (folder / "split.txt").write_text("Lifting/001 test\nRun-Side/001 train\n", "utf-8")
    listed = open_source("ucf-sports", "test", (48, 72), data=folder, cache_dir=tmp_path / "cache")
    assert listed.videos == ("Lifting/001",) and listed.notes == ()
