"""The figures of the exact claims, counted on the published annotations: no model, no chance.

    python -m stad_lite.reproduce.annotations cfad-order-oracle tad-n

prints them (all without an id); ``--keep`` writes them to ``book/results/reproduce/scorecard.json``, from
which the scorecard takes them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np

from stad_lite.data import activitynet13, ava, statistics, thumos14, ucf101_24
from stad_lite.data.location import data_root
from stad_lite.errors import StadError
from stad_lite.records import Annotations
from stad_lite.reproduce.claims import Claim, chosen, read_claims
from stad_lite.reproduce.drift import overlaps, three_clips
from stad_lite.reproduce.oracles import ORDERS, fitted, greedy_figures
from stad_lite.reproduce.program import program
from stad_lite.reproduce.results import COMMITTED, Results

NAME = "reproduce/scorecard"
KEPT = COMMITTED / f"{NAME}.json"
"""Where the figures are kept: those of the scorecard's page."""
Row = tuple[str, float, str, str]
"""Name, value, unit and data set."""


def polynomial_orders(data: Path) -> list[Row]:
    """How well least-squares polynomials fit the tubes of UCF101-24, by order (CFAD Eq. 1)."""
    fits = fitted(_tubes(data))
    return [(f"mean IoU, order {order}", fits[order], "IoU", "ucf101-24") for order in ORDERS]


def greedy_keys(data: Path) -> list[Row]:
    """How many key timestamps greedy labelling needs (CFAD Eq. 5)."""
    found = greedy_figures(_tubes(data), "spline")
    return [
        ("keys a tube", found["mean_keys"], "", "ucf101-24"),
        ("share of all stamps that are keys", found["share_of_labels"], "share", "ucf101-24"),
        ("share of tubes that never reach .8", found["share_never_reaching"], "share", "ucf101-24"),
    ]


def most_instances(data: Path) -> list[Row]:
    """The most tubes of UCF101-24 in a video and at a time (CFAD Sec. 4.1)."""
    videos = [video.tubes or () for video in _ucf(data).videos.values()]
    together = [
        np.bincount(np.concatenate([np.arange(one.start, one.start + len(one.boxes)) for one in tubes])).max()
        for tubes in videos
        if tubes
    ]
    many = sum(len(tubes) > 3 for tubes in videos) / len(videos)
    return [
        ("most tubes in a video", max(map(len, videos)), "", "ucf101-24"),
        ("most tubes at a time", int(max(together)), "", "ucf101-24"),
        ("videos with more than 3", 100 * many, "%", "ucf101-24"),
    ]


def extrapolation_drift(data: Path) -> list[Row]:
    """Overlap with the real boxes one and two clips ahead (STEP Eq. 4, K = 6)."""
    found = overlaps(*three_clips(_tubes(data)))
    rules = {"Eq. 4": found["extrapolation"], "copy of the last box": found["copy_last_box"]}
    rows: list[Row] = [
        (f"{rule}, {number} ahead", value, "IoU", "ucf101-24")
        for rule, values in rules.items()
        for number, value in zip(("one clip", "two clips"), values, strict=True)
    ]
    one, two = rules["Eq. 4"]
    return [*rows, ("lost from one clip ahead to two, Eq. 4", one - two, "IoU", "ucf101-24")]


def box_sizes(data: Path) -> list[Row]:
    """The median box of UCF101-24, as a share of the frame (flow subnet Sec. 4.5)."""
    shares = [
        (box[:, 2:] - box[:, :2]).prod(1) / (video.width * video.height)
        for video in _ucf(data).videos.values()
        for box in (tube.boxes for tube in video.tubes or ())
        if video.width and video.height
    ]
    return [("median box over the frame", 100 * float(np.median(np.concatenate(shares))), "%", "ucf101-24")]


def ava_classes(data: Path) -> list[Row]:
    """How the list of evaluated classes of AVA v2.1 agrees with 25 examples (STEP Sec. 4.1)."""
    lists = ava.read_action_lists(data / "ava")
    table = ava.find_csv(data / "ava", "val")
    part = ava.POSES if "pose_only" in table.name else None
    found = statistics.evaluated_classes(ava.examples(table, lists.annotated), lists.evaluated, part, 25)
    return [
        ("classes evaluated", found.listed, "", "ava"),
        ("classes that can be checked", len(found.counted), "", "ava"),
        ("classes that disagree with 25 examples", len(found.disagree), "", "ava"),
    ]


