"""Where PCSC's tubes begin and end: its actionness against rules that are tuned with the same care.

One training a run. Its tubes are trimmed on the splits ``val`` and ``test`` by every point of a grid, so that
each rule can be chosen on the one and judged on the other (``chosen``). The rules: ``labels``, label
smoothness with a border of its own (Saha et al. have .5, which the scores of a union are seldom above);
``median``, PCSC's filter on the class score itself; ``general``, the filter on one classifier that all
classes share; ``own``, the filter on class-specific actionness (PCSC Sec. 3.4).

Figures, in percent: ``val_RULE_A_B`` and ``test_RULE_A_B`` video-mAP@.5, of label smoothness at the border A
and the price B, of the others at the width A and the threshold B; ``val_whole`` and ``test_whole`` of tubes
as they are linked; ``whole_20``, ``whole_75``, ``whole_mean`` (.5:.95) on ``test``, and ``refined_20``, ...
by ``PCSCConfig.trim``. ``cpu_seconds`` is all but the kept maps.

    python -m stad_lite.reproduce.sweep trims --seeds 5 --profile lesson
    python -m stad_lite.reproduce.experiments.trims
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import torch

from stad_lite.data.source import VideoSource
from stad_lite.data.synthetic import cache_folder
from stad_lite.linking import LabelSmoothing, MedianFilter, trim_tubes
from stad_lite.linking.build import Linked
from stad_lite.linking.trimming import Trim
from stad_lite.metrics import evaluate
from stad_lite.pcsc import actionness, stages
from stad_lite.pcsc import system as pipeline
from stad_lite.pcsc.actionness import ActionnessDetectors
from stad_lite.records import Predictions, VideoPredictions
from stad_lite.reproduce.experiments import Chosen, pcsc
from stad_lite.reproduce.rows import SWEEPS, Sweep, read_sweep
from stad_lite.systems.maps import FrameMaps, kept_maps
from stad_lite.training.profile import clock
from stad_lite.tubes import Tube

VARIANTS: dict[str, dict[str, Any]] = {"base": {}, "baseline": pcsc.VARIANTS["baseline"]}
"""PCSC, and Faster R-CNN with a pyramid in two streams, as in the experiment ``pcsc``."""

RULES = ("labels", "median", "general", "own")
BORDERS, PRICES = (0.02, 0.05, 0.1, 0.2, 0.5), (0.1, 0.5, 2.5)
WIDTHS, THRESHOLDS = (5, 9), (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
LEVELS = (0.2, *(round(0.5 + 0.05 * i, 2) for i in range(10)))


def grid() -> dict[str, tuple[str, float, Trim]]:
    """Return every point that is tried: name -> rule, what is added to the evidence, and the trim.

    Between a class with score s and none with 1 - s the border is .5; s + .5 - border moves it.
    """
    same: dict[str, Any] = {"empty": "keep", "rescore": False}
    points: dict[str, tuple[str, float, Trim]] = {
        f"labels_{border:g}_{price:g}": ("labels", 0.5 - border, LabelSmoothing(price, "two", **same))
        for border, price in product(BORDERS, PRICES)
    }
    for rule, width, threshold in product(RULES[1:], WIDTHS, THRESHOLDS):
        points[f"{rule}_{width}_{threshold:g}"] = (rule, 0.0, MedianFilter(width, threshold, **same))
    return points


CHOSEN = (
    *pcsc.CHOSEN,
    Chosen(
        "each rule's point of the grid", "val", "0 to 4", "python -m stad_lite.reproduce.experiments.trims"
    ),
)


def configured(variant: str, profile: str) -> tuple[Any, ...]:
    """Return all settings that a run of a variant goes by. raises: FormatError for an unknown profile"""
    return *pcsc.configured(variant, profile), grid(), LEVELS


def shared(variant: str) -> tuple[str, ...]:
    """Return what the seeds of a variant have in common of all that is random."""
    return pcsc.shared(variant)


def run(variant: str, seed: int, profile: str, device: str = "cpu") -> dict[str, float]:
    """Train a variant and return the figures of the whole grid on both splits.

    device: that it is trained and judged on
    """
    amounts, clips = pcsc.plan(profile), pcsc.settings(profile, {})
    sources = {split: pcsc.open_clips(clips, amounts.test, split) for split in ("val", "test")}
    system, train, seen, spent = pcsc.boxes_trained(VARIANTS[variant], seed, profile, device)
    maps = {
        split: kept_maps(system, source, cache_folder() / "pcsc", f"{clips.key} {split} exact")
        for split, source in sources.items()
    }
    began = clock(device)
    boxes = stages.boxes_to_learn(system, train.subset(train.videos[: amounts.actionness]), seen)
    actionness.train_actionness(system.network.actionness, boxes, seed=seed)
    general = one_for_all(system, boxes, seed)
    figures: dict[str, float] = {}
    for split in ("val", "test"):
        tubes = evidence(system, sources[split], maps[split], general)
        figures |= {f"{split}_{name}": value for name, value in along_grid(tubes, sources[split]).items()}
        if split == "test":
            figures |= at_all_levels(tubes, sources[split], system.config.trim)
    return {**figures, "cpu_seconds": spent["cpu_seconds"] + clock(device) - began}


def one_for_all(
    system: pipeline.PCSCSystem, boxes: Sequence[actionness.TubeBoxes], seed: int
) -> ActionnessDetectors:
    """Return one classifier of all classes, trained on the boxes and as long as the class-specific ones."""
    torch.manual_seed(seed)
    own = system.network.actionness
    general = ActionnessDetectors(own.mean.numel(), 1, system.config.actionness_hidden).to(own.mean.device)
    actionness.train_actionness(
        general, [replace(part, label=np.zeros_like(part.label)) for part in boxes], seed=seed
    )
    return general


Evidence = dict[str, Sequence[np.ndarray]]
Found = dict[str, tuple[Sequence[Tube], Evidence]]
"""Video -> its tubes as they are linked, and for each rule what it reads along them."""


def evidence(
    system: pipeline.PCSCSystem,
    source: VideoSource,
    maps: FrameMaps,
    general: ActionnessDetectors,
    known: Mapping[str, stages.Seen] | None = None,
) -> Found:
    """Return every video's tubes as they are linked, and what each rule reads along them.

    general: one classifier of all classes
    known: what ``stages.look`` found in each video after the last stage, where that is known
    """
    found: Found = {}
    looked = known.items() if known else stages.look(system, source, maps, last=True)
    for video, seen in looked:
        linked: Linked = stages.tubes_of(seen.stages[-1], system.config, system.classes)
        scores = [np.asarray(tube.box_scores) for tube in linked.tubes]
        own, shared_by_all = (stages.along(system, seen, linked, one) for one in (None, general))
        read: Evidence = {"labels": scores, "median": scores, "general": shared_by_all, "own": own}
        found[video] = (linked.tubes, read)
    return found


def _trimmed(tubes: Found, rule: str, shift: float, trim: Trim) -> dict[str, Sequence[Tube]]:
    return {
        video: trim_tubes(some, trim, [one + shift for one in read[rule]]).tubes
        for video, (some, read) in tubes.items()
    }


def video_map(source: VideoSource, tubes: dict[str, Sequence[Tube]], levels: Sequence[float]) -> list[float]:
    """Return video-mAP of tubes at some overlaps, in percent."""
    videos = {video: VideoPredictions(tubes=tuple(some)) for video, some in tubes.items()}
    found = evaluate(source.annotations, Predictions(source.classes, videos), "video-map", tuple(levels))
    return [float(found.iou[level]) for level in levels]


def along_grid(tubes: Found, source: VideoSource, rules: Sequence[str] = RULES) -> dict[str, float]:
    """Return video-mAP@.5 of the tubes as they are (``whole``) and at every point of some rules' grid."""
    figures = {"whole": video_map(source, {video: some for video, (some, _) in tubes.items()}, (0.5,))[0]}
    for name, point in grid().items():
        if point[0] in rules:
            figures[name] = video_map(source, _trimmed(tubes, *point), (0.5,))[0]
    return figures


