"""STEP's ablations on synthetic clips: heads trained on kept features of a frozen backbone.

Tuned on the split ``val`` and judged here on ``test``. A seed has training clips, a backbone and heads of its
own; its variants share the first two.
Figures, in percent: ``step1``, ..., frame-mAP at .5 were that step the last one (of the last: ``frame_map``);
``input_1``, ..., the mean overlap of a step's input proposals with the truth that they overlap most;
``best_1``, ..., of each truth with its best proposal (of what the last step gives: ``input_out``,
``best_out``); ``beside_RULE_2``, ..., the mean overlap with the truth, by each rule, of the boxes that each
truth's best proposal is extended by. ``detect_ms``: CPU milliseconds a frame in inference on kept features;
``cpu_seconds``: of the training and of the detection together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import Settings, cache_folder
from stad_lite.errors import StadError
from stad_lite.metrics import evaluate
from stad_lite.records import Annotations, Predictions, VideoPredictions
from stad_lite.reproduce.experiments import Chosen, clips_of_seed
from stad_lite.schedule import TrainConfig, config_hash
from stad_lite.step import system as pipeline
from stad_lite.step.analysis import overlaps_beside, overlaps_by_step
from stad_lite.step.config import StepConfig, clip_settings, schedule
from stad_lite.step.fusion import look_together
from stad_lite.step.model import decode
from stad_lite.step.tubes import on_frames
from stad_lite.systems.items import Items
from stad_lite.systems.maps import FrameMaps, frame_maps, kept_maps
from stad_lite.training import checkpoint
from stad_lite.training.loop import fit_unkept
from stad_lite.training.profile import clock

EXTENDED = {"clips": (1, 3, 5)}
GAMMAS = (0.25, 4.0, 16.0)
"""Weights of the boxes in the neighbouring clips; that of ``anticipation`` is 1."""
CONTEXT = (50, 100)
"""How often the ground tells the motion, in percent (``Settings.context``); 0 in all other variants."""
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "steps1": {"thresholds": (0.2,), "clips": (1,)},
    "steps2": {"thresholds": (0.2, 0.35), "clips": (1, 1)},
    "steps4": {"thresholds": (0.2, 0.35, 0.5, 0.5), "clips": (1, 1, 1, 1)},
    "extrapolation": {**EXTENDED, "extension": "extrapolation"},
    "anticipation": {**EXTENDED, "extension": "anticipation"},
    "recursive": {**EXTENDED, "extension": "extrapolation", "extrapolation": "recursive"},
    "copy": {**EXTENDED, "extension": "copy"},
    "long30": {"clips": (5, 5, 5)},
    "no_context": {"context": False},
    "no_hard": {"sampling": "uniform"},
    "flat_iou": {"thresholds": (0.35, 0.35, 0.35)},
    "stepwise": {"training": "stepwise"},
    "proposals5": {"cuboids": "grid5"},
    "proposals34": {"cuboids": "grid34"},
    "rgb": {"stream": "rgb"},
    "flow": {"stream": "flow"},
    "late": {"fusion": ("rgb", "flow"), "rule": "union"},
    "late_mean": {"fusion": ("rgb", "flow"), "rule": "mean"},
    "late_nearest": {"fusion": ("rgb", "flow"), "rule": "nearest"},
    "hybrid": {"fusion": ("rgb", "flow", "early"), "rule": "union"},
    "agnostic": {"regression": "agnostic"},
    "bce": {"classification": "bce"},
    "assignment_own": {"assignment": "own"},
    "sampling_code": {"sampling": "code"},
    "roi_max": {"roi": "max"},
    "conv3d": {"head": "conv3d", "width": 24, "hidden": 48},
    "anticipation_copy": {**EXTENDED, "anticipation": "copy"},
    **{f"anticipation_gamma_{gamma:g}": {**EXTENDED, "neighbour_weight": gamma} for gamma in GAMMAS},
    **{
        f"context_{share}{name}": {"ground": share / 100, **change}
        for share in CONTEXT
        for name, change in (("", {}), ("_no_context", {"context": False}))
    },
}
"""Settings that differ from the base: three steps without extension, 11 cuboids, both streams stacked."""

CLIPS = {"lesson": (400, 100), "smoke": (4, 2)}
"""Profile -> clips of ``train`` and ``test``."""
VERSION = 2
"""Part of the key of kept heads; to be raised with every change in how they are trained."""


@dataclass(frozen=True)
class Trained:
    """A trained detector, and the CPU seconds that its training took."""

    system: pipeline.StepSystem
    seconds: float


def base(profile: str) -> StepConfig:
    """Return the settings that the variants differ from. raises: StadError for an unknown profile"""
    if profile not in CLIPS:
        raise StadError(f"no experiment at {profile!r}", remedy="choose lesson or smoke")
    if profile == "lesson":
        return StepConfig.lesson()
    return replace(StepConfig.smoke(), clips=(1, 1, 1), thresholds=(0.2, 0.35, 0.5), stream="early")


CHOSEN = (Chosen("StepConfig.lesson, its schedule and the dials of its clips", "val", "not recorded"),)


HOW = ("rule", "training", "ground")
"""Settings of a variant that are no fields of the detector's configuration."""


