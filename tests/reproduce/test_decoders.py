"""Two decoders compared: what is counted, and what is said where the data is not there."""

from __future__ import annotations

import numpy as np
import pytest

from stad_lite.data import video
from stad_lite.data.synthetic import Settings
from stad_lite.reproduce import decoders

pytest.importorskip("cv2")


@pytest.fixture
def file(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (5, 32, 48, 3), dtype=np.uint8)
    return video.write(tmp_path / "a.mp4", frames)


def test_all_frames_are_read_by_both(file):
    for read in decoders.DECODERS.values():
        assert read(file).shape == (5, 32, 48, 3) and read(file, size=(16, 24)).shape == (5, 16, 24, 3)
    assert decoders.opencv(file.with_name("gone.mp4")).shape == (0, 1, 1, 3)


def test_differences_are_counted(file, monkeypatch):
    one = video.read(file).clip(0, 250)
    other = one[:4].copy()
    other[0, 0, 0, 0] += 5
    both = {"one": lambda path, size: one, "other": lambda path, size: other}
    monkeypatch.setattr(decoders, "DECODERS", both)
    told = decoders.pixels({"a": file})
    assert told["other_length"] == 1 and told["frames"] == 4 and told["largest"] == 5
    assert told["mean"] == pytest.approx(5 / other.size)
    assert told["equal"] == pytest.approx(100 * (1 - 1 / other.size))


def test_without_the_data_a_line_says_what_fetches_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STAD_DATA", str(tmp_path))
    assert decoders.main([]) == 2
    assert "data_scripts/jhmdb21.py download" in capsys.readouterr().err


def test_the_detector_looks_at_each(tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    monkeypatch.setattr(decoders, "settings", lambda profile: Settings.smoke())
    monkeypatch.setattr(decoders.cfad, "detect", lambda system, source: source)

    def seen(truth, source):
        (name,) = source.videos
        return {"sum": int(source.frames(name, [0]).sum()), "size": source.frames(name, [0]).shape[1:3]}

    monkeypatch.setattr(decoders, "tube_scores", seen)
    found = decoders.scores(1)
    assert list(found) == ["as rendered", "PyAV", "OpenCV"]
    assert found["as rendered"]["size"] == found["PyAV"]["size"] == found["OpenCV"]["size"]
    assert found["as rendered"]["sum"] != found["PyAV"]["sum"]
