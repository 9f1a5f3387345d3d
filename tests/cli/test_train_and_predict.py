"""``train`` and ``predict`` as a user meets them: begin, resume, finish, refuse, and what comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stad_lite import records, runs
from stad_lite.baselines import system as pipeline
from stad_lite.catalogue import ENTRIES, PROFILES, find
from stad_lite.cli import main
from stad_lite.data import video
from stad_lite.data.source import DataConfig
from stad_lite.errors import FormatError
from stad_lite.metrics import evaluate
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.training import loop, run_folder
from stad_lite.tubes import Tube
from tests.training.test_distributed import torchrun

SETTINGS = {
    "train.steps": "6", "train.batch": "2", "train.checkpoint_every": "2", "train.log_every": "2",
    "model.channels": "8,8,8", "model.hidden": "8", "data.clips": "2", "model.min_score": "0.0",
}  # fmt: skip


def words(out: Path, data: str = "synthetic", **changes: str) -> list[str]:
    settings = SETTINGS | {key.replace("__", "."): text for key, text in changes.items()}
    line = ["train", "baseline", "--profile", "smoke", "--data", data, "--out", str(out), "--device", "cpu"]
    return [*line, *(part for pair in settings.items() for part in ("--set", "=".join(pair)))]


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that nothing stopped."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert main(words(run)) == 0
    return run


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two videos with their record."""
    folder = tmp_path_factory.mktemp("own")
    for number, name in enumerate(("b", "a")):
        frames = np.random.default_rng(number).integers(0, 255, (8, 60, 80, 3), dtype=np.uint8)
        video.write(folder / f"{name}.mp4", frames, 10.0)
    tube = Tube(1, np.tile([10.0, 10, 40, 50], (6, 1)), "run")
    entry = VideoAnnotation(8, 80, 60, 10.0, 0.8, tubes=(tube,))
    record = Annotations("own", ("run", "jump"), dict.fromkeys(("b", "a"), entry))
    records.write(record, folder / "annotations.json")
    return folder


def refusal(capsys: pytest.CaptureFixture[str], *line: str) -> str:
    assert main(line) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "Traceback" not in told
    return told


def last(run: Path) -> dict:
    return torch.load(run / "checkpoints" / "last.pt", weights_only=True)


def test_what_a_run_leaves(trained):
    state = last(trained)
    assert state["step"] == 6 and state["config"]["batch"] == 2
    spec = runs.read_spec(trained)
    assert spec.system == "baseline" and spec.model.channels == (8, 8, 8) and len(spec.classes) == 6
    assert spec.data.clips == 2 and spec.train.epochs == 0
    assert [line["step"] for line in run_folder.read_metrics(trained)] == [2, 4, 6]


def test_the_same_line_again_says_that_the_run_is_finished(trained, capsys, monkeypatch):
    before = (trained / "checkpoints" / "last.pt").read_bytes()
    monkeypatch.setattr(DataConfig, "open", lambda *_: pytest.fail("the data was opened again"))
    assert main(words(trained)) == 0
    assert "is finished: 6 of 6 steps are done" in capsys.readouterr().out
    assert (trained / "checkpoints" / "last.pt").read_bytes() == before


def test_the_same_line_again_resumes(trained, tmp_path, capsys, monkeypatch):
    step = loop._step

    def stopping(training, batches, number):
        if number == 3:
            raise KeyboardInterrupt
        return step(training, batches, number)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", stopping)
        assert main(words(tmp_path / "run")) == 130
    assert "the same line goes on" in capsys.readouterr().err
    assert main(words(tmp_path / "run")) == 0
    told = capsys.readouterr().out
    assert "goes on: 2 of 6 steps are done" in told and "last.pt: 6 steps are done" in told
    one, other = last(tmp_path / "run")["network"], last(trained)["network"]
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_system_with_a_last_stage(own, tmp_path, capsys, monkeypatch):
    """Stopped in the stage after the network, a run is not finished; then the stage's weights count."""
    calls = []

    def finish(system, source, seed):
        calls.append((source.videos, seed))
        if len(calls) == 1:
            raise KeyboardInterrupt
        with torch.no_grad():
            next(system.network.parameters()).fill_(7)

    monkeypatch.setitem(ENTRIES, "baseline", replace(ENTRIES["baseline"], finishes=True))
    monkeypatch.setattr(pipeline, "finish", finish, raising=False)
    line = [*words(tmp_path / "run", str(own), train__steps="2"), "--seed", "4"]
    assert main(line) == 130 and not (tmp_path / "run" / "checkpoints" / "finished.pt").exists()
    assert main(line) == 0 and main(line) == 0
    assert "is finished: 2 of 2 steps are done" in capsys.readouterr().out
    assert calls == [(("b", "a"), 4)] * 2
    system, _ = runs.load(tmp_path / "run", device="cpu")
    assert (next(system.network.parameters()) == 7).all()


