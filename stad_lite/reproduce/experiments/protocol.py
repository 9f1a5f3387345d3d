"""Five systems and the baseline under one protocol: the same clips to learn from, the same clips that judge.

Each system keeps its own network and its own recipe (``lesson``), with half of the steps, and is trained and
asked as the verbs ``train`` and ``predict`` do it. The clips are untrimmed: of 48 frames an action takes 8 to
32. Nothing was tuned on them. ``large``, for a GPU: each system's own ``large`` with all its steps, from
scratch, on 400 clips of 64 frames of 112 x 112 in which an action takes 10 to 56; 50 judge.

Figures, in percent: ``frame_map`` at .5; ``video_map_20``, ``video_map_50``, ``video_map_all`` (.5:.05:.95)
of tubes; ``span_map``, temporal mAP averaged over .3:.1:.7, of what SP-TAD finds and of the others' tubes
without their boxes, and ``span_map_50``. ``tube_gain_KIND`` and ``span_gain_KIND`` are the points of mAP@.5
that mending one kind of error would win (``metrics.errors``). ``detect_ms``: CPU milliseconds a frame of
detection, linking and trimming included; ``cpu_seconds``: training and detection, without the pretraining
of small backbones, which is kept.

    python -m stad_lite.reproduce.sweep protocol --seeds 5 --profile lesson
"""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from typing import Any

import numpy as np
import torch

from stad_lite.catalogue import ENTRIES, find
from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.linking import link
from stad_lite.metrics import evaluate
from stad_lite.metrics.errors import TYPES
from stad_lite.metrics.matching import thresholds
from stad_lite.records import Annotations, Predictions, VideoPredictions
from stad_lite.reproduce.experiments import Chosen, clips_of_seed
from stad_lite.reproduce.parameters import pick
from stad_lite.schedule import TrainConfig
from stad_lite.systems.truth import segment_truth, segments_of
from stad_lite.training.checkpoint import seed_all
from stad_lite.training.loop import fit_unkept
from stad_lite.training.profile import clock

LONG: dict[str, dict[str, Any]] = {
    "cfad": {"length": 48, "span_lengths": (8.0, 12.0, 16.0, 20.0, 26.0, 32.0)},
    "sp_tad": {"window": 48, "train_stride": 48, "test_stride": 48},
}
VARIANTS: dict[str, dict[str, Any]] = {name: LONG.get(name, {}) for name in ENTRIES}
"""What differs from a system's ``lesson``: the two that look at whole videos are told how long these are."""
LARGE: dict[str, dict[str, Any]] = {"sp_tad": {"window": 64, "train_stride": 64, "test_stride": 64}}
"""The same of ``large``, whose clips CFAD's own settings fit."""

CLIPS = {"smoke": (4, 2), "lesson": (200, 40), "paper": (2000, 300), "large": (400, 50)}
"""Profile -> clips that are learnt from and clips that judge."""
SIZES = {"smoke": "smoke", "lesson": "lesson", "paper": "lesson", "large": "large"}
"""Profile -> that of the catalogue whose networks and recipes are taken."""
FINISHING = 20
"""Clips that PCSC's actionness learns from."""
BATCH = {"sp_tad": 4}
"""Windows of a step, a quarter of its recipe's: a backbone is trained along, on every frame of them."""
SPAN_LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7)


CHOSEN = (
    Chosen(
        "lengths of CFAD's and SP-TAD's windows, batch and steps of the protocol", "none", "none: by cost"
    ),
)


def configured(variant: str, profile: str) -> tuple[Any, ...]:
    """Return all settings that a run of a variant goes by. raises: FormatError for an unknown profile"""
    amounts = (pick(profile, **CLIPS), FINISHING)
    return config_of(variant, profile), schedule(variant, profile), settings(profile), amounts


def shared(variant: str) -> tuple[str, ...]:
    """Return what the seeds of a variant have in common of all that is random; at ``large`` it is nothing."""
    return ("pretrained backbone", "pretraining clips") if find(variant).pretrains else ()


def settings(profile: str) -> Settings:
    """Return what clips are rendered with. raises: FormatError for an unknown profile"""
    short = replace(Settings.smoke(), frames=32, span=(6, 20))
    long = replace(Settings.lesson(), frames=48, span=(8, 32))
    return pick(profile, smoke=short, lesson=long, paper=long, large=Settings.large())


def clips(profile: str, split: str, seed: int = 0) -> VideoSource:
    """Return a seed's clips of ``train``, or those of a split that judges: the same for all systems."""
    train, judged = pick(profile, **CLIPS)
    numbers = clips_of_seed(seed, train) if split == "train" else range(judged)
    return synthetic_source(settings(profile), numbers, split)


