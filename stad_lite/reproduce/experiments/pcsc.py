"""PCSC on the synthetic benchmark: stages, messages, directions, corrupted streams, trimming.

One training a run gives all stages. Figures, in percent: ``stage0`` to ``stage4`` frame-mAP@.5 after each
stage, ``boost0`` to ``boost4`` the same where the streams vote for each other's boxes; ``recall_rgb``,
``recall_flow``, ``recall_union`` of region proposals at an equal count, ``only_rgb``, ``only_flow``;
``tubes``, ``tubes_actionness``, ``tubes_labels`` video-mAP@.5 without trimming, trimmed by actionness and by
label smoothness, and the same at .2 (not for corrupted streams, whose question is another). ``cpu_seconds``
is what training, actionness and the test take; the small networks' maps are computed once and kept
(``feature_seconds``).

    python -m stad_lite.reproduce.sweep pcsc --variants base no_messages --seeds 5 --profile lesson
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from stad_lite.data import flow as flow_tools
from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import Settings, cache_folder
from stad_lite.linking import LabelSmoothing, trim_tubes
from stad_lite.metrics import evaluate
from stad_lite.pcsc import actionness, stages
from stad_lite.pcsc import system as pipeline
from stad_lite.pcsc.config import PCSCConfig, schedule
from stad_lite.pcsc.recall import PROPOSERS, proposal_recall
from stad_lite.pcsc.stages import Seen
from stad_lite.pcsc.system import PCSCSystem
from stad_lite.records import Annotations, Predictions, VideoPredictions
from stad_lite.reproduce.experiments import Chosen, clips_of_seed
from stad_lite.reproduce.parameters import pick
from stad_lite.schedule import TrainConfig, config_hash
from stad_lite.systems.maps import FrameMaps, frame_maps, kept_maps
from stad_lite.training import checkpoint
from stad_lite.training.loop import fit_unkept
from stad_lite.training.profile import clock
from stad_lite.tubes import Tube

DIAL = {"rgb": (40.0, 80.0), "flow": (2.0, 4.0)}
"""Strengths at which a stream is corrupted: grey levels, pixels (``Settings``)."""

DIALLED: dict[str, dict[str, Any]] = {
    "": {},
    "_no_messages": {"messages": "none"},
    "_alone": {"messages": "none", "proposals": False},
}
"""Suffix -> change of the variants that are run at every strength."""

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "no_messages": {"messages": "none"},
    "no_proposals": {"proposals": False},
    "image_only": {"messages": "image"},
    "roi_only": {"messages": "roi"},
    "to_rgb": {"directions": "to_rgb"},
    "to_flow": {"directions": "to_flow"},
    "alone": {"messages": "none", "proposals": False},
    "baseline": {"messages": "none", "stages": 0},
    "estimated_flow": {"flow": "dis"},
    **{
        f"{where}longer{name}": {**change, "length": 3, **DIALLED[name]}
        for where, change in (("", {}), ("rgb_80_", {"corrupt_rgb": 80.0}))
        for name in ("", "_no_messages")
    },
    **{
        f"{stream}_{strength:.0f}{name}": {f"corrupt_{stream}": strength, **change}
        for stream, strengths in DIAL.items()
        for strength in strengths
        for name, change in DIALLED.items()
    },
}
"""``no_messages`` is Table 5's column without feature cooperation; ``baseline`` is Faster R-CNN + FPN in two
streams; ``alone`` has the stages but no cooperation at all. ``rgb_40`` and so on corrupt a stream on half of
the frames of every clip. ``longer`` takes three times the updates."""

SMOOTHING = LabelSmoothing(alpha=2.5, labels="two", empty="keep", rescore=False)
"""Label smoothness, its price and that a tube keeps its score tuned on the split val."""


@dataclass(frozen=True)
class Plan:
    """How much a profile does: clips for training and test, and those that actionness learns from."""

    train: int
    test: int
    actionness: int
    count: int


def plan(profile: str) -> Plan:
    """Return what a profile does. raises: FormatError for an unknown one"""
    return pick(profile, smoke=Plan(4, 2, 3, 4), lesson=Plan(400, 100, 60, 8), paper=Plan(800, 200, 200, 4))


def settings(profile: str, change: dict[str, Any]) -> Settings:
    """Return the clips' settings: those of the profile with a stream corrupted."""
    base = pick(profile, smoke=Settings.smoke(), lesson=Settings.lesson(), paper=Settings.lesson())
    dials: dict[str, Any] = {name: value for name, value in change.items() if name.startswith("corrupt_")}
    return replace(base, **dials, corrupt_share=0.5) if dials else base


