"""Every system trains and predicts in bfloat16, of which numpy knows nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite import runs
from stad_lite.arrays import as_numpy, suppress
from stad_lite.boxes import iou
from stad_lite.catalogue import ENTRIES
from stad_lite.records import Predictions
from stad_lite.segments import soft_nms
from stad_lite.training import checkpoint, run_folder


def scores(found: Predictions) -> list[float]:
    """All scores, best first."""
    videos = found.videos.values()
    boxes = [score for video in videos if video.frames is not None for score in video.frames.score]
    return sorted(boxes + [one.score for video in videos for one in video.segments or ()], reverse=True)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_step_and_a_prediction(name, tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path / "cache"))
    texts = {"train.amp": "true", "train.steps": "1", "data.clips": "2", "model.min_score": "0"}
    spec = runs.make_spec(name, "smoke", texts)
    runs.train(spec, tmp_path / "run", device="cpu", say=lambda _: None)
    (line,) = run_folder.read_metrics(tmp_path / "run")
    assert 0 < line["loss"] < np.inf
    state = checkpoint.read(tmp_path / "run" / "checkpoints" / "last.pt")["network"]
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}
    system, spec = runs.load(tmp_path / "run", device="cpu")
    clips = spec.data.open(spec.model.size)
    with torch.autocast("cpu", torch.bfloat16):
        found = scores(runs.predict(system, spec.entry, clips))
    exact = scores(runs.predict(system, spec.entry, clips))
    assert found and found[0] != exact[0] and found[0] == pytest.approx(exact[0], abs=0.05)


def test_what_goes_to_numpy():
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 3], [9, 9, 11, 11]]).bfloat16()
    grades = torch.tensor([0.9, 0.8, 0.7]).bfloat16()
    assert suppress(boxes, grades, 0.5, iou).tolist() == [0, 2]
    assert soft_nms(boxes[:, ::2].contiguous(), grades, 0.5)[0].tolist() == [0, 2, 1]
    assert as_numpy(grades).dtype == np.float32 and as_numpy(grades.half()).dtype == np.float16
