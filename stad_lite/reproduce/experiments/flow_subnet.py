"""The flow subnet on the synthetic benchmark: fusions, one scale, frozen and joint flow, estimators of flow.

Tuned on the split ``val`` and judged here on ``test``. All variants of a seed share its pretrained backbone
and flow network; classical estimators and exact flow take the network's place. Figures, in percent:
``frame_map`` at .5, ``video_map_20`` and ``video_map_50`` of the tubes that are linked online. Besides:
``flow_error``, mean end-point error in pixels of the flow that the trained network sees on test frames;
``detect_ms``, CPU milliseconds a frame of detection, frames in batches; ``cpu_seconds`` of training and test.

    python -m stad_lite.reproduce.sweep flow_subnet --variants base none --seeds 5 --profile lesson
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from einops import rearrange

from stad_lite.data import flow as flow_tools
from stad_lite.data.flow import Estimator
from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.errors import StadError
from stad_lite.flow_subnet import system as pipeline
from stad_lite.flow_subnet.config import WHOLE_RUN, FlowSubnetConfig, schedule
from stad_lite.flow_subnet.motion import pair_places
from stad_lite.flow_subnet.sequences import read_flow, sequence
from stad_lite.metrics import evaluate
from stad_lite.nets.flow.warping import end_point_error
from stad_lite.reproduce.experiments.flow import spynet
from stad_lite.reproduce.parameters import pick
from stad_lite.reproduce.sweep import clips_of_seed
from stad_lite.systems.items import read_stream
from stad_lite.training.loop import fit

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    # Table 2: its fusions, one scale, none (which stream is left is not said)
    "sum": {"fusion": "sum"},
    "average": {"fusion": "average"},
    "pyramid": {"fusion": "pyramid"},
    "one_scale": {"fused": "one"},
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
    # Table 1 without tuning
    "flownets": {"estimator": "flownets", "flow_depth": 4, "flow_width": 0.125, "frozen_items": WHOLE_RUN},
    "brox": {"estimator": "given", "flow": "brox"},
    # rows that are ours
    "spynet": {"estimator": "given", "flow": "spynet"},
    "dis": {"estimator": "given", "flow": "dis"},
    "farneback": {"estimator": "given", "flow": "farneback"},
    "exact": {"estimator": "given", "flow": "exact"},
}
"""Settings that differ from the base: PWC-Net, concatenation at all scales, frozen for half of the training.
``frozen`` is also the row PWC-Net beside the other estimators."""


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


def with_flow(source: VideoSource, name: str) -> VideoSource:
    """Return a source whose flow an estimator gives, every video's once; ``exact`` leaves it as it is."""
    if name == "exact":
        return source
    estimator: Estimator = spynet() if name == "spynet" else flow_tools.ESTIMATORS[name]()
    known: dict[str, np.ndarray] = {}

    def read(video: str, numbers: np.ndarray) -> np.ndarray:
        if video not in known:
            frames = source.frames(video, np.arange(source.num_frames(video)))
            known[video] = flow_tools.of_clip(frames, estimator).astype(np.float16)
        return np.asarray(known[video][numbers], dtype=np.float32)

    return replace(source, read_flow=read, flow_name=name)


def clips(variant: str, profile: str, split: str, seed: int = 0) -> VideoSource:
    """Return the clips of a split, of ``train`` those of a seed, with the flow that a variant is given."""
    amounts, lesson = plan(profile), Settings.lesson()
    settings = pick(profile, smoke=Settings.smoke(), lesson=lesson, paper=lesson)
    count = amounts.train if split == "train" else amounts.test
    source = synthetic_source(settings, clips_of_seed(seed if split == "train" else 0, count), split)
    return with_flow(source, VARIANTS[variant].get("flow", "exact"))


def run(variant: str, seed: int, profile: str = "lesson", split: str = "test") -> dict[str, float]:
    """Train and judge one variant with one seed (the module's docstring names the figures).

    split: that judges; ``val`` for tuning
    raises: StadError for an unknown variant or profile
    """
    config = config_of(variant, profile)
    began, source = time.process_time(), clips(variant, profile, "train", seed)
    torch.manual_seed(seed)
    system = pipeline.build(config, source.classes, seed)
    data = pipeline.training_set(system, source)
    data.seed = seed
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(schedule(pick(profile, smoke="smoke", lesson="lesson", paper="lesson")), seed=seed)
        fit(system, data, settings, folder, collate=pipeline.collate, device="cpu", say=lambda text: None)
    test = clips(variant, profile, split)
    between = time.process_time()
    found = pipeline.detect(system, test)
    seconds = time.process_time() - between
    truth = test.annotations
    frames = evaluate(truth, found, "frame-map", 0.5, source="frames")
    tubes = evaluate(truth, found, "video-map", (0.2, 0.5))
    return {
        "frame_map": float(frames.iou[0.5]),
        "video_map_20": float(tubes.iou[0.2]),
        "video_map_50": float(tubes.iou[0.5]),
        "flow_error": flow_error(system, test, clips("base", profile, split)),
        "detect_ms": 1000 * seconds / sum(test.num_frames(video) for video in test.videos),
        "cpu_seconds": time.process_time() - began,
    }


@torch.no_grad()
def flow_error(system: pipeline.FlowSubnetSystem, seen: VideoSource, exact: VideoSource) -> float:
    """Return the mean end-point error of the flow that a detector sees, of every eighth frame's last pair.

    seen, exact: the same clips, with the flow that the detector is given and with the true one
    returns: pixels; 0 for a detector that sees no flow, or none between neighbours
    """
    config, network = system.config, system.network
    if network.motion is None or config.pairs == "released":
        return 0.0
    errors = []
    for video in exact.videos:
        for frame in range(1, exact.num_frames(video) - 1, 8):
            run = sequence(exact, video, frame)
            truth = torch.as_tensor(read_flow(exact, run)[1:2]).movedim(3, 1)
            if network.motion.net is None:
                field = torch.as_tensor(read_flow(seen, run)[1:2]).movedim(3, 1)
            else:
                frames = torch.as_tensor(read_stream(exact, "rgb", video, run.frames))
                images = rearrange(frames, "t h w c -> t c h w")
                first, second = (images[place][-1:] for place in pair_places(config.pairs))
                features = [network.motion.features(image.float() / 255) for image in (first, second)]
                flow = network.motion.between(*features)[0]
                field = network.motion.field(flow, config.size)
            errors.append(float(end_point_error(field, truth)))
    return float(np.mean(errors))
