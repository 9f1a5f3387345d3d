"""The experiment on CFAD: its variants, its dials, the rival with the same network, and a whole run."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from stad_lite.cfad.config import CfadConfig
from stad_lite.reproduce.experiments import cfad as experiment
from stad_lite.systems.detect import dialled
from stad_lite.systems.maps import frame_maps

SHAPES = {"order", "branches", "stream", "anchors", "width", "samples", "length", "size"}
"""Settings that a trained network cannot change."""


@pytest.mark.parametrize("variant", experiment.VARIANTS)
def test_every_variant_is_a_configuration(variant):
    change = experiment.VARIANTS[variant]
    config = replace(CfadConfig.lesson(), **change)
    own = {field.name for field in fields(config)}
    differing = {name for name in own if getattr(config, name) != getattr(CfadConfig.lesson(), name)}
    assert differing == set(change)


@pytest.mark.parametrize("dial", experiment.DIALS)
def test_every_dial_is_one_of_inference(dial):
    change = experiment.DIALS[dial]
    assert dial.endswith("_")
    assert not SHAPES & set(change)
    replace(CfadConfig.lesson(), **change)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A system that was trained for seconds, clips, and their maps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        system, _ = experiment.trained("base", 0, "smoke")
        source = experiment.clips("smoke", "test")
        yield system, source, frame_maps(system, source)


def test_a_dial_changes_what_is_found_and_leaves_the_system(small):
    system, source, maps = small
    before = system.config
    bare = dialled(system, selection="none", min_score=0.0)
    assert bare.network is not system.network
    assert bare.config == bare.network.config == replace(before, selection="none", min_score=0.0)
    assert system.config is before and system.network.config is before
    states = (bare.network.state_dict(), system.network.state_dict())
    assert all(a is b or torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))
    found = [experiment.judge(one, source, maps, "") for one in (system, bare)]
    assert found[0] != found[1]


def test_the_rival_links_boxes_of_all_frames(small):
    system, source, maps = small
    found = experiment.detect_and_link(dialled(system, box_score=0.0), source, maps)
    for video in source.videos:
        seen = found.videos[video].frames
        assert np.unique(seen.frame).tolist() == list(range(source.num_frames(video)))
        anchors = len(system.network.anchors(6, 6))
        assert len(seen) == source.num_frames(video) * anchors * len(system.classes)
    assert all(video.tubes is not None for video in found.videos.values())


def test_the_rival_knows_no_span_and_no_key(small, monkeypatch):
    system, source, maps = small
    for part in (system.network.proposals, system.network.coarse, system.network.refine.hourglass):
        monkeypatch.setattr(part, "forward", None)
    experiment.detect_and_link(system, source, maps)


def test_a_whole_run(monkeypatch, tmp_path):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    figures = experiment.run("base", 0, "smoke")
    for dial in ("", "linked_", *experiment.DIALS):
        assert {f"{dial}{name}" for name in ("map_20", "map_30", "map_50", "map_all", "mabo")} <= set(figures)
    assert {"wrong_class", "coarse_wrong_class", "recall_50_of_8", "keys_25"} <= set(figures)
    shares = [name for name in figures if "_map_" in f"_{name}" or name.startswith(("recall", "keys"))]
    assert all(0 <= figures[name] <= 100 for name in shares)
    assert figures["recall_50_of_1"] <= figures["recall_50_of_4"] <= figures["recall_50_of_8"]
    assert figures["keys_45"] <= figures["keys_15"]
    again = experiment.run("direct", 0, "smoke")
    assert {"coarse_map_50", "class_accuracy", "coarse_iou"} <= set(again)
    assert not any(name.startswith(("learned", "linked")) for name in again)
