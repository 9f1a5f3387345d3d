"""The papers' systems on the command line: train, again, a short plain video, a set, a score."""

from __future__ import annotations

import numpy as np
import pytest

from stad_lite import records
from stad_lite.cli import main
from stad_lite.data import video


@pytest.mark.parametrize(
    ("system", "metric"),
    [
        ("step", "video-map"),
        ("sp_tad", "temporal-map"),
        ("pcsc", "video-map"),
        ("cfad", "video-map"),
        ("flow_subnet", "video-map"),
    ],
)
def test_from_training_to_a_score(system, metric, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path / "cache"))
    run, out, truth = tmp_path / "run", tmp_path / "p.json", tmp_path / "t.json"
    line = ["train", system, "--profile", "smoke", "--out", str(run), "--device", "cpu"]
    line += ["--set", "train.steps=2", "--set", "data.clips=2"]
    assert main(line) == 0
    assert f"{run / 'checkpoints' / 'last.pt'}: 2 steps are done" in capsys.readouterr().out
    assert main(line) == 0
    assert f"{run} is finished: 2 of 2 steps are done" in capsys.readouterr().out

    frames = np.random.default_rng(0).integers(0, 255, (3, 60, 80, 3), dtype=np.uint8)
    short = video.write(tmp_path / "short.mp4", frames, 10.0)  # less than a clip or a window
    predict = ["predict", str(run), "--out", str(out), "--device", "cpu"]
    assert main([*predict, str(short), "--render", str(tmp_path / "drawn.mp4")]) == 0
    (found,) = records.read_predictions(out).videos.values()
    for tube in found.tubes or ():
        assert 0 <= tube.start < tube.end <= 3 and tube.boxes[:, 2].max() <= 80
    for segment in found.segments or ():
        assert 0 <= segment.start < segment.end <= 0.3
    assert video.probe(tmp_path / "drawn.mp4").num_frames == 3

    assert main([*predict, "synthetic", "--set", "data.clips=2", "--truth", str(truth)]) == 0
    known = records.read_annotations(truth)
    assert all(one.tubes for one in known.videos.values())
    score = ["evaluate", "--truth", str(truth), "--predictions", str(out), "--metric", metric]
    assert main(score) == 0
    count = sum(len(one.tubes) for one in known.videos.values())
    assert f"{metric}, convention sound: 2 videos, {count} truths" in capsys.readouterr().out


def test_segments_of_the_truth_are_those_of_its_tubes(tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path / "cache"))
    run, truth = tmp_path / "run", tmp_path / "t.json"
    settings = ["--set", "train.steps=1", "--set", "data.clips=1"]
    assert (
        main(["train", "sp_tad", "--profile", "smoke", "--out", str(run), "--device", "cpu", *settings]) == 0
    )
    line = ["predict", str(run), "synthetic", "--out", str(tmp_path / "p.npz"), "--truth", str(truth)]
    assert main([*line, "--device", "cpu", "--set", "data.clips=2"]) == 0
    for one in records.read_annotations(truth).videos.values():
        wanted = [(t.label, t.start / one.fps, t.end / one.fps) for t in one.tubes]
        assert [(s.label, s.start, s.end) for s in one.segments] == [
            (label, pytest.approx(start), pytest.approx(end)) for label, start, end in wanted
        ]
