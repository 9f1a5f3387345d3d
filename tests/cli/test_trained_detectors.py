"""Detectors that were trained before: asked by name, and trained further on other videos."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from stad_lite import records, runs
from stad_lite.cli import main
from stad_lite.data import video
from stad_lite.data.synthetic import CLASSES
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.tubes import Tube

ROOT = Path(__file__).parents[2]
SMALL = ["--device", "cpu", "--set", "model.channels=8,8,8", "--set", "model.hidden=8"]
SMALL += ["--set", "train.steps=2", "--set", "train.batch=2"]


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def own(folder: Path, *classes: str) -> Path:
    """A folder of one video and its record."""
    video.write(
        folder / "a.mp4", np.random.default_rng(0).integers(0, 255, (8, 60, 80, 3), dtype=np.uint8), 10.0
    )
    tube = Tube(1, np.tile([10.0, 10, 40, 50], (6, 1)), classes[0])
    known = {"a": VideoAnnotation(8, 80, 60, 10.0, tubes=(tube,))}
    records.write(Annotations("own", classes, known), folder / "annotations.json")
    return folder


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("earlier") / "run"
    data = own(tmp_path_factory.mktemp("own"), "run", "jump")
    assert (
        main(["train", "baseline", "--profile", "smoke", "--data", str(data), "--out", str(run), *SMALL]) == 0
    )
    return run


def further(earlier: Path, data: Path, out: Path, *more: str) -> list[str]:
    """A line without a step, so that what a run begins with is what it ends with."""
    line = ["train", "baseline", "--profile", "smoke", "--data", str(data), "--out", str(out)]
    settings = ["--set", "train.steps=1", "--set", "train.lr=1e-30", "--set", "train.batch=2"]
    return [*line, "--from", str(earlier), "--device", "cpu", *settings, *more]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return runs.load(run, device="cpu")[0].network.state_dict()


def test_a_kept_detector_predicts_by_its_name(tmp_path, capsys):
    folder = own(tmp_path / "own", *CLASSES)
    out = tmp_path / "found.json"
    assert main(["predict", "trained:cfad", str(folder / "a.mp4"), "--out", str(out), "--device", "cpu"]) == 0
    assert set(records.read_predictions(out).classes) == set(CLASSES)
    assert main(["predict", "trained:nothing", str(folder / "a.mp4"), "--out", str(out)]) == 2
    assert "no system is called 'nothing'" in capsys.readouterr().err


def test_other_classes_are_learnt_anew_and_all_else_is_kept(earlier, tmp_path, capsys):
    data = own(tmp_path / "own", "wave", "sit")  # as many classes, but others
    assert main(further(earlier, data, tmp_path / "run")) == 0
    told = capsys.readouterr().out
    (line,) = [one for one in told.splitlines() if f"begin as those of {earlier}" in one]
    anew = line.split("made anew for 2 classes: ")[1].split(", ")
    before, after = weights(earlier), weights(tmp_path / "run")
    assert anew and set(anew) < set(before)
    for name, value in after.items():
        assert torch.equal(value, before[name]) is (name not in anew or not value.std() > 0), name
    spec = runs.read_spec(tmp_path / "run")
    assert spec.begin == str(earlier) and spec.classes == ("wave", "sit") and spec.model.hidden == 8
    assert main(further(earlier, data, tmp_path / "run")) == 0
    assert "is finished" in capsys.readouterr().out


def test_the_same_classes_in_another_order_keep_all(earlier, tmp_path, capsys):
    assert main(further(earlier, own(tmp_path / "own", "jump", "run"), tmp_path / "run")) == 0
    assert "made anew" not in capsys.readouterr().out
    before, after = weights(earlier), weights(tmp_path / "run")
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert runs.read_spec(tmp_path / "run").classes == ("run", "jump")


def test_what_does_not_go_together_is_refused(earlier, tmp_path, capsys):
    data = own(tmp_path / "own", "wave")

    def refused(*line: str) -> str:
        assert main(line) == 2
        return capsys.readouterr().err

    line = further(earlier, data, tmp_path / "run")
    assert "is a detector of baseline, not of step; train baseline" in refused("train", "step", *line[2:])
    assert "not with other weights; leave --weights out" in refused(*line, "--weights", "none")
    assert main(line) == 0
    without = [word for word in line if word not in ("--from", str(earlier))]
    assert "had another begin" in refused(*without, *SMALL[2:6])
    assert "there is no run here" in refused(*further(tmp_path / "nowhere", data, tmp_path / "other"))


def test_without_the_book_a_sentence_says_where_to_get_it(tmp_path):
    """As in an installed package that was built without ``book/trained``."""
    shutil.copytree(ROOT / "stad_lite", tmp_path / "stad_lite", ignore=shutil.ignore_patterns("__pycache__"))
    code = "from stad_lite.reproduce import trained; trained.load('cfad')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8",
                          env={"PYTHONPATH": str(tmp_path)}, check=False)  # fmt: skip
    assert "no trained network is kept here" in done.stderr and "copy book/trained" in done.stderr


def test_the_installed_package_brings_them():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert '"share/stad_lite/trained" = ["book/trained/*.pt"]' in text
