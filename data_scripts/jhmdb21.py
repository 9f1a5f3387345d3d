"""JHMDB-21: download, convert, verify.

python data_scripts/jhmdb21.py verify --from DIR
"""

from __future__ import annotations

import sys
from pathlib import Path

from common import Dataset, Difference, check_clips, check_equal, find, main, need
from download import sha256_of

from stad_lite.data import jhmdb21
from stad_lite.records import Annotations
from stad_lite.records.exchange.report import Reading


def load(folder: Path, split: int | None, subset: str | None) -> Reading[Annotations]:
    """Return the annotations, of one list of one split (the first without a number) where it is named."""
    home = need(folder, "splits.tar.gz", "splits").parent
    record, report = jhmdb21.load(home)
    if split is None and subset is None:
        return Reading(record, report)
    names = [jhmdb21.split(home, split or 1, part) for part in ("train", "test") if subset in (part, None)]
    return Reading(record.subset([name for part in names for name in part if name in record.videos]), report)


def check(folder: Path) -> list[str]:
    """Compare splits, counts, checksums and every clip with what was measured."""
    record = load(folder, None, None).record
    frames = sum(video.num_frames or 0 for video in record.videos.values())
    problems = jhmdb21.check_splits(
        jhmdb21.read_splits(need(folder, "splits.tar.gz", "splits")), record.videos
    )
    if problems:
        raise Difference(problems[0], file=folder)
    check_equal("frames", frames, jhmdb21.FRAMES)
    lines = ["splits: " + ", ".join(f"{train} + {test}" for train, test in jhmdb21.SPLITS.values())]
    sums = find(folder, "videos.sha256")
    if sums is not None:
        lines.append(_checksums(sums))
    lines.append(check_clips(DATASET, folder, record, complete=True))
    return [*lines, f"{len(record.videos)} videos {frames} frames"]


def _checksums(sums: Path) -> str:
    """Compare the clips with a list ``<sha256>  ./<class>/<clip>.mp4`` beside the folder ``videos``."""
    wanted = [line.split(maxsplit=1) for line in sums.read_text("utf-8").splitlines() if line.strip()]
    for digest, name in wanted:
        path = sums.parent / "videos" / name.strip().removeprefix("./")
        if not path.is_file():
            raise Difference("the clip is missing", file=path)
        if sha256_of(path) != digest:
            raise Difference(f"the clip's sha256 is not {digest}", file=path)
    return f"{len(wanted)} clips have the checksums of {sums.name}"


DATASET = Dataset("jhmdb21", load, check, {"train": "train", "test": "test"}, tuple(jhmdb21.SPLITS))

if __name__ == "__main__":
    sys.exit(main(DATASET))
