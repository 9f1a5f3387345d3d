"""Settings from words and from JSON: every type of field, and what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from stad_lite.errors import FormatError
from stad_lite.schedule import TrainConfig, plain
from stad_lite.settings import changed, from_plain, from_text, known_keys


@dataclass(frozen=True)
class Inner:
    width: float = 1.0
    norm: Literal["group", "batch"] = "group"


@dataclass(frozen=True)
class Outer:
    count: int = 3
    lr: float = 0.1
    flag: bool = False
    word: str = "a"
    size: tuple[int, int] = (4, 5)
    names: tuple[str, ...] = ()
    pairs: tuple[tuple[str, float], ...] = ()
    maybe: tuple[str, ...] | None = None
    rate: float | None = None
    inner: Inner = field(default_factory=Inner)
    table: dict[str, int] = field(default_factory=dict)
    other: Any = None

    def __post_init__(self) -> None:
        if self.count < 0:
            raise FormatError("count is below 0")


FULL = Outer(7, 1, True, "7", (1, 2), ("x", "y"), (("a", 0.5), ("b", 2)), ("m",), 2.5,
             Inner(0.5, "batch"), {"k": 1}, [1, "z"])  # fmt: skip


@pytest.mark.parametrize("settings", [Outer(), FULL, TrainConfig(epochs=2.5, lr_factors=(("a", 0.1),))])
def test_json_and_back(settings):
    text = json.dumps(plain(settings))
    assert from_plain(type(settings), json.loads(text)) == settings


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("count", "12", 12),
        ("lr", "1e-3", 1e-3),
        ("lr", "2", 2.0),
        ("flag", "Yes", True),
        ("flag", "false", False),
        ("word", "12", "12"),
        ("word", "none", "none"),
        ("size", "48,64", (48, 64)),
        ("size", "(48, 64)", (48, 64)),
        ("names", "rgb, flow", ("rgb", "flow")),
        ("names", "rgb", ("rgb",)),
        ("names", "", ()),
        ("pairs", "(('a', 0.1), ('b', 0))", (("a", 0.1), ("b", 0.0))),
        ("maybe", "none", None),
        ("maybe", "a,b", ("a", "b")),
        ("rate", "None", None),
        ("rate", "25", 25.0),
    ],
)
def test_words(key, text, value):
    found = getattr(changed(Outer(), {key: text}, "model"), key)
    assert found == value and type(found) is type(value)


def test_parts_are_set_behind_a_dot():
    found = changed(FULL, {"inner.width": "3", "inner.norm": "group", "count": "1"}, "model")
    assert found.inner == Inner(3.0, "group") and found.count == 1 and found.pairs == FULL.pairs


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("cuont", "1", r"no setting model\.cuont; known are model\.count, .*model\.inner\.width"),
        ("inner.depth", "1", r"no setting model\.inner\.depth; known are model\.inner\.width"),
        ("count.x", "1", r"no setting model\.count\.x"),
        ("inner", "1", r"model\.inner has parts; set model\.inner\.width, model\.inner\.norm"),
        ("count", "1.5", r"model\.count is 1\.5; give a whole number"),
        ("count", "true", r"model\.count is 'true'; give a whole number"),
        ("lr", "fast", r"model\.lr is 'fast'; give a number"),
        ("flag", "maybe", r"model\.flag is 'maybe'; give true or false"),
        ("size", "1,2,3", r"model\.size has 3 entries; give 2"),
        ("size", "1,b", r"model\.size\[1\] is 'b'; give a whole number"),
        ("rate", "quick", r"model\.rate is 'quick'; give none or a number"),
        ("inner.norm", "layer", r"model\.inner\.norm is 'layer'; choose from group, batch"),
        ("count", "-1", "count is below 0"),
    ],
)
def test_words_that_do_not_fit(key, text, message):
    with pytest.raises(FormatError, match=message):
        changed(Outer(), {key: text}, "model")


def test_plain_values_that_do_not_fit():
    for value, message in (
        ({"depth": 1}, "settings has no depth; known are width, norm"),
        ([1], "give the fields of Inner"),
        ({"width": "1"}, r"settings\.width is '1'; give a number"),
        ({"width": True}, r"settings\.width is True"),
    ):
        with pytest.raises(FormatError, match=message):
            from_plain(Inner, value)
    with pytest.raises(FormatError, match="give a list"):
        from_plain(tuple[int, ...], 3)


def test_keys_and_single_values():
    assert known_keys(Inner(), "a") == ["a.width", "a.norm"]
    assert from_text(int, "5", "n") == 5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 10**400, True, "1"])
def test_what_is_no_number_is_refused_whatever_the_range(value):
    with pytest.raises(FormatError, match="share is "):
        from_plain(float, value, "share")
