"""Systems on video files: what is missing, which videos, AVA's truth, trained runs that go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stad_lite import records
from stad_lite.cfad.config import CfadConfig
from stad_lite.cfad.config import schedule as cfad_schedule
from stad_lite.data import synthetic, video
from stad_lite.data.source import DataConfig, synthetic_source
from stad_lite.errors import FormatError
from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.flow_subnet.config import schedule as flow_subnet_schedule
from stad_lite.pcsc.config import PCSCConfig
from stad_lite.pcsc.config import schedule as pcsc_schedule
from stad_lite.records import Annotations, FrameBoxes, Predictions, VideoPredictions
from stad_lite.reproduce import real
from stad_lite.reproduce.experiments import cfad as cfad_experiment
from stad_lite.reproduce.experiments import step as experiment
from stad_lite.step.config import StepConfig, schedule
from stad_lite.systems.maps import frame_maps

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
def own(place) -> DataConfig:
    for part, clips in (("train", 3), ("test", 2)):
        write_part(place / "own", part, clips, place / "cache")
    return DataConfig(str(place / "own"), flow="farneback")


@pytest.fixture(scope="module")
def sources(own, place):
    return real.open_parts(real.train_and_test(own), SIZE, place / "cache")


def tiny_step(**changes) -> StepConfig:
    return replace(experiment.base("smoke"), pretrained="", stream="rgb", **changes)


def tiny_plan(**changes):
    return replace(schedule("smoke"), steps=2, batch=2, checkpoint_every=2, **changes)


def test_a_folder_of_ones_own_has_two_parts(own, sources, place):
    assert real.missing(real.train_and_test(own)) == ""
    train, test = sources
    assert (len(train.videos), len(test.videos)) == (3, 2) and train.size == SIZE
    assert train.classes == test.classes == synthetic.CLASSES
    few = real.train_and_test(replace(own, limit=2), test_limit=1)
    train, test = real.open_parts(few, SIZE, place / "cache")
    assert (len(train.videos), len(test.videos)) == (2, 1)
    nowhere = real.train_and_test(DataConfig(str(place / "nowhere")))
    assert "nowhere lacks train and test: give synthetic" in real.missing(nowhere)


@pytest.mark.parametrize(
    ("name", "lists"),
    [
        ("jhmdb21", ("train", "test")),
        ("ava", ("train", "val")),
        ("activitynet-1.3", ("train", "val")),
        ("synthetic", ("train", "test")),
    ],
)
def test_the_parts_of_a_set_are_its_own_lists(name, lists):
    train, test = real.train_and_test(DataConfig(name, split=2, limit=5, files="there"), test_limit=3)
    assert (train.subset, test.subset) == lists and (train.limit, test.limit) == (5, 3)
    assert train == replace(test, subset=lists[0], limit=5) and train.files == "there" and train.split == 2


def test_what_a_published_set_lacks_is_one_line_with_its_script(tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_DATA", str(tmp_path))
    for name, script in (("jhmdb21", "jhmdb21"), ("ucf101-24", "ucf101_24"), ("ava", "ava")):
        told = real.missing(real.train_and_test(DataConfig(name)))
        assert told.count(f"python data_scripts/{script}.py download") == 1 and "\n" not in told


def test_only_jhmdb21_has_several_splits():
    asked = SimpleNamespace(data="jhmdb21", videos="", splits="1,3", limit=4, test_limit=2, flow="brox")
    found = real.by_split(asked)
    assert [[part.split for part in parts] for parts in found.values()] == [[1, 1], [3, 3]]
    assert [(part.limit, part.flow) for part in found[3]] == [(4, "brox"), (2, "brox")]
    del asked.flow
    asked.data = "ucf101-24"
    assert [*real.by_split(asked)] == [1] and real.by_split(asked)[1][0].flow == DataConfig.flow


def test_figures_are_means_over_splits_of_what_all_have():
    figures = {1: {"map": 10.0, "refined": 3.0}, 3: {"map": 20.0}}
    assert real.over_splits({1: 1, 3: 3}, figures.get) == {"map": 15.0}


def test_words_change_settings():
    words = "model.size=32,40 model.head=conv3d train.epochs=2"
    config, plan = real.with_words(StepConfig.lesson(), schedule("lesson"), words)
    assert (config.size, config.head, plan.epochs, plan.steps) == ((32, 40), "conv3d", 2, 0)
    assert real.with_words(config, plan, "train.steps=7")[1].epochs == 0
    for wrong in ("size=32", "model.size", "data.limit=3", "model.bigness=3", "=3"):
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


@pytest.mark.parametrize("trimmed", [False, True])
def test_cfad_is_trained_on_files_and_judged_with_other_settings(sources, place, trimmed):
    train, test = sources
    config = replace(CfadConfig.smoke(), pretrained="", frozen=False, trimmed=trimmed, min_score=0.0)
    plan = replace(cfad_schedule("smoke"), steps=2, batch=2, checkpoint_every=2)
    folder = place / f"cfad{trimmed}"
    system = real.fit_cfad(config, train, plan, folder)
    figures = real.cfad_figures(system, test, {"coarse_": {"selection": "none"}})
    own = {name for name in figures if not name.startswith("coarse_")}
    assert set(figures) == own | {f"coarse_{name}" for name in own}
    assert {"map_20", "map_30", "map_50", "map_75", "map_all", "mabo", "frame_map", "wrong_class"} <= own
    assert all(0 <= figures[name] <= 100 for name in own if "map" in name)
    assert system.config.selection == "learned"  # judging changes nothing
    again = real.fit_cfad(config, train, plan, folder)
    for ours, other in zip(system.network.parameters(), again.network.parameters(), strict=True):
        torch.testing.assert_close(ours, other, rtol=0, atol=0)


def test_cfads_figures_are_named_as_those_of_its_experiment(sources, place):
    train, test = sources
    config = replace(CfadConfig.smoke(), pretrained="", min_score=0.0)
    plan = replace(cfad_schedule("smoke"), steps=1, batch=2)
    system = real.fit_cfad(config, train, plan, place / "named")
    figures = real.cfad_figures(system, test)
    found = cfad_experiment.pipeline.detect(system, test, frame_maps(system, test))
    for name, value in cfad_experiment.scores(test.annotations, found, "").items():
        assert figures[name] == pytest.approx(value, abs=1e-6), name


def tiny_flow_subnet(**changes) -> FlowSubnetConfig:
    return replace(FlowSubnetConfig.smoke(), pretrained="", min_score=0.2, **changes)


@pytest.mark.parametrize("change", [{"supervision": "teacher"}, {"estimator": "given"}], ids=str)
def test_the_flow_subnet_is_trained_on_files_and_goes_on(sources, place, change):
    """RGB in: the flow network has a frozen teacher, or the source's estimate stands for it."""
    train, test = sources
    config, folder = tiny_flow_subnet(**change, frozen_items=0), place / f"flow_{next(iter(change))}"
    plan = replace(flow_subnet_schedule("smoke"), steps=2, batch=2)
    system = real.fit_flow_subnet(config, train, plan, folder)
    figures = real.flow_subnet_figures(system, test)
    assert set(figures) == {"frame_map", "video_map", *(f"video_map_{level}" for level in LEVELS)}
    assert all(0 <= value <= 100 for value in figures.values())
    again = real.fit_flow_subnet(config, train, plan, folder)
    for ours, other in zip(system.network.parameters(), again.network.parameters(), strict=True):
        torch.testing.assert_close(ours, other, rtol=0, atol=0)
    if "estimator" in change:
        with pytest.raises(FormatError, match="no flow"):
            real.fit_flow_subnet(config, replace(train, read_flow=None), plan, place / "without")
    else:  # from the same seed, and the source's flow is never read
        unread = replace(train, read_flow=lambda *_: pytest.fail("flow is read"))
        bare = real.fit_flow_subnet(config, unread, plan, place / "without")
        for ours, other in zip(system.network.parameters(), bare.network.parameters(), strict=True):
            torch.testing.assert_close(ours, other, rtol=0, atol=0)


