"""``render`` draws over a video that the test writes."""

from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.cli import main
from stad_lite.data import video
from stad_lite.records import Predictions, VideoPredictions
from stad_lite.tubes import Tube


def test_boxes_are_drawn_over_the_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = video.write(tmp_path / "clip.mp4", [np.full((64, 96, 3), 128, np.uint8)] * 6, 10.0)
    tube = Tube(0, np.tile([20.0, 10, 70, 50], (6, 1)), "run", 0.9)
    found = Predictions(("run",), {"clip": VideoPredictions(tubes=(tube,))})
    path = records.write(found, tmp_path / "found.json")
    out = tmp_path / "out.mp4"
    assert main(["render", str(clip), "--predictions", str(path), "--out", str(out)]) == 0
    plain, drawn = (np.asarray(video.read(name), float) for name in (clip, out))
    assert drawn.shape == plain.shape
    change = np.abs(drawn - plain).max(-1)
    assert change[3, 30, 19:22].max() > 20 > change[3, 30, 40:50].max()  # its left edge, not its middle


def test_a_file_that_is_no_video_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clip.mp4").write_text("no video", "utf-8")
    found = records.write(Predictions(("run",), {"clip": VideoPredictions(tubes=())}), tmp_path / "p.json")
    words = ["render", str(tmp_path / "clip.mp4"), "--predictions", str(found)]
    assert main([*words, "--out", str(tmp_path / "o.mp4")]) == 2
    assert "clip.mp4" in capsys.readouterr().err and not (tmp_path / "o.mp4").exists()
