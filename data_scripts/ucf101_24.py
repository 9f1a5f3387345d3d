"""UCF101-24: download, convert, verify.

python data_scripts/ucf101_24.py convert --from DIR --out OUT --split 1 --subset test
"""

from __future__ import annotations

import sys
from pathlib import Path

from common import Dataset, Difference, check_clips, check_equal, find, main, need

from stad_lite.data import ucf101_24
from stad_lite.errors import UnknownVideoError
from stad_lite.records import Annotations
from stad_lite.records.exchange.report import Reading

CLIPS, ANNOTATED, TRAIN, TEST = 3207, 3194, 2284, 910
"""Clips of the 24 classes; annotated ones; training and test clips of split 1. Papers say 2,275 train."""

TUBES, BOXES = 4458, 573862


def load(folder: Path, split: int | None, subset: str | None) -> Reading[Annotations]:
    """Return the annotations, of one subset of split 1 where it is named."""
    path = need(folder, "pyannot.pkl", "finalAnnots.mat")
    record = ucf101_24.read_mat(path) if path.suffix == ".mat" else ucf101_24.read_pickle(path)
    if split is None and subset is None:
        return Reading(record, [])
    listed = ucf101_24.read_list(_test_list(path, folder))
    test = [name for name in listed if name in record.videos]
    if not test:
        raise UnknownVideoError("the list names no annotated video", file=_test_list(path, folder))
    ours = {name.split("/")[0] for name in record.videos}
    bare = sum(name not in record.videos and name.split("/")[0] in ours for name in listed)
    report = [f"test clips of the 24 classes without annotation, left out: {bare}"] if bare else []
    train = [name for name in record.videos if name not in set(test)]
    chosen = {"train": train, "test": test}.get(subset or "", [*train, *test])
    return Reading(record.subset(chosen), report)


def check(folder: Path) -> list[str]:
    """Compare lists, counts and clips with what was measured."""
    record = load(folder, None, None).record
    tubes = [tube for video in record.videos.values() for tube in video.tubes or ()]
    check_equal("annotated videos", len(record.videos), ANNOTATED)
    check_equal("tubes", len(tubes), TUBES)
    check_equal("boxes", sum(len(tube) for tube in tubes), BOXES)
    lines = []
    if find(folder, "testlist01.txt") is not None:
        sizes = tuple(len(load(folder, 1, subset).record.videos) for subset in ("train", "test"))
        check_equal("split 1, train and test", sizes, (TRAIN, TEST))
        lines.append(f"split 1: {TRAIN} train and {TEST} test videos")
    official = find(folder, "ucf101_official_splits")
    if official is not None:
        names = [n for part in ("train", "test") for n in ucf101_24.read_list(official / f"{part}list01.txt")]
        names = [name for name in names if name.split("/")[0] in ucf101_24.CLASSES]
        check_equal("clips of the 24 classes in the official lists", len(names), CLIPS)
        strange = next((name for name in record.videos if name not in set(names)), None)
        if strange is not None:
            raise Difference("an annotated video is in no official list", video=strange)
        lines.append(f"{CLIPS} clips in the official lists, {CLIPS - ANNOTATED} of them not annotated")
    lines.append(check_clips(DATASET, folder, record, short=1))
    return [*lines, f"{ANNOTATED} videos {TUBES} tubes {BOXES} boxes"]


def _test_list(annotations: Path, folder: Path) -> Path:
    """The list beside the annotations goes before the official one of all 101 classes."""
    beside = annotations.with_name("testlist01.txt")
    return beside if beside.is_file() else need(folder, "testlist01.txt")


DATASET = Dataset("ucf101_24", load, check, {"train": "train", "test": "test"}, (1,))

if __name__ == "__main__":
    sys.exit(main(DATASET))
