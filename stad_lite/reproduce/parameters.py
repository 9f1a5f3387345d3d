"""A chapter's parameters cell, turned into a frozen dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from stad_lite.errors import FormatError

Config = TypeVar("Config")
Value = TypeVar("Value")

PROFILES = ("smoke", "lesson", "paper")
"""How much a chapter does: seconds, minutes, or what the paper did (a system has ``large`` besides)."""


def read_parameters(config: type[Config], namespace: Mapping[str, Any]) -> Config:
    """Return the dataclass filled with the variables of the same names.

    A chapter sets flat names in its cell tagged ``parameters``, papermill may override them in the
    next cell, and this gathers and checks them.

    config: a frozen dataclass with fields of type str, int, float or bool
    namespace: ``globals()`` of the chapter
    raises: FormatError for a missing name, a wrong type or an unknown profile

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Parameters:
    ...     profile: str
    ...     order: int
    >>> read_parameters(Parameters, {"profile": "smoke", "order": 3})
    Parameters(profile='smoke', order=3)
    """
    if not is_dataclass(config):
        raise FormatError(f"{config.__name__} is no dataclass", remedy="decorate it with @dataclass")
    types = get_type_hints(config)
    values = {}
    for field in fields(config):
        if field.name not in namespace:
            raise FormatError(
                f"parameter {field.name} is not set", remedy="set it in the cell tagged parameters"
            )
        values[field.name] = _checked(field.name, namespace[field.name], types[field.name])
    if "profile" in values:
        pick(values["profile"], smoke=None, lesson=None, paper=None)
    return config(**values)


def pick(profile: str, *, smoke: Value, lesson: Value, paper: Value, **more: Value) -> Value:
    """Return the value that belongs to a profile.

    more: of profiles that few know, as ``large``
    raises: FormatError for an unknown profile

    >>> pick("lesson", smoke=8, lesson=64, paper=512)
    64
    """
    known = {"smoke": smoke, "lesson": lesson, "paper": paper, **more}
    if profile not in known:
        raise FormatError(f"no profile {profile!r}", remedy=f"use one of {', '.join(known)}")
    return known[profile]


def _checked(name: str, value: Any, wanted: Any) -> Any:
    if wanted not in (str, int, float, bool):
        raise FormatError(f"parameter {name} is declared as {wanted}", remedy="use str, int, float or bool")
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise FormatError(
            f"parameter {name} is {value!r} of type {type(value).__name__}",
            remedy=f"give a value of type {wanted.__name__}",
        )
    return value
