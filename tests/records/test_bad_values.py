"""Wrong values in a readable file: every one is refused by its class, its place and a remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stad_lite import records
from stad_lite.errors import (
    FormatError,
    FrameRangeError,
    InvertedBoxError,
    NotFiniteError,
    StadError,
    TubeTooLongError,
    UnknownLabelError,
)
from tests.records import samples
from tests.records.samples import changed, places

NAN, INF = float("nan"), float("inf")
BOX = [0.0, 0.0, 2.0, 3.0]


def refusal(path: Path) -> StadError:
    with pytest.raises(StadError) as caught:
        records.read(path)
    assert caught.value.file == str(path) and str(caught.value).startswith(str(path))
    assert caught.value.remedy, str(caught.value)
    return caught.value


# -------------------------------------------------------------------------------- named wrong values

A, P = "annotations", "predictions"
TUBE, FRAMES, SEGMENT = ("tubes", 0), ("frames",), ("segments", 0)
CASES: dict[str, tuple[str, tuple, Any, type, dict[str, int], str]] = {
    # name: (kind, place below the video, value, class, place told, words told)
    "x2 < x1": (A, (*TUBE, "boxes", 1), [5, 0, 4, 9], InvertedBoxError, {"tube": 0, "frame": 9}, "x1 < x2"),
    "x2 = x1": (P, (*TUBE, "boxes", 2), [5, 0, 5, 9], InvertedBoxError, {"tube": 0, "frame": 10}, "empty"),
    "y2 < y1": (A, (*FRAMES, "box", 1), [0, 5, 9, 4], InvertedBoxError, {"frame": 9}, "y1 < y2"),
    "NaN": (A, (*TUBE, "boxes", 1, 0), NAN, NotFiniteError, {"tube": 0, "frame": 9}, "not finite"),
    "inf": (P, (*FRAMES, "box", 1, 3), INF, NotFiniteError, {"frame": 9}, "not finite"),
    "-inf": (A, (*SEGMENT, "start"), -INF, NotFiniteError, {"segment": 0}, "start is -inf"),
    "NaN fps": (A, ("fps",), NAN, NotFiniteError, {}, "fps is nan"),
    "NaN score": (P, (*TUBE, "score"), NAN, NotFiniteError, {"tube": 0}, "score is nan"),
    "NaN box score": (P, (*TUBE, "box_scores", 2), NAN, NotFiniteError, {"tube": 0, "frame": 10}, "score"),
    "NaN frame score": (P, (*FRAMES, "score", 1), NAN, NotFiniteError, {"frame": 9}, "score"),
    "NaN frame": (A, (*FRAMES, "frame", 1), NAN, FormatError, {}, "entry 1 of frame"),
    "NaN span": (A, ("ignore", 0, "end"), NAN, NotFiniteError, {}, "end is nan"),
    "long tube": (A, (*TUBE, "boxes"), [BOX] * 150, TubeTooLongError, {"tube": 0, "frame": 141}, "150 boxes"),
    "late tube": (A, ("num_frames",), 10, FrameRangeError, {"tube": 0, "frame": 10}, "8 to 10 of 10"),
    "early tube": (P, (*TUBE, "start"), -1, FrameRangeError, {"tube": 0, "frame": -1}, "before the video"),
    "late box": (A, (*FRAMES, "frame", 1), 141, FrameRangeError, {"frame": 141}, "141 frames"),
    "early box": (P, (*FRAMES, "frame", 1), -3, FrameRangeError, {"frame": -3}, "outside the video;"),
    "late frame": (A, ("evaluated_frames", 1), 150, FrameRangeError, {"frame": 150}, "evaluated_frames"),
    "segment turned": (A, (*SEGMENT, "end"), 1.0, FrameRangeError, {"segment": 0}, "ends at 1.0 s"),
    "span turned": (A, ("ignore", 0, "end"), -1.0, FrameRangeError, {}, "0.0 to -1.0"),
    "label of a tube": (A, (*TUBE, "label"), "Ski", UnknownLabelError, {"tube": 0}, "'Ski' is not among"),
    "label of a box": (P, (*FRAMES, "label", 1), "Ski", UnknownLabelError, {"frame": 9}, "'Ski'"),
    "label of a segment": (A, (*SEGMENT, "label"), "Ski", UnknownLabelError, {"segment": 0}, "'Ski'"),
    "no frames": (A, ("num_frames",), 0, FormatError, {}, "num_frames is 0.*positive"),
    "no width": (A, ("width",), None, FormatError, {}, "boxes but no width and height"),
    "negative fps": (A, ("fps",), -25.0, FormatError, {}, "fps is -25"),
    "three corners": (A, (*TUBE, "boxes", 1), [1, 2, 3], FormatError, {"tube": 0, "frame": 9}, "box 1"),
    "true corner": (P, (*FRAMES, "box", 1, 0), True, FormatError, {"frame": 9}, "four numbers"),
    "true start": (A, (*TUBE, "start"), True, FormatError, {"tube": 0}, "start is True.*whole number"),
    "true size": (A, ("width",), True, FormatError, {}, "width is True"),
    "true score": (P, (*TUBE, "score"), True, FormatError, {"tube": 0}, "score is True"),
    "true frame": (A, (*FRAMES, "frame", 0), True, FormatError, {}, "entry 0 of frame is True"),
    "broken start": (A, (*TUBE, "start"), 8.0, FormatError, {"tube": 0}, "start is 8.0.*whole number"),
    "number as label": (A, (*FRAMES, "label", 1), 0, FormatError, {"frame": 9}, "label 1 is 0"),
    "short column": (P, (*FRAMES, "score"), [0.5], FormatError, {}, "2 frame entries but 1 of score"),
    "short scores": (P, (*TUBE, "box_scores"), [0.5], FormatError, {"tube": 0}, "1 box scores for 3"),
    "no boxes": (A, (*TUBE, "boxes"), [], FormatError, {"tube": 0}, "no boxes"),
    "huge frame": (A, (*FRAMES, "frame", 0), 10**30, FormatError, {}, "too large"),
    "huge start": (A, (*TUBE, "start"), 10**400, FormatError, {"tube": 0}, "too large"),
    "huge corner": (A, (*TUBE, "boxes", 0, 2), 10**400, FormatError, {"tube": 0}, "too large"),
    "huge fps": (A, ("fps",), 10**400, FormatError, {}, "too large"),
    "unscored tube": (P, (*TUBE, "score"), ..., FormatError, {"tube": 0}, "tube has no score"),
    "unscored boxes": (P, (*FRAMES, "score"), ..., FormatError, {}, "boxes have no scores"),
    "unscored segment": (P, (*SEGMENT, "score"), ..., FormatError, {"segment": 0}, "segment has no score"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_value_is_told(tmp_path: Path, name: str) -> None:
    kind, place, value, expected, told, words = CASES[name]
    document = changed(samples.DOCUMENTS[kind](), ("videos", samples.VIDEO, *place), value)
    error = refusal(samples.put(tmp_path / "a.json", document))
    assert type(error) is expected, str(error)
    assert re.search(words, str(error)), str(error)
    assert error.video == samples.VIDEO
    assert {k: v for k in ("tube", "segment", "frame") if (v := getattr(error, k)) is not None} == told
    for key, number in told.items():
        assert f"{key} {number}" in str(error)


@pytest.mark.parametrize(
    "version", ["stad-lite/annotations/2", "coco", "", None, 1, ["stad-lite/annotations/1"], ...]
)
def test_an_unknown_version_names_the_known_ones(tmp_path: Path, version: Any) -> None:
    document = changed(samples.annotations_document(), ("format",), version)
    error = refusal(samples.put(tmp_path / "a.json", document))
    shown = None if version is ... else version
    assert type(error) is FormatError and f"the format is {shown!r}" in str(error)
    assert "stad-lite/annotations/1 and stad-lite/predictions/1" in str(error)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", [], [{}]])
def test_a_document_is_an_object(tmp_path: Path, value: Any) -> None:
    error = refusal(samples.put(tmp_path / "a.json", value))
    assert type(error) is FormatError and "the document is " in str(error)


# ------------------------------------------------------------------------------ every key, every type

VALUES = {
    "null": None,
    "string": "text",
    "true": True,
    "list": [],
    "object": {},
    "fraction": 1.5,
    "whole": 7,
    "list in list": [[]],
}
NUMBER = {"fraction", "whole"}
FITTING: dict[str, set[str]] = {
    # place -> what may stand there besides what does (with the values above); nothing else may
    "dataset": {"string"},
    "classes/1": {"string"},
    "videos": {"object"},
    "videos/*": {"object"},
    "videos/*/num_frames": {"null"},
    "videos/*/width": {"whole"},
    "videos/*/height": {"whole"},
    "videos/*/fps": {"null"} | NUMBER,
    "videos/*/duration": {"null"} | NUMBER,
    "videos/*/tubes": {"null", "list"},
    "videos/*/tubes/0/score": NUMBER,
    "videos/*/tubes/0/start": {"whole"},
    "videos/*/tubes/0/box_scores": {"null"},
    "videos/*/frames": {"null"},
    "videos/*/frames/person": {"null"},
    "videos/*/segments": {"null", "list"},
    "videos/*/segments/0/score": NUMBER,
    "videos/*/segments/0/start": {"fraction"},
    "videos/*/segments/0/end": NUMBER,
    "videos/*/ignore": {"list"},
    "videos/*/ignore/0/start": {"fraction"},
    "videos/*/ignore/0/end": NUMBER,
    "videos/*/evaluated_frames": {"null", "list"},
}
for row in range(3):
    FITTING[f"videos/*/tubes/0/box_scores/{row}"] = NUMBER
    for corner in range(2):  # 1.5 and 7 lie left of and above every box's other corner
        FITTING[f"videos/*/tubes/0/boxes/{row}/{corner}"] = NUMBER
        FITTING[f"videos/*/frames/box/{row}/{corner}"] = NUMBER
    for name in ("frames/frame", "frames/person", "evaluated_frames"):
        FITTING[f"videos/*/{name}/{row}"] = {"whole"}
    FITTING[f"videos/*/frames/score/{row}"] = NUMBER


@pytest.mark.parametrize("kind", samples.DOCUMENTS)
def test_every_type_at_every_place(tmp_path: Path, kind: str) -> None:
    path, seen = tmp_path / "a.json", set()
    for place in places(samples.DOCUMENTS[kind]()):
        if place == ("format",):
            continue  # tested above
        pattern = "/".join("*" if key == samples.VIDEO else str(key) for key in place)
        for name, value in VALUES.items():
            samples.put(path, changed(samples.DOCUMENTS[kind](), place, value))
            if name in FITTING.get(pattern, set()):
                records.read(path)
                seen.add(pattern)
            else:
                refusal(path)
    assert len(seen) > 15  # the table is about these documents


def in_every_object(kind: str) -> Iterator[tuple]:
    for place in places(samples.DOCUMENTS[kind]()):
        part = samples.DOCUMENTS[kind]()
        for key in place:
            part = part[key]
        if isinstance(part, dict):
            yield place


OPTIONAL = {
    *("num_frames", "fps", "duration", "tubes", "frames", "segments", "ignore", "evaluated_frames"),
    *("box_scores", "person", samples.VIDEO),
}


@pytest.mark.parametrize("kind", samples.DOCUMENTS)
def test_missing_keys_are_named(tmp_path: Path, kind: str) -> None:
    path, refused = tmp_path / "a.json", 0
    for place in in_every_object(kind):
        part = samples.DOCUMENTS[kind]()
        for key in place:
            part = part[key]
        for key in part:
            samples.put(path, changed(samples.DOCUMENTS[kind](), (*place, key), ...))
            if key in OPTIONAL:
                records.read(path)
            else:
                error, refused = refusal(path), refused + 1
                assert type(error) is FormatError and re.search(rf"\b{key}\b|score", str(error)), str(error)
    assert refused >= 12


@pytest.mark.parametrize("kind", samples.DOCUMENTS)
def test_unknown_keys_are_named(tmp_path: Path, kind: str) -> None:
    objects = [place for place in in_every_object(kind) if place != ("videos",)]
    for place in objects:
        document = changed(samples.DOCUMENTS[kind](), (*place, "lable"), 1)
        error = refusal(samples.put(tmp_path / "a.json", document))
        assert type(error) is FormatError and "unknown key 'lable'" in str(error)
        assert ("tubes" in place) == (error.tube == 0) and ("segments" in place) == (error.segment == 0)
    assert len(objects) >= 5


@pytest.mark.parametrize("kind", samples.DOCUMENTS)
def test_doubled_keys_are_named(tmp_path: Path, kind: str) -> None:
    """Every key once more, everywhere: JSON's readers would silently keep the last."""
    text = json.dumps(samples.DOCUMENTS[kind](), ensure_ascii=False)
    spots = list(re.finditer(r'"([^"]+)": ', text))
    for match in spots:
        twice = f'{text[: match.start()]}"{match[1]}": null, {text[match.start() :]}'
        (tmp_path / "a.json").write_text(twice, encoding="utf-8")
        error = refusal(tmp_path / "a.json")
        assert type(error) is FormatError and f"key {match[1]!r} stands twice" in str(error)
    assert len(spots) >= 20


