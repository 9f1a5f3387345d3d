"""The flow subnet on the synthetic benchmark: fusions, one scale, frozen and joint flow, estimators of flow.

Tuned on the split ``val`` and judged here on ``test``. All variants of a seed share its pretrained backbone
and flow network; classical estimators and exact flow take the network's place. Figures, in percent:
``frame_map`` at .5, ``video_map_20`` and ``video_map_50`` of the tubes that are linked online. Besides:
``flow_error``, mean end-point error in pixels of the flow that the trained network sees on test frames, and
``actor_error`` inside of the true boxes;
``detect_ms``, CPU milliseconds a frame of detection, frames in batches; ``cpu_seconds`` of training and test.

    python -m stad_lite.reproduce.sweep flow_subnet --variants base none --seeds 5 --profile lesson
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from einops import rearrange

from stad_lite.arrays import as_numpy
from stad_lite.data import flow as flow_tools
from stad_lite.data.flow import Estimator
from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.errors import StadError
from stad_lite.flow_subnet import system as pipeline
from stad_lite.flow_subnet.config import WHOLE_RUN, FlowSubnetConfig, schedule
from stad_lite.flow_subnet.sequences import read_flow, sequence
from stad_lite.metrics import evaluate
from stad_lite.records import Annotations, Predictions
from stad_lite.reproduce.experiments import Chosen, clips_of_seed
from stad_lite.reproduce.experiments.flow import spynet
from stad_lite.reproduce.parameters import pick
from stad_lite.systems.items import read_stream
from stad_lite.systems.truth import boxes_on
from stad_lite.training.loop import fit_unkept
from stad_lite.training.profile import clock

EXACT = {"estimator": "given", "flow": "exact"}
"""Flow that is handed over without an error."""
OWN = {"enlarged": 1}
"""The flow network sees frames at their own size: much cheaper, and blind for actors of so few pixels."""
TABLE_2 = {
    "": {},
    "sum": {"fusion": "sum"},
    "average": {"fusion": "average"},
    "pyramid": {"fusion": "pyramid"},
    "one_scale": {"fused": "one"},
    "motion": {"fusion": "motion"},
}
"""Its fusions beside concatenation, one scale, and a stream alone (``none`` is the other one)."""

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "none": {"fusion": "appearance"},
    "motion": {"fusion": "motion"},
    # Sec. 3.5: tuned together, or not at all
    "frozen": {"frozen_items": WHOLE_RUN},
    "from_start": {"frozen_items": 0},
    "no_flow_loss": {"supervision": "none"},
    "teacher": {"supervision": "teacher"},
    # Sec. 3.1 and the published code
    "one_pair": {"pairs": "one"},
    "released_pair": {"pairs": "released", "supervision": "none"},
    "focal": {"classification": "focal"},
    # Table 1 without tuning; the row PWC-Net is ``frozen``
    "flownets": {"estimator": "flownets", "flow_depth": 4, "flow_width": 0.125, "frozen_items": WHOLE_RUN},
    "brox": {"estimator": "given", "flow": "brox"},
    # rows that are ours
    "spynet": {"estimator": "given", "flow": "spynet"},
    "dis": {"estimator": "given", "flow": "dis"},
    "farneback": {"estimator": "given", "flow": "farneback"},
    # Table 2 where flow is as good as it can be, and where it tells nothing of actors
    **{f"exact_{name}".strip("_"): EXACT | change for name, change in TABLE_2.items()},
    **{f"own_{name}".strip("_"): OWN | change for name, change in TABLE_2.items()},
    "own_frozen": OWN | {"frozen_items": WHOLE_RUN},
}
"""Settings that differ from the base: PWC-Net, concatenation at all scales, frozen for half of the run."""


@dataclass(frozen=True)
class Plan:
    """How many clips a profile trains on and judges on."""

    train: int
    test: int


def plan(profile: str) -> Plan:
    """Return what a profile does (``paper`` is the lesson with more clips). raises: FormatError"""
    return pick(profile, smoke=Plan(2, 2), lesson=Plan(256, 60), paper=Plan(800, 200))


def shared(variant: str) -> tuple[str, ...]:
    """Return what the seeds of a variant have in common of all that is random."""
    return ("pretraining clips",)


def config_of(variant: str, profile: str) -> FlowSubnetConfig:
    """Return the configuration of a variant. raises: StadError for an unknown one"""
    if variant not in VARIANTS:
        raise StadError(f"no variant {variant!r}", remedy=f"choose from {', '.join(VARIANTS)}")
    base = getattr(FlowSubnetConfig, pick(profile, smoke="smoke", lesson="lesson", paper="lesson"))()
    change = {name: value for name, value in VARIANTS[variant].items() if name != "flow"}
    return replace(base, **change)


CHOSEN = (Chosen("FlowSubnetConfig.lesson and its schedule", "val", "not recorded"),)


def configured(variant: str, profile: str) -> tuple[Any, ...]:
    """Return all settings that a run of a variant goes by. raises: StadError for an unknown one"""
    clips = pick(profile, smoke=Settings.smoke, lesson=Settings.lesson, paper=Settings.lesson)()
    steps = schedule(pick(profile, smoke="smoke", lesson="lesson", paper="lesson"))
    flow = VARIANTS[variant].get("flow", "exact")
    return config_of(variant, profile), steps, clips, plan(profile), flow


def with_flow(source: VideoSource, name: str, device: str = "cpu") -> VideoSource:
    """Return a source whose flow an estimator gives, every video's once; ``exact`` leaves it as it is."""
    if name == "exact":
        return source
    estimator: Estimator = spynet(device) if name == "spynet" else flow_tools.ESTIMATORS[name]()
    known: dict[str, np.ndarray] = {}

    def read(video: str, numbers: np.ndarray) -> np.ndarray:
        if video not in known:
            frames = source.frames(video, np.arange(source.num_frames(video)))
            known[video] = flow_tools.of_clip(frames, estimator).astype(np.float16)
        return np.asarray(known[video][numbers], dtype=np.float32)

    return replace(source, read_flow=read, flow_name=name)


