"""Three published files under the field's conventions: the chapter *How detections are scored*.

The older annotation of UCF101-24 as detections, TURN's proposals on THUMOS14 classified by SCNN, and the
fixture of ActivityNet's evaluator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from stad_lite.data import thumos14, ucf101_24
from stad_lite.data.location import find_data, missing_message
from stad_lite.metrics import CONVENTIONS, Rules, bootstrap, evaluate, recall_curve
from stad_lite.metrics.conventions import KINDS
from stad_lite.metrics.ties import over_orders, tie_range
from stad_lite.records import Annotations, Predictions, VideoPredictions, exchange
from stad_lite.reproduce.published_files import second_annotation
from stad_lite.reproduce.results import Results

COLUMNS = (("frame-map", 0.5), ("video-map", 0.2), ("video-map", 0.5), ("video-map", 0.75))
"""Metrics and thresholds that detections of tubes are scored by."""
TIES = ("lowest", "highest", "stated rule")
Under = Mapping[tuple[str, float], float]


class Scored(NamedTuple):
    """A truth and predictions of it."""

    truth: Annotations
    said: Predictions


def under(name: str, truth: Annotations, said: Predictions, columns: Iterable[tuple[str, float]]) -> Under:
    """Return (metric, threshold) -> percent under a convention, for the metrics that it has."""
    return {
        (metric, iou): evaluate(truth, said, metric, iou, name).iou[iou]
        for metric, iou in columns
        if getattr(CONVENTIONS[name], KINDS[metric]) is not None
    }


def measure(results: Results, orders: int = 25) -> list[str]:
    """Add what the files that are here score; return a sentence for each that is not.

    orders: random orders of equal scores
    """
    absent = []
    if (older := _older()) is None:
        absent.append(missing_message("ucf101-24"))
    else:
        for part in (_conventions, _one_field, _errors, _coverage, _intervals):
            part(results, older)
        _frame_ties(results, older, orders)
    if not (turns := _turns()):
        absent.append(missing_message("thumos14"))
    for iou, one in turns.items():
        _turn(results, iou, one)
    if 0.5 in turns:
        _shuffled(results, turns[0.5])
    if not _fixture(results):
        absent.append(missing_message("activitynet13"))
    return absent


def _older() -> Scored | None:
    said, truth = second_annotation.find(), find_data("ucf101_24", "pyannot.pkl")
    test = find_data("ucf101_24", "testlist01.txt")
    if not (said and truth and test):
        return None
    record = ucf101_24.read_pickle(truth)
    return Scored(record.subset(ucf101_24.split1(record, test)[1]), second_annotation.read(said))


def _conventions(results: Results, older: Scored) -> None:
    found = evaluate(*older, "video-map", "0.5:0.95").mean
    results.add("annotator, sound, video-map .5:.95", found, data="ucf101-24")
    for name, convention in CONVENTIONS.items():
        if convention.frames:
            for (metric, iou), value in under(name, *older, COLUMNS).items():
                results.add(f"annotator, {name}, {metric}@{iou}", value, data="ucf101-24")


def _one_field(results: Results, older: Scored) -> None:
    for field, rules in {
        "match": Rules(match="best_of_all"),
        "extent_minus_one": Rules(extent_minus_one=True),
    }.items():
        for iou, value in evaluate(*older, "video-map", (0.2, 0.5), rules).iou.items():
            results.add(f"annotator, only {field}, video-map@{iou}", value, data="ucf101-24")


def _errors(results: Results, older: Scored) -> None:
    found = evaluate(*older, "errors", iou=0.5)
    for kind, count in (found.counts or {}).items():
        results.add(f"annotator, {kind}", count, data="ucf101-24")
    for kind, gain in (found.gain or {}).items():
        results.add(f"annotator, gain of fixing {kind}", gain, "points", "ucf101-24")


def _coverage(results: Results, older: Scored) -> None:
    found = evaluate(*older, "v-mabo").value
    assert found is not None
    results.add("annotator, v-MABO", found, data="ucf101-24", claim="CFAD Sec. 4.1")
    curve = recall_curve(*older, (1, 2, 3, 5, 10), (0.5,))
    for number, value in zip(curve.numbers, curve.recall[0], strict=True):
        results.add(f"annotator, recall@.5 with {number} a video", value, data="ucf101-24")


def _intervals(results: Results, older: Scored) -> None:
    tubes = bootstrap(*older, "video-map", (0.2, 0.5, 0.75), draws=200)
    boxes = bootstrap(*older, "frame-map", 0.5, draws=100)
    for metric, found in (("video-map", tubes), ("frame-map", boxes)):
        for iou, one in found.items():
            results.add(f"annotator, {metric}@{iou}, interval: low", one.low, data="ucf101-24")
            results.add(f"annotator, {metric}@{iou}, interval: high", one.high, data="ucf101-24")


def _frame_ties(results: Results, older: Scored, orders: int) -> None:
    ranges = [tie_range(*older, "video-map", iou) for iou in (0.2, 0.5, 0.75)]
    spread = max(high - low for low, high, _ in ranges)
    results.add("annotator, video-map, spread over tie orders", spread, "points", "ucf101-24")
    values = list(over_orders(*older, orders, np.random.default_rng(0)))
    found = dict(zip(TIES, tie_range(*older), strict=True))
    found |= {
        "lowest of some random orders": min(values),
        "highest of some random orders": max(values),
    }
    for name, value in found.items():
        results.add(f"annotator, frame-map@0.5, ties: {name}", value, data="ucf101-24")


def _turns() -> dict[float, Scored]:
    """TURN's file for each threshold."""
    truth = find_data("thumos14", "test_Annotation.csv")
    names = {iou: f"TURN-FLOW-16_SCNN_thumos14_iou{iou}.txt.gz" for iou in (0.3, 0.5, 0.7)}
    files = {iou: path for iou, name in names.items() if (path := find_data("thumos14", "predictions", name))}
    if not truth or len(files) < len(names):
        return {}
    record = thumos14.read_csv(truth).record
    return {
        iou: Scored(record, exchange.read(path, "thumos14", "predictions").record)
        for iou, path in files.items()
    }


