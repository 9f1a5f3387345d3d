"""The figures of a chapter: kinds of value, the file, the committed ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.reproduce.results import RECORDING, Results, committed, read_results


@pytest.fixture
def results() -> Results:
    made = Results("part/chapter", "smoke")
    made.add("on synthetic", 0.25, unit="IoU")
    made.add("on real", 2 / 3, data="ucf101-24", claim="CFAD Table 1", command="stad-lite oracles")
    made.add("tubes", np.int64(4458), data="ucf101-24")
    return made


def test_the_file_holds_what_was_added(results, tmp_path):
    path = tmp_path / "deep" / "results.json"
    results.write(path)
    again = read_results(path)
    assert again.as_document() == results.as_document()
    assert json.loads(path.read_text("utf-8"))["format"] == "stad-lite/results/1"
    assert set(again.versions) == {"python", "torch", "stad_lite"} and "+" not in again.versions["torch"]
    first = path.read_bytes()
    results.write(path)
    assert path.read_bytes() == first


def test_an_empty_path_writes_nothing(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results.write("")
    assert list(tmp_path.iterdir()) == []


@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.text()))
def test_any_finite_number_or_text_survives(tmp_path_factory, value):
    results = Results("a", "smoke")
    results.add("x", value)
    path = tmp_path_factory.mktemp("any") / "x.json"
    results.write(path)
    assert read_results(path).figures[0].value == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan"), True, None, [1], 1j])
def test_other_values_are_refused(value):
    with pytest.raises(FormatError, match="figure 'x'"):
        Results("a", "smoke").add("x", value)


def test_the_same_name_replaces(results):
    results.add("on real", 0.5, data="ucf101-24")
    assert [f.value for f in results.figures if f.name == "on real"] == [0.5]
    assert len(results.figures) == 3


def test_tables_show_three_decimals_and_escape(results):
    results.add("a | <b>", "text")
    table = results.table()
    assert "0.667" in repr(table) and "4,458" in repr(table)
    assert "a \\| <b>" in table.markdown() and "a | &lt;b&gt;" in table._repr_html_()
    assert "on real" not in repr(results.table("synthetic"))


def test_committed_figures_and_agreement(results, tmp_path, monkeypatch):
    monkeypatch.delenv(RECORDING, raising=False)
    with pytest.raises(AssertionError, match=r"'on real' is not committed.*make results"):
        results.agree(folder=tmp_path)
    results.prepared_for_commit().write(tmp_path / "part/chapter.json")
    known = committed("part/chapter", tmp_path)
    assert [f.name for f in known.figures] == ["on real", "tubes"]
    assert [f.command for f in known.figures] == [
        "stad-lite oracles",
        'make results ARGS="--only part/chapter --profile smoke"',
    ]
    assert known.figures[0].value == 0.666667 and known.versions["python"].count(".") == 1
    assert results.agree(tolerance=1e-4, folder=tmp_path) == ["on real", "tubes"]
    results.add("on real", 0.6683, data="ucf101-24")
    with pytest.raises(AssertionError, match=r"'on real' is 0.6683, committed 0.666667"):
        results.agree(folder=tmp_path)
    assert results.agree(tolerance=0.01, folder=tmp_path)
    results.add("tubes", 4457, data="ucf101-24")
    with pytest.raises(AssertionError, match="4457, committed 4458"):
        results.agree(tolerance=0.01, folder=tmp_path)


def test_what_is_missing_is_told_before_how_many_figures_agree(monkeypatch):
    monkeypatch.delenv(RECORDING, raising=False)
    nowhere = Results("part/chapter", "smoke")
    nowhere.add("drawn", 1.0)
    told = nowhere.told(["ava is not here", "thumos14 is not here"])
    assert told == "ava is not here\nthumos14 is not here\n0 figures equal the committed ones"
    nowhere.add("on real", 1.0, data="ava")
    with pytest.raises(AssertionError, match="'on real' is not committed"):
        nowhere.told()


def test_agreement_is_not_asked_while_recording_or_at_another_profile(results, tmp_path, monkeypatch):
    results.prepared_for_commit().write(tmp_path / "part/chapter.json")
    results.add("on real", 0.1, data="ucf101-24")
    monkeypatch.setenv(RECORDING, "1")
    assert results.agree(folder=tmp_path) == []
    monkeypatch.delenv(RECORDING)
    lesson = Results("part/chapter", "lesson")
    lesson.add("on real", 0.1, data="ucf101-24")
    assert lesson.agree(folder=tmp_path) == []


def test_nothing_committed_is_an_empty_table(tmp_path):
    assert committed("none/such", tmp_path).figures == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"format": "stad-lite/results/2"}', "format 'stad-lite/results/2' is not"),
        ("{", "ends too early"),
        ("[]", "not a results file"),
        ('{"format": "stad-lite/results/1", "chapter": "a"}', "KeyError"),
    ],
)
def test_bad_files_are_named(tmp_path, text, told):
    path = tmp_path / "bad.json"
    path.write_text(text, "utf-8")
    with pytest.raises(StadError, match=told) as caught:
        read_results(path)
    assert str(path) in str(caught.value)
    with pytest.raises(MissingFileError):
        read_results(tmp_path / "none.json")