def shared(variant: str) -> tuple[str, ...]:
    """Return what the seeds of a variant have in common of all that is random."""
    return ("pretraining clips",)


CHOSEN = (
    Chosen("PCSCConfig.lesson and its schedule", "not recorded", "not recorded"),
    Chosen("the trims: of PCSCConfig.lesson by actionness, and SMOOTHING", "val", "not recorded"),
)


def configured(variant: str, profile: str) -> tuple[Any, ...]:
    """Return all settings that a run of a variant goes by. raises: FormatError for an unknown profile"""
    change = VARIANTS[variant]
    wanted = planned(profile, change.get("length", 1))
    flow = change.get("flow", "exact")
    return config_of(profile, change), wanted, settings(profile, change), plan(profile), flow, SMOOTHING


def open_clips(chosen: Settings, clips: int | Sequence[int], split: str, flow: str = "exact") -> VideoSource:
    """Return synthetic clips with their exact flow, or with estimated flow.

    clips: how many of the split, or their numbers
    flow: ``exact``, or the name of an estimator in ``data.flow.ESTIMATORS``
    """
    source = synthetic_source(chosen, clips, split)
    if flow == "exact":
        return source
    estimator = flow_tools.ESTIMATORS[flow]()

    def read(video: str, numbers: np.ndarray) -> np.ndarray:
        frames = source.frames(video, np.arange(source.num_frames(video)))
        return flow_tools.of_clip(frames, estimator)[numbers]

    return replace(source, read_flow=read, flow_name=flow)


def config_of(profile: str, change: dict[str, Any]) -> PCSCConfig:
    """Return the configuration of a variant (``paper`` is the lesson's network with more clips)."""
    base = pick(profile, smoke=PCSCConfig.smoke(), lesson=PCSCConfig.lesson(), paper=PCSCConfig.lesson())
    own = {name: value for name, value in change.items() if name in PCSCConfig.__dataclass_fields__}
    return replace(base, **own)


def run(variant: str, seed: int, profile: str, split: str = "test", device: str = "cpu") -> dict[str, float]:
    """Train a variant and return its figures.

    split: that is judged; settings are tuned on ``val``
    device: that it is trained and judged on
    """
    change, chosen = VARIANTS[variant], plan(profile)
    clips, flow = settings(profile, change), change.get("flow", "exact")
    system, spent = trained(variant, seed, profile, device)
    began = clock(device)
    test = open_clips(clips, chosen.test, split, flow)
    maps = kept_maps(system, test, cache_folder() / "pcsc", f"{clips.key} {split} {flow}")
    started = clock(device)
    figures = judge_system(system, test, maps, chosen.count, _on_tubes(change))
    return {
        **figures,
        "cpu_seconds": spent["cpu_seconds"] + clock(device) - started,
        "feature_seconds": spent["feature_seconds"] + started - began,
    }


def trained(
    variant: str, seed: int, profile: str, device: str = "cpu"
) -> tuple[PCSCSystem, dict[str, float]]:
    """Return a trained system, and the CPU seconds of its features and of its training."""
    change = VARIANTS[variant]
    system, train, maps, spent = boxes_trained(change, seed, profile, device)
    if _on_tubes(change):
        began = clock(device)
        stages.finish(system, train.subset(train.videos[: plan(profile).actionness]), maps, seed)
        spent["cpu_seconds"] += clock(device) - began
    return system, spent


def boxes_trained(
    change: dict[str, Any], seed: int, profile: str, device: str = "cpu"
) -> tuple[PCSCSystem, VideoSource, FrameMaps, dict[str, float]]:
    """Return a system trained but for actionness, from the cache folder where it was trained before.

    returns: the system, its clips, their maps, and the CPU seconds of features and of training
    """
    clips, flow, length = settings(profile, change), change.get("flow", "exact"), change.get("length", 1)
    config, amounts = config_of(profile, change), plan(profile)
    began = clock(device)
    train = open_clips(clips, clips_of_seed(seed, amounts.train), "train", flow)
    torch.manual_seed(seed)
    system = pipeline.build(config, train.classes, seed, torch.device(device))
    system.network.to(device)
    maps = kept_maps(system, train, cache_folder() / "pcsc", f"{clips.key} train {flow}", mirror=True)
    started = clock(device)
    key = config_hash(config, planned(profile, length), clips, amounts.train, flow, seed)
    path = cache_folder() / "pcsc" / "heads" / f"{profile}-{key}.pt"

    def train_now() -> dict[str, Any]:
        train_system(system, train, maps, profile, seed, length, device)
        return {"network": system.network.state_dict(), "seconds": clock(device) - started}

    kept = checkpoint.kept_of_cpu(path, device, train_now)
    system.network.load_state_dict(kept["network"])
    return system, train, maps, {"feature_seconds": started - began, "cpu_seconds": float(kept["seconds"])}


