"""UCF101-24: download, convert, verify.

python data_scripts/ucf101_24.py convert --from DIR --out OUT --split 1 --subset test
"""

from __future__ import annotations

import sys
from pathlib import Path

from common import Dataset, Difference, check_clips, check_equal, find, main, need

from stad_lite.data import ucf101_24
from stad_lite.errors import UnknownVideoError
from stad_lite.records import Annotations, read_list
from stad_lite.records.exchange.report import Reading

ANNOTATED, TRAIN, TEST = 3194, 2284, 910
"""Annotated clips; training and test clips of split 1. Papers say 2,275 train."""

OFFICIAL = (2293, 914)
"""Clips of the 24 classes in UCF101's own lists of split 1, 3,207 in all."""

TUBES, BOXES = 4458, 573862


def load(folder: Path, split: int | None, subset: str | None) -> Reading[Annotations]:
    """Return the annotations, of one subset of split 1 where it is named."""
    path = need(folder, "pyannot.pkl", "finalAnnots.mat")
    record = ucf101_24.read_mat(path) if path.suffix == ".mat" else ucf101_24.read_pickle(path)
    if split is None and subset is None:
        return Reading(record, [])
    listed = read_list(_test_list(path, folder))
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
        lists = [read_list(official / f"{part}list01.txt") for part in ("train", "test")]
        lists = [tuple(n for n in names if n.split("/")[0] in ucf101_24.CLASSES) for names in lists]
        check_equal("the classes' clips in the official lists", tuple(map(len, lists)), OFFICIAL)
        names = {*lists[0], *lists[1]}
        strange = next((name for name in record.videos if name not in names), None)
        if strange is not None:
            raise Difference("an annotated video is in no official list", video=strange)
        bare = f"{len(names - set(record.videos))} of them not annotated"
        lines.append(f"official lists: {OFFICIAL[0]} + {OFFICIAL[1]} clips, {bare}")
    lines.append(check_clips(DATASET, folder, record, short=1))
    return [*lines, f"{ANNOTATED} videos {TUBES} tubes {BOXES} boxes"]


def _test_list(annotations: Path, folder: Path) -> Path:
    """The list beside the annotations goes before the official one of all 101 classes."""
    beside = annotations.with_name("testlist01.txt")
    return beside if beside.is_file() else need(folder, "testlist01.txt")


DATASET = Dataset("ucf101_24", load, check, {"train": "train", "test": "test"}, (1,))

if __name__ == "__main__":
    sys.exit(main(DATASET))
