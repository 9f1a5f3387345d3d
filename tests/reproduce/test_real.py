"""STEP and PCSC on video files: what is missing, which videos, AVA's truth, trained runs that go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stad_lite import records
from stad_lite.data import synthetic, video
from stad_lite.data.source import synthetic_source
from stad_lite.errors import FormatError, MissingFileError
from stad_lite.pcsc.config import PCSCConfig
from stad_lite.pcsc.config import schedule as pcsc_schedule
from stad_lite.records import Annotations, FrameBoxes, VideoAnnotation
from stad_lite.reproduce import real
from stad_lite.reproduce.experiments import step as experiment
from stad_lite.step.config import StepConfig, schedule

SMOKE = synthetic.Settings.smoke()
SIZE = (48, 48)
LEVELS = ("5", "10", "20", "50", "75")


def write_part(folder: Path, part: str, clips: int, cache: Path) -> None:
    """Write clips of the benchmark as video files with their record."""
    source = synthetic_source(SMOKE, clips, part, cache)
    for name in source.videos:
        (folder / part / name).parent.mkdir(parents=True, exist_ok=True)
        frames = source.frames(name, range(source.num_frames(name)))
        video.write(folder / part / f"{name}.mp4", frames, 25.0)
    records.write(source.annotations, folder / part / "annotations.json")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def own(place) -> real.Videos:
    for part, clips in (("train", 3), ("test", 2)):
        write_part(place / "own", part, clips, place / "cache")
    return real.Videos(str(place / "own"), flow="farneback")


@pytest.fixture(scope="module")
def sources(own, place):
    return real.open_videos(own, SIZE, place / "cache")


def tiny_step(**changes) -> StepConfig:
    return replace(experiment.base("smoke"), pretrained="", stream="rgb", **changes)


def tiny_plan(**changes):
    return replace(schedule("smoke"), steps=2, batch=2, checkpoint_every=2, **changes)


def test_a_folder_of_ones_own_has_two_parts(own, sources, place):
    assert real.missing(own) == ""
    train, test = sources
    assert (len(train.videos), len(test.videos)) == (3, 2) and train.size == SIZE
    assert train.classes == test.classes == synthetic.CLASSES
    few = replace(own, limit=2, test_limit=1)
    train, test = real.open_videos(few, SIZE, place / "cache")
    assert (len(train.videos), len(test.videos)) == (2, 1)
    assert "lacks train and test" in real.missing(real.Videos(str(place / "nowhere")))


def test_what_a_published_set_lacks_is_one_line_with_its_script(tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_DATA", str(tmp_path))
    for name, script in (("jhmdb21", "jhmdb21"), ("ucf101-24", "ucf101_24"), ("ava", "ava")):
        told = real.missing(real.Videos(name))
        assert f"python data_scripts/{script}.py download" in told and "\n" not in told


def test_videos_without_a_file_are_counted(tmp_path, monkeypatch):
    names = {part: [f"{part}/{i}" for i in range(4)] for part in ("train", "test")}
    found = tmp_path / "files"
    for part in names:
        (found / part).mkdir(parents=True)
        for name in names[part][::2]:
            (found / f"{name}.mp4").touch()

    def annotated(videos, part):
        return Annotations("x", ("run",), {name: VideoAnnotation(9, 64, 48) for name in names[part]})

    monkeypatch.setattr(real, "annotated", annotated)
    monkeypatch.setattr(real, "have_data", lambda name: True)
    videos = real.Videos("jhmdb21", str(found))
    told = real.missing(videos)
    assert "2 of 4 videos of train, such as train/1" in told and "jhmdb21.py download" in told
    assert real.missing(replace(videos, limit=2, test_limit=2)) == ""
    assert "of train" not in real.missing(replace(videos, limit=1, test_limit=3))
    assert list(real.find_files(videos, names["test"])) == ["test/0", "test/2"]
    with pytest.raises(MissingFileError, match="4 of 4"):
        real.open_videos(replace(videos, files=str(tmp_path / "empty")), SIZE)


def test_the_published_lists(stad_data):
    sizes = {part: len(real.annotated(real.Videos("jhmdb21", split=2), part).videos) for part in real.OWN}
    assert sizes == {"train": 658, "test": 270}
    sizes = {part: len(real.annotated(real.Videos("ucf101-24"), part).videos) for part in real.OWN}
    assert sizes == {"train": 2284, "test": 910}


def test_truth_of_films_is_told_in_frames_of_their_files():
    boxes = FrameBoxes(
        np.array([901, 902, 902, 910]),
        np.array([0, 1, 0, 1]),
        np.tile([0.25, 0.5, 0.75, 1.0], (4, 1)),
        person=np.array([1, 1, 1, 2]),
    )
    film = VideoAnnotation(None, 1, 1, 1.0, frames=boxes, evaluated_frames=np.array([901, 902, 910]))
    truth = Annotations("ava", ("sit", "stand"), {"film": film, "other": film})
    about = {"film": {"num_frames": 60, "fps": 12.5, "width": 40, "height": 20}}
    found = real.on_files(truth, about, 900.0)
    (name, one), *rest = found.videos.items()
    assert name == "film" and not rest
    assert one.frames is not None and one.evaluated_frames is not None
    assert one.frames.frame.tolist() == [12, 25, 25]  # 910 lies beyond the file
    assert one.evaluated_frames.tolist() == [12, 25]
    assert one.frames.person.tolist() == [1, 1, 1] and one.frames.label.tolist() == [0, 1, 0]
    assert one.frames.box[0].tolist() == [10, 10, 30, 20]
    assert (one.num_frames, one.width, one.height, one.fps) == (60, 40, 20, 12.5)


def test_words_change_settings():
    words = "model.size=32,40 model.head=conv3d train.epochs=2"
    config, plan = real.with_words(StepConfig.lesson(), schedule("lesson"), words)
    assert (config.size, config.head, plan.epochs, plan.steps) == ((32, 40), "conv3d", 2, 0)
    assert real.with_words(config, plan, "train.steps=7")[1].epochs == 0
    for wrong in ("size=32", "model.size", "data.limit=3", "model.bigness=3"):
        with pytest.raises(FormatError):
            real.with_words(config, plan, wrong)


def test_variants_become_configurations():
    base = tiny_step()
    configs, rule, stepwise = real.step_configs(base, experiment.VARIANTS["hybrid"])
    assert [one.stream for one in configs] == ["rgb", "flow", "early"] and rule == "union" and not stepwise
    configs, _, stepwise = real.step_configs(base, experiment.VARIANTS["stepwise"])
    assert configs == (base,) and stepwise
    assert real.step_configs(base, experiment.VARIANTS["no_context"])[0][0].context is False


def test_step_is_trained_on_files_and_goes_on(sources, place):
    train, test = sources
    system = real.fit_step(tiny_step(frozen=False), train, tiny_plan(), place / "step")
    figures = real.step_figures([system], test)
    videos = {f"video_map_{level}" for level in LEVELS} | {"video_map"}
    assert set(figures) == {"step1", "step2", "step3", "frame_map"} | videos
    assert all(0 <= value <= 100 for value in figures.values())
    assert figures["frame_map"] == figures["step3"]
    again = real.fit_step(tiny_step(frozen=False), train, tiny_plan(), place / "step")
    for ours, other in zip(system.network.parameters(), again.network.parameters(), strict=True):
        torch.testing.assert_close(ours, other, rtol=0, atol=0)
    both = [system, real.fit_step(tiny_step(frozen=False), train, tiny_plan(seed=1), place / "second")]
    assert set(real.step_figures(both, test, "mean")) == set(figures)


def test_step_by_step_and_classes_first(sources, place):
    train, _ = sources
    config = tiny_step(classification="bce")
    system = real.fit_step(config, train, tiny_plan(), place / "steps", stepwise=True, classify=True)
    assert sorted(path.name for path in (place / "steps").iterdir()) == [
        "classify",
        "step1",
        "step2",
        "step3",
    ]
    assert all(parameter.requires_grad for parameter in system.network.heads.parameters())


def test_step_on_key_frames_has_no_tubes(sources, place):
    def on_keys(source):
        videos = {}
        for name, known in source.annotations.videos.items():
            tubes = known.tubes or ()
            frame = np.concatenate([[tube.start] for tube in tubes])
            label = np.array([source.classes.index(tube.label) for tube in tubes])
            boxes = FrameBoxes(frame, label, np.stack([tube.boxes[0] for tube in tubes]))
            videos[name] = replace(known, tubes=None, frames=boxes, evaluated_frames=np.unique(frame))
        return replace(source, annotations=Annotations("keys", source.classes, videos))

    train, test = map(on_keys, sources)
    config = tiny_step(classification="bce", supervision="middle")
    system = real.fit_step(config, train, tiny_plan(), place / "keys")
    assert set(real.step_figures([system], test)) == {"step1", "step2", "step3", "frame_map"}


def test_pcsc_is_trained_on_files_with_estimated_flow(sources, place):
    train, test = sources
    config = replace(PCSCConfig.smoke(), every=2)
    plan = replace(pcsc_schedule("smoke"), steps=2, batch=2)
    system = real.fit_pcsc(config, train, plan, place / "pcsc")
    figures = real.pcsc_figures(system, test)
    expected = {"stage0", "stage1", "stage2", "frame_map", "tubes", *(f"tubes_{level}" for level in LEVELS)}
    assert expected <= set(figures) and figures["frame_map"] == figures["stage2"]
    assert set(figures) - expected <= {"refined", *(f"refined_{level}" for level in LEVELS)}
    assert all(0 <= value <= 100 for value in figures.values())
    with pytest.raises(FormatError, match="I3D"):
        real.fit_pcsc(config, train, plan, place / "weights", {"rgb": "file.pt"})


def test_trimmed_tubes_are_judged_where_actionness_is_trained(sources, place):
    train, test = sources
    config = PCSCConfig.smoke()
    system = real.fit_pcsc(config, train, replace(pcsc_schedule("smoke"), steps=1, batch=2), place / "trim")
    system.network.actionness.trained.fill_(True)
    figures = real.pcsc_figures(system, test)
    assert {"refined", *(f"refined_{level}" for level in LEVELS)} <= set(figures)
    system.network.actionness.trained.fill_(False)
    assert "refined" not in real.pcsc_figures(system, test)
