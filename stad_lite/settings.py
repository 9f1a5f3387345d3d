"""Settings as text and as JSON: ``train.lr=1e-3`` on the command line, dictionaries in a run's folder.

A settings object is a frozen dataclass and may hold others. What a field can be stands in its type: numbers
with their range (``Share``), words as a ``Literal``. ``__post_init__`` calls ``check`` and then refuses what
does not go together. A config of many fields is made of groups (``Group``).
"""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from numbers import Integral, Real
from operator import attrgetter
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from stad_lite.errors import FormatError

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Between:
    """The numbers that a field takes, both ends among them: ``Annotated[float, Between(0, 1)]``."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"from {self.low} to {self.high}"


@dataclass(frozen=True)
class OneOf:
    """The words that a field takes, where they are those of a table: ``Annotated[str, OneOf(TRIMS)]``."""

    words: Collection[str]


Share = Annotated[float, Between(0, 1)]
"""A part, a probability, an overlap."""
Weight = Annotated[float, Between(0, 1000)]
"""Of a term of a sum."""
Scale = Annotated[float, Between(0.001, 1000)]
"""What is multiplied or divided by."""
Count = Annotated[int, Between(0, 10**9)]
"""How many; there may be none."""
AtLeastOne = Annotated[int, Between(1, 10**9)]
"""How many of what cannot be missing."""
Frames = Annotated[int, Between(1, 4096)]
"""Of a clip, or from one to the next."""
Layers = Annotated[int, Between(1, 64)]
"""Of a network or a part of it."""
Channels = Annotated[int, Between(1, 8192)]
"""Of a layer."""
Side = Annotated[int, Between(24, 2048)]
"""Of a frame in pixels."""

_WORDS = {"true": True, "yes": True, "false": False, "no": False}
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


def from_plain(kind: Any, value: Any, name: str = "settings") -> Any:
    """Return JSON's plain values as what a type asks for: what ``schedule.plain`` made, undone.

    kind: a dataclass, or the type of a field
    name: of the value, for errors
    raises: FormatError naming the field, its value and what it may be

    >>> from_plain(tuple[float, ...], [1, 2.5])
    (1.0, 2.5)
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated and isinstance(parts[1], OneOf):
        return from_plain(Literal[tuple(parts[1].words)], value, name)
    if origin is Annotated:
        return _in_range(kind, value, name)
    if is_dataclass(kind):
        return _object(kind, value, name)
    if origin in (Union, types.UnionType):
        return _first_that_fits([(from_plain, part) for part in parts], value, name)
    if origin is Literal:
        if value not in parts:
            known = ", ".join(str(word) or "''" for word in parts)
            raise FormatError(f"{name} is {value!r}", remedy=f"choose from {known}")
        return value
    if origin is tuple:
        return _tuple(parts, value, name)
    if origin is dict and isinstance(value, Mapping):
        return {key: from_plain(parts[1], entry, f"{name}.{key}") for key, entry in value.items()}
    if kind in (int, float) and not isinstance(value, bool):
        if isinstance(value, Integral if kind is int else Real) and abs(value) <= sys.float_info.max:  # type: ignore[operator]
            return kind(value)
    elif (kind in (None, type(None)) and value is None) or (kind in _KINDS and type(value) is kind):
        return value
    raise FormatError(f"{name} is {value!r}", remedy=f"give {_told(kind)}")


def check(settings: Any) -> None:
    """Hold a settings object to what its fields declare; values take the declared type.

    No number may be infinite or not a number.
    raises: FormatError naming the field, its value and what it may be
    """
    for name, kind in _kinds(type(settings)).items():  # type: ignore[arg-type]
        object.__setattr__(settings, name, from_plain(kind, getattr(settings, name), name))


def conflict(settings: Any, *names: str, remedy: str) -> FormatError:
    """Return the error for fields whose values do not go together; those of parts stand behind a dot."""
    told = (f"{name} is {attrgetter(name)(settings)!r}" for name in names)
    return FormatError(" and ".join(told), remedy=remedy)


@dataclass(frozen=True)
class Group:
    """The fields of one subject: a config inherits its groups, so that its own fields stay flat.

    The last base's fields come first. Own checks follow ``super().__post_init__()``, after which all fields
    of the whole config are of their types.
    raises: FormatError
    """

    def __post_init__(self) -> None:
        check(self)


@cache
def _kinds(settings: type) -> dict[str, Any]:
    return get_type_hints(settings, include_extras=True)


