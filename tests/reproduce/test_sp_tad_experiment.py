"""SP-TAD's experiment: its variants, its splits, and that a run can be repeated. No ordering is asserted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stad_lite.data.synthetic import annotate
from stad_lite.data.synthetic.sequences import SequenceSettings, sequence_source
from stad_lite.reproduce.experiments import sp_tad
from stad_lite.sp_tad.config import SpTadConfig


def test_windows_that_are_shorter_than_instances():
    """The share of instances that a window can hold whole."""
    found = {}
    for name in ("base", "long_window64"):
        settings = sp_tad.sequences("lesson", sp_tad.VARIANTS[name].get("sequences", {}))
        videos = sequence_source(settings, 300, "train").annotations.videos.values()
        frames = np.array(
            [(s.end - s.start) * settings.fps for video in videos for s in video.segments or ()]
        )
        found[name] = [round(float((frames <= n + 1e-6).mean()), 2) for n in (64, 96, 128, 160)]
    assert found["base"] == pytest.approx([0.9, 1.0, 1.0, 1.0], abs=0.01)
    assert found["long_window64"] == pytest.approx([0.28, 0.63, 0.85, 1.0], abs=0.015)


@pytest.mark.parametrize("variant", sp_tad.VARIANTS)
def test_every_variant_runs(variant, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path_factory.getbasetemp() / "sp_tad_cache"))
    assert all(
        0 <= value <= 100 for name, value in sp_tad.run(variant, 0, "smoke").items() if name != "cpu_seconds"
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    return tmp_path


def test_every_variant_changes_what_it_names():
    changes = {name: dict(change) for name, change in sp_tad.VARIANTS.items() if "backbone_lr" not in change}
    clips = {
        name: sp_tad.sequences("lesson", change.pop("sequences", {})) for name, change in changes.items()
    }
    configs = {name: replace(SpTadConfig.lesson(), **change) for name, change in changes.items()}
    assert len({(configs[name], clips[name]) for name in configs}) == len(configs) == 24
    assert clips["base"] == SequenceSettings.lesson() == clips["window64"] != clips["long_window64"]
    assert [clips[f"blur_{n}"].blur for n in (1, 8)] == [(1, 1, 1), (2, 8, 8)]
    assert clips["mixed"].classes_per_video == (6, 6)
    assert configs["heads6"].heads == 6 and configs["base"].heads == 4
    assert configs["high_level"].pyramid == "high" and not configs["no_clip_head"].clip_head
    windows = [configs[f"window{n}"].window for n in (64, 96, 160, 192)]
    assert windows == [64, 96, 160, 192] and configs["base"].window == 128
    rates = [change["backbone_lr"] for change in sp_tad.VARIANTS.values() if "backbone_lr" in change]
    assert rates == [0.0, 1e-6, 1e-5, 1e-4]


def test_a_run_gives_the_same_figures_again():
    first, second = (sp_tad.run("base", 1, "smoke") for _ in range(2))
    assert first.pop("cpu_seconds") > 0 and second.pop("cpu_seconds") > 0
    assert first == second and set(first) == {"map", *(f"map_{n}" for n in (30, 40, 50, 60, 70))}
    assert first["map"] == pytest.approx(np.mean([first[f"map_{n}"] for n in (30, 40, 50, 60, 70)]))


def test_the_backbone_was_trained_on_other_classes_and_seeds(cache):
    settings = sp_tad.video_settings("smoke")
    before = sp_tad.clips_of("warm", settings, 5, "train", first=sp_tad.PRETRAINING_CLIPS)
    train = sp_tad.clips_of("cool", settings, 5, "train", first=20_000)
    test = sp_tad.clips_of("cool", settings, 5, "test")
    sources = (before, train, test)
    labels = [{t.label for v in s.annotations.videos.values() for t in v.tubes} for s in sources]
    assert all(label.startswith("warm") for label in labels[0])
    assert all(label.startswith("cool") for label in labels[1] | labels[2])
    assert all(len(source.videos) == 5 for source in sources)
    assert not set(before.videos) & set(train.videos) and not set(train.videos) & set(test.videos)
    near = annotate(settings, range(20_000, 20_010), "train").videos
    passed_by = [video for video in near if video not in train.videos]
    assert passed_by  # clips of the other appearance


def test_the_rate_reaches_the_backbone_and_one_checkpoint_serves_all(cache, monkeypatch):
    seen = {}

    def watched(system, source, planned, device):
        before = [p.detach().clone() for p in system.network.backbone.parameters()]
        train(system, source, planned, device)
        now = list(system.network.backbone.parameters())
        moved = max(float((a - b).abs().max()) for a, b in zip(before, now, strict=True))
        seen[planned.lr_factors[0][1]] = (before, moved)

    train = sp_tad._train
    monkeypatch.setattr(sp_tad, "_train", watched)
    for name in ("backbone_0", "backbone_1e-6", "backbone_1e-4"):
        assert 0 <= sp_tad.run(name, 0, "smoke")["map"] <= 100
    assert len(list((cache / "backbones").iterdir())) == 1
    assert sorted(seen) == pytest.approx([0, 0.01, 1])
    moved = [seen[factor][1] for factor in sorted(seen)]
    assert moved[0] == 0 < moved[1] < moved[2]
    starts = [start for start, _ in seen.values()]
    assert all(torch.equal(a, b) for a, b in zip(starts[0], starts[-1], strict=True))