@pytest.mark.parametrize("kind", samples.DOCUMENTS)
def test_half_a_surrogate_pair_is_no_name(tmp_path: Path, kind: str) -> None:
    text = json.dumps(samples.DOCUMENTS[kind]()).replace("Basketball", "\\ud800")
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert "half a character" in str(refusal(tmp_path / "a.json"))


def test_a_class_named_twice(tmp_path: Path) -> None:
    document = samples.annotations_document() | {"classes": ["Basketball", "spare", "spare"]}
    assert "'spare' stands twice" in str(refusal(samples.put(tmp_path / "a.json", document)))


# ----------------------------------------------------------------------------------- growth, not time


class Name(str):
    """A string that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def comparisons(count: int) -> int:
    """How many comparisons of names it takes to read a document of ``count`` classes, boxes and videos."""
    from stad_lite.records.document import from_document

    def names(stem: str) -> list[str]:
        return [Name(f"{stem}{i}") for i in range(count)]

    frames = {"frame": [0] * count, "label": names("class"), "score": [0.5] * count, "box": [BOX] * count}
    videos: dict[str, Any] = {name: {} for name in names("video")}
    tubes = [{"label": Name(f"class{i}"), "score": 0.5, "start": 0, "boxes": [BOX]} for i in range(count)]
    segments = [{"label": Name(f"class{i}"), "score": 0.5, "start": 0, "end": 1} for i in range(count)]
    videos[Name("video0")] = {"frames": frames, "tubes": tubes, "segments": segments}
    Name.compared = 0
    from_document({"format": "stad-lite/predictions/1", "classes": names("class"), "videos": videos})
    return Name.compared


def test_reading_grows_with_the_file_and_no_faster() -> None:
    few, many = comparisons(100), comparisons(400)
    assert 0 < many <= 5 * few


def test_each_object_of_the_text_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from stad_lite.records import document

    calls: list[int] = []
    plain = document._no_doubles
    monkeypatch.setattr(document, "_no_doubles", lambda pairs: calls.append(len(pairs)) or plain(pairs))
    document.parse(json.dumps(samples.predictions_document()).encode())
    assert len(calls) == sum(1 for _ in in_every_object("predictions"))
