"""SP-TAD on feature sequences, and end to end on rendered video.

Figures, in percent: ``map`` mean temporal mAP at 0.3:0.1:0.7 and ``map_30`` to ``map_70`` on the split test.
``cpu_seconds`` is what training and test take. Variants that begin with ``backbone_`` read rendered video;
their backbone, a classifier of clips of other classes, is trained once a seed and kept in the cache.

    python -m stad_lite.reproduce.sweep sp_tad --variants base heads1 heads2 --seeds 5 --profile lesson
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import CLASSES, Settings, annotate, cache_folder
from stad_lite.data.synthetic.sequences import SequenceSettings, sequence_source
from stad_lite.errors import FormatError
from stad_lite.metrics import evaluate
from stad_lite.nets.losses import binary_cross_entropy
from stad_lite.records import Annotations, Predictions
from stad_lite.reproduce.experiments import Chosen, clips_of_seed
from stad_lite.reproduce.parameters import pick
from stad_lite.schedule import TrainConfig, config_hash
from stad_lite.sp_tad import system as pipeline
from stad_lite.sp_tad.backbone import ClipHead, Source, make_backbone
from stad_lite.sp_tad.config import Backbone, SpTadConfig, schedule
from stad_lite.sp_tad.criterion import clip_targets
from stad_lite.systems.truth import segment_truth
from stad_lite.training import checkpoint
from stad_lite.training.loop import fit_unkept
from stad_lite.training.profile import clock

PYRAMIDS: dict[str, dict[str, Any]] = {
    "": {}, "_single_level": {"pyramid": "single"}, "_high_level": {"pyramid": "high"}
}  # fmt: skip
BLURS = (1, 8)
"""Receptive fields of the last stage in frames, those before it no wider; in all other variants it is 20,
where half of the instances are shorter."""
LONG: dict[str, Any] = {"frames": (320, 480), "span": (48, 160)}
"""Sequences in which windows of 64, 96, 128 and 160 frames hold .28, .63, .85 and all of the instances whole;
in all other variants they hold .90, .999 and, from 128 on, all."""
MIXED: dict[str, Any] = {"classes_per_video": (6, 6)}
"""Sequences in which every class may occur in every video, so that a clip's classes tell little."""

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "heads1": {"heads": 1},
    "heads2": {"heads": 2},
    "heads6": {"heads": 6},
    "single_level": {"pyramid": "single"},
    "high_level": {"pyramid": "high"},
    "no_clip_head": {"clip_head": False},
    "global_attention": {"interaction": "global"},
    **{f"window{n}": {"window": n, "test_stride": n // 2} for n in (64, 96, 160, 192)},
    **{
        f"blur_{width}{name}": {"sequences": {"blur": (min(2, width), min(8, width), width)}, **change}
        for width in BLURS
        for name, change in PYRAMIDS.items()
    },
    **{
        f"long_window{n}": {"sequences": LONG, "window": n, "test_stride": n // 2} for n in (64, 96, 128, 160)
    },
    "mixed": {"sequences": MIXED},
    "mixed_no_clip_head": {"sequences": MIXED, "clip_head": False},
    **{f"backbone_{rate}": {"backbone_lr": float(rate)} for rate in ("0", "1e-6", "1e-5", "1e-4")},
}
"""``base`` has four heads, the pyramid of all stages and windows of 128 frames. ``backbone_RATE`` are the
learning rates of Table 4, where all else learns at 1e-4; here all else learns at ``schedule(...).lr`` and the
backbone at the same share of that (0, .01, .1, 1)."""

PAPER_RATE = 1e-4
"""Learning rate of all but the backbone in Table 4."""
LOOKS = {"before": "warm", "after": "cool"}
"""The backbone is trained on classes of one appearance, the detector on those of the other."""
PRETRAINING_CLIPS = 500_000
"""First number, within the split train, of the clips that the backbone is trained on."""
LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True)
class Amounts:
    """How many videos a profile takes: for training and test, and to train the backbone before."""

    train: int
    test: int
    before: int = 0


SEQUENCES = {"smoke": Amounts(6, 4), "lesson": Amounts(300, 200), "paper": Amounts(3000, 500)}
VIDEOS = {"smoke": Amounts(4, 4, 4), "lesson": Amounts(160, 80, 400), "paper": Amounts(1000, 200, 1000)}


CHOSEN = (
    Chosen("SpTadConfig.lesson and its schedule", "not recorded", "not recorded"),
    Chosen("the dials of SequenceSettings.lesson", "not recorded", "not recorded"),
)


def configured(variant: str, profile: str) -> tuple[Any, ...]:
    """Return all settings that a run of a variant goes by. raises: FormatError for an unknown profile"""
    change = dict(VARIANTS[variant])
    if "backbone_lr" in change:
        plan, clips = _schedule(profile, 0, video=True), video_settings(profile)
        return video_config(profile), plan, clips, pick(profile, **VIDEOS), LOOKS, change
    settings = sequences(profile, change.pop("sequences", {}))
    base = SpTadConfig.smoke() if profile == "smoke" else SpTadConfig.lesson()
    return replace(base, **change), _schedule(profile, 0), settings, pick(profile, **SEQUENCES)


def run(variant: str, seed: int, profile: str, split: str = "test", device: str = "cpu") -> dict[str, float]:
    """Train one variant and return its figures.

    split: ``val`` for tuning
    device: that it is trained and judged on
    raises: FormatError for an unknown profile
    """
    change = dict(VARIANTS[variant])
    if "backbone_lr" in change:
        return run_video(change.pop("backbone_lr"), seed, profile, split, device)
    system, spent = trained(variant, seed, profile, device)
    began = clock(device)
    _, _, settings, amounts = configured(variant, profile)
    found = judge(system, settings, amounts.test, split)
    return {**found, "cpu_seconds": spent + clock(device) - began}


def trained(variant: str, seed: int, profile: str, device: str = "cpu") -> tuple[pipeline.SpTadSystem, float]:
    """Return a trained detector on feature sequences, and the CPU seconds that it took."""
    began = clock(device)
    config, plan, settings, amounts = configured(variant, profile)
    train = sequence_source(settings, clips_of_seed(seed, amounts.train), "train")
    system = _build(config, settings.class_names, seed)
    _train(system, train, replace(plan, seed=seed), device)
    return system, clock(device) - began


def looked(system: pipeline.SpTadSystem, count: int, profile: str = "lesson") -> dict[str, float]:
    """Return the figures of a trained detector on the first sequences of ``test``."""
    return judge(system, sequences(profile, {}), count, "test")


def judge(
    system: pipeline.SpTadSystem, settings: SequenceSettings, count: int, split: str
) -> dict[str, float]:
    """Return the figures on the first sequences of a split."""
    test = sequence_source(settings, count, split)
    return figures(test.annotations, pipeline.detect(system, test, batch=32), settings.class_names)


def sequences(profile: str, change: Mapping[str, Any]) -> SequenceSettings:
    """Return the settings of a profile's feature sequences, with the fields that a variant changes."""
    base = SequenceSettings.smoke() if profile == "smoke" else SequenceSettings.lesson()
    known = {"classes_per_video": (base.classes, base.classes)} if "classes_per_video" in change else {}
    return replace(base, **{**change, **known})


def shared(variant: str) -> tuple[str, ...]:
    """Return what the seeds of a variant have in common of all that is random."""
    return ("pretraining clips",) if variant.startswith("backbone_") else ()


def run_video(
    rate: float, seed: int, profile: str, split: str = "test", device: str = "cpu"
) -> dict[str, float]:
    """Train end to end from frames with one learning rate of the backbone and return the figures.

    rate: of the backbone, where ``PAPER_RATE`` is that of all else
    """
    amounts, settings, config = pick(profile, **VIDEOS), video_settings(profile), video_config(profile)
    state = trained_backbone(profile, seed, device)
    train = clips_of(LOOKS["after"], settings, amounts.train, "train", first=20_000 * seed)
    test = clips_of(LOOKS["after"], settings, amounts.test, split)
    classes = [name for name in CLASSES if name.startswith(LOOKS["after"])]
    began = clock(device)
    system = _build(config, classes, seed)
    system.network.backbone.load_state_dict(state)
    factors = (("backbone", rate / PAPER_RATE),)
    _train(system, train, replace(_schedule(profile, seed, video=True), lr_factors=factors), device)
    found = figures(segment_truth(test), pipeline.detect(system, test), classes)
    return {**found, "cpu_seconds": clock(device) - began}


def figures(truth: Annotations, predictions: Predictions, classes: Sequence[str]) -> dict[str, float]:
    """Return ``map`` and the value at each threshold."""
    result = evaluate(truth, predictions, "temporal-map", LEVELS, "thumos14", classes=classes)
    each = {f"map_{round(100 * level)}": float(value) for level, value in result.iou.items()}
    return {"map": float(result.mean), **each}


def video_settings(profile: str) -> Settings:
    """Return what the rendered videos are: one actor who acts two to four times in 96 frames."""
    if profile == "smoke":
        return replace(Settings.smoke(), frames=64, actors=(1, 1), actions=(1, 2), span=(8, 24))
    return Settings(
        frames=96, height=48, width=48, actors=(1, 1), actor_height=(0.5, 0.75), actions=(2, 4),
        span=(8, 40), displacement=0.5, shake=1.0, camouflage=0.1, occluder=0.2,
    )  # fmt: skip


def video_config(profile: str) -> SpTadConfig:
    """Return the detector on rendered video: both streams, the light backbone, one window a video."""
    smoke = profile == "smoke"
    stem, channels = ((4, 8), (8, 8, 8)) if smoke else ((8, 16, 24), (32, 48, 64))
    backbone = Backbone("light", stem=stem, channels=channels, norm="group", crop=(44, 44), flow_reach=4.0)
    base = SpTadConfig.smoke(backbone) if smoke else SpTadConfig.lesson(backbone)
    window = 64 if smoke else 96
    return replace(base, window=window, train_stride=window, test_stride=window, size=(48, 48))


def clips_of(look: str, settings: Settings, count: int, split: str, first: int = 0) -> VideoSource:
    """Return the first clips of a split, from a number on, whose classes all have this appearance."""
    numbers: list[int] = []
    while len(numbers) < count:
        some = range(first, first + 2 * count)
        videos = annotate(settings, some, split).videos.values()
        for number, video in zip(some, videos, strict=True):
            if all(tube.label.startswith(look) for tube in video.tubes or ()):
                numbers.append(number)
        first = some.stop
    return synthetic_source(settings, numbers[:count], split)


class ClipClassifier:
    """A backbone with nothing but the clip head: which classes occur in a window.

    It is trained like a detector, on the same kind of data set.

    config: of the detector that the backbone is for
    classes: names; they need not be the detector's
    raises: FormatError for cached features, which have no backbone
    """

    def __init__(self, config: SpTadConfig, classes: Sequence[str]) -> None:
        if not config.backbone.reads_frames:
            raise FormatError("cached features have no backbone to train", remedy="choose i3d or light")
        self.config, self.classes = config, tuple(classes)
        backbone = make_backbone(config.backbone)
        head = ClipHead(sum(backbone.channels), len(self.classes))
        self.network = nn.ModuleDict({"backbone": backbone, "clip_head": head})

    def logits(self, inputs: Mapping[str, Any]) -> Tensor:
        """Return (b, classes) of the inputs of a detector with this backbone."""
        return self.network["clip_head"](self.network["backbone"](inputs))

    def loss(self, batch: pipeline.Batch) -> dict[str, Tensor]:
        """Return the binary cross entropy of the classes that occur."""
        logits = self.logits(batch.inputs)
        return {"clip": binary_cross_entropy(logits, clip_targets(batch.truth, len(self.classes)))}

    @torch.no_grad()
    def predict(self, batch: pipeline.Batch) -> list[Tensor]:
        """Return each window's probabilities (classes,)."""
        return list(self.logits(batch.inputs).sigmoid())


def transfer(classifier: ClipClassifier, system: pipeline.SpTadSystem) -> None:
    """Give a detector the classifier's backbone. raises: FormatError where the two do not fit"""
    if classifier.config.backbone != system.config.backbone:
        raise FormatError(
            "the classifier's backbone is not the detector's", remedy="build both with one Backbone"
        )
    system.network.backbone.load_state_dict(classifier.network["backbone"].state_dict())


def trained_backbone(profile: str, seed: int = 0, device: str = "cpu") -> Mapping[str, torch.Tensor]:
    """Return the weights of a seed's backbone, trained now if they are not in the cache.

    It classifies clips in which one action of the other appearance lasts almost from end to end: it never
    sees where an action begins, nor the detector's classes, nor a clip of the detector's.
    """
    amounts, config, settings = pick(profile, **VIDEOS), video_config(profile), video_settings(profile)
    frames = settings.frames
    settings = replace(settings, actions=(1, 1), span=(3 * frames // 4, frames - 4))
    planned = _schedule(profile, seed, video=True)
    planned = replace(planned, steps=2 * planned.steps, checkpoint_every=2 * planned.steps)
    key = config_hash({"version": 2, "clips": amounts.before}, config.backbone, planned, settings.key)
    path = Path(cache_folder()) / "backbones" / f"sp_tad-{key}.pt"

    def train_now() -> dict[str, Tensor]:
        source = clips_of(LOOKS["before"], settings, amounts.before, "train", first=PRETRAINING_CLIPS)
        classes = [name for name in CLASSES if name.startswith(LOOKS["before"])]
        torch.manual_seed(seed)
        classifier = ClipClassifier(config, classes)
        system = pipeline.build(config, classes)
        data = pipeline.training_set(system, source, seed)
        fit_unkept(classifier, data, planned, device, pipeline.collate)
        transfer(classifier, system)
        return system.network.backbone.state_dict()

    return dict(checkpoint.kept(checkpoint.place_of(path, device), train_now))


def _schedule(profile: str, seed: int, video: bool = False) -> TrainConfig:
    found = replace(schedule("smoke" if profile == "smoke" else "lesson"), seed=seed)
    if profile == "paper":
        return replace(found, steps=4 * found.steps, checkpoint_every=found.steps)
    return replace(found, steps=300, batch=8) if video and profile == "lesson" else found


def _build(config: SpTadConfig, classes: Sequence[str], seed: int) -> pipeline.SpTadSystem:
    torch.manual_seed(seed)
    return pipeline.build(config, classes)


def _train(system: pipeline.SpTadSystem, source: Source, planned: TrainConfig, device: str = "cpu") -> None:
    data = pipeline.training_set(system, source, planned.seed)
    fit_unkept(system, data, planned, device, pipeline.collate)
