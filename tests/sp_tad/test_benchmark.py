"""The benchmark does what it says; what it measures is not looked at here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.bench_sp_tad import SMALL, WAYS, EndToEnd, interaction, line, matching, power
from stad_lite.data.source import VideoSource
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.sp_tad.config import Backbone, SpTadConfig
from stad_lite.sp_tad.system import detect
from stad_lite.sp_tad.windows import timeline

RGB = replace(
    SpTadConfig.smoke(Backbone("i3d", ("rgb",), width=0.0625, norm="group", crop=(32, 32))),
    size=(32, 32),
    fps=10.0,
)


@pytest.mark.parametrize("way", WAYS[:1] + WAYS[2:4])
def test_end_to_end_finds_what_detect_finds(way):
    torch.manual_seed(0)
    run = EndToEnd(RGB, torch.device("cpu"), classes=3, way=way)
    frames = np.random.default_rng(0).integers(0, 256, (96, 32, 32, 3), dtype=np.uint8)
    video = VideoAnnotation(num_frames=96, fps=10.0, duration=9.6)
    source = VideoSource(Annotations("toy", (), {"video": video}), (32, 32), lambda _, n: frames[n])
    windows = torch.from_numpy(np.stack([frames[:64], frames[32:]]).transpose(0, 4, 1, 2, 3).copy())
    run.line = timeline("video", 96, fps=10.0)
    ours, theirs = (found.videos["video"].segments for found in (run(windows), detect(run.system, source)))
    assert len(ours) == len(theirs) > 4
    for one, other in zip(ours, theirs, strict=True):
        assert (one.start, one.end, one.score) == pytest.approx(
            (other.start, other.end, other.score), rel=1e-4
        )


def test_curves_and_shares_are_there():
    assert power([1, 2, 4], [3.0, 6.0, 12.0]) == 1.0 and power([1, 2, 4], [3.0, 3.0, 3.0]) == 0.0
    assert line([1, 2, 4], [5.0, 7.0, 11.0]) == {"fixed, ms": 3.0, "ms each": 2.0, "largest error, %": 0.0}
    curves = interaction(SMALL)
    assert set(curves) == {
        f"{kind}, by {axis}" for kind in ("sparse", "global") for axis in ("proposals", "frames")
    }
    assert 0 < matching(SMALL, small=True)["smoke"]["share of the step, %"] < 100
