"""YAML files into typed rows: a scalar is read as the field asks for it, and errors name the row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from stad_lite.errors import FormatError, MissingFileError

Rows = TypeVar("Rows")
TITLES = ("table", "name", "number", "id")
"""What a row is called by, the first of these that it has."""


class Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A row whose fields are all known."""


def read_rows(path: Path, kind: type[Rows]) -> Rows:
    """Return a YAML file as a ``Strict`` of strings, numbers, tuples and other ``Strict``s.

    raises: MissingFileError; FormatError for what is not YAML, a key given twice, and a row that does not fit
    """
    if not path.is_file():
        raise MissingFileError("there is no such file", file=path)
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # text, lists and mappings only
        return msgspec.convert(raw, kind, strict=False)
    except msgspec.ValidationError as error:
        raise FormatError(named(str(error), raw), file=path) from None
    except FormatError as error:
        raise error.at(file=path) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"not YAML ({' '.join(str(error).split())})", file=path) from None


def once(what: str, names: list[str]) -> None:
    """Raise FormatError for the first name that stands there twice."""
    for name in names:
        if names.count(name) > 1:
            raise FormatError(f"{what} {name} stands there twice", remedy="give each its own name")


def named(problem: str, raw: Any) -> str:
    """Return msgspec's sentence with names for the numbers of its path.

    >>> raw = {"tables": [{"table": "8", "rows": [{}, {"name": "224"}]}]}
    >>> named("Expected `str` - at `$.tables[0].rows[1]`", raw)
    'table 8, row 224: Expected `str`'
    """
    sentence, _, path = problem.partition(" - at `$")
    places = []
    for key, number in re.findall(r"\.?(\w+)(?:\[(\d+)\])?", path):
        title = number
        try:
            raw = raw[key][int(number)] if number else raw[key]
            if number and isinstance(raw, dict):
                title = next((raw[name] for name in TITLES if name in raw), number)
        except (KeyError, IndexError, TypeError):
            raw = None
        places.append(f"{key.removesuffix('s') if number else key} {title}".strip())
    return f"{', '.join(places)}: {sentence}" if places else sentence


_BASE: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # where libyaml is there: the same, faster


class _Loader(_BASE):
    """A key given twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise FormatError(f"line {line}: the key {key!r} stands there twice", remedy="remove one")
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found
