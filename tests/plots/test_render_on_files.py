"""What is drawn lies on the file: at its seconds, in its pixels, in letters that can be read."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.cli import main
from stad_lite.data import video
from stad_lite.errors import FormatError
from stad_lite.plots import fonts, render
from stad_lite.plots.render import render_video, text_mask
from stad_lite.records import Annotations, FrameBoxes, Predictions, VideoAnnotation, VideoPredictions
from tests.data.field_files import at_times

DARK = np.full((48, 64, 3), 20, np.uint8)
SHARES = np.tile([0.25, 0.25, 0.75, 0.75], (2, 1))


def boxes(frames: list[int], scored: bool = False) -> FrameBoxes:
    return FrameBoxes(np.array(frames), np.zeros(2, int), SHARES, np.full(2, 0.5) if scored else None)


def drawn(path: Path) -> list[int]:
    changed = [np.abs(image.astype(int) - 20).max() > 60 for image in video.read(path)]
    return np.flatnonzero(changed).tolist()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return video.write(tmp_path / "a.mp4", [DARK] * 60, 10.0)


@pytest.mark.parametrize(("rate", "frames"), [(1.0, [2, 4]), (1e6, [2_000_000, 4_000_000]), (2.0, [4, 8])])
def test_boxes_of_seconds_are_drawn_at_their_second(clip: Path, tmp_path: Path, rate, frames) -> None:
    truth = Annotations("ava", ("run",), {"a": VideoAnnotation(None, 1, 1, rate, frames=boxes(frames))})
    found = Predictions(("run",), {"a": VideoPredictions(frames=boxes(frames, True), fps=rate)})
    for record, size in ((truth, None), (truth, (1, 1)), (found, (1, 1))):
        out = render_video(clip, record, tmp_path / "r.mp4", size=size)
        assert drawn(out) == [20, 40]
        rim = np.abs(video.read(out, [20])[0].astype(int) - 20).max(2) > 60
        assert rim[12:36, 16].all() and rim[35, 16:48].all()  # 0.25 to 0.75 of 64 x 48
    with pytest.raises(FormatError, match="look like shares"):
        render_video(clip, found, tmp_path / "r.mp4")


def test_seconds_are_those_of_the_time_stamps(tmp_path: Path) -> None:
    late = at_times(tmp_path / "a.mp4", [2 + 0.5 * i for i in range(12)], sound_from=0.0)
    before = video.read(late)
    truth = Annotations("ava", ("run",), {"a": VideoAnnotation(None, 1, 1, 1.0, frames=boxes([3, 5]))})
    after = video.read(render_video(late, truth, tmp_path / "r.mp4"))
    moved = [np.abs(one.astype(int) - two).mean() > 2 for one, two in zip(before, after, strict=True)]
    assert np.flatnonzero(moved).tolist() == [2, 6]


def test_boxes_of_another_size_are_scaled_by_the_record(clip: Path, tmp_path: Path) -> None:
    wide = FrameBoxes(np.array([1, 1]), np.zeros(2, int), SHARES * [640, 480, 640, 480])
    truth = Annotations("own", ("run",), {"a": VideoAnnotation(60, 640, 480, 10.0, frames=wide)})
    rim = (
        np.abs(video.read(render_video(clip, truth, tmp_path / "r.mp4"), [1])[0].astype(int) - 20).max(2) > 60
    )
    assert rim[12:36, 16].all() and not rim[:, 50:].any()


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (-3, 4)])
def test_a_size_that_cannot_be(clip: Path, tmp_path: Path, size, capsys) -> None:
    record = tmp_path / "t.json"
    records.write(Predictions(("run",), {"a": VideoPredictions()}), record)
    line = ["render", str(clip), "--predictions", str(record), "--out", str(tmp_path / "r.mp4")]
    assert main([*line, "--size", *map(str, size)]) == 2
    assert f"the size is {size[0]} x {size[1]}" in capsys.readouterr().err


def test_dollars_are_letters() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in ("$100", "$x$", "a$b_c$d", r"\frac$", "100 % ^_^"):
            assert text_mask(text, 20).max() > 0.5
    wide, narrow = text_mask("$xxxxxxxx$", 20), text_mask("xxxxxxxx", 20)
    assert wide.shape[1] > narrow.shape[1]


def test_letters_that_no_font_has_are_told_once(monkeypatch) -> None:
    monkeypatch.setattr(fonts, "_font_of", lambda letter: None if letter == "红" else fonts.FONT)
    fonts._tell.cache_clear()
    with pytest.warns(UserWarning, match="no installed font has 红") as caught:
        assert fonts.fonts_for("红 run") == ("\\u7ea2 run", [fonts.FONT])
        fonts.fonts_for("红")
    assert len(caught) == 1
    monkeypatch.setattr(fonts, "_font_of", lambda letter: "Chinese" if letter == "红" else fonts.FONT)
    assert fonts.fonts_for("红 run") == ("红 run", [fonts.FONT, "Chinese"])


def test_a_label_of_any_letters_gives_sentences_and_no_warnings(clip: Path, tmp_path: Path, capfd) -> None:
    for name in ("跑步", "عدو", "🏃", "run\n2", "$5"):
        found = Predictions((name,), {"a": VideoPredictions(frames=boxes([2, 4], True))})
        records.write(found, tmp_path / "t.json")
        render.text_mask.cache_clear()
        line = ["render", str(clip), "--predictions", str(tmp_path / "t.json"), "--size", "1", "1"]
        assert main([*line, "--out", str(tmp_path / "r.mp4")]) == 0
        told = capfd.readouterr().err
        assert "Warning" not in told and "Traceback" not in told
        assert all(line.startswith("note: ") for line in told.splitlines())
