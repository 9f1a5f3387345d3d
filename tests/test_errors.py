"""Errors name what is wrong, where, and what to do."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from stad_lite import errors
from stad_lite.errors import StadError

KINDS = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, StadError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_tells_its_place_and_remedy(kind: type[StadError]) -> None:
    error = kind(
        "it is broken", file=Path("a.json"), video="v/1", tube=0, segment=2, frame=0, remedy="mend it"
    )
    assert str(error) == "a.json, video v/1, tube 0, segment 2, frame 0: it is broken; mend it"
    assert isinstance(error, ValueError) and kind.__doc__


def test_what_is_not_known_is_left_out() -> None:
    assert str(StadError("it is broken")) == "it is broken"
    assert str(StadError("it is broken", frame=3)) == "frame 3: it is broken"
    assert str(StadError("it is broken", remedy="mend it")) == "it is broken; mend it"


def test_a_place_is_filled_in_once() -> None:
    error = StadError("it is broken", frame=0)
    assert error.at(file=Path("b.npz"), frame=9, tube=None) is error
    assert str(error.at(video="v", file="c.npz")) == "b.npz, video v, frame 0: it is broken"


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(
        pickle.dumps(errors.InvertedBoxError("it is broken", video="v", tube=1, remedy="mend"))
    )
    assert type(error) is errors.InvertedBoxError
    assert str(error) == "video v, tube 1: it is broken; mend"