def clips(
    variant: str, profile: str, split: str, seed: int = 0, count: int = 0, device: str = "cpu"
) -> VideoSource:
    """Return the clips of a split, of ``train`` those of a seed, with the flow that a variant is given.

    count: how many of them, 0 for what the profile takes
    device: of a network that gives the flow
    """
    _, _, settings, amounts, flow = configured(variant, profile)
    count = count or (amounts.train if split == "train" else amounts.test)
    source = synthetic_source(settings, clips_of_seed(seed if split == "train" else 0, count), split)
    return with_flow(source, flow, device)


def trained(
    variant: str, seed: int, profile: str, device: str = "cpu"
) -> tuple[pipeline.FlowSubnetSystem, dict[str, float]]:
    """Return a trained system, and the CPU seconds of its training, its pretraining among them."""
    began, source = clock(device), clips(variant, profile, "train", seed, device=device)
    torch.manual_seed(seed)
    system = pipeline.build(config_of(variant, profile), source.classes, seed, torch.device(device))
    data = pipeline.training_set(system, source)
    data.seed = seed
    plan = replace(configured(variant, profile)[1], seed=seed, checkpoint_every=10**6)
    fit_unkept(system, data, plan, device, pipeline.collate)
    return system, {"cpu_seconds": clock(device) - began}


def looked(system: pipeline.FlowSubnetSystem, count: int, profile: str = "lesson") -> dict[str, float]:
    """Return the scores of a trained system on the first clips of ``test``."""
    test = clips("base", profile, "test", count=count)
    return scores(test.annotations, pipeline.detect(system, test))


def run(
    variant: str, seed: int, profile: str = "lesson", split: str = "test", device: str = "cpu"
) -> dict[str, float]:
    """Train and judge one variant with one seed (the module's docstring names the figures).

    split: that judges; ``val`` for tuning
    device: that it is trained and judged on
    raises: StadError for an unknown variant or profile
    """
    system, figures = trained(variant, seed, profile, device)
    test = clips(variant, profile, split, device=device)
    began = clock(device)
    found = pipeline.detect(system, test)
    seconds = clock(device) - began
    figures |= scores(test.annotations, found)
    figures["detect_ms"] = 1000 * seconds / sum(test.num_frames(video) for video in test.videos)
    figures |= flow_errors(system, test, clips("base", profile, split))
    figures["cpu_seconds"] += seconds
    return figures


def scores(truth: Annotations, found: Predictions) -> dict[str, float]:
    """Return frame-mAP at .5 and video-mAP at .2 and .5 of the tubes that are linked online."""
    frames = evaluate(truth, found, "frame-map", 0.5, source="frames")
    tubes = evaluate(truth, found, "video-map", (0.2, 0.5))
    maps = {"video_map_20": float(tubes.iou[0.2]), "video_map_50": float(tubes.iou[0.5])}
    return {"frame_map": float(frames.iou[0.5]), **maps}


@torch.no_grad()
def flow_errors(system: pipeline.FlowSubnetSystem, seen: VideoSource, exact: VideoSource) -> dict[str, float]:
    """Return how far the flow that a detector sees is off, on every eighth frame's last pair.

    seen, exact: the same clips, with the flow that the detector is given and with the true one
    returns: pixels, over whole frames (``flow_error``) and inside of true boxes (``actor_error``); nothing
        for a detector that sees no flow, or none between neighbours
    """
    config, motion = system.config, system.network.motion
    device = next(system.network.parameters()).device
    if motion is None or config.pairs == "released":
        return {}
    whole, inside = [], []
    for video in exact.videos:
        for frame in range(1, exact.num_frames(video) - 1, 8):
            run = sequence(exact, video, frame)
            truth = read_flow(exact, run)[1]
            if motion.net is None:
                field = read_flow(seen, run)[1]
            else:
                frames = torch.as_tensor(read_stream(exact, "rgb", video, run.frames[1:])).to(device)
                pair = motion.features(rearrange(frames, "t h w c -> t c h w").float() / 255)
                flow = motion.between([one[:1] for one in pair], [one[1:] for one in pair])[0]
                field = as_numpy(rearrange(motion.field(flow, config.size)[0], "c h w -> h w c"))
            wrong = np.linalg.norm(field - truth, axis=2)
            whole.append(wrong.mean())
            boxes, _ = boxes_on(exact.annotations.videos[video], frame, exact.classes)
            inside += [wrong[y1:y2, x1:x2].mean() for x1, y1, x2, y2 in boxes.round().astype(int)]
    return {"flow_error": float(np.mean(whole)), "actor_error": float(np.mean(inside))}
