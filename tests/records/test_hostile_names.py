"""Ids and classes that would lead out of a folder, join two files or add lines to a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stad_lite.errors import FormatError, StadError
from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    Segment,
    VideoAnnotation,
    VideoPredictions,
    exchange,
)
from stad_lite.records.files import below, safe_name, write_folder
from stad_lite.tubes import Tube

LEADING_OUT = [
    "../victim", "../../victim", "a/../../victim", "/tmp/victim", "a/..", "..", ".", "", "/", "a//b", "a/",
    "/a", "a\\..\\..\\victim", "a\0b", "a\nb", "a" * 300, "./a", "a/./b",
]  # fmt: skip
BOX = np.array([[1.0, 2.0, 9.0, 9.0]])


def record(video: str, label: str = "Run", kind: str = "predictions") -> Annotations | Predictions:
    tubes = (Tube(0, BOX, label, 0.5 if kind == "predictions" else None),)
    segments = (Segment(label, 0.0, 1.0, 0.5 if kind == "predictions" else None),)
    scores = np.array([0.5]) if kind == "predictions" else None
    frames = FrameBoxes(np.array([0]), np.array([0]), BOX, scores)
    if kind == "predictions":
        return Predictions((label,), {video: VideoPredictions(tubes=tubes, frames=frames, segments=segments)})
    about = VideoAnnotation(9, 20, 20, 25.0, 0.36, tubes=tubes, frames=frames, segments=segments)
    return Annotations("d", (label,), {video: about})


@pytest.mark.parametrize("name", LEADING_OUT)
def test_no_name_leads_out_of_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match="cannot be that of a file below"):
        below(tmp_path, name)
    safe = (tmp_path / f"{safe_name(name, folders=True)}.jpg").resolve()
    assert safe.is_relative_to(tmp_path.resolve()) and safe != tmp_path.resolve()


def test_names_of_files_stay_as_they_are(tmp_path: Path) -> None:
    for name in ("a", "run/v_Run_g01.c2", "投/é b", "...", "..a", "a..", "a:b", "$x", "-rf"):
        assert below(tmp_path, name, ".mp4") == tmp_path / f"{name}.mp4"


@pytest.mark.parametrize(("format", "kind"), exchange.WRITERS)
def test_no_writer_leaves_its_target(tmp_path: Path, format: str, kind: str) -> None:
    """Whatever a video or class is called: all that is new lies in the target, or nothing does."""
    classes = [*LEADING_OUT, "Ambiguous", "a/b", "a:b", "con"]
    names = [(video, "Run") for video in [*LEADING_OUT, "x y", "x,y", "x 0 1\nz 0 1", "a\u2028b"]]
    for number, (video, label) in enumerate([*names, *(("Run/a", label) for label in classes)]):
        home = tmp_path / str(number) / "deep" / "er"
        home.mkdir(parents=True)
        options = {"actions": {1: label}} if format == "ava" else {}
        options |= {"videos": [video]} if format == "act-frames" else {}
        if (format, kind) == ("thumos14", "predictions"):
            options["class_ids"] = {7: label}
        try:
            exchange.write(record(video, label, kind), home / "out", format, **options)
        except StadError:
            assert not list(home.iterdir())
        files = {path for path in (tmp_path / str(number)).rglob("*") if path.is_file()}
        assert all(path.is_relative_to(home / "out") for path in files), (video, label, files)


@pytest.mark.parametrize("video", ["x y", "x 0 1\nz", "x\u2028z", " x", "x\t"])
def test_an_id_adds_no_lines_to_a_table(tmp_path: Path, video: str) -> None:
    for kind in ("annotations", "predictions"):
        with pytest.raises(FormatError, match=r"cannot stand here|the id holds one"):
            exchange.write(record(video, "Diving", kind), tmp_path / "out", "thumos14")


@pytest.mark.parametrize("video", ["x,1,0,0,1,1,1", "x\nz", "x\u2028z", " x", '"x"', "video_id"])
def test_an_id_adds_no_fields_to_a_csv(tmp_path: Path, video: str) -> None:
    for kind in ("annotations", "predictions"):
        with pytest.raises(FormatError, match=r"cannot stand here|the id holds one"):
            exchange.write(record(video, "Run", kind), tmp_path / "out", "ava", actions={1: "Run"})


def test_two_ids_never_share_a_file(tmp_path: Path) -> None:
    boxes = VideoPredictions(frames=FrameBoxes(np.array([0]), np.array([0]), BOX, np.array([0.5])))
    twins = Predictions(("A", "A_B"), {"A/B_c": boxes, "A_B/c": boxes})
    with pytest.raises(FormatError, match=r"two files would be called A_B_c_00001\.txt"):
        exchange.write(twins, tmp_path / "out", "yowo")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FormatError, match="a class is called Ambiguous"):
        exchange.write(record("a", "Ambiguous", "annotations"), tmp_path / "out", "thumos14")


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    """Stopped after any of its files, it is not there; what is there already is never added to."""
    contents = [(f"{i}/a.txt", b"x") for i in range(4)]

    def stopped(after: int) -> Iterator[tuple[str, bytes]]:
        for number, pair in enumerate(contents):
            if number == after:
                raise KeyboardInterrupt
            yield pair

    for after in range(4):
        with pytest.raises(KeyboardInterrupt):
            write_folder(tmp_path / "out", stopped(after))
        assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    assert len(write_folder(tmp_path / "out", contents)) == 4 and len(list(tmp_path.iterdir())) == 1
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.txt")}
    (tmp_path / "file").write_bytes(b"kept")
    for target in ("out", "file"):
        with pytest.raises(FormatError, match="something is there already"):
            write_folder(tmp_path / target, [("other.txt", b"y")])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.txt")} == before
    assert (tmp_path / "file").read_bytes() == b"kept"
