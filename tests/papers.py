"""Settings held against the numbers that a paper prints."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Set
from dataclasses import fields
from typing import Any


def hold(settings: Any, printed: Mapping[str, Any], *others: Set[str] | Mapping[str, Any]) -> None:
    """Every printed number is the setting's, and each field is in one table: printed, or of ``others``.

    A table of ``others`` may name values too.
    """
    tables = [printed, *others]
    for table in tables:
        if isinstance(table, Mapping):
            assert {name: getattr(settings, name) for name in table} == dict(table)
    named = [name for table in tables for name in table]
    assert sorted(named) == sorted(field.name for field in fields(settings))


def marked(config: type, mark: str = "(ours") -> set[str]:
    """Return the fields whose line in the docstring of their group has a mark."""
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