def at_all_levels(tubes: Found, source: VideoSource, trim: Trim) -> dict[str, float]:
    """Return what Table 2 asks besides .5: of the tubes as they are, and refined by actionness."""
    kinds = {
        "whole": {video: some for video, (some, _) in tubes.items()},
        "refined": _trimmed(tubes, "own", 0.0, trim),
    }
    figures: dict[str, float] = {}
    for name, some in kinds.items():
        values = dict(zip(LEVELS, video_map(source, some, LEVELS), strict=True))
        figures |= {f"{name}_20": values[0.2], f"{name}_75": values[0.75]}
        figures |= {f"{name}_50": values[0.5], f"{name}_mean": float(np.mean([*values.values()][1:]))}
    return figures


def chosen(kept: Sweep, variant: str, rule: str, least: int = 2) -> str:
    """Return the point of a rule's grid with the best mean over seeds on ``val``; "" where none was run."""
    points = [name for name, (of, *_) in grid().items() if of == rule]
    means = {name: [*kept.ran(variant, f"val_{name}", least).values()] for name in points}
    means = {name: values for name, values in means.items() if values}
    return max(means, key=lambda name: float(np.mean(means[name]))) if means else ""


def main(arguments: list[str] | None = None, say: Callable[[str], object] = print) -> None:
    """Print what is chosen on ``val``, and what it gives on ``test``."""
    parser = argparse.ArgumentParser(description="Choose PCSC's trims and their rivals on the split val.")
    parser.add_argument("--out", default=str(SWEEPS), metavar="DIR", help="folder of the kept runs")
    kept = read_sweep("trims", "lesson", parser.parse_args(arguments).out)
    for variant, rule in product(VARIANTS, RULES):
        if name := chosen(kept, variant, rule):
            values = [*kept.ran(variant, f"test_{name}").values()]
            say(f"{variant} {rule}: {name}, on test {np.mean(values):.1f} over {len(values)} seeds")


if __name__ == "__main__":
    main()
