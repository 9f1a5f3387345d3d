"""Where the published data sets lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from stad_lite.errors import StadError

DATASETS = {
    "ucf101-24": ("ucf101_24", "pyannot.pkl"),
}
"""Data set -> its folder below the data root and the file that shows that it is there."""

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


def have_data(dataset: str) -> bool:
    """Return whether a data set is on this machine.

    dataset: a name in ``DATASETS``
    raises: StadError for another name
    """
    return find_data(*_place(dataset)) is not None


def missing_message(dataset: str) -> str:
    """Return one line that says what is missing and how to get it (the same on every machine).

    >>> missing_message("ucf101-24")
    'ucf101-24 is not here (no ucf101_24/pyannot.pkl): set STAD_DATA to the folder of the data
    sets, or run python data_scripts/ucf101_24.py download'
    """
    folder, file = _place(dataset)
    return (
        f"{dataset} is not here (no {folder}/{file}): set STAD_DATA to the folder of the data sets, "
        f"or run python data_scripts/{folder}.py download"
    )


def _place(dataset: str) -> tuple[str, str]:
    if dataset not in DATASETS:
        raise StadError(f"no data set {dataset!r}", remedy=f"use one of {', '.join(DATASETS)}")
    return DATASETS[dataset]
