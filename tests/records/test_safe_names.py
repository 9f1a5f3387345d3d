"""Names of files that every platform takes."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stad_lite.data import features, frame_cache, video
from stad_lite.records import Annotations, FrameBoxes, VideoAnnotation
from stad_lite.records.exchange import yowo
from stad_lite.records.files import LONGEST_NAME, safe_name

ODD = [
    'what: now?/a<b>|"c"*',
    "con/nul.x",
    "end./blank ",
    "back\\slash",
    "..",
    "100%/x%2Fy",
    "Run/lpt1",
    "aux .x",
]


def refused(part: str) -> bool:
    """Windows' own rules for one part of a path, told by pathlib where it knows them."""
    odd = set('<>:"/\\|?*') & set(part) or any(ord(letter) < 32 for letter in part)
    return bool(odd or part.endswith((".", " ")) or PureWindowsPath(part).is_reserved())


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40) | st.sampled_from(ODD))
def test_any_text_makes_a_name_and_comes_back(name: str) -> None:
    assert not refused(safe_name(name)) and unquote(safe_name(name)) == name
    inside = safe_name(name, folders=True)  # an empty part would lead out of the folder
    assert unquote(inside) == name
    assert all(part and not refused(part) and len(part) <= LONGEST_NAME for part in inside.split("/"))


def test_long_names_are_cut_and_stay_apart() -> None:
    one, other = safe_name("?" * 400), safe_name("?" * 401)
    assert one != other and len(one) == len(other) == LONGEST_NAME


def test_plain_names_stay_as_they_are() -> None:
    for name in ("v_Basketball_g01_c01", "video_test_0000004", "-5KQ66BBWC4", "April 09 (1)", "été"):
        assert safe_name(name) == name


@pytest.mark.parametrize("form", ["jpg", "npz"])
def test_the_cache_takes_any_video(form: str, tmp_path: Path) -> None:
    pytest.importorskip("av")
    frames = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 3), dtype=np.uint8)
    clip = video.write(tmp_path / "clip.mp4", frames, 10.0)
    cache = frame_cache.build_cache(dict.fromkeys(ODD, clip), tmp_path / "cache", form=form)
    assert [len(cache.read(name)) for name in ODD] == [2] * len(ODD)
    made = [path.relative_to(tmp_path / "cache") for path in (tmp_path / "cache").rglob("*")]
    assert len(made) > len(ODD) and not any(refused(part) for path in made for part in path.parts)


def test_features_and_tables_of_frames_take_any_video(tmp_path: Path) -> None:
    for name in ODD:
        path = features.write_features(tmp_path / "features", name, [np.zeros((1, 2))], [8], 16, 25.0)
        assert path.is_file() and not refused(path.name)
    box = FrameBoxes(np.array([0]), np.array([0]), np.array([[1.0, 2, 3, 4]]))
    odd = VideoAnnotation(3, 320, 240, frames=box)
    record = Annotations("x", ("what: now?",), {"what: now?/a<b>": odd})
    (path,) = yowo.write_ground_truth(record, tmp_path / "frames")
    assert not refused(path.name)
    read = yowo.read_ground_truth(tmp_path / "frames", record.classes).record
    assert re.sub(r"\W", "", next(iter(read.videos))) == "whatnowab"
