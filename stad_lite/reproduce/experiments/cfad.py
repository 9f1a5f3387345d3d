"""CFAD on the synthetic benchmark: polynomial orders, branches, segments, refinement and its keys.

Settings were chosen on the split ``val``; ``run`` judges on ``test``. One training a run gives every setting
of inference (``DIALS``), each with its figures behind its name; in percent: ``map_20``, ``map_30``,
``map_50``, ``map_all`` (video-mAP at .2, .3, .5, .5:.95) and ``mabo`` (v-MABO). Behind ``linked_`` stand
those of detect-and-link with the same network. The profile's own settings and ``coarse_`` (no refinement)
have the kinds of error at .5 too (CFAD Sec. 4.2), as shares of all true tubes. Where true spans are given:
``class_accuracy`` of the matched anchors, ``coarse_iou`` of their tubes, ``refined_iou`` of the best one's,
``keys_25`` the share of samples that are keys at alpha .25, and so on; ``recall_50_of_4`` is of the four best
temporal proposals at .5. ``cpu_seconds`` is what training and the test of the profile's own settings take;
the small network's maps are computed once and kept (``feature_seconds``).

    python -m stad_lite.reproduce.sweep cfad --variants base order1 direct --seeds 5 --profile lesson
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from stad_lite import boxes as box_ops
from stad_lite import segments
from stad_lite.arrays import as_numpy
from stad_lite.cfad import system as pipeline
from stad_lite.cfad.coarse import Coarse, sample_times
from stad_lite.cfad.config import CfadConfig, schedule
from stad_lite.cfad.decoding import CoarseTubes, final_tube, refine_tubes, tidy
from stad_lite.cfad.matching import TrueTubes, label_anchors
from stad_lite.cfad.proposals import propose
from stad_lite.cfad.system import CfadSystem
from stad_lite.cfad.trajectory import normalised_time
from stad_lite.cfad.videos import item_of, true_tubes, video_run
from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import Settings, cache_folder
from stad_lite.linking import MedianFilter, link
from stad_lite.matching import POSITIVE
from stad_lite.metrics import evaluate
from stad_lite.metrics.matching import thresholds
from stad_lite.records import Annotations, FrameBoxes, Predictions, VideoPredictions
from stad_lite.reproduce.experiments import Chosen, clips_of_seed
from stad_lite.reproduce.parameters import pick
from stad_lite.systems.detect import dialled, evaluated
from stad_lite.systems.maps import FrameMaps, frame_maps, kept_maps
from stad_lite.training import distributed
from stad_lite.training.loop import fit_unkept
from stad_lite.training.profile import clock

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "order1": {"order": 1},
    "order2": {"order": 2},
    "order3": {"order": 3},
    "order5": {"order": 5},
    "direct": {"branches": "direct"},
    "difference": {"branches": "difference"},
    "segment_middle": {"position": 1},
    "segment_last": {"position": -1},
    "rgb": {"stream": "rgb"},
    "span_clock": {"clock": "span"},
}
"""Settings that differ from the profile's: k = 4, both branches, the first segment, RGB with flow."""

ALPHAS = (0.15, 0.25, 0.35, 0.45)
"""What Fig. 4b sweeps."""

DIALS: dict[str, dict[str, Any]] = {
    "coarse_": {"selection": "none"},
    "all_": {"selection": "all"},
    "sigma_40_": {"sigma": 0.4},
    "sigma_60_": {"sigma": 0.6},
    "sigma_120_": {"sigma": 1.2},
    **{
        f"{kind}_{100 * alpha:.0f}_": {"selection": kind, "alpha": alpha}
        for alpha in ALPHAS
        for kind in ("learned", "uniform", "random")
    },
    "through_keys_": {"through": "keys"},
    "linear_": {"interpolation": "linear"},
    "most_in_video_": {"most_in": "video"},
}
"""Settings of inference beside the profile's own, by the name that stands before their figures."""

FIGURES = {
    "map_20": "video-mAP@.2",
    "map_30": "video-mAP@.3",
    "map_50": "video-mAP@.5",
    "map_all": "video-mAP@.5:.95",
    "mabo": "v-MABO",
}
"""What tubes are judged by, in words."""
KINDS = {
    "true_positive": "true positive",
    "wrong_class": "wrong class",
    "bad_localization": "bad localisation",
    "duplicate": "duplicate",
    "background": "background",
}
"""Kinds of error at .5, in words (CFAD Sec. 4.2)."""
FEW = ("", "coarse_")
"""What the variants beside ``base`` are judged by."""
TRIM = MedianFilter(width=9, threshold=0.1, rescore=False)
"""How the rival's tubes are trimmed, chosen on ``val``: label smoothness leaves next to nothing of them."""
CLIPS = {"smoke": (4, 3), "lesson": (400, 100), "paper": (2000, 500)}
"""Profile -> clips of ``train`` and of the split that judges."""


CHOSEN = (
    Chosen("CfadConfig.lesson and its schedule", "val", "other than those that judge"),
    Chosen("TRIM, how the rival's tubes are trimmed", "val", "other than those that judge"),
)