def tad_durations(data: Path) -> list[Row]:
    """The share of instances under a quarter of a window or, on ActivityNet, of the video (SP-TAD Fig. 4)."""
    rows: list[Row] = []
    for part in ("validation", "test"):
        share = statistics.window_counts(_thumos(data, part)).share
        rows.append((f"under a quarter of the window, thumos14 {part}", 100 * share, "%", "thumos14"))
    tenths = statistics.share_histogram(_anet(data, "training"), 4)
    name = "under a quarter of the video, activitynet13 training"
    return [*rows, (name, 100 * float(tenths[0]), "%", "activitynet13")]


def tad_98(data: Path) -> list[Row]:
    """The share of instances of THUMOS14 shorter than a window (SP-TAD Sec. 4.1)."""
    return [
        (
            f"under 25.6 s, thumos14 {part}",
            100 * statistics.share_under(_thumos(data, part), statistics.WINDOW_SECONDS),
            "%",
            "thumos14",
        )
        for part in ("validation", "test")
    ]


def tad_anet(data: Path) -> list[Row]:
    """Instances over videos of ActivityNet 1.3 (SP-TAD Sec. 4.1)."""
    parts = [_anet(data, part) for part in ("training", "validation")]
    count = sum(len(part.videos) for part in parts)
    mean = sum(statistics.instances_per_video(part) * len(part.videos) for part in parts) / count
    return [("instances a video, activitynet13", mean, "", "activitynet13")]


def tad_most(data: Path) -> list[Row]:
    """The most instances that a window holds (SP-TAD Sec. 3.1.3: N exceeds it)."""
    rows: list[Row] = [
        (
            f"most in any window, thumos14 {part}",
            statistics.most_in_any_window(_thumos(data, part)),
            "",
            "thumos14",
        )
        for part in ("validation", "test")
    ]
    return rows + [
        (
            f"most in a video, activitynet13 {part}",
            statistics.most_instances(_anet(data, part)),
            "",
            "activitynet13",
        )
        for part in ("training", "validation")
    ]


COUNTED: dict[str, Callable[[Path], list[Row]]] = {
    one.__name__: one
    for one in (
        polynomial_orders,
        greedy_keys,
        most_instances,
        extrapolation_drift,
        box_sizes,
        ava_classes,
        tad_durations,
        tad_98,
        tad_anet,
        tad_most,
    )
}
"""What the field ``exact`` of a claim names."""


@lru_cache(maxsize=1)
def _ucf(data: Path) -> Annotations:
    return ucf101_24.read_pickle(data / "ucf101_24" / "pyannot.pkl")


def _tubes(data: Path) -> list[np.ndarray]:
    return [tube.boxes for video in _ucf(data).videos.values() for tube in video.tubes or ()]


@lru_cache(maxsize=2)
def _thumos(data: Path, part: str) -> Annotations:
    return thumos14.load(data / "thumos14", part).record


@lru_cache(maxsize=2)
def _anet(data: Path, part: str) -> Annotations:
    return activitynet13.load(data / "activitynet", part).record


def counted(claims: Iterable[Claim], data: Path | None = None) -> Results:
    """Return the figures of the exact claims among some, each with its claim and its command.

    data: folder of the data sets, its own place unless told
    raises: StadError for a function that is not here, and what reading a data set raises
    """
    root = data or data_root()
    results = Results(NAME, "smoke")
    for claim in claims:
        if claim.kind != "exact":
            continue
        if claim.exact not in COUNTED:
            known = ", ".join(COUNTED)
            raise StadError(
                f"claim {claim.id}: nothing counts {claim.exact!r}", remedy=f"choose from {known}"
            )
        for name, value, unit, where in COUNTED[claim.exact](root):
            results.add(name, value, unit, where, claim.id, claim.command)
    return results


@program("annotations")
def main(arguments: list[str] | None = None) -> int:
    """Print or keep the figures from the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Count the exact claims on the published annotations.")
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help="ids, all exact claims without it")
    parser.add_argument("--keep", action="store_true", help=f"write them to book/results/{NAME}.json")
    options = parser.parse_args(arguments)
    register = read_claims()
    results = counted(chosen(register, [] if options.keep else options.claims))
    print(results.table())
    if options.keep:
        results.prepared_for_commit().write(KEPT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