def _turn(results: Results, iou: float, one: Scored) -> None:
    rules = CONVENTIONS["thumos14"].rules("segments")
    values = {name: evaluate(*one, "temporal-map", iou, name).iou[iou] for name in ("thumos14", "sound")}
    for name, value in values.items():
        results.add(f"TURN, {name}, temporal-map@{iou}", value, data="thumos14")
    for field in ("ties", "digits", "ignored_share"):
        single = replace(rules, **{field: getattr(Rules(), field)})
        moved = evaluate(*one, "temporal-map", iou, single).iou[iou] - values["thumos14"]
        results.add(f"TURN @{iou}, {field} as in sound: moves by", moved, "points", "thumos14")
    scores = [s.score for video in one.said.videos.values() for s in video.segments or ()]
    counts = np.unique(np.array(scores), return_counts=True)[1]
    own = float((counts == 1).sum()) / len(scores)
    results.add(f"TURN @{iou}: share of segments with a score of their own", own, data="thumos14")
    ends = tie_range(*one, "temporal-map", iou, rules)
    for name, value in zip(TIES, ends, strict=True):
        results.add(f"TURN @{iou}, ties: {name}", value, data="thumos14")
    drawn = bootstrap(*one, "temporal-map", iou, "thumos14", draws=200)[iou]
    results.add(f"TURN, temporal-map@{iou}, interval: low", drawn.low, data="thumos14")
    results.add(f"TURN, temporal-map@{iou}, interval: high", drawn.high, data="thumos14")


def _shuffled(results: Results, one: Scored) -> None:
    """The same segments in 20 other orders of the file."""
    rng, values = np.random.default_rng(0), []
    for _ in range(20):
        videos = {}
        for name in rng.permutation(list(one.said.videos)).tolist():
            segments = one.said.videos[name].segments or ()
            videos[name] = VideoPredictions(
                segments=tuple(segments[i] for i in rng.permutation(len(segments)))
            )
        said = replace(one.said, videos=videos)
        values.append(evaluate(one.truth, said, "temporal-map", 0.5, "thumos14").iou[0.5])
    results.add("TURN @0.5, 20 random orders: lowest", min(values), data="thumos14")
    results.add("TURN @0.5, 20 random orders: highest", max(values), data="thumos14")


def _fixture(results: Results) -> bool:
    folder = find_data("activitynet", "eval_localization")
    if folder is None:
        return False
    truth = exchange.read(folder / "gt.json", "activitynet", "annotations").record
    said = exchange.read(folder / "result.json", "activitynet", "predictions").record
    found = evaluate(truth, said, "temporal-map", convention="activitynet")
    results.add("ActivityNet fixture, average mAP", found.mean, data="activitynet13")
    return True
