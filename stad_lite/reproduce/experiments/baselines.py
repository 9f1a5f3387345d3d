"""The dense detector on synthetic clips: RGB, flow and both, as what the five systems are compared with.

Settings were chosen on the split ``val``; ``run`` judges on ``test``. Figures, in percent: ``frame_map``
at .5; ``agnostic_ap``, the same with all classes called one; ``video_map_20`` and ``video_map_50`` of the
linked tubes; ``actor_ap``, of the detections of one class against all actors, those who do nothing included.
``cpu_seconds``: training, detection and evaluation, with the reading of rendered clips.

    python -m stad_lite.reproduce.sweep baselines --variants rgb flow both --seeds 3 --profile lesson
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stad_lite.baselines import detect_and_link
from stad_lite.baselines import system as pipeline
from stad_lite.baselines.config import DenseConfig, schedule
from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.data.synthetic.dataset import split_seeds, video_id
from stad_lite.data.synthetic.scene import build_scene
from stad_lite.metrics import evaluate
from stad_lite.records import Annotations
from stad_lite.reproduce.experiments import Chosen, clips_of_seed
from stad_lite.reproduce.parameters import pick
from stad_lite.training.checkpoint import seed_all
from stad_lite.training.loop import fit_unkept
from stad_lite.training.profile import clock

VARIANTS: dict[str, dict[str, Any]] = {
    "rgb": {"modality": "rgb"},
    "flow": {"modality": "flow"},
    "both": {"modality": "both"},
    "both_late": {"modality": "both", "fusion": "late"},
    "tubelets": {"modality": "both", "frames": 4, "clip": 4, "linking": "tubelets"},
    "head_groups8": {"modality": "both", "head_groups": 8},
    "batch_norm": {"modality": "both", "norm": "batch"},
}
"""Settings that differ from the profile's."""
CLIPS = {"smoke": (8, 4), "lesson": (400, 100), "paper": (4000, 500)}
"""Profile -> clips of ``train`` and of the split that judges."""


CHOSEN = (Chosen("DenseConfig.lesson and its schedule", "val", "not recorded"),)


def configured(variant: str, profile: str) -> tuple[Any, ...]:
    """Return all settings that a run of a variant goes by. raises: FormatError for an unknown profile"""
    config = pick(profile, smoke=DenseConfig.smoke, lesson=DenseConfig.lesson, paper=DenseConfig.lesson)
    plan = schedule("smoke" if profile == "smoke" else "lesson")
    if VARIANTS[variant].get("clip"):
        plan = replace(plan, batch=plan.batch // VARIANTS[variant]["clip"])
    clips = _settings(profile)
    return replace(config(**VARIANTS[variant]), size=(clips.height, clips.width)), plan, clips, CLIPS[profile]


def run(variant: str, seed: int, profile: str, split: str = "test", device: str = "cpu") -> dict[str, float]:
    """Train one variant and return its figures.

    split: ``val`` for tuning
    device: that it is trained and judged on
    raises: FormatError for an unknown profile
    """
    system, spent = trained(variant, seed, profile, device)
    test = source(profile, split)
    began = clock(device)
    figures = judge(system, test, everyone(profile, split))
    return {**figures, "cpu_seconds": spent + clock(device) - began}


def trained(variant: str, seed: int, profile: str, device: str = "cpu") -> tuple[pipeline.DenseSystem, float]:
    """Return a trained system, and the CPU seconds that it took."""
    train = source(profile, "train", seed)
    began = clock(device)
    config, plan, *_ = configured(variant, profile)
    plan = replace(plan, seed=seed, checkpoint_every=10**6, log_every=100)
    seed_all(seed)
    system = pipeline.build(replace(config, size=train.size), train.classes)
    data = pipeline.training_set(system, train)
    data.seed = seed
    fit_unkept(system, data, plan, device, pipeline.collate)
    return system, clock(device) - began


def looked(system: pipeline.DenseSystem, count: int, profile: str = "lesson") -> dict[str, float]:
    """Return a few figures of a trained system on the first clips of ``test``."""
    figures = judge(system, synthetic_source(_settings(profile), count, "test"))
    return {name: figures[name] for name in ("frame_map", "video_map_20", "video_map_50")}


def shared(variant: str) -> tuple[str, ...]:
    """Return what the seeds of a variant have in common of all that is random: nothing."""
    return ()


def source(profile: str, split: str, seed: int = 0) -> VideoSource:
    """Return a seed's clips of ``train``, or those of a split that judges, rendered where need be."""
    train, judged = CLIPS[profile]
    numbers = clips_of_seed(seed, train) if split == "train" else range(judged)
    return synthetic_source(_settings(profile), numbers, split)


def everyone(profile: str, split: str) -> Annotations:
    """Return the boxes of all actors on the clips that judge, acting or not, as one class."""
    settings, videos = _settings(profile), {}
    for seed in split_seeds(split, CLIPS[profile][1]):
        scene = build_scene(settings, seed)
        videos[video_id(split, seed)] = replace(scene.annotation(), tubes=scene.presence())
    return without_classes(Annotations("synthetic", ("person",), videos))


def _settings(profile: str) -> Settings:
    return pick(profile, smoke=Settings.smoke, lesson=Settings.lesson, paper=Settings.large)()


def judge(
    system: pipeline.DenseSystem, test: VideoSource, actors: Annotations | None = None
) -> dict[str, float]:
    """Return the figures of a trained detector; ``actor_ap`` where all actors are given (``everyone``)."""
    counts = {video: test.num_frames(video) for video in test.videos}
    found = {video: detect_and_link.find(system, test, video) for video in test.videos}
    predictions = detect_and_link.link_found(found, counts, system.config, system.classes)
    bare = {video: detect_and_link.without_classes(one) for video, one in found.items()}
    one_class = without_classes(test.annotations)
    agnostic = detect_and_link.link_found(bare, counts, system.config, one_class.classes)
    boxes = evaluate(test.annotations, predictions, "frame-map", iou=0.5, source="frames")
    actions = evaluate(one_class, agnostic, "frame-map", iou=0.5, source="frames")
    tubes = evaluate(test.annotations, predictions, "video-map", iou=(0.2, 0.5))
    figures = {
        "frame_map": boxes.iou[0.5],
        "agnostic_ap": actions.iou[0.5],
        "video_map_20": tubes.iou[0.2],
        "video_map_50": tubes.iou[0.5],
    }
    if actors is not None:
        anybody = evaluate(actors, agnostic, "frame-map", iou=0.5, source="frames")
        figures["actor_ap"] = anybody.iou[0.5]
    return figures


def without_classes(truth: Annotations) -> Annotations:
    """Return the same tubes with all classes called one."""
    videos = {
        video: replace(known, tubes=tuple(replace(tube, label="action") for tube in known.tubes or ()))
        for video, known in truth.videos.items()
    }
    return Annotations(truth.dataset, ("action",), videos)
