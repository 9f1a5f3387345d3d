"""How many processes prepare batches where nothing is said."""

from __future__ import annotations

import pytest
import torch

from stad_lite.data import workers
from stad_lite.systems.items import Items
from stad_lite.systems.seen import Seen
from stad_lite.training import loop


@pytest.mark.parametrize(
    ("there", "processes", "expected"),
    [(1, 1, 0), (2, 1, 0), (3, 1, 2), (8, 1, 7), (64, 1, 8), (16, 8, 0), (16, 2, 7)],
)
def test_as_many_as_cores_allow(there, processes, expected, monkeypatch):
    monkeypatch.setattr(workers, "cores", lambda: there)
    assert workers.usual_workers(processes) == expected


def test_only_pixels_are_prepared_ahead(monkeypatch):
    monkeypatch.setattr(workers, "cores", lambda: 4)
    pixels, maps = Seen(torch.zeros(1, 2, 2, 3, dtype=torch.uint8)), torch.zeros(1, 2, 2)
    for item, expected in (
        ({"frames": {"rgb": pixels}, "labels": maps}, 3),
        (({"rgb": pixels}, maps), 3),
        ({"maps": maps}, 0),
        (("a name", [maps]), 0),
    ):
        assert loop.usual_workers(Items("a", lambda place, rng, item=item: item)) == expected


def test_cores_are_those_that_may_be_used():
    assert workers.cores() >= 1
