"""``stad-lite evaluate --truth T --predictions P --metric M``."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace

from stad_lite.cli.output import claim, write_json
from stad_lite.errors import UnknownVideoError
from stad_lite.metrics import CONVENTIONS, METRICS, Result, evaluate
from stad_lite.records import Annotations, Predictions, read_annotations, read_list, read_predictions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--truth", required=True, metavar="T", help="annotations file")
    parser.add_argument("--predictions", required=True, metavar="P", help="predictions file")
    parser.add_argument("--metric", required=True, choices=METRICS)
    parser.add_argument("--iou", nargs="+", metavar="IOU", help="thresholds, such as 0.5, or 0.5:0.95")
    parser.add_argument("--convention", default="sound", choices=sorted(CONVENTIONS), help="whose rules")
    parser.add_argument("--per-class", action="store_true", help="print every class")
    parser.add_argument("--bootstrap", type=int, default=0, metavar="N", help="resamples for an interval")
    parser.add_argument(
        "--from",
        dest="source",
        default="auto",
        choices=("auto", "tubes", "frames"),
        help="what frame boxes are taken from; auto: frames, else tubes taken apart",
    )
    parser.add_argument("--videos", metavar="LIST", help="file of video ids, one a line: only these count")
    parser.add_argument("--json", metavar="OUT", help="write one JSON object, - for standard output")


def run(arguments: argparse.Namespace) -> int:
    """Read, score, and print a table or write JSON."""
    claim(arguments.json, arguments.truth, arguments.predictions, arguments.videos)
    truth, predictions = read_annotations(arguments.truth), read_predictions(arguments.predictions)
    outside = 0
    if arguments.videos:
        truth, predictions, outside = restrict(truth, predictions, arguments.videos)
    result = evaluate(
        truth,
        predictions,
        arguments.metric,
        iou=None if arguments.iou is None else ",".join(arguments.iou),
        convention=arguments.convention,
        source=arguments.source,
        bootstrap=arguments.bootstrap,
    )
    if outside:
        ignored = {**result.ignored, "videos with predictions, but not on the list": outside}
        result = replace(result, ignored=ignored)
    if arguments.json:
        write_json(result.to_dict(), arguments.json)
    if arguments.json != "-":
        print(table(result, arguments.per_class))
    return 0


def restrict(truth: Annotations, predictions: Predictions, path: str) -> tuple[Annotations, Predictions, int]:
    """Return both records with the videos of a list only, and how many predicted videos that leaves out.

    raises: MissingFileError, FormatError, UnknownVideoError for a video without annotation
    """
    names = read_list(path, truth.videos)
    unknown = next((name for name in names if name not in truth.videos), None)
    if unknown is not None:
        raise UnknownVideoError("the list names a video that has no annotation", file=path, video=unknown)
    listed = set(names)
    # A video that the truth does not know either stays: evaluating it is an error of its own.
    dropped = {name for name in predictions.videos if name in truth.videos and name not in listed}
    kept = {name: video for name, video in predictions.videos.items() if name not in dropped}
    return truth.subset(names), Predictions(predictions.classes, kept), len(dropped)


def table(result: Result, per_class: bool) -> str:
    """Return the result as lines of text."""
    counted = f"{result.num_videos} videos, {result.num_truth} truths, {result.num_predictions} predictions"
    lines = [f"{result.metric}, convention {result.convention}: {counted}"]
    if result.value is not None:
        lines.append(f"value  {_figure(result.value)}")
    for level, value in result.iou.items():
        spread = (result.interval or {}).get(level)
        interval = f"  95 % interval {spread[0]:.2f} to {spread[1]:.2f}" if spread else ""
        lines.append(f"IoU {level:<5g} {_figure(value):>6}{interval}")
    if len(result.iou) > 1:
        lines.append(f"mean      {_figure(result.mean):>6}")
    for name, count in (result.counts or {}).items():
        gain = (result.gain or {}).get(name)
        lines.append(
            f"{name:<18} {count:7d}"
            + ("" if gain is None or math.isnan(gain) else f"  fixing it gains {gain:6.2f} points")
        )
    if per_class:
        for name, row in result.per_class.items():
            lines.append(f"{name:<24} " + " ".join(f"{_figure(value):>6}" for value in row.values()))
    if any(math.isnan(value) for value in [*result.iou.values(), result.value or 0.0]):
        lines.append("note: - is no figure: no class that counts has a truth")
    lines += [f"note: {count} {reason}" for reason, count in result.ignored.items() if count]
    if result.left_out:
        lines.append(f"note: classes left out of the mean: {', '.join(result.left_out)}")
    return "\n".join(lines)


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