def test_another_seed_is_another_run(trained, tmp_path, capsys):
    assert main([*words(tmp_path / "run", train__steps="2"), "--seed", "1"]) == 0
    assert last(tmp_path / "run")["config"]["seed"] == 1
    assert "had another train.seed" in refusal(capsys, *words(trained), "--seed", "1")


def test_settings_that_are_not_there(tmp_path, capsys):
    told = refusal(capsys, *words(tmp_path / "run", train__lrr="1"))
    assert "no setting train.lrr; known are train.steps, train.epochs, train.batch" in told
    told = refusal(capsys, *words(tmp_path / "run", model__chanels="1"))
    assert "no setting model.chanels; known are model.modality" in told
    assert "data.settings.frames" in refusal(capsys, *words(tmp_path / "run", data__clip="1"))
    assert "settings are model.KEY" in refusal(capsys, *words(tmp_path / "run", lr="1"))
    assert "train.lr is 'fast'; give a number" in refusal(capsys, *words(tmp_path / "run", train__lr="fast"))
    assert "has no value; write KEY=VALUE" in refusal(capsys, *words(tmp_path / "run"), "--set", "train.lr")
    assert not (tmp_path / "run").exists()


def test_the_folder_of_another_run(trained, capsys):
    told = refusal(capsys, *words(trained, data__settings__noise="3.0", model__hidden="16"))
    assert "had another data.settings.noise, model.hidden" in told
    told = refusal(capsys, "train", "step", "--profile", "smoke", "--out", str(trained))
    assert "system" in told and "choose another folder" in told


def test_predictions_of_a_set(trained, tmp_path, capsys):
    out, truth = tmp_path / "p.json", tmp_path / "t.json"
    line = ["predict", str(trained), "synthetic", "--out", str(out), "--truth", str(truth), "--device", "cpu"]
    assert main([*line, "--subset", "val", "--set", "data.clips=3"]) == 0
    assert f"{out}: predictions: 3 videos" in capsys.readouterr().out
    found, known = records.read_predictions(out), records.read_annotations(truth)
    assert list(found.videos) == list(known.videos) == [f"val/100000{i}" for i in range(3)]
    assert evaluate(known, found, "frame-map", 0.5).num_predictions > 0


