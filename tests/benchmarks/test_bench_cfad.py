"""The benchmark of CFAD does what it says; what it measures is not looked at here."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest
import torch

from benchmarks import bench_cfad
from stad_lite.cfad import system as cfad
from stad_lite.cfad.config import CfadConfig
from stad_lite.data.synthetic import Settings
from tests.cfad.cases import tiny


@pytest.fixture(autouse=True)
def threads():
    kept = torch.get_num_threads()
    yield
    torch.set_num_threads(kept)


def test_every_part_runs_at_tiny_sizes(tmp_path, capsys):
    bench_cfad.main(["--small", "--json", str(tmp_path / "cfad.json")])
    told = json.loads((tmp_path / "cfad.json").read_text("utf-8"))
    assert told == json.loads(capsys.readouterr().out) and list(told) == list(bench_cfad.TITLES.values())
    for part in told.values():
        assert {"hardware", "date", "commit", "torch"} < set(part) and " --only " in part["command"]
    curve, sizes, paper, trimmed = (part["figures"] for part in told.values())
    assert list(curve) == ["16 frames", "24 frames"]
    for name, rows in curve.items():
        count = name.split()[0]
        assert list(rows) == [
            "CFAD, T = 16",
            f"CFAD, T = {count}, all frames",
            bench_cfad.RIVAL,
            bench_cfad.SAME,
        ]
        for row in rows.values():
            stages = [value for key, value in row.items() if key.endswith(", ms a frame")]
            assert sum(stages) == pytest.approx(row["ms a frame"], rel=0.01, abs=0.01)
            assert row["backbone, ms a frame"] > 0 and row["tubes a video"] >= 0
        assert rows[bench_cfad.RIVAL][f"{bench_cfad.RIVAL}, times this"] == 1
    for row in sizes.values():
        assert row["parameters"] == row["of the backbone"] + row["without the backbone"]
        assert row["of the backbone"] > 0
    assert paper["trimmed"] is False and trimmed["trimmed"] is True
    assert paper["training step"]["CPU s"] > 0


def test_an_account_tells_stages_from_the_rest_and_leaves_nothing_behind():
    def busy():
        began = time.process_time()
        while time.process_time() - began < 0.02:
            pass
        return 3

    room = SimpleNamespace(work=busy)
    account = bench_cfad.Account({"stage": [(room, "work")], "other": [(room, "work")][:0]})
    assert account.call(lambda: room.work() + room.work()) == 6 and room.work is busy
    assert account.seconds["stage"] >= 0.04 > account.seconds["the rest"] >= 0
    account.call(lambda: 1)
    assert account.seconds["stage"] == 0 == account.seconds["other"]


def test_the_backbone_sees_t_frames_or_all_of_them():
    torch.manual_seed(0)
    ours = cfad.CfadSystem(tiny(span_score=0.0), [f"class {i}" for i in range(3)])
    source = bench_cfad.in_memory(Settings.smoke(), 1)
    longer = bench_cfad.at_length(ours, 24)
    assert longer.config.span_lengths == tuple(1.5 * one for one in ours.config.span_lengths)
    seen: list[int] = []
    for one in (ours, longer):
        one.network.backbone.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    bench_cfad.cfad_account(ours).call(lambda: cfad.detect(ours, source))
    bench_cfad.cfad_account(longer).call(lambda: cfad.detect(longer, source))
    assert seen == [16, 24]
    rival = bench_cfad.OnEveryFrame(ours)
    found = rival.account().call(lambda: rival.detect(source))
    assert seen[2:] == [16] and set(found.videos) == set(source.videos)
    boxes = next(iter(found.videos.values())).frames
    assert set(boxes.frame.tolist()) == set(range(16))  # random weights are sure of nothing and deny nothing


@pytest.mark.parametrize("trimmed", [False, True])
def test_the_video_of_noise_has_one_action(trimmed):
    config = tiny(trimmed=trimmed)
    (video,) = bench_cfad.noise(config).annotations.videos.values()
    (tube,) = video.tubes
    assert video.num_frames == 16 and (len(tube) == 16) is trimmed
    assert bench_cfad.full_step(config)["prediction"]["CPU s"] > 0


def test_both_detectors_look_with_the_same_network():
    ours, theirs = bench_cfad.trained(bench_cfad.SMALL)
    backbone, other = ours.network.backbone.state_dict(), theirs.network.backbones["rgb"].state_dict()
    assert CfadConfig.smoke().frozen and list(backbone) == list(other)
    for name, value in backbone.items():
        assert torch.equal(value, other[name])
