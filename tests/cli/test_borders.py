"""Outputs and inputs are kept apart, and what cannot be shown or scored is told in sentences."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.cli import main
from stad_lite.cli.output import claim
from stad_lite.data import video
from stad_lite.errors import FormatError
from stad_lite.plots.render import render_video
from stad_lite.records import Annotations, Predictions, VideoAnnotation, VideoPredictions
from stad_lite.records.files import keep_apart
from stad_lite.tubes import Tube
from tests.data.field_files import pictures

BOXES = np.tile([8.0, 4, 24, 12], (5, 1))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A video, its truth and predictions for it, side by side."""
    video.write(tmp_path / "a.mp4", pictures(5), 10.0)
    tube = Tube(0, BOXES, "run")
    truth = Annotations("own", ("run",), {"a": VideoAnnotation(5, 64, 48, 10.0, tubes=(tube,))})
    found = Predictions(("run",), {"a": VideoPredictions(tubes=(Tube(0, BOXES, "run", 0.5),))})
    records.write(truth, tmp_path / "annotations.json")
    records.write(found, tmp_path / "p.json")
    return tmp_path


VERBS = {
    "render": (
        "render a.mp4 --predictions p.json --truth annotations.json --out",
        "a.mp4 p.json annotations.json",
    ),
    "convert": ("convert annotations.json OUT --from records", "annotations.json"),
    "link": ("link --predictions p.json --method online --out", "p.json"),
    "stream": ("stream run a.mp4 --render", "a.mp4"),
    "evaluate": (
        "evaluate --truth annotations.json --predictions p.json --metric video-map --json",
        "annotations.json p.json",
    ),
}


@pytest.mark.parametrize("verb", list(VERBS))
def test_no_verb_writes_onto_its_inputs(files: Path, monkeypatch, capsys, verb: str) -> None:
    monkeypatch.chdir(files)
    line, inputs = VERBS[verb]
    (files / "link.json").symlink_to(files / "annotations.json")
    names = inputs.split() + (["link.json"] if "annotations" in inputs else [])
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    for name in names:
        for spelling in (name, f"./{name}", str(files / name)):
            words = line.replace("OUT", spelling).split() + ([] if "OUT" in line else [spelling])
            assert main(words) == 2
            assert "would replace its own input" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_the_library_refuses_too(files: Path) -> None:
    for out in (files / "a.mp4", files / "p.json"):
        with pytest.raises(FormatError, match="own input"):
            render_video(files / "a.mp4", files / "p.json", out)
    keep_apart(files / "new.mp4", files / "a.mp4", files / "gone.mp4")


def test_what_is_replaced_is_told(files: Path, capsys) -> None:
    out = files / "q.json"
    line = ["convert", str(files / "annotations.json"), str(out), "--from", "records"]
    assert main(line) == 0 and "is replaced" not in capsys.readouterr().out
    assert main(line) == 0 and f"note: {out} is replaced" in capsys.readouterr().out
    claim(None, out)
    claim("-", out)


@pytest.mark.parametrize("levels", [["0.2", "0.5:0.95"], ["0.2,0.5:0.95"], ["0.2", "0.5:0.7", "0.75:0.95"]])
def test_thresholds_are_numbers_and_ranges_in_any_words(files: Path, levels, capsys) -> None:
    out = files / "r.json"
    pair = ["--truth", str(files / "annotations.json"), "--predictions", str(files / "p.json")]
    line = ["evaluate", *pair, "--metric", "video-map"]
    assert main([*line, "--json", str(out), "--iou", *levels]) == 0
    assert len(json.loads(out.read_text("utf-8"))["iou"]) == 11
    for bad in (["x"], ["0.2", "a:b"], ["0.5", "0.5"], ["2"]):
        capsys.readouterr()
        assert main([*line, "--iou", *bad]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("metric", ["video-map", "frame-map", "errors", "v-mabo"])
def test_figures_that_there_are_not_are_dashes(files: Path, capsys, metric: str) -> None:
    empty = Annotations("own", ("run",), {"a": VideoAnnotation(5, 64, 48, 10.0, tubes=())})
    records.write(empty, files / "none.json")
    pair = ["--truth", str(files / "none.json"), "--predictions", str(files / "p.json")]
    assert main(["evaluate", *pair, "--metric", metric, "--per-class"]) == 0
    told = capsys.readouterr().out
    assert "nan" not in told and "no class that counts has a truth" in told


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_utf_8_gets_numbers(files: Path, encoding: str) -> None:
    name = "跑步 🏃"
    truth = Annotations(name, (name,), {name: VideoAnnotation()})
    records.write(truth, files / "t.json")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for words in (["check", str(files / "t.json")], ["check", str(files / "跑.json")]):
        run = subprocess.run(
            [sys.executable, "-m", "stad_lite.cli", *words], env=environment, capture_output=True, check=False
        )
        told = (run.stdout + run.stderr).decode(encoding)
        assert "Traceback" not in told and "\\u8dd1" in told


def test_json_on_such_a_terminal_is_json(monkeypatch) -> None:
    from stad_lite.cli.output import write_json

    sink = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", sink)
    write_json({"name": "跑步 🏃"}, "-")
    sink.flush()
    assert json.loads(sink.buffer.getvalue()) == {"name": "跑步 🏃"}  # type: ignore[attr-defined]
