"""What convert may not touch: the clips it reads, files of others, and anything outside its target."""

from __future__ import annotations

import importlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from stad_lite.data import video as video_files
from stad_lite.errors import FormatError
from stad_lite.records import Annotations, VideoAnnotation, read_annotations
from stad_lite.tubes import Tube

pytest.importorskip("av")
common = importlib.import_module("common")
conversion = importlib.import_module("conversion")
WAYS = ("link", "copy", "index")


def clip(path: Path, frames: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return video_files.write(path, np.zeros((frames, 32, 32, 3), np.uint8))


def annotations(*names: str) -> Annotations:
    tubes = (Tube(0, np.array([[1.0, 1.0, 9.0, 9.0]] * 3), "Run"),)
    return Annotations("d", ("Run",), {name: VideoAnnotation(3, 32, 32, tubes=tubes) for name in names})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("through", ["itself", "a link to the folder", "a link", "a second name"])
def test_a_clip_that_lies_in_its_place_stays(tmp_path: Path, way: str, through: str) -> None:
    out, real = tmp_path / "set", tmp_path / "set" / "videos" / "a" / "b.mp4"
    if through == "a link":
        clip(tmp_path / "far.mp4")
        real.parent.mkdir(parents=True)
        real.symlink_to(tmp_path / "far.mp4")
    else:
        clip(real)
    source = real
    if through == "a link to the folder":
        (tmp_path / "way").symlink_to(out / "videos")
        source = tmp_path / "way" / "a" / "b.mp4"
    elif through == "a second name":
        source = tmp_path / "b.mp4"
        os.link(real, source)
    before = real.read_bytes(), real.is_symlink(), source.is_symlink()
    for again in range(2):  # the second time the folder has an index of its own
        conversion.convert(annotations("a/b"), {"a/b": source}, conversion.Plan(out, clips=way))
        assert (real.read_bytes(), real.is_symlink(), source.is_symlink()) == before, again
        assert len(read_annotations(out / "annotations.json.gz").videos) == 1
        assert conversion.verify_converted(out)
    other = clip(tmp_path / "c.mp4")
    conversion.convert(annotations("c"), {"c": other}, conversion.Plan(out, clips=way))
    assert real.read_bytes() == before[0] and source.read_bytes() == before[0]


@pytest.mark.parametrize("way", ["link", "copy"])
def test_the_file_of_another_is_not_replaced(tmp_path: Path, way: str) -> None:
    out, source = tmp_path / "out", clip(tmp_path / "from" / "a.mp4")
    other = clip(out / "videos" / "a.mp4", frames=7)
    before = other.read_bytes()
    with pytest.raises(FormatError, match="another file is in the clip's place; move it away"):
        conversion.convert(annotations("a"), {"a": source}, conversion.Plan(out, clips=way))
    assert other.read_bytes() == before and source.is_file()


@pytest.mark.parametrize("name", ["../../victim", "a/../../../victim", "TMP/victim", "..", "a//b", "a\nb"])
def test_no_id_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    source, name = clip(tmp_path / "from" / "a.mp4"), name.replace("TMP", str(tmp_path))
    (tmp_path / "victim.mp4").write_bytes(b"precious")
    for way in WAYS:
        plan = conversion.Plan(tmp_path / "x" / "out", clips=way)
        with pytest.raises(FormatError, match="cannot be that of a file below"):
            conversion.convert(annotations(name), {name: source}, plan)
    assert (tmp_path / "victim.mp4").read_bytes() == b"precious" and not (tmp_path / "x").exists()


def test_an_index_names_no_files_outside(tmp_path: Path) -> None:
    """An earlier index decides what is cleared away; one from elsewhere cannot name others' files."""
    out, victim = tmp_path / "out", tmp_path / "victim.mp4"
    victim.write_bytes(b"precious")
    out.mkdir()
    entries = {"x": {"file": "videos/../../victim.mp4"}, "y": {"file": f"videos//{victim}"}}
    (out / "clips.json").write_text(json.dumps({"format": conversion.FORMAT, "videos": entries}), "utf-8")
    conversion.convert(annotations("a"), {"a": clip(tmp_path / "a.mp4")}, conversion.Plan(out))
    assert victim.read_bytes() == b"precious"


def test_the_command_on_a_published_folder(tmp_path: Path) -> None:
    """--from DIR/videos --out DIR: the clips are where the folder wants them."""
    home = tmp_path / "ucf"
    boxes = np.array([[11, 21, 10, 5]] * 3, np.uint8)
    entry = {"numf": 3, "label": 0, "annotations": [{"sf": 0, "ef": 3, "label": 0, "boxes": boxes}]}
    source = clip(home / "videos" / "Basketball" / "v_1.mp4")
    (home / "videos" / "pyannot.pkl").write_bytes(pickle.dumps({"Basketball/v_1": entry}))
    before = source.read_bytes()
    words = ["convert", "--from", str(home / "videos"), "--out", str(home)]
    assert common.main(importlib.import_module("ucf101_24").DATASET, words) == 0
    assert source.read_bytes() == before and not source.is_symlink()
    assert conversion.verify_converted(home)
