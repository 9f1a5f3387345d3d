"""Where the published data sets lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from stad_lite.errors import StadError

DATASETS: dict[str, tuple[str, ...]] = {
    "ucf101-24": ("ucf101_24", "pyannot.pkl"),
    "jhmdb21": ("jhmdb21", "jhmdb_.pkl", "jhmdb21_mask_boxes.npz"),
    "ucf-sports": ("ucfsports", "ucf_sports_gt.tar.gz", "ucfsports_boxes.npz"),
    "ava": ("ava", "ava_val_v2.1.csv", "ava_val_v2.2.csv", "ava_val_v2.1_pose_only.csv"),
    "thumos14": ("thumos14", "annotations_val"),
    "activitynet13": (
        "activitynet",
        "activity_net.v1-3.min.json",
        "activity_net.v1-3.reconstructed.json",
        "anet_anno_action_19994.json",
    ),
}
"""Data set -> its folder below the data root, then files (plain or .gz) any of which shows it is there."""

SETS = ("synthetic", *DATASETS)
"""The names by which data sets are opened; all else is a path."""

SCRIPTS = {"ucfsports": "ucf_sports", "activitynet": "activitynet13"}
"""The script in ``data_scripts/`` of a folder where it has another name."""

_REPOSITORY = Path(__file__).resolve().parents[2]


def data_root() -> Path:
    """Return the folder of the data sets: $STAD_DATA, or ``../shared/data`` beside the repository."""
    given = os.environ.get("STAD_DATA")
    return Path(given) if given else _REPOSITORY.parent / "shared" / "data"


def find_data(*parts: str) -> Path | None:
    """Return a file or folder below the data root, or None where it is not there.

    parts: the path's parts, ``find_data("ucf101_24", "pyannot.pkl")``
    """
    path = data_root().joinpath(*parts)
    return path if path.exists() else None


def set_name(word: str | os.PathLike[str]) -> str | None:
    """Return the set of ``SETS`` that a word names, whatever signs stand in it, or None for a path.

    >>> set_name("ucfsports"), set_name("ActivityNet-1.3"), set_name("./ava")
    ('ucf-sports', 'activitynet13', None)
    """
    return {_letters(name): name for name in SETS}.get(_letters(str(word)))


def _letters(word: str) -> str:
    return word.lower().translate({ord(sign): None for sign in "-_"}).replace("1.3", "13")


def have_data(dataset: str) -> bool:
    """Return whether a data set is on this machine.

    dataset: a name in ``DATASETS``
    raises: StadError for another name
    """
    folder, *files = _place(dataset)
    return any(find_data(folder, name + end) is not None for name in files for end in ("", ".gz"))


def missing_message(dataset: str) -> str:
    """Return one line that says what is missing and how to get it (the same on every machine).

    >>> missing_message("ucf101-24")
    'ucf101-24 is not here (no ucf101_24/pyannot.pkl): set STAD_DATA to the folder of the data
    sets, or run python data_scripts/ucf101_24.py download'
    """
    folder, file, *_ = _place(dataset)
    return (
        f"{dataset} is not here (no {folder}/{file}): set STAD_DATA to the folder of the data sets, "
        f"or run {fetching(dataset)}"
    )


def fetching(dataset: str) -> str:
    """Return the line that fetches a data set, or says how it is had. raises: StadError

    >>> fetching("ucf-sports")
    'python data_scripts/ucf_sports.py download'
    """
    folder = _place(dataset)[0]
    return f"python data_scripts/{SCRIPTS.get(folder, folder)}.py download"


def _place(dataset: str) -> tuple[str, ...]:
    if dataset not in DATASETS:
        raise StadError(f"no data set {dataset!r}", remedy=f"use one of {', '.join(DATASETS)}")
    return DATASETS[dataset]
