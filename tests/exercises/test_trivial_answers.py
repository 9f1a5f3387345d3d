"""No exercise of any chapter is passed without work, and none gives its answer away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import stad_lite.exercises

FOLDER = Path(stad_lite.exercises.__file__).parent
MODULES = [
    import_module(f"stad_lite.exercises.{path.stem}")
    for path in sorted(FOLDER.glob("*.py"))
    if path.stem not in ("__init__", "checks")
]
EXERCISES = [(module, name) for module in MODULES for name in dir(module) if name.startswith("check_")]

every = pytest.mark.parametrize(
    ("module", "name"),
    EXERCISES,
    ids=[f"{module.__name__.split('.')[-1]}-{name}" for module, name in EXERCISES],
)


def like(expected: Any, value: float) -> Any:
    """Return what looks like the right answer, every number the same."""
    if isinstance(expected, torch.Tensor):
        return torch.full_like(expected, value)
    if isinstance(expected, (list, tuple)):
        return type(expected)(like(each, value) for each in expected)
    return np.full_like(np.asarray(expected), value)


def zeroed(given: tuple[Any, ...]) -> list[Any]:
    """Return the input with every number 0 and no letter; arrays and lists are changed themselves."""
    for one in given:
        if isinstance(one, (np.ndarray, torch.Tensor)):
            one[...] = 0
        elif isinstance(one, list):
            one[:] = [like(each, 0) for each in one]
    emptied = ["" if isinstance(one, str) else one for one in given]
    return [like(one, 0) if isinstance(one, (bool, int, float, tuple)) else one for one in emptied]


def trivial(reference: Callable[..., Any], first: tuple[Any, ...]) -> dict[str, Callable[..., Any]]:
    """Return answers that nobody thought about, by what they do; ``first`` is the first case."""

    def of_nothing(*given: Any) -> Any:
        zeros = zeroed(given)
        with suppress(Exception):  # some cannot take zeros
            return reference(*zeros)
        return like(reference(*first), 0)

    def nothing_left(*given: Any) -> None:
        zeroed(given)

    constant = reference(*first)
    return {
        "zeros": lambda *given: like(reference(*given), 0),
        "ones": lambda *given: like(reference(*given), 1),
        "the first argument": lambda *given: given[0],
        "the last argument": lambda *given: given[-1],
        "the input zeroed": of_nothing,
        "the input zeroed, nothing returned": nothing_left,
        "an empty list": lambda *given: [],
        "zero": lambda *given: 0,
        "none": lambda *given: None,
        "a constant": lambda *given: constant,
    }


VALUES = [None, ..., 0, 1, [], "", [0] * 12, np.zeros((11, 4)), np.zeros((24, 4)), np.zeros((31, 4)),
          ([[0] * 4] * 2, [[0] * 4] * 3), ([0], [[0] * 4]), nn.Identity(), nn.Linear(1, 1)]  # fmt: skip


@every
def test_trivial_answers_fail(
    module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check = getattr(module, name)
    asked: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def record(told: str, answer: Any, reference: Any, cases: Any, *more: Any, **others: Any) -> None:
        named = cases if isinstance(cases, dict) else {"": cases}
        asked.append((reference, next(case for some in named.values() for case in some)))

    kinds = list(check.__annotations__.values())[:-1]
    takes_function = "Callable" in kinds[0]
    with monkeypatch.context() as watched:
        watched.setattr(module, "check_function", record, raising=False)
        check(*[(lambda *given: None) if takes_function else ...] * len(kinds))
    capsys.readouterr()
    if takes_function:
        answers = trivial(*asked[0]) if asked else {repr(v): (lambda *given, v=v: v) for v in VALUES}
    else:
        answers = {repr(v): v for v in VALUES}
    for what, answer in answers.items():
        check(*[answer] * len(kinds))
        told = capsys.readouterr().out
        assert ": right" not in told and told.count(": ") >= len(kinds), f"{what} passes: {told}"


@pytest.mark.parametrize("module", MODULES, ids=lambda one: one.__name__.split(".")[-1])
def test_tab_completion_offers_no_answer(module: ModuleType) -> None:
    jedi = pytest.importorskip("jedi")
    offered = {one.name for one in jedi.Interpreter("exercises.", [{"exercises": module}]).complete()}
    assert offered == set(dir(module)) == set(module.__all__)
    shown = {"coarse_tubes": {"ANCHOR"}, "progressive_refinement": {"recall", "synthetic_boxes"}}
    others = {name for name in offered if not name.startswith("check_")}
    assert others == shown.get(module.__name__.split(".")[-1], set())
