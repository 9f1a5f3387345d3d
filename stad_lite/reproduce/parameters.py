"""A chapter's parameters cell, turned into a frozen dataclass."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from stad_lite.errors import FormatError
from stad_lite.settings import from_plain

Config = TypeVar("Config")
Value = TypeVar("Value")

LEAST = {"seeds": 1}
"""Parameter -> its smallest value, where that is not 0; none may be negative."""
INJECTED = "# Parameters\n"
"""How the cell begins that papermill puts after a chapter's own."""
PROFILES = ("smoke", "lesson", "paper")
"""How much a chapter does: seconds, minutes, or what the paper did (a system has ``large`` besides)."""


def read_parameters(config: type[Config], namespace: Mapping[str, Any]) -> Config:
    """Return the dataclass filled with the variables of the same names.

    A chapter sets flat names in its cell tagged ``parameters``, papermill may override them in the
    next cell, and this gathers and checks them.

    config: a frozen dataclass with fields of type str, int, float or bool, with their range where they have
        one (``Annotated[int, Between(0, 30)]``); without it a number is from 0, or from ``LEAST``
    namespace: ``globals()`` of the chapter; its ``In`` holds the cells that were run
    raises: FormatError for a missing name, a wrong type, a value out of range, an unknown profile, and a name
        that papermill was given and the chapter has not

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
    types = get_type_hints(config, include_extras=True)
    known = [field.name for field in fields(config)]
    if unknown := sorted(injected(namespace.get("In", ())) - set(known)):
        remedy = f"it has {', '.join(known)}"
        raise FormatError(f"this chapter has no parameter {', '.join(unknown)}", remedy=remedy)
    values = {}
    for field in fields(config):
        if field.name not in namespace:
            raise FormatError(
                f"parameter {field.name} is not set", remedy="set it in the cell tagged parameters"
            )
        values[field.name] = checked(field.name, namespace[field.name], types[field.name])
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


def injected(cells: Any) -> set[str]:
    """Return the names that papermill's cell sets, among cells that were run.

    >>> sorted(injected(["x = 1", "# Parameters\\ntable = 6\\nseed = 2\\n"]))
    ['seed', 'table']
    """
    names: set[str] = set()
    for cell in cells:
        if cell.startswith(INJECTED):
            for line in ast.parse(cell).body:
                targets = line.targets if isinstance(line, ast.Assign) else []
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def checked(name: str, value: Any, wanted: Any) -> Any:
    """Return a parameter's value as its type, which may bear a range; a text may be given as a number.

    raises: FormatError

    >>> checked("table", 6, str), checked("tau", 1, float)
    ('6', 1.0)
    """
    plain = get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted
    if plain not in (str, int, float, bool):
        raise FormatError(f"parameter {name} is declared as {plain}", remedy="use str, int, float or bool")
    if type(value) is int and plain is float:
        value = float(value)
    if type(value) in (int, float) and plain is str:  # as papermill reads -p table 6
        value = str(value)
    if type(value) is not plain:
        raise FormatError(
            f"parameter {name} is {value!r} of type {type(value).__name__}",
            remedy=f"give a value of type {plain.__name__}",
        )
    if plain is not wanted:
        return from_plain(wanted, value, f"parameter {name}")
    least = LEAST.get(name, 0)
    if plain in (int, float) and not (math.isfinite(value) and value >= least):
        raise FormatError(f"parameter {name} is {value}", remedy=f"give a number from {least}")
    return value
