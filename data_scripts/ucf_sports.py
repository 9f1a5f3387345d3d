"""UCF Sports: download, convert, verify.

    python data_scripts/ucf_sports.py convert --from DIR --out OUT --subset test

The papers' lists could not be had: ``split.txt`` in DIR is read where it is there (lines
``<Folder>/<NNN> train|test``); otherwise --subset is of this library's own split, and says so.
"""

from __future__ import annotations

import sys
from pathlib import Path

from common import Dataset, check_clips, check_equal, find, main

from stad_lite.data import ucf_sports
from stad_lite.records import Annotations
from stad_lite.records.exchange.report import Reading

OURS = (105, 45)
"""Training and test sequences of this library's own split."""


def load(folder: Path, split: int | None, subset: str | None) -> Reading[Annotations]:
    """Return the annotations, of one subset where it is named."""
    home = find(folder, "ucf_sports_gt.tar.gz", "ucfsports_boxes.npz")
    record, report = ucf_sports.load(folder if home is None else home.parent)
    if subset is None:
        return Reading(record, report)
    listed = find(folder, "split.txt")
    if listed is None:
        report = [*report, "the split is stad_lite thirds, not the papers' (their lists could not be had): 1"]
        train, test = ucf_sports.our_split(record)
    else:
        train, test = ucf_sports.read_split(listed, record)
    return Reading(record.subset(test if subset == "test" else train), report)


def check(folder: Path) -> list[str]:
    """Compare counts and clips with what was measured."""
    record, report = load(folder, None, None)
    frames = sum(video.num_frames or 0 for video in record.videos.values())
    check_equal("sequences", len(record.videos), ucf_sports.VIDEOS)
    check_equal("frames", frames, ucf_sports.FRAMES)
    check_equal("our split", tuple(map(len, ucf_sports.our_split(record))), OURS)
    clips = check_clips(DATASET, folder, record)
    return [*report, clips, f"{len(record.videos)} videos {frames} frames"]


def clip_names(video: str) -> tuple[str, ...]:
    """The names a sequence's clip may have: <Folder>/<NNN> or <Folder>_<NNN>."""
    return video, video.replace("/", "_")


DATASET = Dataset(
    "ucf_sports", load, check, {"train": "train", "test": "test"}, clip_names=clip_names, guessed_sizes=True
)

if __name__ == "__main__":
    sys.exit(main(DATASET))
