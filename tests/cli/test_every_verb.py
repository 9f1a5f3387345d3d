"""Each verb of the command line is run once at smoke, on what the ones before it wrote."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.cli import VERBS, main


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("verbs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAD_CACHE", str(folder / "cache"))
        patch.setenv("STAD_PROGRESS", "0")
        yield folder


def run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def made(place: Path) -> dict[str, Path]:
    """What ``train`` and ``predict`` left: a run, predictions, their truth and a video with its boxes."""
    out = {name: place / file for name, file in {
        "run": "run", "predictions": "p.json", "truth": "t.json", "video": "v.mp4"}.items()}  # fmt: skip
    small = ("--set", "train.steps=1", "--set", "data.clips=1", "--set", "train.batch=1")
    run("train", "baseline", "--profile", "smoke", "--out", out["run"], "--device", "cpu", *small)
    run(
        "predict", out["run"], "synthetic", "--out", out["predictions"], "--truth", out["truth"],
        "--render", out["video"], "--set", "data.clips=1", "--set", "model.min_score=0", "--device", "cpu",
    )  # fmt: skip
    return out


def pickle_of_tubes(folder: Path) -> Path:
    """A folder of UCF101-24 with three videos."""
    folder.mkdir()
    boxes = np.array([[20, 20, 40, 60]] * 30, np.uint8)
    tube = {"sf": 0, "ef": 30, "label": 0, "boxes": boxes}
    names = [f"Basketball/v_Basketball_g0{n}_c01" for n in (1, 2, 3)]
    table = {name: {"numf": 30, "label": 0, "annotations": [tube]} for name in names}
    (folder / "pyannot.pkl").write_bytes(pickle.dumps(table))
    (folder / "testlist01.txt").write_text(f"{names[0]}\n", "utf-8")
    return folder


def test_train(made):
    assert (made["run"] / "checkpoints" / "last.pt").is_file()


def test_predict(made):
    found, truth = records.read_predictions(made["predictions"]), records.read_annotations(made["truth"])
    assert found.videos.keys() == truth.videos.keys() and len(found.videos) == 1


def test_check(made, capsys):
    run("check", made["predictions"])
    assert "sound; a record file, predictions: 1 videos" in capsys.readouterr().out


def test_evaluate(made, place):
    run("evaluate", "--truth", made["truth"], "--predictions", made["predictions"], "--metric", "frame-map",
        "--iou", "0.5", "--json", place / "e.json")  # fmt: skip
    assert 0 <= json.loads((place / "e.json").read_text("utf-8"))["iou"]["0.5"] <= 100


def test_link(made, place):
    run("link", "--predictions", made["predictions"], "--method", "online", "--out", place / "linked.json")
    assert records.read_predictions(place / "linked.json").videos.keys()


def test_convert(made, place):
    run("convert", made["truth"], place / "t.npz", "--from", "records")
    assert records.read_annotations(place / "t.npz") == records.read_annotations(made["truth"])


def test_render(made, place):
    run("render", made["video"], "--predictions", made["predictions"], "--out", place / "drawn.mp4",
        "--id", next(iter(records.read_predictions(made["predictions"]).videos)))  # fmt: skip
    assert (place / "drawn.mp4").stat().st_size > 0


def test_oracles(place):
    run("oracles", "ucf101-24", "--data", pickle_of_tubes(place / "ucf"), "--json", place / "o.json")
    assert json.loads((place / "o.json").read_text("utf-8"))


@pytest.mark.parametrize("name", ["baseline", "spynet"])
def test_profile(name, place):
    run("profile", name, "--profile", "smoke", "--device", "cpu", "--rounds", 1, "--seconds", 1,
        "--json", place / f"{name}.json")  # fmt: skip
    assert json.loads((place / f"{name}.json").read_text("utf-8"))["total"] > 0


def test_stream(made, place):
    folder = place / "streamed"
    run("train", "flow_subnet", "--profile", "smoke", "--out", folder, "--device", "cpu", "--set",
        "train.steps=1", "--set", "data.clips=1", "--set", "model.pretrained=")  # fmt: skip
    run("stream", folder, made["video"], "--device", "cpu", "--render", place / "streamed.mp4")
    assert (place / "streamed.mp4").stat().st_size > 0


def test_reproduce(place):
    run("reproduce", "flow:dis", "--profile", "smoke", "--seeds", 1, "--out", place / "sweeps")
    (row,) = json.loads((place / "sweeps" / "flow-smoke.json").read_text("utf-8"))["runs"]
    assert row["variant"] == "dis" and row["figures"]


def test_no_verb_is_without_a_run():
    run_here = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert set(VERBS) <= run_here, "run the verb once above"