def configured(variant: str, profile: str) -> tuple[Any, ...]:
    """Return all settings that a run of a variant goes by. raises: FormatError for an unknown profile"""
    config = pick(profile, smoke=CfadConfig.smoke, lesson=CfadConfig.lesson, paper=CfadConfig.lesson)()
    plan = schedule("smoke" if profile == "smoke" else "lesson")
    judged = (DIALS, TRIM) if variant == "base" else ()
    return replace(config, **VARIANTS[variant]), plan, settings(profile), CLIPS[profile], *judged


def shared(variant: str) -> tuple[str, ...]:
    """Return what the seeds of a variant have in common of all that is random."""
    return ("pretraining clips",)


def run(variant: str, seed: int, profile: str, split: str = "test", device: str = "cpu") -> dict[str, float]:
    """Train a variant and return its figures.

    split: that is judged; settings are tuned on ``val``
    device: that it is trained and judged on
    """
    system, spent = trained(variant, seed, profile, device)
    test = clips(profile, split)
    maps = maps_of(system, test, f"{profile} {split}")
    began = clock(device)
    figures = judge(system, test, maps, "")
    spent["cpu_seconds"] += clock(device) - began
    for name in DIALS if variant == "base" else FEW[1:]:
        figures |= judge(dialled(system, **DIALS[name]), test, maps, name)
    if variant == "base":
        figures |= scores(test.annotations, detect_and_link(system, test, maps), "linked_")
    return {**figures, **on_true_spans(system, test, maps), **spent}


def clips(profile: str, split: str, seed: int = 0) -> VideoSource:
    """Return a seed's clips of ``train``, or those of a split that judges."""
    train, judged = CLIPS[profile]
    return synthetic_source(
        settings(profile), clips_of_seed(seed, train) if split == "train" else judged, split
    )


def settings(profile: str) -> Settings:
    """Return what clips are rendered with."""
    return pick(profile, smoke=Settings.smoke(), lesson=Settings.lesson(), paper=Settings.lesson())


def maps_of(system: CfadSystem, source: VideoSource, name: str, mirror: bool = False) -> FrameMaps:
    """Return the maps of a source's frames, from the cache where they are there."""
    return kept_maps(system, source, cache_folder() / "cfad", name, mirror)


def trained(
    variant: str, seed: int, profile: str, device: str = "cpu"
) -> tuple[CfadSystem, dict[str, float]]:
    """Return a trained system, and the CPU seconds of its features and of its training."""
    config, plan, *_ = configured(variant, profile)
    source, began = clips(profile, "train", seed), clock(device)
    torch.manual_seed(seed)
    system = pipeline.build(config, source.classes, seed, torch.device(device))
    system.network.to(device)
    maps = maps_of(system, source, f"{profile} train {seed}", mirror=True)
    started = clock(device)
    data = pipeline.training_set(system, source, maps)
    data.seed = seed
    plan = replace(plan, seed=seed, checkpoint_every=10**6)
    fit_unkept(system, data, plan, device, pipeline.collate)
    ended = clock(device)
    return system, {"feature_seconds": started - began, "cpu_seconds": ended - started}


def looked(system: CfadSystem, count: int, profile: str = "lesson") -> dict[str, float]:
    """Return a few figures of a trained system on the first clips of ``test``."""
    test = synthetic_source(settings(profile), count, "test")
    figures = judge(system, test, frame_maps(system, test), "")
    return {name: figures[name] for name in ("map_20", "map_50", "mabo")}


def judge(system: CfadSystem, source: VideoSource, maps: FrameMaps, name: str) -> dict[str, float]:
    """Return the figures of what a system finds, behind a setting's name."""
    return scores(source.annotations, pipeline.detect(system, source, maps), name)


def scores(truth: Annotations, found: Predictions, name: str) -> dict[str, float]:
    """Return video-mAPs, v-MABO and, behind the names in ``FEW``, the shares of errors, behind a name."""
    figures = tube_scores(truth, found) | (error_shares(truth, found) if name in FEW else {})
    return {f"{name}{figure}": value for figure, value in figures.items()}


def tube_scores(
    truth: Annotations,
    found: Predictions,
    convention: str = "sound",
    told: Sequence[float] = (0.2, 0.3, 0.5),
) -> dict[str, float]:
    """Return video-mAP at some thresholds and over .5:.05:.95 (``map_all``), and v-MABO."""
    levels = thresholds("0.5:0.95")
    result = evaluate(truth, found, "video-map", (0.2, 0.3, *levels), convention)
    figures = {f"map_{100 * level:.0f}": result.iou[level] for level in told}
    figures["map_all"] = float(np.mean([result.iou[level] for level in levels]))
    figures["mabo"] = evaluate(truth, found, "v-mabo").value or 0.0
    return figures


def error_shares(truth: Annotations, found: Predictions) -> dict[str, float]:
    """Return the kinds of error at .5 as shares of all true tubes (CFAD Sec. 4.2)."""
    tubes = sum(len(video.tubes or ()) for video in truth.videos.values())
    errors = evaluate(truth, found, "errors", 0.5).counts or {}
    return {kind: 100 * count / tubes for kind, count in errors.items()}


