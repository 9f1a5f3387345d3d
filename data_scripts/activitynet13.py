"""ActivityNet-1.3: download, convert, verify.

python data_scripts/activitynet13.py convert --from DIR --out OUT --subset validation
"""

from __future__ import annotations

import sys
from pathlib import Path

from common import Dataset, check_equal, main, need

from stad_lite.data import activitynet13
from stad_lite.records import Annotations
from stad_lite.records.exchange.report import Reading

SOURCES = (
    "activity_net.v1-3.min.json",
    "activity_net.v1-3.reconstructed.json",
    "anet_anno_action_19994.json",
)


def load(folder: Path, split: int | None, subset: str | None) -> Reading[Annotations]:
    """Return the annotations of one subset, or of all."""
    home = need(folder, *SOURCES).parent
    if subset is not None:
        return activitynet13.load(home, subset)
    readings = [activitynet13.load(home, name) for name in activitynet13.SUBSETS]
    videos = {name: video for reading in readings for name, video in reading.record.videos.items()}
    report = [sentence for reading in readings for sentence in reading.report]
    first = readings[0].record
    return Reading(Annotations(first.dataset, first.classes, videos), report)


def check(folder: Path) -> list[str]:
    """Compare each subset's counts with what was measured."""
    lines = []
    for subset, videos in activitynet13.SUBSETS.items():
        record, report = load(folder, None, subset)
        instances = sum(len(video.segments or ()) for video in record.videos.values())
        expected = (videos, activitynet13.INSTANCES[subset])
        check_equal(f"{subset}: videos and instances", (len(record.videos), instances), expected)
        check_equal("classes", len(record.classes), activitynet13.NUM_CLASSES)
        lines += [f"{subset}: {sentence}" for sentence in report]
    total = sum(activitynet13.SUBSETS.values()), sum(activitynet13.INSTANCES.values())
    return [*lines, f"{total[0]} videos {total[1]} instances"]


def clip_names(video: str) -> tuple[str, ...]:
    """The names a video's file may have, with the prefix and without."""
    return f"v_{video}", video


SUBSETS = {"train": "training", "training": "training", "val": "validation", "validation": "validation",
           "test": "testing", "testing": "testing"}  # fmt: skip
DATASET = Dataset("activitynet13", load, check, SUBSETS, clip_names=clip_names)

if __name__ == "__main__":
    sys.exit(main(DATASET))
