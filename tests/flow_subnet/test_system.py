"""The flow subnet as a system: its start, its training, what it may be asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stad_lite.catalogue import ENTRIES, find
from stad_lite.cli import main
from stad_lite.data import video as video_files
from stad_lite.data.source import synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.errors import FormatError
from stad_lite.flow_subnet import system as pipeline
from stad_lite.flow_subnet.config import FlowSubnetConfig, schedule
from stad_lite.nets import published
from stad_lite.training.loop import fit
from tests.flow_subnet.cases import CLASSES, config, video


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path / "cache"))


def test_small_networks_begin_with_what_was_learnt():
    """Backbone and flow network, and the teacher with the latter; again the same."""
    settings = replace(FlowSubnetConfig.smoke(), supervision="teacher")
    torch.manual_seed(0)
    bare = pipeline.build(replace(settings, pretrained=""), CLASSES).network
    torch.manual_seed(0)
    first, second = (pipeline.build(settings, CLASSES).network for _ in range(2))
    for part in ("backbone.base", "motion.net"):
        states = [net.get_submodule(part).state_dict() for net in (bare, first, second)]
        assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])
        assert all(torch.equal(states[1][name], states[2][name]) for name in states[1])
    taught, own = (first.get_submodule(f"motion.{name}").state_dict() for name in ("teacher", "net"))
    assert all(torch.equal(taught[name], own[name]) for name in own)


def test_it_learns_one_clip(tmp_path):
    """Overfitting: class and box terms fall, and the flow network moves once it is thawed."""
    source = synthetic_source(Settings.smoke(), 1, "train")
    torch.manual_seed(0)
    system = pipeline.build(config(frozen_items=80, flip=0.0, photometric=0.0), source.classes)
    data = pipeline.training_set(system, source)
    batch = pipeline.collate([data[0], data[len(data) // 2]])
    before = {name: float(value.detach()) for name, value in system.loss(batch).items()}
    flow = {name: value.clone() for name, value in system.network.motion.net.state_dict().items()}

    def train(steps: int) -> bool:
        plan = replace(schedule("smoke"), steps=steps, checkpoint_every=100)
        fit(
            system,
            data,
            plan,
            tmp_path / str(steps),
            collate=pipeline.collate,
            device="cpu",
            say=lambda _: None,
        )
        now = system.network.motion.net.state_dict()
        return any(not torch.equal(flow[name], now[name]) for name in flow)

    assert not train(20)
    assert train(40)
    after = {name: float(value.detach()) for name, value in system.loss(batch).items()}
    assert after["class"] < before["class"] / 2 and after["box"] < before["box"]


def test_published_weights_have_their_places():
    with torch.device("meta"):
        system = pipeline.FlowSubnetSystem(FlowSubnetConfig.paper(), CLASSES)
        taught = pipeline.FlowSubnetSystem(replace(FlowSubnetConfig.paper(), supervision="teacher"), CLASSES)
        alone = pipeline.FlowSubnetSystem(replace(FlowSubnetConfig.paper(), fusion="appearance"), CLASSES)
    found = pipeline.trunks(system)
    assert found["rgb"].published and found["rgb"].fed == "bgr" and found["flow"].fed == "bgr01"
    assert len(pipeline.trunks(taught)["flow"].nets) == 2 and set(pipeline.trunks(alone)) == {"rgb"}


@pytest.mark.parametrize(("estimator", "fed"), [("flownet2", "rgb01"), ("spynet", "imagenet")])
def test_flow_networks_that_are_not_pretrained_here_take_published_weights(estimator, fed, tmp_path):
    """Table 1's FlowNet2 has no small one: its file fills the network, and its absence is told."""
    torch.manual_seed(0)
    first, second = (pipeline.build(config(estimator=estimator), CLASSES) for _ in range(2))
    trunk = pipeline.trunks(first)["flow"]
    assert trunk.nets == (first.network.motion.net,) and trunk.fed == fed
    torch.save(second.network.motion.net.state_dict(), tmp_path / "flow.pt")
    streams = {"flow": trunk}
    start = published.Weights(flow=str(tmp_path / "flow.pt"))
    published.fill(streams, published.read(first.network, streams, start))
    wanted = second.network.motion.net.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in trunk.nets[0].state_dict().items())
    with pytest.raises(FormatError, match="no weights of the stream flow") as caught:
        published.read(first.network, {**streams, "rgb": trunk}, published.Weights(rgb="unread.pt"))
    assert estimator in str(caught.value.remedy)


def test_no_classes_and_other_classes_are_refused():
    with pytest.raises(FormatError, match="no classes"):
        pipeline.build(config(), ())
    source = synthetic_source(Settings.smoke(), 1, "train")
    with pytest.raises(FormatError, match="other classes"):
        pipeline.training_set(pipeline.build(config(), CLASSES), source)


def test_systems_that_need_whole_videos_do_not_stream():
    for name, entry in ENTRIES.items():
        if name != "flow_subnet":
            with pytest.raises(FormatError, match="whole videos") as caught:
                entry.stream(None)
            assert "flow_subnet" in str(caught.value.remedy)
    assert find("flow_subnet").streams


def test_the_verb_streams_a_video_and_draws_it(tmp_path, capsys):
    run, clip = tmp_path / "run", tmp_path / "clip.mp4"
    line = ["train", "flow_subnet", "--profile", "smoke", "--out", str(run), "--device", "cpu"]
    assert main([*line, "--set", "train.steps=2", "--set", "data.clips=2", "--set", "model.pretrained="]) == 0
    video_files.write(clip, video(5, side=64), 10.0)
    capsys.readouterr()
    assert main(["stream", str(run), str(clip), "--device", "cpu"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("5 frames, ") and " a second, " in last and "linking" in last
    drawn = tmp_path / "drawn.mp4"
    assert (
        main(["stream", str(run), str(clip), "--device", "cpu", "--render", str(drawn), "--least", "0"]) == 0
    )
    assert str(drawn) in capsys.readouterr().out and video_files.probe(drawn).num_frames == 5
    assert main(["stream", str(run), str(tmp_path / "none.mp4"), "--device", "cpu"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("stad-lite stream: ") and "none.mp4" in told


def test_only_a_system_that_streams_can_be_streamed(tmp_path, capsys):
    run = tmp_path / "run"
    line = ["train", "baseline", "--profile", "smoke", "--out", str(run), "--device", "cpu"]
    assert main([*line, "--set", "train.steps=1", "--set", "data.clips=1"]) == 0
    clip = video_files.write(tmp_path / "clip.mp4", np.zeros((3, 48, 48, 3), np.uint8), 10.0)
    capsys.readouterr()
    assert main(["stream", str(run), str(clip), "--device", "cpu"]) == 2
    assert "train one that streams: flow_subnet" in capsys.readouterr().err