def config_of(variant: str, profile: str) -> Any:
    """Return a system's settings under this protocol."""
    change = VARIANTS[variant]
    change = pick(profile, smoke={}, lesson=change, paper=change, large=LARGE.get(variant, {}))
    return replace(find(variant).config(pick(profile, **SIZES)), **change)


def schedule(variant: str, profile: str) -> TrainConfig:
    """Return how a variant is trained: half of its own steps at ``lesson``."""
    plan = find(variant).schedule(pick(profile, **SIZES))
    if profile != "lesson":
        return plan
    return replace(plan, steps=plan.steps // 2, batch=BATCH.get(variant, plan.batch))


def trained(variant: str, seed: int, profile: str, device: str = "cpu") -> tuple[Any, float]:
    """Return a trained system and the seconds that it took."""
    entry, source = find(variant), clips(profile, "train", seed)
    seed_all(seed)
    system = entry.build(config_of(variant, profile), source.classes, torch.device(device))
    system.network.to(device)
    began = clock(device)
    data = entry.training_set(system, source)
    data.seed = seed
    plan = replace(schedule(variant, profile), seed=seed, checkpoint_every=10**6)
    fit_unkept(system, data, plan, device, entry.collate)
    entry.finish(system, source.subset(source.videos[:FINISHING]), seed)
    return system, clock(device) - began


def run(variant: str, seed: int, profile: str, split: str = "test", device: str = "cpu") -> dict[str, float]:
    """Train a system and return its figures; boxes on frames that it leaves unlinked are linked online.

    split: that is judged
    device: that it is trained and judged on
    raises: FormatError for an unknown system or profile
    """
    system, spent = trained(variant, seed, profile, device)
    test = clips(profile, split)
    began = clock(device)
    found = find(variant).detect(system, test)
    if any(video.frames and video.tubes is None for video in found.videos.values()):
        found = link(found)
    seconds = clock(device) - began
    frames = sum(test.num_frames(video) for video in test.videos)
    costs = {"detect_ms": 1000 * seconds / frames, "cpu_seconds": spent + seconds}
    return {**scores(test, found), **costs}


def scores(source: VideoSource, found: Predictions) -> dict[str, float]:
    """Return how good predictions are: boxes and tubes where there are any, and spans."""
    figures = {}
    if has_boxes(found):
        truth, levels = source.annotations, thresholds("0.5:0.95")
        frames = evaluate(truth, found, "frame-map", 0.5, per_class=False)
        tubes = evaluate(truth, found, "video-map", (0.2, *levels), per_class=False).iou
        figures = {"frame_map": frames.iou[0.5], "video_map_20": tubes[0.2], "video_map_50": tubes[0.5]}
        figures["video_map_all"] = float(np.mean([tubes[level] for level in levels]))
        figures |= gains(truth, found, "tube")
    truth, timed = segment_truth(source), spans(source, found)
    spans_map = evaluate(truth, timed, "temporal-map", SPAN_LEVELS, per_class=False).iou
    figures |= {"span_map": float(np.mean(list(spans_map.values()))), "span_map_50": spans_map[0.5]}
    return figures | gains(truth, timed, "span")


def has_boxes(found: Predictions) -> bool:
    """Tell whether a system says where actors are, and not only when."""
    return any(video.tubes is not None for video in found.videos.values())


def gains(truth: Annotations, found: Predictions, name: str) -> dict[str, float]:
    """Return the points of mAP@.5 that mending each kind of error would win, behind a name.

    Where every truth is missed none would be left to measure: then all that lacks is put down to that.
    """
    gain = evaluate(truth, found, "errors", 0.5, per_class=False).gain or {}
    return {f"{name}_gain_{kind}": 100.0 if isnan(gain[kind]) else gain[kind] for kind in TYPES[1:]}


def spans(source: VideoSource, found: Predictions) -> Predictions:
    """Return when actions are, of predictions that say where too: each tube's span with its score."""
    videos = {}
    for name, video in found.videos.items():
        if video.tubes is None:
            videos[name] = video
            continue
        bare = replace(source.annotations.videos[name], tubes=video.tubes, segments=None)
        whole = segments_of(bare, source.fps(name))
        scored = zip(whole, video.tubes, strict=True)
        timed = tuple(replace(segment, score=tube.score) for segment, tube in scored)
        videos[name] = VideoPredictions(segments=timed)
    return Predictions(found.classes, videos)
