"""What is in the six published data sets: the chapter *The data sets*.

An instance is one class from one moment to another: a tube, or a segment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from stad_lite import boxes as box_ops
from stad_lite import unpickle
from stad_lite.data import activitynet13, ava, jhmdb21, statistics, thumos14, ucf101_24, ucf_sports
from stad_lite.data.location import DATASETS, find_data, have_data, missing_message
from stad_lite.records import Annotations
from stad_lite.reproduce.results import Results

GAPS = (1, 2, 4, 6, 8, 12, 16, 24)
"""Frames between two boxes of a tube."""
PERCENT = (1, 2, 5, *range(10, 100, 10), 95, 98, 99)
"""Of the quantiles that are kept."""
WINDOW, RATE = 256, 10.0
"""Frames of SP-TAD's window on THUMOS14, and frames a second."""
PROTOCOLS = tuple((clipped, last) for clipped in (True, False) for last in ("end", "over"))
"""Whether an instance's length is taken inside the window, and where the last window lies."""
COMMAND = 'make results ARGS="--only ground/data_sets"'
Loaded = tuple[Annotations, Sequence[str]]


def measure(results: Results) -> list[str]:
    """Add what is counted in the sets that are here; return a sentence for each that is not."""
    absent = [missing_message(name) for name in LOADERS if not have_data(name)]
    records = {}
    for name in (name for name in LOADERS if have_data(name)):
        note = partial(_note, results, name)
        records[name], report = LOADERS[name](_folder(name))
        _oddities(note, [*report, *_pickle_report(name, records[name])])
        _described(note, records[name])
        if name in MORE:
            MORE[name](note, records[name])
    return absent


def instances(record: Annotations) -> list[tuple[str, str, float, float]]:
    """Return (video, label, start, end) of all instances, in seconds."""
    rows = []
    for name, video in record.videos.items():
        for tube in video.tubes or ():
            assert video.fps, name
            rows.append((name, tube.label, tube.start / video.fps, tube.end / video.fps))
        rows += [(name, s.label, s.start, s.end) for s in video.segments or ()]
    return rows


def at_once(spans: Sequence[tuple[float, float]]) -> int:
    """Return the most half-open spans that hold one moment."""
    events = sorted(event for a, b in spans if b > a for event in ((b, -1), (a, 1)))
    return int(np.cumsum([change for _, change in events]).max(initial=0))


def describe(record: Annotations) -> dict[str, float]:
    """Return how many, how long and how uneven a record's instances are."""
    rows, videos = instances(record), record.videos
    seconds = np.array([end - start for _, _, start, end in rows])
    lengths = [videos[name].duration for name, *_ in rows]
    share = np.array([one / whole for one, whole in zip(seconds, lengths, strict=True) if whole])
    per_class = Counter(label for _, label, *_ in rows)
    spans: dict[str, list[tuple[float, float]]] = {}
    for name, _, start, end in rows:
        spans.setdefault(name, []).append((start, end))
    return {
        "videos": len(videos),
        "classes": len(record.classes),
        "instances": len(rows),
        "instances a video": len(rows) / len(videos),
        "most in a video": max(map(len, spans.values())),
        "most at a time": max(map(at_once, spans.values())),
        "median seconds": float(np.median(seconds)),
        "median share of the video": float(np.median(share)),
        "share that fills the video": float((share > 0.999).mean()),
        "largest class over smallest": max(per_class.values()) / min(per_class.values()),
    }


def box_shares(record: Annotations) -> np.ndarray:
    """Return the area of each box of each tube over the frame's."""
    return np.concatenate(
        [
            box_ops.area(tube.boxes) / ((video.width or 0) * (video.height or 0))
            for video in record.videos.values()
            for tube in video.tubes or ()
        ]
    )


def stay(record: Annotations, gap: int) -> float:
    """Return the mean IoU of a box with the box of its tube ``gap`` frames later."""
    tubes = [tube.boxes for video in record.videos.values() for tube in video.tubes or ()]
    pairs = [box_ops.iou(boxes[gap:], boxes[:-gap]) for boxes in tubes if len(boxes) > gap]
    return float(np.concatenate(pairs).mean())


def titled(clipped: bool, last: str) -> str:
    """Return what a protocol of ``PROTOCOLS`` is called."""
    end = "at the end" if last == "end" else "reaching over"
    return f"{'clipped' if clipped else 'whole'} lengths, last window {end}"


def _note(results: Results, data: str, what: str, value: Any, unit: str = "", claim: str = "") -> None:
    """Add a figure; the committed ones of AVA are of its pose rows, so those of the whole table are not."""
    if data != "ava" or "pose_only" in str(ava.find_csv(_folder("ava"), "val")):
        results.add(f"{data}: {what}", value, unit, data, claim, COMMAND)


Note = Callable[..., None]


def _folder(name: str) -> Path:
    found = find_data(DATASETS[name][0])
    assert found is not None, name
    return found