def from_text(kind: Any, text: str, name: str) -> Any:
    """Return a word of the command line as what a type asks for; a tuple's parts stand between commas.

    raises: FormatError naming the field

    >>> from_text(tuple[int, ...], "48,64", "size"), from_text(float | None, "none", "fps")
    ((48, 64), None)
    """
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        raise FormatError(f"{name} has parts", remedy=f"set {', '.join(known_keys(kind, name))}")
    if origin in (Union, types.UnionType):
        return _first_that_fits([(from_text, part) for part in parts], text, name)
    if origin is tuple:
        return from_plain(kind, _entries(text), name)
    if kind is bool:
        return from_plain(bool, _WORDS.get(text.lower(), text), name)
    if kind is str or (origin in (Literal, Annotated) and isinstance(parts[-1], str | OneOf)):
        return from_plain(kind, text, name)
    return from_plain(kind, None if text.lower() == "none" else _literal(text), name)


def changed(settings: Settings, texts: Mapping[str, str], prefix: str) -> Settings:
    """Return settings with some fields set from words.

    texts: key without prefix -> word; the field of a part is ``part.field``
    prefix: how the settings are called in errors, such as "train"
    raises: FormatError for an unknown key, listing the known ones, for a word of another type, and what the
        settings themselves refuse
    """
    hints, direct = _kinds(type(settings)), {}  # type: ignore[arg-type]
    parts: dict[str, dict[str, str]] = {}
    for key, text in texts.items():
        name, _, rest = key.partition(".")
        if name not in hints or (rest and not is_dataclass(getattr(settings, name))):
            known = ", ".join(known_keys(settings, prefix))
            raise FormatError(f"there is no setting {prefix}.{key}", remedy=f"known are {known}")
        if rest:
            parts.setdefault(name, {})[rest] = text
        else:
            kind = type(held) if is_dataclass(held := getattr(settings, name)) else hints[name]
            direct[name] = from_text(kind, text, f"{prefix}.{name}")
    for name, inner in parts.items():
        direct[name] = changed(getattr(settings, name), inner, f"{prefix}.{name}")
    return replace(settings, **direct)  # type: ignore[type-var]


def known_keys(settings: Any, prefix: str) -> list[str]:
    """Return the keys of all fields, those of parts behind a dot.

    settings: a dataclass or one of its kind
    """
    keys = []
    for field in fields(settings):
        held = getattr(settings, field.name, None)
        inner = held is not None and not isinstance(held, type) and is_dataclass(held)
        keys += known_keys(held, f"{prefix}.{field.name}") if inner else [f"{prefix}.{field.name}"]
    return keys


def _object(kind: Any, value: Any, name: str) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise FormatError(f"{name} is {value!r}", remedy=f"give the fields of {kind.__name__}")
    hints = _kinds(kind)
    unknown = [str(key) for key in value if key not in hints]
    if unknown:
        raise FormatError(f"{name} has no {', '.join(unknown)}", remedy=f"known are {', '.join(hints)}")
    return kind(**{key: from_plain(hints[key], entry, f"{name}.{key}") for key, entry in value.items()})


def _in_range(kind: Any, value: Any, name: str) -> Any:
    number, limits = get_args(kind)
    try:
        found = from_plain(number, value, name)
    except FormatError:
        found = None
    if found is None or not limits.low <= found <= limits.high:
        raise FormatError(f"{name} is {value!r}", remedy=f"give {_told(kind)}")
    return found


def _tuple(parts: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise FormatError(f"{name} is {value!r}", remedy="give a list")
    if len(parts) == 2 and parts[1] is Ellipsis:
        parts = (parts[0],) * len(value)
    if len(parts) != len(value):
        raise FormatError(f"{name} has {len(value)} entries", remedy=f"give {len(parts)}")
    kinds = zip(parts, value, strict=True)
    return tuple(from_plain(part, entry, f"{name}[{i}]") for i, (part, entry) in enumerate(kinds))


def _first_that_fits(ways: Iterable[tuple[Any, Any]], value: Any, name: str) -> Any:
    kinds = []
    # None comes first, or the word "none" would be a string
    for way, kind in sorted(ways, key=lambda one: one[1] is not type(None)):
        try:
            return way(kind, value, name)
        except FormatError:
            kinds.append(_told(kind))
    raise FormatError(f"{name} is {value!r}", remedy=f"give {' or '.join(kinds)}")


def _told(kind: Any) -> str:
    if kind is type(None):
        return "none"
    if get_origin(kind) is Annotated:
        number, limits = get_args(kind)
        return f"{_told(number)} {limits}"
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(map(_told, get_args(kind)))
    if get_origin(kind) is tuple:
        return "a list"
    return _KINDS.get(kind, getattr(kind, "__name__", str(kind)))


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _entries(text: str) -> Any:
    """A tuple's entries: Python's own spelling, else words between commas; nothing is an empty tuple."""
    value = _literal(text)
    if isinstance(value, list | tuple):
        return value
    return [_literal(word.strip()) for word in text.split(",") if word.strip()]
