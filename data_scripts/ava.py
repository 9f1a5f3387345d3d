"""AVA v2.1: download, convert, verify.

    python data_scripts/ava.py convert --from DIR --out OUT --subset val

Without --subset the validation set is taken. Frame numbers are seconds of the film (fps 1).
"""

from __future__ import annotations

import sys
from pathlib import Path

from common import Dataset, check_equal, main, need

from stad_lite.data import ava, statistics
from stad_lite.records import Annotations
from stad_lite.records.exchange.report import Reading

POSE_ROWS = 93400
"""Rows of the pose-only csv of the validation set."""


def load(folder: Path, split: int | None, subset: str | None) -> Reading[Annotations]:
    """Return the annotations of the 60 evaluated classes of one subset."""
    return ava.load(need(folder, "ava_action_list_v2.1.pbtxt").parent, subset or "val")


def check(folder: Path) -> list[str]:
    """Compare lists, counts and the 25-example rule with what was measured."""
    home = need(folder, "ava_action_list_v2.1.pbtxt").parent
    lists = ava.read_action_lists(home)
    check_equal("films of trainval", len(ava.read_videos(home, "trainval")), ava.TRAINVAL_VIDEOS)
    check_equal("films of test", len(ava.read_videos(home, "test")), ava.TEST_VIDEOS)
    record, report = load(folder, None, "val")
    check_equal("films of val", len(record.videos), ava.VAL_VIDEOS)
    path = ava.find_csv(home, "val")
    poses = "pose_only" in path.name
    examples = ava.examples(path, lists.annotated)
    if poses:
        check_equal("rows of the pose-only csv", sum(examples.values()), POSE_ROWS)
    found = statistics.evaluated_classes(examples, lists.evaluated, ava.POSES if poses else None)
    check_equal("classes that break the rule of 25 examples", found.disagree, ())
    return [
        *report,
        f"{len(lists.evaluated)} of {len(lists.annotated)} classes are evaluated; "
        f"the rule of 25 examples holds for {len(found.agree)}, {len(found.unchecked)} cannot be checked",
        f"{len(record.videos)} videos {sum(examples.values())} rows",
    ]


SUBSETS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
DATASET = Dataset("ava", load, check, SUBSETS)

if __name__ == "__main__":
    sys.exit(main(DATASET))