def _joined(module: Any, subsets: tuple[str, str], folder: Path) -> Loaded:
    """Both annotated subsets as one record."""
    parts = [module.load(folder, subset) for subset in subsets]
    videos = {name: video for part in parts for name, video in part.record.videos.items()}
    first = parts[0].record
    return Annotations(first.dataset, first.classes, videos), [line for part in parts for line in part.report]


LOADERS: dict[str, Callable[[Path], Any]] = {
    "ucf101-24": lambda folder: (ucf101_24.read_pickle(folder / "pyannot.pkl"), []),
    "jhmdb21": jhmdb21.load,
    "ucf-sports": ucf_sports.load,
    "ava": lambda folder: ava.load(folder, "val", evaluated_only=False),
    "thumos14": partial(_joined, thumos14, ("validation", "test")),
    "activitynet13": partial(_joined, activitynet13, ("training", "validation")),
}
"""Data set -> what reads its folder into a record and a report, one sentence an oddity."""


def _pickle_report(name: str, record: Annotations) -> list[str]:
    """What the other file of JHMDB-21 that goes around has."""
    pickled = find_data("jhmdb21", "jhmdb_.pkl") if name == "jhmdb21" else None
    if pickled is None:
        return []
    lengths = {clip: video.num_frames or 0 for clip, video in record.videos.items()}
    found = jhmdb21.read_pickle(pickled, set(lengths), lengths)
    return [f"jhmdb_.pkl, {line}" for line in found.report]


def _oddities(note: Note, report: Sequence[str]) -> None:
    """The counts of a report; what a set's subsets both have is added up."""
    total: Counter[str] = Counter()
    for line in report:
        what, _, rest = line.rpartition(": ")
        total[what] += int(rest.split(" (")[0])
    for what, count in total.items():
        note(what, count, claim="oddity")


def _described(note: Note, record: Annotations) -> None:
    spans = instances(record)
    for what, value in (describe(record) if spans else _key_frames(record)).items():
        note(what, value)
    if spans:
        note("quantiles, seconds", _quantiles([end - start for *_, start, end in spans]))
    if any(video.tubes for video in record.videos.values()):
        area = box_shares(record)
        curve = [stay(record, gap) for gap in GAPS]
        note("IoU after 1 frame", curve[0])
        note("IoU after 12 frames", curve[GAPS.index(12)])
        note("IoU after gaps", " ".join(f"{value:.3f}" for value in curve))
    elif not spans:
        area = np.concatenate([box_ops.area(v.frames.box) for v in record.videos.values() if v.frames])
    else:
        return
    note("median box over frame", float(np.median(area)))
    note("quantiles, box over frame", _quantiles(area))


def _quantiles(values: Any) -> str:
    return " ".join(f"{value:.3g}" for value in np.percentile(values, PERCENT))


def _key_frames(record: Annotations) -> dict[str, float]:
    """What can be said of boxes on key frames without identities."""
    kept = [video.frames for video in record.videos.values() if video.frames]
    per_frame = [Counter(frames.frame.tolist()) for frames in kept]
    labels = np.bincount(np.concatenate([frames.label for frames in kept]))
    distinct = [np.unique(np.c_[frames.frame, frames.box], axis=0) for frames in kept]
    return {
        "videos": len(record.videos),
        "classes": int((labels > 0).sum()),
        "instances": sum(map(len, kept)),
        "boxes": sum(map(len, distinct)),
        "key frames with a box": sum(map(len, per_frame)),
        "most at a time": max(max(count.values()) for count in per_frame),
        "largest class over smallest": float(labels.max() / labels[labels > 0].min()),
    }


def _ucf(note: Note, record: Annotations) -> None:
    """Bytes that wrap around in the raw pickle, and the official lists beside the annotated videos."""
    folder = _folder("ucf101-24")
    raw = unpickle.load(folder / "pyannot.pkl")
    tubes = [tube["boxes"] for entry in raw.values() for tube in entry["annotations"]]
    wrong = sum(bool((xywh[:, :2] + xywh[:, 2:] < xywh[:, :2]).any()) for xywh in tubes)
    note("tubes whose boxes are bytes", sum(xywh.dtype == np.uint8 for xywh in tubes), claim="oddity")
    note("tubes in which x + w or y + h wraps around", wrong, claim="oddity")
    official = find_data("ucf101_24", "ucf101_official_splits")
    if official is None:
        return
    listed = {part: _listed(official / f"{part}list01.txt") for part in ("train", "test")}
    train, test = ucf101_24.split1(record, folder / "testlist01.txt")
    for what, count in {
        "in UCF101's lists": listed["train"] + listed["test"],
        "annotated": len(record.videos),
        "annotated, training": len(train),
        "annotated, test": len(test),
        "official training list": listed["train"],
        "official test list": listed["test"],
    }.items():
        note(what, count, claim="CFAD Sec. 4.1")