def looked(system: PCSCSystem, count: int, profile: str = "lesson") -> dict[str, float]:
    """Return a few figures of a trained system on the first clips of ``test``."""
    test = open_clips(settings(profile, {}), count, "test")
    figures = judge_system(system, test, frame_maps(system, test), plan(profile).count)
    return {name: figures[name] for name in ("stage0", f"stage{system.config.stages}", "tubes_actionness")}


def _on_tubes(change: dict[str, Any]) -> bool:
    """Tell whether tubes are linked and trimmed: not where a stream is corrupted."""
    return not any(name.startswith("corrupt_") for name in change)


def planned(profile: str, length: int = 1) -> TrainConfig:
    """Return the profile's schedule with ``length`` times its steps."""
    found = schedule("smoke" if profile == "smoke" else "lesson")
    return replace(found, steps=length * found.steps)


def train_system(
    system: Any,
    source: VideoSource,
    maps: FrameMaps,
    profile: str,
    seed: int,
    length: int = 1,
    device: str = "cpu",
) -> None:
    """Train a system on a source with the profile's schedule, or with ``length`` times its steps."""
    wanted = replace(planned(profile, length), seed=seed, checkpoint_every=10**6)
    data = pipeline.training_set(system, source, maps)
    data.seed = seed
    fit_unkept(system, data, wanted, device, pipeline.collate)


def judge_system(
    system: PCSCSystem, source: VideoSource, maps: FrameMaps, count: int, tubes: bool = True
) -> dict[str, float]:
    """Return all figures of a trained system but its time.

    count: region proposals a frame at which recall is told
    tubes: whether tubes are linked and trimmed too
    """
    seen = dict(stages.look(system, source, maps, also=("boost",)))
    truth, classes = source.annotations, system.classes
    figures = {}
    for name in ("stage", "boost"):
        for stage in range(system.config.stages + 1):
            found = {video: {"stage": one.stages, **one.also}[name][stage] for video, one in seen.items()}
            videos = {video: VideoPredictions(frames=rows) for video, rows in found.items()}
            result = evaluate(truth, Predictions(classes, videos), "frame-map", 0.5)
            figures[f"{name}{stage}"] = result.iou[0.5]
    recall = proposal_recall(system, source, (count,), maps)[count]
    figures |= {f"recall_{name}": recall.share(name) for name in PROPOSERS}
    figures |= {f"only_{stream}": recall.only(stream) for stream in ("rgb", "flow")}
    for name, kept in (trimmed_tubes(system, seen) if tubes else {}).items():
        figures |= video_map(truth, classes, kept, name)
    return figures


def trimmed_tubes(system: PCSCSystem, seen: dict[str, Seen]) -> dict[str, dict[str, Sequence[Tube]]]:
    """Return every video's tubes: as linked, trimmed by actionness, trimmed by label smoothness."""
    found: dict[str, dict[str, Sequence[Tube]]] = {"tubes": {}, "tubes_actionness": {}, "tubes_labels": {}}
    for video, one in seen.items():
        linked = stages.tubes_of(one.stages[-1], system.config, system.classes)
        along = stages.along(system, one, linked)
        found["tubes"][video] = linked.tubes
        found["tubes_actionness"][video] = actionness.refine(linked.tubes, along, system.config.trim).tubes
        found["tubes_labels"][video] = trim_tubes(linked.tubes, SMOOTHING).tubes
    return found


def video_map(
    truth: Annotations, classes: Sequence[str], tubes: dict[str, Sequence[Tube]], name: str
) -> dict[str, float]:
    """Return video-mAP@.5 as ``name`` and video-mAP@.2 as ``name``_20."""
    videos = {video: VideoPredictions(tubes=tuple(some)) for video, some in tubes.items()}
    result = evaluate(truth, Predictions(tuple(classes), videos), "video-map", (0.2, 0.5))
    return {name: result.iou[0.5], f"{name}_20": result.iou[0.2]}
