"""The cell of parameters becomes a checked dataclass."""

from __future__ import annotations

import dataclasses

import pytest

from stad_lite.errors import FormatError
from stad_lite.reproduce.parameters import checked, pick, read_parameters

DECLARED = {"profile": str, "results": str, "order": int, "epsilon": float, "spline": bool}
GOOD = {"profile": "smoke", "results": "", "order": 3, "epsilon": 0.8, "spline": False, "other": object()}
GOOD["__annotations__"] = DECLARED


def test_fields_are_filled_and_nothing_else_is_looked_at():
    parameters = read_parameters(GOOD)
    assert dataclasses.asdict(parameters) == {name: GOOD[name] for name in DECLARED}
    with pytest.raises(dataclasses.FrozenInstanceError):
        parameters.order = 4


def test_annotations_that_are_evaluated_when_asked():
    """As Python 3.14 keeps them: a function in the module's names."""
    later = {k: v for k, v in GOOD.items() if k != "__annotations__"} | {
        "__annotate__": lambda form: DECLARED
    }
    assert dataclasses.astuple(read_parameters(later)) == dataclasses.astuple(read_parameters(GOOD))


def test_a_cell_of_parameters_that_was_run_is_enough():
    names = {}
    cell = "profile: str = 'lesson'  # how much\nclips: int = 4"
    exec(compile(cell, "<cell>", "exec", dont_inherit=True), names)
    assert (read_parameters(names).profile, read_parameters(names).clips) == ("lesson", 4)


def test_a_whole_number_serves_as_float():
    parameters = read_parameters(GOOD | {"epsilon": 1})
    assert parameters.epsilon == 1.0 and isinstance(parameters.epsilon, float)


@pytest.mark.parametrize(("given", "text"), [(6, "6"), (0.5, "0.5"), ("1a", "1a")])
def test_a_text_may_be_given_as_a_number(given, text):
    """papermill makes a number of ``-p table 6``."""
    assert read_parameters(GOOD | {"results": given}).results == text


def test_a_name_that_papermill_was_given_and_the_chapter_has_not_is_named():
    cells = ["order = 1\nelsewhere = 2", "# Parameters\norder = 3\nordre = 4\n"]
    with pytest.raises(FormatError, match="has no parameter ordre; it has profile, results, order, epsilon"):
        read_parameters(GOOD | {"In": cells})
    assert read_parameters(GOOD | {"In": [cells[0], "# Parameters\norder = 3\n"]}).order == 3


def test_a_range_holds():
    declared = {"__annotations__": {"late": int}}
    assert read_parameters(declared | {"late": 30}, late=(0, 30)).late == 30
    with pytest.raises(FormatError, match="parameter late is 99; give a whole number from 0 to 30"):
        read_parameters(declared | {"late": 99}, late=(0, 30))
    with pytest.raises(FormatError, match="late is '1' of type str"):
        read_parameters(declared | {"late": "1"}, late=(0, 30))
    with pytest.raises(FormatError, match="a range is given for later; the chapter has late"):
        read_parameters(declared | {"late": 1}, later=(0, 30))
    for seeds in (0, -3):
        with pytest.raises(FormatError, match=f"seeds is {seeds}; give a number from 1"):
            checked("seeds", seeds, int)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("order", "3", "order is '3' of type str; give a value of type int"),
        ("order", True, "order is True of type bool"),
        ("order", 3.0, "order is 3.0 of type float"),
        ("spline", 1, "spline is 1 of type int"),
        ("order", -1, "order is -1; give a number from 0"),
        ("epsilon", float("nan"), "epsilon is nan; give a number from 0"),
        ("results", None, "results is None"),
        ("profile", "quick", "no profile 'quick'; use one of smoke, lesson, paper"),
    ],
)
def test_wrong_values_are_named(name, value, told):
    with pytest.raises(FormatError, match=told.replace("(", r"\(")):
        read_parameters(GOOD | {name: value})


def test_a_missing_name_is_named():
    with pytest.raises(FormatError, match="epsilon is not set; set it in the cell tagged parameters"):
        read_parameters({k: v for k, v in GOOD.items() if k != "epsilon"})


def test_only_flat_types():
    with pytest.raises(FormatError, match="use str, int, float or bool"):
        read_parameters({"__annotations__": {"sizes": list}, "sizes": [1]})


def test_a_chapter_without_parameters_is_told_to_run_its_cell():
    with pytest.raises(FormatError, match="declares no parameter; run its cell of parameters"):
        read_parameters({"profile": "smoke"})


def test_pick():
    assert [pick(p, smoke=1, lesson=2, paper=3) for p in ("smoke", "lesson", "paper")] == [1, 2, 3]
    for unknown in ("full", "large"):  # large is what a system is trained at, no size of a chapter
        with pytest.raises(FormatError, match=f"no profile '{unknown}'; use one of smoke, lesson, paper"):
            pick(unknown, smoke=1, lesson=2, paper=3)