def configs_of(variant: str, profile: str) -> list[StepConfig]:
    """Return the settings of the detectors of a variant: one, or one a stream where they are fused late."""
    change = {key: value for key, value in VARIANTS[variant].items() if key not in HOW}
    streams = change.pop("fusion", ())
    config = replace(base(profile), **change)
    return [replace(config, stream=stream) for stream in streams] or [config]


def configured(variant: str, profile: str) -> tuple[Any, ...]:
    """Return all settings that a run of a variant goes by. raises: StadError for an unknown profile"""
    how = [VARIANTS[variant].get("rule", "union"), VARIANTS[variant].get("training", "joint"), VERSION]
    clips = rendered(profile, VARIANTS[variant].get("ground", 0.0))
    return *configs_of(variant, profile), schedule(profile), clips, CLIPS[profile], how


def shared(variant: str) -> tuple[str, ...]:
    """Return what the seeds of a variant have in common of all that is random."""
    return ("pretraining clips",)


def rendered(profile: str, ground: float = 0.0) -> Settings:
    """Return the dials of the clips. ground: ``Settings.context``"""
    return replace(clip_settings(profile), context=ground)


@lru_cache(maxsize=4)
def source(profile: str, split: str, seed: int = 0, ground: float = 0.0) -> VideoSource:
    """Return the clips of a split, of ``train`` those of a seed. ground: as in ``rendered``"""
    count = CLIPS[profile][split != "train"]
    numbers = clips_of_seed(seed if split == "train" else 0, count)
    return synthetic_source(rendered(profile, ground), numbers, split)


@lru_cache(maxsize=8)
def maps(
    config: StepConfig, profile: str, split: str, seed: int = 0, ground: float = 0.0, device: str = "cpu"
) -> FrameMaps:
    """Return a seed's kept features of a split; only the settings of the backbone and its input count."""
    clips = source(profile, split, seed, ground)
    system = pipeline.build(config, clips.classes, seed, torch.device(device))
    system.network.to(device)
    name = rendered(profile, ground).key
    return kept_maps(system, clips, cache_folder() / "step", name, mirror=split == "train")


def features(
    config: StepConfig, profile: str, split: str, seed: int = 0, ground: float = 0.0, device: str = "cpu"
) -> FrameMaps:
    """Return the features that the heads of a configuration and a seed see."""
    return maps(replace(base(profile), stream=config.stream), profile, split, seed, ground, device)


def train(
    config: StepConfig,
    seed: int,
    profile: str,
    stepwise: bool = False,
    ground: float = 0.0,
    device: str = "cpu",
) -> Trained:
    """Return a detector with trained heads, from the cache folder where it was trained before.

    stepwise: each step is trained alone, after the ones before it, with as many updates as all together
        have in joint training
    ground: as in ``rendered``
    device: that it is trained on, and is on
    """
    plan = replace(schedule(profile), seed=seed)
    torch.manual_seed(seed)
    clips = source(profile, "train", seed, ground)
    system = pipeline.build(config, clips.classes, seed, torch.device(device))
    system.network.to(device)
    key = config_hash(VERSION, config, plan, CLIPS[profile], stepwise, *([ground] if ground else []))
    path = cache_folder() / "step" / "heads" / f"{profile}-{key}.pt"

    def train_now() -> dict[str, Any]:
        known = features(config, profile, "train", seed, ground, device)
        data = pipeline.training_set(system, clips, known)
        data.seed = seed
        seconds = fit_steps(system, data, plan, range(config.steps) if stepwise else (None,), device)
        return {"heads": system.network.heads.state_dict(), "seconds": seconds}

    kept = checkpoint.kept_of_cpu(path, device, train_now)
    system.network.heads.load_state_dict(kept["heads"])
    return Trained(system, float(kept["seconds"]))


def trained(variant: str, seed: int, profile: str, device: str = "cpu") -> tuple[pipeline.StepSystem, float]:
    """Return a variant's trained detector, and the CPU seconds of its training.

    raises: StadError for a variant whose streams are fused late: that has two
    """
    configs = configs_of(variant, profile)
    if len(configs) > 1:
        raise StadError(f"{variant} has {len(configs)} detectors", remedy="choose a variant of one stream")
    found = train(configs[0], seed, profile, device=device)
    return found.system, found.seconds


