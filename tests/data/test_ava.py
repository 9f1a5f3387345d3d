"""AVA on tiny files of the published layouts, and on the real ones where they are."""

from pathlib import Path

import numpy as np
import pytest

from stad_lite.data import ava, statistics
from stad_lite.errors import FormatError, MissingFileError
from stad_lite.records import Annotations, FrameBoxes, VideoAnnotation


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = [f"action {i}" for i in range(1, 81)]
    labels = [f'label {{\n  name: "{n}"\n  label_id: {i}\n}}\n' for i, n in enumerate(names, 1)]
    items = [f'item {{\n  name: "{n}"\n  id: {i}\n}}\n' for i, n in enumerate(names, 1) if i <= 61 and i != 2]
    (tmp_path / "ava_action_list_v2.1.pbtxt").write_text("".join(labels), "utf-8")
    (tmp_path / "ava_action_list_v2.1_for_activitynet_2018.pbtxt").write_text("".join(items), "utf-8")
    (tmp_path / "ava_val_v2.1_pose_only.csv").write_text(
        "a,902,0,0,1,1,1\na,903,0,0,1,1,2\nb,902,0,0,1,1,14\n", "utf-8"
    )
    (tmp_path / "ava_val_excluded_timestamps_v2.1.csv").write_text("a,0903\n", "utf-8")
    (tmp_path / "ava_file_names_trainval_v2.1.txt").write_text("a.b.mkv\nc.mp4\n", "utf-8")
    (tmp_path / "ava_test_v2.1.txt").write_text("--x\n", "utf-8")
    return tmp_path


def test_load(folder: Path) -> None:
    record, report = ava.load(folder)
    assert len(record.classes) == 60 and record.videos["a"].evaluated_frames.tolist() == [902]
    assert [len(video.frames) for video in record.videos.values()] == [1, 1]
    assert report == [
        "rows without a person id: 3",
        "rows of actions that are not in the list, dropped: 1 (action 2)",
        "key frames excluded from evaluation: 1 (a)",
        "classes that the csv cannot hold (it has poses only): 47",
    ]
    everything, _ = ava.load(folder, evaluated_only=False)
    assert len(everything.classes) == 80 and len(everything.videos["a"].frames) == 2


def test_the_complete_csv_goes_first(folder: Path) -> None:
    (folder / "ava_val_v2.1.csv").write_text("a,0902,0,0,1,1,1,5\n", "utf-8")
    record, report = ava.load(folder)
    assert record.videos["a"].frames.person.tolist() == [5]
    assert report == []
    with pytest.raises(MissingFileError, match="no csv of train"):
        ava.load(folder, "train")


def test_lists(folder: Path) -> None:
    assert ava.read_videos(folder, "trainval") == ("a.b", "c") and ava.read_videos(folder, "test") == ("--x",)
    with pytest.raises(FormatError, match="trainval or test"):
        ava.read_videos(folder, "val")
    (folder / "ava_action_list_v2.1_for_activitynet_2018.pbtxt").write_text(
        'item {\n  name: "x"\n  id: 1\n}\n', "utf-8"
    )
    with pytest.raises(FormatError, match="80 actions and 1 evaluated"):
        ava.read_action_lists(folder)


def test_real_files(stad_data: Path) -> None:
    folder = stad_data / "ava"
    record, report = ava.load(folder)
    assert len(record.videos) == ava.VAL_VIDEOS
    assert sum(len(video.frames) for video in record.videos.values()) == 93400 - 19
    assert "rows of actions that are not in the list, dropped: 19 (action 2)" in report
    seconds = [frame for video in record.videos.values() for frame in video.evaluated_frames]
    assert len(seconds) == 50029
    assert (min(seconds), max(seconds)) == (902, 1798)
    assert len(ava.read_videos(folder, "trainval")) == ava.TRAINVAL_VIDEOS
    assert len(ava.read_videos(folder, "test")) == ava.TEST_VIDEOS


def test_real_step_ava_60(stad_data: Path) -> None:
    """60 of 80 classes have 25 validation examples (STEP Sec. 4.1): true for the 14 that can be checked."""
    lists = ava.read_action_lists(stad_data / "ava")
    path = ava.find_csv(stad_data / "ava", "val")
    counts = ava.examples(path, lists.annotated)
    checkable = ava.POSES if "pose_only" in path.name else None
    found = statistics.evaluated_classes(counts, lists.evaluated, checkable, 25)
    assert found.listed == 60 and found.disagree == ()
    if checkable is not None:
        kept = [found.counted[number] for number in found.agree if number in lists.evaluated]
        assert (len(found.agree), len(kept), min(kept), max(kept)) == (14, 13, 34, 43400)
        assert found.counted[2] == 19 and len(found.unchecked) == 66


def test_truth_of_films_is_told_in_frames_of_their_files():
    boxes = FrameBoxes(
        np.array([901, 902, 902, 910]),
        np.array([0, 1, 0, 1]),
        np.tile([0.25, 0.5, 0.75, 1.0], (4, 1)),
        person=np.array([1, 1, 1, 2]),
    )
    film = VideoAnnotation(None, 1, 1, 1.0, frames=boxes, evaluated_frames=np.array([901, 902, 910]))
    truth = Annotations("ava", ("sit", "stand"), {"film": film, "other": film})
    about = {"film": {"num_frames": 60, "fps": 12.5, "width": 40, "height": 20}}
    found = ava.on_files(truth, about, 900.0)
    (name, one), *rest = found.videos.items()
    assert name == "film" and not rest
    assert one.frames is not None and one.evaluated_frames is not None
    assert one.frames.frame.tolist() == [12, 25, 25]  # 910 lies beyond the file
    assert one.evaluated_frames.tolist() == [12, 25]
    assert one.frames.person.tolist() == [1, 1, 1] and one.frames.label.tolist() == [0, 1, 0]
    assert one.frames.box[0].tolist() == [10, 10, 30, 20]
    assert (one.num_frames, one.width, one.height, one.fps) == (60, 40, 20, 12.5)
    silent = {"film": {**about["film"], "fps": None}}
    with pytest.raises(FormatError, match="film: the file does not say its frames a second"):
        ava.on_files(truth, silent, 900.0)
