"""Formats of annotation tools: CVAT, VIA, MOT text, COCO-style tracks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stad_lite.errors import (
    FormatError,
    FrameRangeError,
    InvertedBoxError,
    NotFiniteError,
    StadError,
    UnknownLabelError,
    UnknownVideoError,
)
from stad_lite.records import Annotations, VideoAnnotation, exchange
from stad_lite.records.exchange import coco_tracks, cvat, mot, via
from stad_lite.records.exchange.tracks import Key, tubes_of
from stad_lite.tubes import Tube
from tests.records import tool_files
from tests.records.tool_files import CVAT, RUN, TRUTH, WAVE


def saved(folder: Path, text: str, name: str = "a.xml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_keyframes_alone_count_and_the_last_one_holds(tmp_path: Path) -> None:
    record, report = cvat.read_ground_truth(saved(tmp_path, CVAT), dataset="own")
    assert record == TRUTH and report == []


def test_a_track_comes_back_after_it_was_outside() -> None:
    keys = [Key(0, (0, 0, 2, 2), "run"), Key(2, (0, 0, 2, 2), "run", True), Key(5, (4, 0, 6, 2), "run")]
    found = tubes_of(reversed(keys), end=7)
    assert [(tube.start, tube.end) for tube in found] == [(0, 2), (5, 7)]
    assert (found[1].boxes[:, 0] == 4).all()
    assert tubes_of([keys[1]]) == [] and tubes_of([]) == []


def test_a_change_of_class_begins_a_tube_and_the_box_moves_on() -> None:
    keys = [Key(0, (0, 0, 2, 2), "walk"), Key(4, (8, 0, 10, 2), "run"), Key(6, (8, 0, 10, 2), "run")]
    found = tubes_of(keys)
    assert [(tube.label, tube.start, tube.end) for tube in found] == [("walk", 0, 4), ("run", 4, 7)]
    assert found[0].boxes[:, 0].tolist() == [0, 2, 4, 6]


def test_an_attribute_may_be_the_class(tmp_path: Path) -> None:
    text = re.sub(r'(<box frame="(\d+)"[^>]*)/>', r'\1><attribute name="who">W\2</attribute></box>', CVAT)
    record = cvat.read_ground_truth(saved(tmp_path, text), label="who").record
    tubes = record.videos["clip1"].tubes or ()
    assert [(tube.label, tube.start, tube.end) for tube in tubes] == [
        ("W2", 2, 4),
        ("W4", 4, 6),
        ("Ann", 9, 12),
    ]
    with pytest.raises(
        FormatError, match=r"track 0, frame 2|frame 2: track 0: the box has no attribute 'who'"
    ):
        cvat.read_ground_truth(saved(tmp_path, CVAT), label="who")


FAULTS: dict[str, tuple[str, str, type[StadError], str]] = {
    "text": ('xtl="4"', 'xtl="four"', FormatError, "frame 2: track 0: xtl is 'four'; give a number"),
    "nan": ('xtl="4"', 'xtl="nan"', NotFiniteError, "frame 2: track 0: xtl is nan"),
    "inverted": ('xtl="4"', 'xtl="14"', InvertedBoxError, r"frame 2: track 0: box 0 .* is empty or inverted"),
    "twice": ('frame="4"', 'frame="2"', FormatError, "frame 2: track 0: a frame has two boxes; keep one"),
    "before": ('frame="2"', 'frame="-2"', FrameRangeError, "track 0: frame is -2"),
    "beyond": ('frame="9"', 'frame="12"', FrameRangeError, "video clip1, tube 1, frame 12"),
    "turned": ('ybr="9"', 'ybr="9" rotation="30"', FormatError, "frame 9: track 1: the box is turned"),
    "no keyframe": ('frame="9" outside="0" occluded="0" keyframe="1"', 'frame="9" keyframe="0"', FormatError,
                    "track 1: no box is a keyframe"),
    "version": ("<version>1.1", "<version>2.0", FormatError, "version is '2.0'; export CVAT for video 1.1"),
    "pictures": ("</annotations>", '<image id="0"/></annotations>', FormatError, "no task of one video"),
    "project": ("<task>", "<project>", FormatError, "not XML"),
    "root": ("annotations>", "other>", FormatError, "the XML is of 'other'"),
    "size": ("<width>64</width>", "", FormatError, "there are boxes but no width and height"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_cvat_file_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    before, after, kind, told = FAULTS[name]
    assert before in CVAT
    path = saved(tmp_path, CVAT.replace(before, after))
    with pytest.raises(kind, match=told) as caught:
        cvat.read_ground_truth(path)
    assert str(path) in str(caught.value)


BOMB = '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "{}">]><annotations>&b;</annotations>'


@pytest.mark.parametrize(
    "text",
    [
        BOMB.format("&a;" * 20),
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>',
        '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotations>&f;</annotations>',
    ],
)
def test_a_document_type_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="declares a document type; CVAT writes none"):
        cvat.read_ground_truth(saved(tmp_path, text))


def test_a_zip_file_is_told_from_xml(tmp_path: Path) -> None:
    path = tmp_path / "task.zip"
    path.write_bytes(b"PK\x03\x04 whatever")
    with pytest.raises(FormatError, match="unpack the zip file first"):
        cvat.read_ground_truth(path)


def test_a_task_of_every_fifth_frame_has_no_length(tmp_path: Path) -> None:
    text = CVAT.replace("<size>12</size>", "<size>3</size><stop_frame>10</stop_frame>"
                        "<frame_filter>step=5</frame_filter>")  # fmt: skip
    video = cvat.read_ground_truth(saved(tmp_path, text)).record.videos["clip1"]
    assert video.num_frames is None
    assert [tube.end for tube in video.tubes or ()] == [6, 11]


def two() -> Annotations:
    """Two videos with a rate each, names that need care, and a class without a tube."""
    tubes = (Tube(2, RUN, "run"), Tube(9, WAVE, "a <b> & 'c'"), Tube(0, WAVE / 8, "run"))
    videos = {
        "x/one: 1": VideoAnnotation(12, 64, 48, 25.0, tubes=tubes),
        "été": VideoAnnotation(9, 64, 48, 12.5, tubes=()),
    }
    return Annotations("own", ("none", "a <b> & 'c'", "run"), videos)


def without_rate(record: Annotations) -> Annotations:
    videos = {
        name: VideoAnnotation(v.num_frames, v.width, v.height, tubes=v.tubes)
        for name, v in record.videos.items()
    }
    return Annotations(record.dataset, record.classes, dict(sorted(videos.items())))


@pytest.mark.parametrize(
    ("format", "held"), [("cvat", without_rate), ("mot", lambda record: record), ("coco-tracks", lambda r: r)]
)
def test_tubes_come_back_whole(
    format: str, held: Callable[[Annotations], Annotations], tmp_path: Path
) -> None:
    exchange.write(two(), tmp_path / "out", format)
    record, report = exchange.read(tmp_path / "out", format, "annotations", dataset="own")
    assert report == []
    wanted = held(two())
    assert record.classes == wanted.classes
    assert dict(record.videos) == dict(wanted.videos)


def test_one_video_is_one_cvat_file(tmp_path: Path) -> None:
    cvat.write_ground_truth(TRUTH, tmp_path / "a.xml")
    assert cvat.read_ground_truth(tmp_path / "a.xml", dataset="own").record == TRUTH
    with pytest.raises(FormatError, match="one file holds one video, not 2; name a folder"):
        cvat.write_ground_truth(two(), tmp_path / "b.xml")


@pytest.mark.parametrize("format", ["cvat", "mot", "coco-tracks"])
def test_a_video_of_unknown_length_is_not_written(format: str, tmp_path: Path) -> None:
    record = Annotations("own", ("run",), {"clip1": VideoAnnotation(width=64, height=48)})
    with pytest.raises(FormatError, match=r"video clip1: its .*number of frames is not known"):
        exchange.write(record, tmp_path / "out", format)


@pytest.mark.parametrize("letter", ["\x01", "\r", "\uffff"])
def test_a_name_that_xml_cannot_hold_is_not_written(letter: str, tmp_path: Path) -> None:
    record = Annotations("own", (f"a{letter}b",), {"clip1": VideoAnnotation(3, 64, 48)})
    with pytest.raises(FormatError, match="XML cannot hold"):
        cvat.write_ground_truth(record, tmp_path / "a.xml")
    with pytest.raises(FormatError, match="cannot stand in a line"):
        mot.write_ground_truth(Annotations("own", ("a\nb",), record.videos), tmp_path / "mot")


@pytest.mark.parametrize("format", ["via 2 json", "via 2 csv"])
def test_pictures_of_a_video_are_its_frames(format: str, tmp_path: Path) -> None:
    tool_files.write(tmp_path, format)
    path = tmp_path / ("a.csv" if format == "via 2 csv" else "a.json")
    record, report = via.read_ground_truth(path, label="action", size=(64, 48))
    assert record.classes == ("run", "wave") and report == []
    assert record.videos["clip1"].tubes == TRUTH.videos["clip1"].tubes


def test_regions_without_a_track_stand_on_single_frames(tmp_path: Path) -> None:
    path = saved(tmp_path, json.dumps(tool_files.pictures()), "a.json")
    video = via.read_ground_truth(path, label="action", track="who", size=(64, 48)).record.videos["clip1"]
    assert video.tubes is None and video.frames is not None and len(video.frames) == 7
    with pytest.raises(FormatError, match="the attributes action, track; say which is the class, as --label"):
        via.read_ground_truth(path, track="who", size=(64, 48))


def test_a_picture_that_a_track_is_not_on_ends_its_tube(tmp_path: Path) -> None:
    project = tool_files.pictures()
    entries = project["_via_img_metadata"]
    del entries["clip1/frame_0004.jpg99"]  # frame 3: not looked at, so interpolated
    entries["clip1/frame_0005.jpg99"]["regions"] = []  # frame 4: looked at, and empty
    path = saved(tmp_path, json.dumps(project), "a.json")
    tubes = via.read_ground_truth(path, label="action", size=(64, 48)).record.videos["clip1"].tubes or ()
    assert [(tube.start, tube.end) for tube in tubes] == [(2, 3), (5, 6), (9, 12)]
    del entries["clip1/frame_0005.jpg99"]
    path = saved(tmp_path, json.dumps(project), "a.json")
    tubes = via.read_ground_truth(path, label="action", size=(64, 48)).record.videos["clip1"].tubes or ()
    assert [(tube.start, tube.end) for tube in tubes] == [(2, 6), (9, 12)]


@pytest.mark.parametrize(
    ("name", "video", "frame"),
    [
        ("clip1/frame_0012.jpg", "clip1", 11), ("clip1_12.png", "clip1", 11), ("0012.jpg", "a", 11),
        ("frame0012.jpg", "a", 11), ("b/c 2/img-000001.jpeg", "b/c 2", 0), ("myframe7.jpg", "myframe", 6),
    ],
)  # fmt: skip
def test_where_a_picture_belongs(name: str, video: str, frame: int) -> None:
    assert via._place(name, "a", 1) == (video, frame)


def test_a_video_of_via_3_has_keyframes_at_seconds_and_spans(tmp_path: Path) -> None:
    path = saved(tmp_path, json.dumps(tool_files.VIA3), "a.json")
    record, report = via.read_ground_truth(path, label="action", size=(64, 48), fps=10)
    video = record.videos["clip1"]
    assert video.tubes == (Tube(2, RUN, "run"),) and video.fps == 10
    assert [(s.label, s.start, s.end) for s in video.segments or ()] == [("wave", 0.5, 0.9)]
    assert report == ["entries that are neither a rectangle at a time nor a span, left out: 1 (clip1)"]
    with pytest.raises(
        FormatError, match="VIA 3 keeps seconds, not frames; give the videos' rate, as --fps 25"
    ):
        via.read_ground_truth(path, label="action", size=(64, 48))


def test_a_bad_via_file_is_refused_with_its_place(tmp_path: Path) -> None:
    def refused(project: Any, kind: type[StadError], told: str, **options: Any) -> None:
        path = saved(tmp_path, json.dumps(project), "a.json")
        with pytest.raises(kind, match=told) as caught:
            via.read_ground_truth(path, **{"label": "action", "size": (64, 48), **options})
        assert str(path) in str(caught.value)

    refused(tool_files.pictures(), FormatError, "clip1: VIA does not keep the size.*--size", size=None)
    refused(tool_files.pictures(first=0), FormatError, "frame_0000.jpg' has number 0; .*--first 0")
    refused(
        tool_files.pictures("clip%d/last.jpg"), FormatError, "has no number; name pictures VIDEO_NUMBER.jpg"
    )
    refused(tool_files.pictures(), FormatError, "frame 2: a region has no attribute 'class'", label="class")
    project = tool_files.pictures()
    region = project["_via_img_metadata"]["clip1/frame_0003.jpg99"]["regions"][0]
    region["shape_attributes"]["width"] = 0
    refused(project, InvertedBoxError, "video clip1, frame 2: track A: box 0")
    region["shape_attributes"]["width"] = "wide"
    refused(project, FormatError, "frame 2: a box's number is 'wide'")
    refused([], FormatError, "the file is no object")
    broken = json.loads(json.dumps(tool_files.VIA3))
    broken["metadata"]["a"]["vid"] = "9"
    refused(broken, UnknownVideoError, "entry 'a' is of view '9'", fps=10)


MOT = "3,1,5,6,10,20,1,1,1\n4,1,7,6,10,21,1,1,1\n6,1,9,6,10,22,1,1,1\n3,2,5,6,10,20,0,1,1\n"
SEQINFO = (
    "[Sequence]\nname=street\nimDir=img1\nframeRate=30\nseqLength=9\nimWidth=64\nimHeight=48\nimExt=.jpg\n"
)


def test_mot_counts_from_one_and_a_gap_ends_a_tube(tmp_path: Path) -> None:
    path = saved(tmp_path, MOT, "street/gt/gt.txt")
    saved(tmp_path, SEQINFO, "street/seqinfo.ini")
    for place in (path, tmp_path / "street", tmp_path):
        record, report = mot.read_ground_truth(place)
        video = record.videos["street"]
        assert (video.num_frames, video.width, video.height, video.fps) == (9, 64, 48, 30)
        assert [(tube.start, tube.end, tube.label) for tube in video.tubes or ()] == [
            (2, 4, "pedestrian"), (5, 6, "pedestrian")
        ]  # fmt: skip
        assert (video.tubes or ())[0].boxes.tolist() == [[4, 5, 14, 25], [6, 5, 16, 26]]
        assert report == ["boxes that are not evaluated, left out: 1 (street)"]
    saved(tmp_path, "run\n", "street/gt/labels.txt")  # as CVAT writes it: boxes from 0
    (tube, _) = mot.read_ground_truth(path).record.videos["street"].tubes or ()
    assert tube.label == "run" and tube.boxes[0].tolist() == [5, 6, 15, 26]


def test_mot_detections_and_tracks_are_predictions(tmp_path: Path) -> None:
    path = saved(tmp_path, "1,-1,1,1,4,4,0.5\n2,-1,1,1,4,4,0.75\n", "street/det/det.txt")
    video = mot.read_results(path).record.videos["street"]
    assert video.tubes is None and video.frames is not None and video.frames.score is not None
    assert video.frames.score.tolist() == [0.5, 0.75] and video.frames.frame.tolist() == [0, 1]
    path = saved(tmp_path, "1,7,1,1,4,4,0.5,-1,-1,-1\n2,7,1,1,4,4,1.0,-1,-1,-1\n", "street.txt")
    (tube,) = mot.read_results(path).record.videos["street"].tubes or ()
    assert (tube.score, tube.label, len(tube)) == (0.75, "pedestrian", 2)


def test_a_bad_mot_file_is_refused_with_its_place(tmp_path: Path) -> None:
    def refused(text: str, kind: type[StadError], told: str, info: str = SEQINFO) -> None:
        path = saved(tmp_path, text, "street/gt/gt.txt")
        saved(tmp_path, info, "street/seqinfo.ini")
        with pytest.raises(kind, match=told) as caught:
            mot.read_ground_truth(path)
        assert "street" in str(caught.value)

    refused("1,1,1,1,4\n", FormatError, "gt.txt: line 1 has 5 fields; a line is frame,id")
    refused("0,1,1,1,4,4\n", FrameRangeError, "line 1: frame is 0; give a number from 1")
    refused("1,1,1,1,4,4\n1,1,1,1,4,4\n", FormatError, "frame 0: track 1: a frame has two boxes")
    refused("1,1,1,1,0,4\n", FormatError, "frame 0: line 1: the box is empty")
    refused("1,1,1,1,4,4,1,99\n", UnknownLabelError, "frame 0: line 1 has class 99; .*labels.txt")
    refused(MOT, FormatError, "seqinfo.ini: imWidth is 'wide'", SEQINFO.replace("=64", "=wide"))
    refused(MOT, FormatError, "seqinfo.ini: not a description of a sequence", "nothing\n")
    refused(MOT, FrameRangeError, "tube 1", SEQINFO.replace("seqLength=9", "seqLength=5"))
    (tmp_path / "street" / "seqinfo.ini").unlink()
    path = saved(tmp_path, MOT, "street/gt/gt.txt")
    with pytest.raises(FormatError, match=r"the size of the frames is not told; .*--size"):
        mot.read_ground_truth(path)
    assert mot.read_ground_truth(path, (64, 48), 30).record.videos["street"].fps == 30


def coco() -> dict[str, Any]:
    """Every fifth frame of a video, as in TAO."""
    images = [
        {"id": 10 + i, "video_id": 1, "frame_index": 5 * i, "width": 64, "height": 48} for i in range(4)
    ]
    boxes = [
        {"id": i, "image_id": 10 + i, "track_id": 3, "category_id": 2, "bbox": [4 + 5 * i, 5, 10, 20]}
        for i in (0, 1, 3)
    ]
    videos, categories = [{"id": 1, "name": "street"}], [{"id": 2, "name": "run"}]
    return {"videos": videos, "images": images, "annotations": boxes, "categories": categories}


def test_coco_tracks_are_linear_between_images(tmp_path: Path) -> None:
    path = saved(tmp_path, json.dumps(coco()), "a.json")
    video = coco_tracks.read_ground_truth(path).record.videos["street"]
    first, second = video.tubes or ()
    assert (first.start, first.end, second.start, second.end) == (0, 6, 15, 16)
    assert first.boxes[:, 0].tolist() == [4, 5, 6, 7, 8, 9]
    assert (video.width, video.height) == (64, 48)


def test_coco_tracks_may_be_a_list_of_boxes_each(tmp_path: Path) -> None:
    document = {
        "videos": [{"id": 1, "file_names": ["street/0.jpg", "street/1.jpg", "street/2.jpg"], "length": 3,
                    "width": 64, "height": 48}],
        "categories": [{"id": 2, "name": "run"}],
        "annotations": [
            {"id": 9, "video_id": 1, "category_id": 2, "bboxes": [[1, 1, 4, 4], None, [2, 1, 4, 4]]}
        ],
    }  # fmt: skip
    path = saved(tmp_path, json.dumps(document), "a.json")
    tubes = coco_tracks.read_ground_truth(path).record.videos["street"].tubes or ()
    assert [(tube.start, tube.end) for tube in tubes] == [(0, 1), (2, 3)]


def test_a_bad_coco_file_is_refused_with_its_place(tmp_path: Path) -> None:
    def refused(change: Callable[[dict[str, Any]], object], kind: type[StadError], told: str) -> None:
        document = coco()
        change(document)
        path = saved(tmp_path, json.dumps(document), "a.json")
        with pytest.raises(kind, match=told) as caught:
            coco_tracks.read_ground_truth(path)
        assert str(path) in str(caught.value)

    def boxes(document: dict[str, Any]) -> dict[str, Any]:
        return document["annotations"][1]

    refused(lambda d: boxes(d).update(bbox=[1, 1, 0, 4]), InvertedBoxError, "street, frame 5: track 3: box")
    refused(lambda d: boxes(d).update(bbox=[1, 1, 4]), FormatError, "frame 5: track 3: a box is")
    refused(lambda d: boxes(d).update(bbox=[1, 1, 1e999, 4]), StadError, "not finite|is inf|NaN|not JSON")
    refused(lambda d: boxes(d).update(image_id=10), FormatError, "frame 0: track 3: a frame has two boxes")
    refused(lambda d: boxes(d).update(image_id=99), FormatError, "image 99, which is not there")
    refused(lambda d: boxes(d).update(category_id=9), UnknownLabelError, "category 9 is not among")
    refused(lambda d: boxes(d).pop("track_id"), FormatError, "track_id or instance_id is missing")
    refused(lambda d: d["images"][0].update(video_id=4), UnknownVideoError, "image 10 is of video 4")
    refused(lambda d: d.pop("videos"), FormatError, "there are no videos")
    refused(
        lambda d: d["videos"].append({"id": 2, "name": "street"}), FormatError, "two videos have one name"
    )


@pytest.mark.parametrize(("read", "kind"), [(mot.read_ground_truth, "gt"), (mot.read_results, "det")])
def test_of_two_sequences_with_one_name_none_is_lost(read: Any, kind: str, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        place = tmp_path / folder / "walk" / kind
        place.mkdir(parents=True)
        (place / f"{kind}.txt").write_text("1,1,1,1,4,4,1,1,1\n", "utf-8")
        (place.parent / "seqinfo.ini").write_text("[Sequence]\nimWidth=9\nimHeight=9\nseqLength=2\n", "utf-8")
    with pytest.raises(FormatError, match=r"a second sequence is called walk"):
        read(tmp_path)