def _listed(path: Path) -> int:
    """Videos of the 24 classes in one of UCF101's lists."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return sum(line.split("/")[0] in ucf101_24.CLASSES for line in lines)


def _jhmdb(note: Note, record: Annotations) -> None:
    """Frames, and clips whose boxes of masks and of the pickle that goes around agree."""
    folder, clips = _folder("jhmdb21"), record.videos
    note("frames", sum(video.num_frames or 0 for video in clips.values()))
    for file in sorted((folder / "puppet_mask").rglob("*.mat"))[:3]:
        name = f"{file.parent.name}/{file.stem}"
        _assert_tight(file, clips[name if name in clips else "/".join(file.parent.parts[-2:])])
    if pickled := find_data("jhmdb21", "jhmdb_.pkl"):
        lengths = {name: video.num_frames or 0 for name, video in clips.items()}
        other = jhmdb21.read_pickle(pickled, set(lengths), lengths).record.videos
        equal = sum(
            np.array_equal(one.boxes, two.boxes)
            for name, video in clips.items()
            for one, two in zip((video.tubes or ())[:1], (other[name].tubes or ())[:1], strict=True)
        )
        note("clips with equal boxes in masks and pickle", equal)


def _assert_tight(file: Path, video: Any) -> None:
    """The boxes are the tight ones of the mask's foreground."""
    mask = loadmat(file)["part_mask"] > 0
    for number, box in enumerate(video.tubes[0].boxes):
        y, x = np.nonzero(mask[:, :, number])
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1], file


def _thumos(note: Note, record: Annotations) -> None:
    """SP-TAD's windows: short instances by protocol, and how long a window must be."""
    length = WINDOW / RATE
    for part in thumos14.SETS:
        one = thumos14.load(_folder("thumos14"), part).record
        rows = {"raw durations": statistics.share_under(one, length / 4)}
        for clipped, last in PROTOCOLS:
            counts = statistics.window_counts(one, length, clipped=clipped, last=last)
            rows[titled(clipped, last)] = counts.share
        for what, share in rows.items():
            verdict = "holds" if share > 0.8 else "does not hold"
            note(f"short instances, {part}, {what}", 100 * share, "%", "tad-durations")
            note(f"over 80 %, {part}, {what}", verdict, claim="tad-durations")
        most = statistics.most_in_any_window(one, length)
        note(f"most in any window, {part}", most, claim="tad-n")
        shorter = 100 * statistics.share_under(one, length)
        note(f"shorter than 25.6 s, {part}", shorter, "%", "tad-98")
    seconds = statistics.durations(record)
    note("shorter than 25.6 s, both", 100 * float((seconds < length).mean()), "%", "tad-98")
    for share in (0.98, 0.99):
        note(f"frames of a window longer than {share:.0%}", smallest_window(seconds, share), claim="tad-98")
    for change, what in (
        (thumos14.without_duplicates, "without repeats"),
        (thumos14.clipped, "cut at the end"),
    ):
        own = statistics.durations(change(record))
        note(f"shorter than 25.6 s, both, {what}", 100 * float((own < length).mean()), "%", "tad-98")
    _tenths(note, record)


def smallest_window(seconds: np.ndarray, share: float) -> int:
    """Return the fewest frames of a window that ``share`` of the instances are shorter than."""
    frames = 1
    while np.mean(seconds * RATE < frames - 1e-9) < share:
        frames += 1
    return frames


def _activitynet(note: Note, record: Annotations) -> None:
    for part in ("training", "validation"):
        one = activitynet13.load(_folder("activitynet13"), part).record
        note(f"instances a video, {part}", statistics.instances_per_video(one), claim="tad-anet-1.5")
        note(f"most in a video, {part}", statistics.most_instances(one), claim="tad-n")
    _tenths(note, record)


def _tenths(note: Note, record: Annotations) -> None:
    tenths = " ".join(f"{value:.3f}" for value in statistics.share_histogram(record, 10))
    note("tenths of the video that instances take", tenths, claim="tad-durations")


def _ava(note: Note, record: Annotations) -> None:
    """STEP's sixty classes: those with 25 examples in the part of the table that is here."""
    lists = ava.read_action_lists(_folder("ava"))
    table = ava.find_csv(_folder("ava"), "val")  # the complete one first
    partial_ids = ava.POSES if "pose_only" in table.name else None
    checked = statistics.evaluated_classes(ava.examples(table, lists.annotated), lists.evaluated, partial_ids)
    inside = {number: n for number, n in checked.counted.items() if number in lists.evaluated}
    rows = {
        "classes annotated": len(lists.annotated),
        "classes evaluated": checked.listed,
        "classes counted": len(checked.counted),
        "of these, evaluated": len(inside),
        "agree with 25 examples": len(checked.agree),
        "disagree with 25 examples": len(checked.disagree),
        "not checkable": len(checked.unchecked),
        "fewest examples, evaluated": min(inside.values()),
        "most examples, not evaluated": max(
            count for number, count in checked.counted.items() if number not in inside
        ),
    }
    for what, value in rows.items():
        note(what, value, claim="step-ava-60")


MORE: Mapping[str, Callable[[Note, Annotations], None]] = {
    "ucf101-24": _ucf,
    "jhmdb21": _jhmdb,
    "thumos14": _thumos,
    "activitynet13": _activitynet,
    "ava": _ava,
}
"""Data set -> what is counted in it alone."""
