"""Settings held against the numbers that a paper prints."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields
from typing import Any


def hold(settings: Any, printed: Mapping[str, Any], marks: Mapping[str, Mapping[str, Any]]) -> None:
    """Every field has the number that the paper prints, or a mark in the docstring of its group.

    printed: field -> value
    marks: mark -> (field -> value) of all the fields that the docstrings mark so, and of no other
    """
    values = dict(printed)
    for mark, table in marks.items():
        assert marked(type(settings), mark) == set(table), f"the fields marked {mark}"
        assert not values.keys() & table.keys()
        values |= table
    assert {field.name: getattr(settings, field.name) for field in fields(settings)} == values


def marked(config: type, mark: str) -> set[str]:
    """Return the fields whose lines in the docstring of their group have a mark, as ``(ours``."""
    found = set()
    for group in config.__mro__:
        names: list[str] = []
        own = inspect.get_annotations(group)
        for line in inspect.cleandoc(group.__doc__ or "").splitlines():
            head = [name.strip() for name in line.split(":")[0].split(",")]
            if not line.startswith(" "):
                names = head if set(head) <= set(own) else []
            found |= set(names) if mark in line else set()
    return found
