"""Faults for the tables of parts: what is left out or fed the wrong input -> the test that fails.

A row spoils one part and runs the test that holds it, which has to pass before and to fail after.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from functools import partial
from types import CodeType
from typing import Any, NamedTuple

import pytest


class Fault(NamedTuple):
    """What is put in the place of an attribute, and the test that has to notice.

    made: the sound attribute -> the spoilt one
    seen_by: a test
    given: its arguments by name; those that are missing are fixtures
    """

    place: Any
    name: str
    made: Callable[[Any], Any]
    seen_by: Callable[..., None]
    given: Mapping[str, Any] = {}


def reworded(
    work: Callable[..., Any], old: str, new: str, seen_by: Callable[..., None], **given: Any
) -> Fault:
    """Return the fault of a function in whose source ``new`` stands for ``old``, which stands there once.

    All who have imported the function meet it.
    """
    bare = inspect.unwrap(work)
    return Fault(bare, "__code__", lambda sound: _compiled(bare, old, new), seen_by, given)


def _compiled(work: Callable[..., Any], old: str, new: str) -> CodeType:
    source = textwrap.dedent(inspect.getsource(work))
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {work.__qualname__}"
    module = compile(source.replace(old, new), inspect.getfile(work), "exec")
    (code,) = (part for part in module.co_consts if isinstance(part, CodeType))
    return code


def instead(work: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return what puts a function in the place of whatever is there."""
    return lambda _: work


def after(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what changes a function's result."""
    return lambda sound: lambda *given, **named: change(sound(*given, **named))


def before(change: Callable[..., tuple[Any, ...]]) -> Callable[[Any], Any]:
    """Return what changes a function's arguments."""
    return lambda sound: lambda *given: sound(*change(*given))


def check(fault: Fault, request: pytest.FixtureRequest) -> None:
    """Hold the test of a fault to it: it passes without, and fails with."""
    names = [name for name in inspect.signature(fault.seen_by).parameters if name not in fault.given]
    fixtures = {name: request.getfixturevalue(name) for name in names}
    run = partial(fault.seen_by, **fault.given, **fixtures)
    run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fault.place, fault.name, fault.made(getattr(fault.place, fault.name)))
        # nobody reads how the two sides differ, and under CI pytest takes minutes to tell it of long lists
        patch.setattr("_pytest.assertion.util._reprcompare", None)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            run()
