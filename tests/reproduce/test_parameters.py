"""The parameters cell becomes a checked dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest

from stad_lite.errors import FormatError
from stad_lite.reproduce.parameters import checked, pick, read_parameters
from stad_lite.settings import Between


@dataclass(frozen=True)
class Parameters:
    profile: str
    results: str
    order: int
    epsilon: float
    spline: bool = True


GOOD = {"profile": "smoke", "results": "", "order": 3, "epsilon": 0.8, "spline": False, "other": object()}


def test_fields_are_filled_and_nothing_else_is_looked_at():
    assert read_parameters(Parameters, GOOD) == Parameters("smoke", "", 3, 0.8, False)


def test_a_whole_number_serves_as_float():
    parameters = read_parameters(Parameters, GOOD | {"epsilon": 1})
    assert parameters.epsilon == 1.0 and isinstance(parameters.epsilon, float)


@pytest.mark.parametrize(("given", "text"), [(6, "6"), (0.5, "0.5"), ("1a", "1a")])
def test_a_text_may_be_given_as_a_number(given, text):
    """papermill makes a number of ``-p table 6``."""
    assert read_parameters(Parameters, GOOD | {"results": given}).results == text


def test_a_name_that_papermill_was_given_and_the_chapter_has_not_is_named():
    cells = ["order = 1\nelsewhere = 2", "# Parameters\norder = 3\nordre = 4\n"]
    with pytest.raises(FormatError, match="has no parameter ordre; it has profile, results, order, epsilon"):
        read_parameters(Parameters, GOOD | {"In": cells})
    assert read_parameters(Parameters, GOOD | {"In": [cells[0], "# Parameters\norder = 3\n"]}).order == 3


def test_a_range_holds():
    @dataclass(frozen=True)
    class Ranged:
        late: Annotated[int, Between(0, 30)]

    assert read_parameters(Ranged, {"late": 30}).late == 30
    with pytest.raises(FormatError, match="parameter late is 99; give a whole number from 0 to 30"):
        read_parameters(Ranged, {"late": 99})
    with pytest.raises(FormatError, match="late is '1' of type str"):
        read_parameters(Ranged, {"late": "1"})
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
        read_parameters(Parameters, GOOD | {name: value})


def test_a_missing_name_is_named():
    with pytest.raises(FormatError, match="epsilon is not set; set it in the cell tagged parameters"):
        read_parameters(Parameters, {k: v for k, v in GOOD.items() if k != "epsilon"})


def test_only_flat_types_and_dataclasses():
    @dataclass(frozen=True)
    class Nested:
        sizes: list

    with pytest.raises(FormatError, match="use str, int, float or bool"):
        read_parameters(Nested, {"sizes": [1]})
    with pytest.raises(FormatError, match="no dataclass"):
        read_parameters(dict, {})


def test_pick():
    assert [pick(p, smoke=1, lesson=2, paper=3) for p in ("smoke", "lesson", "paper")] == [1, 2, 3]
    for unknown in ("full", "large"):  # large is what a system is trained at, no size of a chapter
        with pytest.raises(FormatError, match=f"no profile '{unknown}'; use one of smoke, lesson, paper"):
            pick(unknown, smoke=1, lesson=2, paper=3)
