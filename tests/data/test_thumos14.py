"""THUMOS14 on tiny files of the published layouts, and on the real ones where they are."""

import json
from pathlib import Path

import pytest

from stad_lite.data import thumos14
from stad_lite.errors import FormatError, UnknownLabelError
from stad_lite.records import Segment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = tmp_path / "annotations_test"
    text.mkdir()
    (text / "CliffDiving_test.txt").write_text("video_test_1  1.0 2.0\n", "utf-8")
    (text / "Diving_test.txt").write_text(
        "video_test_1  1.0 2.0\nvideo_test_1  3.0 4.0\nvideo_test_1  9.0 12.0\n", "utf-8"
    )
    (text / "Billiards_test.txt").write_text("video_test_2  11.0 12.0\n", "utf-8")
    (text / "Ambiguous_test.txt").write_text("video_test_3  0.0 1.0\n", "utf-8")
    lines = "video,type,type_idx,start,end,startFrame,endFrame\n"
    rows = [("1", "CliffDiving", 1, 2), ("1", "Diving", 1, 2), ("1", "Diving", 3, 4), ("1", "Diving", 9, 12),
            ("2", "Billiards", 11, 12), ("3", "Ambiguous", 0, 1)]  # fmt: skip
    lines += "".join(f"video_test_{v},{label},0,{a}.0,{b}.0,0,0\n" for v, label, a, b in rows)
    (tmp_path / "test_Annotation.csv").write_text(lines, "utf-8")
    (tmp_path / "test_video_info.csv").write_text(
        "video,fps,sample_fps,count,sample_count\nvideo_test_1,30.0,10.0,300.0,100\nvideo_test_2,25.0,10.0,250.0,100\n",
        "utf-8",
    )
    info = {"fps": 30.0, "duration": 10.0, "num_frame": 300, "height": 180, "width": 320, "subset": "test"}
    (tmp_path / "TH14_video_info.json").write_text(json.dumps({"video_test_1": info}), "utf-8")
    segment = {"segment": ["3.0", "4.0"], "label": "Diving"}
    database = {"video_test_1": {"subset": "test", "annotations": [segment]},
                "video_validation_1": {"subset": "train", "annotations": [segment]}}  # fmt: skip
    (tmp_path / "thumos_gt.json").write_text(json.dumps({"database": database}), "utf-8")
    return tmp_path


def test_text_and_csv_agree(folder: Path) -> None:
    text, report = thumos14.load(folder, "test")
    table, _ = thumos14.load(folder, "test", "csv")
    assert table == text
    one = text.videos["video_test_1"]
    assert (one.num_frames, one.fps, one.duration, one.width) == (300, 30.0, 10.0, 320)
    assert text.videos["video_test_3"].ignore == ((0.0, 1.0),) and text.videos["video_test_3"].segments == ()
    assert report[1:] == [
        "CliffDiving segments that stand again as Diving, kept: 1 (video_test_1)",
        "segments past the end of their video, kept (clipped() cuts them): 2 (video_test_1, video_test_2)",
        "videos with ambiguous spans only: 1 (video_test_3)",
        "videos of unknown length: 1 (video_test_3)",
    ]


def test_oddities_can_be_removed(folder: Path) -> None:
    record = thumos14.load(folder, "test").record
    single = thumos14.without_duplicates(record).videos["video_test_1"].segments
    assert [(s.label, s.start) for s in single] == [("CliffDiving", 1), ("Diving", 3), ("Diving", 9)]
    cut = thumos14.clipped(record)
    assert cut.videos["video_test_1"].segments[-1] == Segment("Diving", 9.0, 10.0)
    assert cut.videos["video_test_2"].segments == ()
    assert cut.videos["video_test_3"] == record.videos["video_test_3"]


def test_json(folder: Path) -> None:
    record, report = thumos14.load(folder, "test", "json")
    assert list(record.videos) == ["video_test_1"]
    assert report[0] == "times written as strings, read as numbers: 2 (video_test_1)"
    assert report[1].startswith("videos of the release that the file drops: 3 (video_test_0000270")
    validation, report = thumos14.load(folder, "validation", "json")
    assert list(validation.videos) == ["video_validation_1"] and not any("drops" in line for line in report)


def test_bad_requests_and_tables(folder: Path) -> None:
    with pytest.raises(FormatError, match="no set is called 'train'"):
        thumos14.load(folder, "train")
    with pytest.raises(FormatError, match="no source is called 'xml'"):
        thumos14.load(folder, "test", "xml")
    (folder / "test_Annotation.csv").write_text("video,type,start,end\na,Jogging,1,2\n", "utf-8")
    with pytest.raises(UnknownLabelError, match="line 2 has class 'Jogging'"):
        thumos14.load(folder, "test", "csv")
    (folder / "test_Annotation.csv").write_text("video,start,end\na,1,2\n", "utf-8")
    with pytest.raises(FormatError, match="no column 'type'"):
        thumos14.load(folder, "test", "csv")
    (folder / "test_video_info.csv").write_text("video,fps\na,30\n", "utf-8")
    with pytest.raises(FormatError, match="lacks or garbles"):
        thumos14.load(folder, "test")


@pytest.mark.parametrize(("subset", "twice", "late"), [("validation", 143, 4), ("test", 217, 26)])
def test_real_sets(stad_data: Path, subset: str, twice: int, late: int) -> None:
    folder = stad_data / "thumos14"
    text, report = thumos14.load(folder, subset)
    counts = (
        len(text.videos),
        sum(len(video.segments) for video in text.videos.values()),
        sum(len(video.ignore) for video in text.videos.values()),
    )
    assert counts == thumos14.SETS[subset]
    assert any(f"again as Diving, kept: {twice} " in line for line in report)
    assert any(f"past the end of their video, kept (clipped() cuts them): {late} " in line for line in report)
    table, _ = thumos14.load(folder, subset, "csv")
    for name, video in text.videos.items():
        same = [sorted((s.label, s.start, s.end) for s in v.segments) for v in (video, table.videos[name])]
        assert same[0] == same[1]
    single = thumos14.without_duplicates(text)
    assert sum(len(video.segments) for video in single.videos.values()) == counts[1] - twice


def test_real_evaluation_json(stad_data: Path) -> None:
    total = 0
    for subset, dropped in (("validation", 0), ("test", 3)):
        record, report = thumos14.load(stad_data / "thumos14", subset, "json")
        total += sum(len(video.segments) for video in record.videos.values())
        assert len(record.videos) == thumos14.SETS[subset][0] - dropped
        assert any("that the file drops: 3" in line for line in report) == bool(dropped)
    assert total == 6318