@torch.no_grad()
def on_true_spans(system: CfadSystem, source: VideoSource, maps: FrameMaps) -> dict[str, float]:
    """Return how well spans are proposed, and what is said of true tubes where the spans are known."""
    rows = [row for video in source.videos for row in _true_tubes(system, source, video, maps)]
    spans = [row["spans"] for row in rows]
    figures = {
        f"recall_{100 * level:.0f}_of_{n}": np.mean([max(best[:n], default=0) >= level for best in spans])
        for level in (0.5, 0.7)
        for n in (1, 2, 4, 8)
    }
    seen = [row for row in rows if "right" in row]
    chances = np.concatenate([row["chances"] for row in rows])
    figures |= {f"keys_{100 * alpha:.0f}": np.mean(chances >= alpha) for alpha in ALPHAS}
    figures["class_accuracy"] = np.mean(np.concatenate([row["right"] for row in seen]))
    figures |= {f"{name}_iou": np.mean([row[name] for row in seen]) for name in ("coarse", "refined")}
    return {name: 100 * float(value) for name, value in figures.items()}


def _true_tubes(
    system: CfadSystem, source: VideoSource, video: str, maps: FrameMaps
) -> Iterator[dict[str, Any]]:
    """Yield for each true tube the IoU of its span with the proposals, best first, and what is said of it."""
    config, run = system.config, video_run(source, video, system.config)
    with evaluated(system.network) as (network, device):
        truth = distributed.to(true_tubes(source, config, run), device)
        features = network.features(item_of(source, config, run, maps)["maps"][None].to(device).float())
        logits, offsets = network.proposals(features)
        proposed, _ = propose(logits[0], offsets[0], config, config.spans)
        times = sample_times(truth.spans, config.samples)
        sampled = network.sampled(features, torch.zeros(len(times), dtype=torch.long, device=device), times)
        coarse, anchors = network.coarse(sampled), network.anchors(*features.shape[3:])
        chances = as_numpy(network.refine.importance(sampled).sigmoid())
        for number, span in enumerate(truth.spans):
            overlaps = segments.iou(proposed, span[None]).tolist()
            row: dict[str, Any] = {"spans": overlaps, "chances": chances[number]}
            found, tubes, which = label_anchors(anchors, truth, span, config)
            mine = (found.label == POSITIVE) & (found.truth == which.index(number))
            if mine.any():
                said = coarse.logits[number, mine, :-1]
                row["right"] = as_numpy(said.argmax(1) == truth.labels[number])
                own = as_numpy(tubes[which.index(number)])
                ours = matched_tubes(coarse, anchors, mine, truth, number)
                curves = [ours.at(place, normalised_time(len(own))) for place in range(len(ours))]
                row["coarse"] = np.mean([overlap(tidy(curve, config.size), own) for curve in curves])
                one = ours.take([int(said.max(1).values.argmax())])
                (refined,) = refine_tubes(network, one, sampled, times, anchors)
                final = final_tube(one, 0, refined, config.length, system.classes, config)
                row["refined"] = overlap(final.boxes, own)
            yield row


def overlap(boxes: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean IoU of boxes (t, 4) with the true ones."""
    return float(box_ops.iou(boxes, truth).mean())


def matched_tubes(
    coarse: Coarse, anchors: Tensor, mine: Tensor, truth: TrueTubes, number: int
) -> CoarseTubes:
    """Return the coarse tubes of a true tube's matched anchors, on its own span and with its class.

    mine: (anchors,) bool
    """
    count = int(mine.sum())
    columns = (coarse.theta[number, mine], anchors[mine], truth.spans[number].expand(count, -1))
    theta, places, spans = (as_numpy(column).astype(np.float64) for column in columns)
    label = np.full(count, int(truth.labels[number]))
    return CoarseTubes(theta, places, np.full(count, number), spans, label, np.ones(count))


@torch.no_grad()
def detect_and_link(system: CfadSystem, source: VideoSource, maps: FrameMaps) -> Predictions:
    """Return what the refine module's class-specific RPN finds on every frame, linked online and trimmed.

    The rival with the same features and box proposals: boxes on all frames and a linker, where CFAD has
    temporal proposals, coarse tubes and a search at keys.
    """
    config, videos = system.config, {}
    with evaluated(system.network) as (network, device):
        for video in source.videos:
            run = video_run(source, video, config)
            features = network.features(item_of(source, config, run, maps)["maps"][None].to(device).float())
            logits, offsets = network.refine.proposals(rearrange(features, "1 c t h w -> t c h w"))
            boxes = box_ops.decode(offsets, network.anchors(*features.shape[3:]))
            scores = logits.sigmoid()
            frame, anchor, label = (scores >= config.box_score).nonzero(as_tuple=True)
            rows = (boxes[frame, anchor], scores[frame, anchor, label])
            found = FrameBoxes(run.frames[as_numpy(frame)], as_numpy(label), *(as_numpy(row) for row in rows))
            videos[video] = VideoPredictions(frames=found)
    return link(Predictions(system.classes, videos), "online", trim=TRIM)
