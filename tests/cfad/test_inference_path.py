"""What is called when CFAD looks at a video: T frames, one coarse module, keys alone, and no linker ever."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import stad_lite.linking
from stad_lite.baselines import detect_and_link
from stad_lite.baselines import system as dense
from stad_lite.baselines.config import DenseConfig
from stad_lite.cfad import decoding
from stad_lite.cfad import system as cfad
from stad_lite.data.source import VideoSource
from stad_lite.records import Annotations, VideoAnnotation
from tests.cfad.cases import CLASSES, tiny

LENGTHS = {"short": 5, "long": 70}


@pytest.fixture
def source() -> VideoSource:
    """Two videos of noise, one shorter and one longer than T = 16."""
    videos = {name: VideoAnnotation(width=48, height=48, num_frames=n) for name, n in LENGTHS.items()}
    noise = np.random.default_rng(0).integers(0, 256, (max(LENGTHS.values()), 48, 48, 3), dtype=np.uint8)
    return VideoSource(Annotations("noise", CLASSES, videos), (48, 48), lambda _, numbers: noise[numbers])


def make(**settings) -> cfad.CfadSystem:
    torch.manual_seed(0)
    return cfad.CfadSystem(tiny(min_score=0.0, span_score=0.0, spans=3, **settings), CLASSES)


def shapes(module: torch.nn.Module) -> list[tuple[int, ...]]:
    """The shapes of what a module is given from now on, call by call."""
    seen: list[tuple[int, ...]] = []
    module.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
    return seen


def files_entered(work) -> set[Path]:
    """The files whose code runs while something is called."""
    entered = set()
    before = sys.getprofile()
    sys.setprofile(lambda frame, *_: entered.add(frame.f_code.co_filename))
    try:
        work()
    finally:
        sys.setprofile(before)
    return {Path(name) for name in entered}


def test_the_backbone_sees_the_resampled_frames_and_the_coarse_module_is_called_once_a_video(source):
    one = make()
    backbone, coarse = shapes(one.network.backbone), shapes(one.network.coarse)
    proposals = shapes(one.network.proposals)
    found = cfad.detect(one, source)
    assert all(found.videos[name].tubes for name in LENGTHS)
    assert backbone == [(16, 3, 48, 48)] * 2  # and not 5 and 70
    assert proposals == [(1, 16, 16, 6, 6)] * 2
    assert len(coarse) == 2 and all(shape[:3] == (shape[0], 16, 6) and shape[0] <= 3 for shape in coarse)


def test_box_proposals_are_made_at_the_keys_of_spans_and_nowhere_else(source, monkeypatch):
    one = make(samples=6)
    keys = {0: [0, 3], 1: [1, 2, 5]}  # by the order in which a video's spans are asked for
    asked: list[int] = []

    def chosen(chances, config, seed):
        asked.append(seed[0])
        return np.array(keys.get(seed[0], []), dtype=int)

    monkeypatch.setattr(decoding, "choose_keys", chosen)
    seen, sampled = [], []
    one.network.refine.convs.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    one.network.coarse.register_forward_pre_hook(lambda _, given: sampled.append(given[0]))
    cfad.detect(one, source)
    wanted = []
    place = 0
    for features in sampled:  # of a video, span by span
        spans = sorted(asked[place : place + len(features)])
        assert len(set(spans)) == len(spans)
        place += len(spans)
        wanted += [features[n][:, keys[n]].transpose(0, 1) for n in spans if n in keys]
    assert len(seen) == len(wanted) > 2 and place == len(asked)
    for ours, theirs in zip(seen, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_with_keys_everywhere_there_are_as_many_box_proposals_as_samples(source):
    """At most N frames a span, however long the video is: never one of every frame."""
    one = make(selection="all", samples=6)
    seen = shapes(one.network.refine.convs)
    cfad.detect(one, source)
    assert 2 <= len(seen) <= 6 and {shape[0] for shape in seen} == {6}


def test_no_code_of_a_linker_runs(source):
    linkers = Path(stad_lite.linking.__path__[0])
    entered = files_entered(lambda: cfad.detect(make(), source))
    assert Path(decoding.__file__) in entered
    assert not {path for path in entered if linkers in path.parents}
    torch.manual_seed(0)
    rival = dense.build(DenseConfig.smoke(modality="rgb", min_score=0.0), CLASSES)
    entered = files_entered(lambda: detect_and_link.detect(rival, source))
    assert {path for path in entered if linkers in path.parents}  # the same look finds one where one runs


def test_a_rival_that_detects_on_every_frame_is_seen_to_do_so(source):
    torch.manual_seed(0)
    rival = dense.build(DenseConfig.smoke(modality="rgb"), CLASSES)
    seen = shapes(rival.network.backbones["rgb"])
    detect_and_link.detect(rival, source)
    assert sum(shape[0] for shape in seen) >= sum(LENGTHS.values())


def test_resampling_alone_decides_what_the_backbone_costs(source):
    for length in (8, 32):
        one = make(length=length)
        seen = shapes(one.network.backbone)
        cfad.detect(one, replace(source, annotations=source.annotations.subset(["long"])))
        assert seen == [(length, 3, 48, 48)]
