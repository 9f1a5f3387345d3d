"""A chapter's cell of parameters, checked and turned into a frozen dataclass."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import make_dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin

from stad_lite.errors import FormatError
from stad_lite.settings import Between, from_plain

Value = TypeVar("Value")

LEAST = {"seeds": 1}
"""Parameter -> its smallest value, where that is not 0; none may be negative."""
INJECTED = "# Parameters\n"
"""How the cell begins that papermill puts after a chapter's own."""
PROFILES = ("smoke", "lesson", "paper")
"""How much a chapter does: seconds, minutes, or what the paper did (a system has ``large`` besides)."""


def read_parameters(namespace: Mapping[str, Any], **ranges: tuple[float, float]) -> Any:
    """Return the parameters that a chapter declares, checked, as a frozen dataclass.

    A chapter declares them in its cell tagged ``parameters`` (``seed: int = 0``), papermill may override them
    in the next cell, and this gathers them.

    namespace: ``globals()`` of the chapter: its ``__annotations__`` say what is a parameter and of which type
        (str, int, float or bool), its ``In`` which cells were run
    ranges: parameter -> its smallest and largest value; without it a number is from 0, or from ``LEAST``
    raises: FormatError where nothing is declared, for a name without a value, a wrong type, a value out of
        range, an unknown profile, and a name that papermill was given and the chapter has not

    >>> read_parameters({"__annotations__": {"profile": str, "order": int}, "profile": "smoke", "order": 3})
    Parameters(profile='smoke', order=3)
    """
    types = _declared(namespace)
    if not types:
        raise FormatError(
            "this chapter declares no parameter", remedy='run its cell of parameters (profile: str = "smoke")'
        )
    if unknown := sorted(injected(namespace.get("In", ())) - set(types)):
        remedy = f"it has {', '.join(types)}"
        raise FormatError(f"this chapter has no parameter {', '.join(unknown)}", remedy=remedy)
    if stray := sorted(set(ranges) - set(types)):
        raise FormatError(
            f"a range is given for {', '.join(stray)}", remedy=f"the chapter has {', '.join(types)}"
        )
    values = {}
    for name, wanted in types.items():
        if name not in namespace:
            raise FormatError(f"parameter {name} is not set", remedy="set it in the cell tagged parameters")
        bounds = Annotated[wanted, Between(*ranges[name])] if name in ranges else wanted
        values[name] = checked(name, namespace[name], bounds)
    if "profile" in values:
        pick(values["profile"], smoke=None, lesson=None, paper=None)
    return make_dataclass("Parameters", list(types.items()), frozen=True)(**values)


def _declared(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a module's annotations declare; Python 3.14 evaluates them when asked."""
    annotations = namespace.get("__annotations__")
    if annotations is None and (evaluate := namespace.get("__annotate__")):
        annotations = evaluate(1)
    return dict(annotations or {})


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
