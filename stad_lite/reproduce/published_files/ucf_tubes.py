"""All tubes of UCF101-24 as published, and which of them split 1 tests on."""

from __future__ import annotations

import numpy as np

from stad_lite.data import ucf101_24
from stad_lite.data.location import find_data
from stad_lite.records import Annotations
from stad_lite.tubes import Tube


def every() -> list[Tube]:
    """Return all tubes, [] where the annotations are not here."""
    file = find_data("ucf101_24", "pyannot.pkl")
    return [tube for _, tube in _named(ucf101_24.read_pickle(file))] if file else []


def held_out() -> tuple[list[Tube], np.ndarray]:
    """Return all tubes, and (tubes,) whether split 1 tests on them; [] where a file is not here."""
    file, listed = find_data("ucf101_24", "pyannot.pkl"), find_data("ucf101_24", "testlist01.txt")
    if not (file and listed):
        return [], np.zeros(0, bool)
    record = ucf101_24.read_pickle(file)
    test = set(ucf101_24.split1(record, listed)[1])
    named = _named(record)
    return [tube for _, tube in named], np.array([name in test for name, _ in named])


def _named(record: Annotations) -> list[tuple[str, Tube]]:
    return [(name, tube) for name, video in record.videos.items() for tube in video.tubes or ()]
