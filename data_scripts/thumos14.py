"""THUMOS14: download, convert, verify.

python data_scripts/thumos14.py convert --from DIR --out OUT --subset test
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from common import Dataset, check_equal, find, main

from stad_lite.data import thumos14
from stad_lite.errors import MissingFileError
from stad_lite.records import Annotations
from stad_lite.records.exchange.report import Reading


def load(folder: Path, split: int | None, subset: str | None) -> Reading[Annotations]:
    """Return the annotations of the validation set, the test set, or both."""
    sources = [
        ("text", "annotations_test", "annotations_val"),
        ("csv", "test_Annotation.csv", "val_Annotation.csv"),
        ("json", "thumos_gt.json", "thumos_gt.json"),
    ]
    for source, test, validation in sources:
        names = [n for n, part in ((test, "test"), (validation, "validation")) if subset in (part, None)]
        found = [find(folder, name) for name in names]
        if all(path is not None for path in found):
            homes = [path.parent for path in found if path is not None]
            parts = [part for part in ("test", "validation") if subset in (part, None)]
            readings = [thumos14.load(home, part, source) for home, part in zip(homes, parts, strict=True)]
            return _joined(readings)
    raise MissingFileError("there are no annotations", file=folder, remedy="run download")


def check(folder: Path) -> list[str]:
    """Compare both sets' counts with what was measured."""
    lines, videos, instances = [], 0, 0
    for subset, expected in thumos14.SETS.items():
        record, report = load(folder, None, subset)
        found = (
            len(record.videos),
            sum(len(video.segments or ()) for video in record.videos.values()),
            sum(len(video.ignore) for video in record.videos.values()),
        )
        check_equal(f"{subset}: videos, instances and ambiguous spans", found, expected)
        lines += [f"{subset}: {sentence}" for sentence in report]
        videos, instances = videos + found[0], instances + found[1]
    return [*lines, f"{videos} videos {instances} instances"]


def _joined(readings: list[Reading[Annotations]]) -> Reading[Annotations]:
    videos = {name: replace(video) for reading in readings for name, video in reading.record.videos.items()}
    first = readings[0].record
    report = [sentence for reading in readings for sentence in reading.report]
    return Reading(Annotations(first.dataset, first.classes, videos), report)


SUBSETS = {"train": "validation", "validation": "validation", "test": "test"}
DATASET = Dataset("thumos14", load, check, SUBSETS)

if __name__ == "__main__":
    sys.exit(main(DATASET))