def looked(system: pipeline.StepSystem, count: int, profile: str = "lesson") -> dict[str, float]:
    """Return frame-mAP@.5 after each step, on the first clips of ``test``."""
    clips = synthetic_source(rendered(profile), count, "test")
    found = detect_in([system], clips, [frame_maps(system, clips)])
    return frame_scores(clips.annotations, found)


def fit_steps(
    system: pipeline.StepSystem, data: Items, plan: TrainConfig, steps: Any = (None,), device: str = "cpu"
) -> float:
    """Train the steps one after another (None: all together) and return the CPU seconds."""
    began = clock(device)
    for step in steps:
        system.network.train_only(step)
        fit_unkept(system, data, plan, device, pipeline.collate)
    system.network.train_only(None)
    return clock(device) - began


def detect(
    systems: list[pipeline.StepSystem],
    profile: str,
    rule: str,
    seed: int = 0,
    ground: float = 0.0,
    device: str = "cpu",
) -> tuple[list[Predictions], float]:
    """Return what each step finds in the test clips, and the CPU seconds it took."""
    clips = source(profile, "test", ground=ground)
    known = [features(system.config, profile, "test", seed, ground, device) for system in systems]
    began = clock(device)
    found = detect_in(systems, clips, known, rule)
    return found, clock(device) - began


def detect_in(
    systems: list[pipeline.StepSystem], clips: VideoSource, known: list[FrameMaps], rule: str = "union"
) -> list[Predictions]:
    """Return what each step finds. known: the features that each system sees"""
    config = systems[0].config
    videos: list[dict[str, VideoPredictions]] = [{} for _ in range(config.steps)]
    for video, runs, steps in look_together(systems, clips, known, rule):
        for place, seen in zip(videos, steps, strict=True):
            boxes = on_frames(runs, decode(seen, config), clips.num_frames(video), config)
            place[video] = VideoPredictions(frames=boxes)
    return [Predictions(clips.classes, place) for place in videos]


def frame_scores(truth: Annotations, found: Sequence[Predictions]) -> dict[str, float]:
    """Return frame-mAP@.5 of every step, and that of the last one as ``frame_map``."""
    figures = {}
    for step, predictions in enumerate(found, start=1):
        result = evaluate(truth, predictions, "frame-map", iou=0.5)
        figures[f"step{step}"] = figures["frame_map"] = float(result.iou[0.5])
    return figures


def run(variant: str, seed: int, profile: str = "lesson", device: str = "cpu") -> dict[str, float]:
    """Train and judge one variant with one seed (the module's docstring names the figures).

    device: that it is trained and judged on
    raises: StadError for an unknown variant or profile
    """
    if variant not in VARIANTS:
        raise StadError(f"no variant {variant!r}", remedy=f"choose from {', '.join(VARIANTS)}")
    how = dict(VARIANTS[variant])
    rule, ground = how.get("rule", "union"), how.get("ground", 0.0)
    stepwise = how.get("training", "joint") == "stepwise"
    parts = [train(one, seed, profile, stepwise, ground, device) for one in configs_of(variant, profile)]
    clips = source(profile, "test", ground=ground)
    found, seconds = detect([part.system for part in parts], profile, rule, seed, ground, device)
    figures = frame_scores(clips.annotations, found)
    if len(parts) == 1:
        figures |= input_figures(parts[0].system, clips, profile, seed, ground, device)
    frames = sum(clips.num_frames(video) for video in clips.videos)
    figures["detect_ms"] = 1000 * seconds / frames
    figures["cpu_seconds"] = seconds + sum(part.seconds for part in parts)
    return figures


def input_figures(
    system: pipeline.StepSystem,
    clips: VideoSource,
    profile: str,
    seed: int = 0,
    ground: float = 0.0,
    device: str = "cpu",
) -> dict[str, float]:
    """Return the mean input overlaps of every step in percent."""
    known = features(system.config, profile, "test", seed, ground, device)
    found = overlaps_by_step(system, clips, known)
    figures = {}
    for step, overlaps in enumerate(found, start=1):
        name = str(step) if step <= system.config.steps else "out"
        figures[f"input_{name}"] = 100 * float(overlaps.proposals.mean())
        figures[f"best_{name}"] = 100 * float(overlaps.truths.mean())
    beside = overlaps_beside(system, clips, known)
    return figures | {f"beside_{name}": 100 * value for name, value in beside.items()}
