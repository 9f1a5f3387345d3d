"""UCF Sports on a tiny tree of the published layout, and on the real one where it is."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from stad_lite.data import ucf_sports
from stad_lite.errors import FormatError, MissingFileError, UnknownLabelError, UnknownVideoError


def sequence(tree: Path, video: str, lines: list[str], first: int = 70133, step: int = 1) -> None:
    folder = tree / video / "gt"
    folder.mkdir(parents=True)
    for i, line in enumerate(lines):
        (folder / f"2538-5_{first + step * i}.tif.txt").write_text(line, "utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "ucf_sports"
    sequence(top, "Diving-Side/001", ["330\t66\t195\t307\tdiving"] * 2)
    sequence(top, "Lifting/001", ["10 20 30 500 lifting"] * 3, step=5)
    sequence(top, "Walk-Front/002", ["0 0 20 10 Kicking", "4 4 0 0 Kicking", "20 10 40 30 Kicking"], first=9)
    return tmp_path


def test_tree(tree: Path) -> None:
    record, report = ucf_sports.read_text(tree)
    assert list(record.videos) == ["Diving-Side/001", "Lifting/001", "Walk-Front/002"]
    assert [video.tubes[0].label for video in record.videos.values()] == ["Diving", "Lifting", "Walk"]
    assert record.videos["Diving-Side/001"].tubes[0].boxes[0].tolist() == [330, 66, 525, 373]
    # 9, 10, 11 in the order of numbers, not of names; the empty box lies half-way.
    assert record.videos["Walk-Front/002"].tubes[0].boxes.tolist() == [
        [0, 0, 20, 10], [10, 5, 40, 25], [20, 10, 60, 40]
    ]  # fmt: skip
    assert [video.height for video in record.videos.values()] == [404, 576, 404]
    assert report == [
        "frames whose word is not their folder's class, the folder taken: 3 (Walk-Front)",
        "sequences with gaps in the numbers of their frames, counted in order: 1 (Lifting/001)",
        "sequences without a clip, their frame size guessed from the boxes: 3 "
        "(Diving-Side/001, Lifting/001, Walk-Front/002)",
        "boxes of zero width or height, interpolated: 1 (Walk-Front/002)",
    ]


def test_archive_sizes_and_load(tree: Path) -> None:
    with tarfile.open(tree / "ucf_sports_gt.tar.gz", "w:gz") as archive:
        archive.add(tree / "ucf_sports", "ucf_sports")
    sizes = {"Diving-Side/001": (800, 600)}
    from_tree, _ = ucf_sports.read_text(tree, sizes)
    loaded, report = ucf_sports.load(tree, sizes)
    assert loaded == from_tree and loaded.videos["Diving-Side/001"].width == 800
    assert any("guessed from the boxes: 2" in sentence for sentence in report)


def test_bad_trees(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="gt/<frame>"):
        ucf_sports.read_text(tmp_path)
    sequence(tmp_path, "Jogging/001", ["1 2 3 4 x"])
    with pytest.raises(UnknownLabelError, match="folder Jogging"):
        ucf_sports.read_text(tmp_path)
    other = tmp_path / "b"
    sequence(other, "Lifting/001", ["1 2 3"])
    with pytest.raises(FormatError, match="the line is '1 2 3'"):
        ucf_sports.read_text(other)
    third = tmp_path / "c"
    sequence(third, "Lifting/001", ["1 2 0 0 lifting"])
    with pytest.raises(FormatError, match="video Lifting/001: no box of the sequence has an area"):
        ucf_sports.read_text(third)


def test_split_files(tree: Path) -> None:
    record = ucf_sports.read_text(tree).record
    path = tree / "list.txt"
    path.write_text("Lifting/001\n", "utf-8")
    assert ucf_sports.read_split(path, record) == (("Diving-Side/001", "Walk-Front/002"), ("Lifting/001",))
    path.write_text("Lifting/001 test\nWalk-Front/002 train\n", "utf-8")
    assert ucf_sports.read_split(path, record) == (("Walk-Front/002",), ("Lifting/001",))
    path.write_text("Lifting/001 test\nWalk-Front/002\n", "utf-8")
    with pytest.raises(FormatError, match="some lines name"):
        ucf_sports.read_split(path, record)
    path.write_text("Lifting/009\n", "utf-8")
    with pytest.raises(UnknownVideoError, match="line 1 names a video"):
        ucf_sports.read_split(path, record)
    path.write_text("Lifting/001 val\n", "utf-8")
    with pytest.raises(FormatError, match="line 1"):
        ucf_sports.read_split(path, record)


def test_our_split_is_disjoint_and_complete(tree: Path) -> None:
    record = ucf_sports.read_text(tree).record
    train, test = ucf_sports.our_split(record)
    assert sorted((*train, *test)) == sorted(record.videos) and test == ()


def test_real_files(stad_data: Path) -> None:
    folder = stad_data / "ucfsports"
    record, report = ucf_sports.load(folder)
    frames = sum(video.num_frames for video in record.videos.values())
    assert (len(record.videos), frames) == (ucf_sports.VIDEOS, ucf_sports.FRAMES)
    assert [sentence.rsplit(": ", 1)[1].split()[0] for sentence in report] == ["3573", "23", "150", "4"]
    arrays, _ = ucf_sports.read_arrays(folder / "ucfsports_boxes.npz", folder / "ucfsports_index.json")
    assert arrays == record
    train, test = ucf_sports.our_split(record)
    assert (len(train), len(test)) == (105, 45)
    assert {name.split("/")[0] for name in test} == set(ucf_sports.FOLDERS)
    # The same clip in the tubes of another tool: x, y, x + w, y + h.
    box = record.videos["Diving-Side/001"].tubes[0].boxes[0]
    np.testing.assert_array_equal(box, [330, 66, 525, 373])