def test_the_flow_subnets_figures_are_of_what_it_finds(sources, place, monkeypatch):
    """Frame-mAP is that of the boxes and video-mAP that of the tubes: the truth's own boxes without tubes."""
    train, test = sources
    plan = replace(flow_subnet_schedule("smoke"), steps=1, batch=2)
    system = real.fit_flow_subnet(tiny_flow_subnet(), train, plan, place / "figures")
    videos = {}
    for name, known in test.annotations.videos.items():
        rows = [
            (frame, test.classes.index(tube.label), box)
            for tube in known.tubes
            for frame, box in zip(range(tube.start, tube.end), tube.boxes, strict=True)
        ]
        boxes = FrameBoxes(*(np.array(column) for column in zip(*rows, strict=True)), np.ones(len(rows)))
        videos[name] = VideoPredictions(frames=boxes, tubes=())
    monkeypatch.setattr(real.flow_subnet, "detect", lambda *_: Predictions(test.classes, videos))
    figures = real.flow_subnet_figures(system, test)
    assert figures.pop("frame_map") == pytest.approx(100) and set(figures.values()) == {0.0}
    keys = {
        name: replace(known, tubes=None, frames=FrameBoxes([], [], np.zeros((0, 4))))
        for name, known in test.annotations.videos.items()
    }
    bare = replace(test, annotations=replace(test.annotations, videos=keys))
    assert set(real.flow_subnet_figures(system, bare)) == {"frame_map"}


def test_published_weights_that_do_not_fit_are_refused(sources, place):
    train, _ = sources
    torch.save({"features.0.weight": torch.zeros(1, 3, 3, 3)}, place / "small.pt")
    with pytest.raises(FormatError):
        real.fit_cfad(
            CfadConfig.smoke(), train, cfad_schedule("smoke"), place / "weights", str(place / "small.pt")
        )