def test_a_folder_from_training_to_a_score(own, tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "p.json"
    assert main(words(run, str(own))) == 0
    assert runs.read_spec(run).classes == ("run", "jump")
    assert main(["predict", str(run), str(own), "--out", str(out), "--device", "cpu"]) == 0
    found = records.read_predictions(out)
    assert list(found.videos) == ["b", "a"]
    boxes = found.videos["b"].frames.box
    # in the video's pixels
    assert boxes[:, 2].max() > 48 and boxes[:, 2].max() <= 80 and boxes[:, 3].max() <= 60
    truth = str(own / "annotations.json")
    assert main(["evaluate", "--truth", truth, "--predictions", str(out), "--metric", "frame-map"]) == 0


def test_one_video_drawn(trained, own, tmp_path, capsys):
    out, drawn = tmp_path / "p.json", tmp_path / "drawn.mp4"
    line = ["predict", str(trained), str(own / "a.mp4"), "--out", str(out), "--device", "cpu"]
    assert main([*line, "--render", str(drawn)]) == 0
    assert list(records.read_predictions(out).videos) == ["a"]
    assert video.probe(drawn).num_frames == 8 and video.probe(drawn).width == 80
    assert np.abs(video.read(drawn).astype(int) - video.read(own / "a.mp4")).max() > 60
    told = refusal(capsys, *line[:2], str(own), *line[3:], "--render", str(drawn))
    assert "holds 2 videos and one can be rendered" in told
    clip = [*line[:2], "synthetic", *line[3:], "--set", "data.clips=1"]
    for name, more in (("boxes", []), ("none", ["--min-score", "2"])):
        assert main([*clip, "--render", str(tmp_path / f"{name}.mp4"), *more]) == 0
    boxes, none = (video.read(tmp_path / f"{name}.mp4").astype(int) for name in ("boxes", "none"))
    height, width = runs.read_spec(trained).model.size
    assert boxes.shape == (16, 4 * height, 4 * width, 3), "scenes are drawn for people"
    assert np.abs(boxes - none).max() > 60, "no box is as sure as 2"
    told = refusal(capsys, *line[:2], "synthetic", *line[3:], "--render", str(drawn))
    assert "--set data.clips=1" in told
    told = refusal(capsys, *line[:2], "synthetic", *line[3:], "--set", "data.limit=1")
    assert "synthetic has no files that data.limit counts; set data.clips" in told


def test_a_damaged_checkpoint(own, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(words(run)) == 0
    line = ["predict", str(run), str(own / "a.mp4"), "--out", str(tmp_path / "p.json"), "--device", "cpu"]
    checkpoint = run / "checkpoints" / "last.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert main(line) == 0
    assert "cut off or damaged; taking the one before" in capsys.readouterr().out
    (run / "checkpoints" / "previous.pt").write_bytes(b"")
    assert "no whole checkpoint is left" in refusal(capsys, *line)
    assert main(words(tmp_path / "other", train__steps="2")) == 0
    text = '{"format": "stad-lite/run/1", "system": "baseline"}'
    (tmp_path / "other" / "system.json").write_text(text, "utf-8")
    assert "description is damaged" in refusal(capsys, "predict", str(tmp_path / "other"), *line[2:])


def test_inputs_that_are_no_videos(trained, tmp_path, capsys):
    (tmp_path / "text.mp4").write_text("no video at all\n" * 50, "utf-8")
    (tmp_path / "empty").mkdir()
    out = ["--out", str(tmp_path / "p.json"), "--device", "cpu"]
    for name, message in (
        ("text.mp4", "text.mp4, video text: the file is not a video"),
        ("empty", "the folder holds no video"),
        ("nowhere", "no such file, folder or data set"),
    ):
        assert message in refusal(capsys, "predict", str(trained), str(tmp_path / name), *out)
    assert "subset is 'dev'; choose from train" in refusal(
        capsys, "predict", str(trained), "synthetic", "--subset", "dev", *out
    )
    assert "data.clips is 0; give a whole number from 1" in refusal(
        capsys, "predict", str(trained), "synthetic", "--set", "data.clips=0", *out
    )
    assert "there is no run here" in refusal(capsys, "predict", str(tmp_path), "synthetic", *out)
    assert "holds no video" in refusal(capsys, *words(tmp_path / "run", str(tmp_path / "empty")))
    assert not (tmp_path / "p.json").exists() and not (tmp_path / "run").exists()


def test_videos_without_truth_cannot_be_trained_on(own, tmp_path, capsys):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "a.mp4").write_bytes((own / "a.mp4").read_bytes())
    told = refusal(capsys, *words(tmp_path / "run", str(tmp_path / "bare")))
    assert "nothing annotated to train on" in told and "annotations.json" in told


def test_settings_of_the_detector_at_prediction(trained, own, tmp_path, capsys):
    line = ["predict", str(trained), str(own / "a.mp4"), "--device", "cpu", "--out", str(tmp_path / "p.json")]
    assert main([*line, "--set", "model.min_score=0.999"]) == 0
    assert len(records.read_predictions(tmp_path / "p.json").videos["a"].frames) == 0
    assert "weights are of another network" in refusal(capsys, *line, "--set", "model.hidden=16")


@pytest.mark.processes
def test_two_processes_train_and_predict(trained, own, tmp_path):
    run, out = tmp_path / "run", tmp_path / "p.json"
    done = torchrun("stad_lite.cli", *words(run))
    assert done.returncode == 0, done.stderr
    pair, alone = last(run), last(trained)
    assert len(pair["random"]) == 2
    for name, value in alone["network"].items():
        torch.testing.assert_close(pair["network"][name], value, rtol=0, atol=1e-4)
    line = ["predict", str(run), "synthetic", "--device", "cpu", "--set", "data.clips=3", "--out"]
    done = torchrun("stad_lite.cli", *line, str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("predictions: 3 videos") == 1
    assert main([*line, str(tmp_path / "alone.json")]) == 0
    assert out.read_bytes() == (tmp_path / "alone.json").read_bytes()


def test_every_system_says_what_it_needs():
    for name, system in ENTRIES.items():
        assert system.summary and find(name) is system
        assert system.profiles[: len(PROFILES)] == PROFILES
        for profile in system.profiles:
            config, schedule = system.config(profile), system.schedule(profile)
            assert len(config.size) == 2 and schedule.batch > 0 and system.data(profile).clips > 0
            spec = runs.make_spec(name, profile, {"train.seed": "3"}, name="own")
            assert spec.model == config and spec.train.seed == 3 and spec.data.name == "own"


def test_each_data_set_of_a_paper_has_its_profile(tmp_path, capsys, monkeypatch):
    ava = runs.make_spec("step", "paper_ava", {}, name="ava")
    assert (ava.model.backbone, ava.model.clip, ava.train.epochs) == ("i3d", 12, 10)
    assert runs.make_spec("sp_tad", "paper_activitynet", {}).model.window == 768
    monkeypatch.setenv("STAD_DATA", str(tmp_path))
    line = ["train", "step", "--data", "AVA", "--profile", "paper_ava", "--weights", "none"]
    line += ["--out", str(tmp_path / "run")]
    assert "python data_scripts/ava.py download" in refusal(capsys, *line)
    line = ["train", "pcsc", "--data", "ava", "--profile", "paper_ava", "--out", str(tmp_path / "run")]
    assert "no profile is called 'paper_ava'; choose from smoke, lesson, paper" in refusal(capsys, *line)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tmp_path, capsys):
    line = [word if word != "cpu" else "cuda" for word in words(tmp_path / "run")]
    assert "there is no GPU here; use the device cpu" in refusal(capsys, *line)


def test_names_that_are_not_there():
    with pytest.raises(FormatError, match="choose from baseline, step"):
        find("yolo")
    for part in ("config", "schedule", "data"):
        with pytest.raises(FormatError, match="choose from smoke, lesson, paper"):
            getattr(find("baseline"), part)("huge")
