"""The runner: copies, results, summary, failures, parameters."""

from __future__ import annotations

import csv
import json

import nbformat
import pytest

import run_chapters
from tests.book.tiny import FIGURES, REAL, make_book


def figures(name: str) -> tuple[str, list[str]]:
    return FIGURES.format(name=name), []


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("STAD_PROGRESS", "0")
    monkeypatch.setenv("STAD_RECORD", "")  # what the runner sets is undone after the test


@pytest.mark.usefixtures("nowhere")
def test_a_failing_chapter_is_named_and_the_others_run(tmp_path, capsys):
    book = make_book(
        tmp_path,
        broken=[("x = 1", []), ("x / 0", [])],
        good=[figures("part/good"), (REAL, ["real-data", "nbval-ignore-output"])],
        silent=[("pass", [])],
    )
    out = tmp_path / "out"
    code = run_chapters.main(["--book", str(book), "--out", str(out), "-p", "order", "3", "--commit-results"])
    told = capsys.readouterr()
    assert code == 1
    assert "part/broken, cell 4: ZeroDivisionError: division by zero" in told.err
    assert "----> 1 x / 0" in told.err
    assert "part/silent" in told.err and "no such file" in told.err  # it wrote no results
    assert "failed: part/broken, part/silent" in told.out
    assert "data_scripts/ucf101_24.py download" in told.out
    document = json.loads((out / "results" / "part" / "good.json").read_text("utf-8"))
    assert document["profile"] == "smoke" and document["figures"][0]["value"] == 6
    for name in ("broken", "good", "silent"):
        nbformat.validate(nbformat.read(out / "chapters" / "part" / f"{name}.ipynb", as_version=4))
    rows = list(csv.DictReader((out / "summary.csv").open(encoding="utf-8")))
    assert [r["chapter"] for r in rows] == ["part/broken", "part/good", "part/good", "part/silent"]
    assert rows[1]["figure"] == "twice the order" and rows[1]["value"] == "6"
    assert float(rows[1]["seconds"]) > 0
    assert "| part/good | twice the order | 6 |" in (out / "summary.md").read_text("utf-8")
    kept = json.loads((book / "results" / "part" / "good.json").read_text("utf-8"))
    assert [(f["name"], f["value"]) for f in kept["figures"]] == [("a real one", 0.333333)]
    assert kept["figures"][0]["command"] == 'make results ARGS="--only part/good --profile smoke"'
    assert not (book / "results" / "part" / "silent.json").exists()


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["-p", "ordre", "3"], "no chosen chapter has a parameter 'ordre'"),
        (["-p", "order", "three"], "parameter order is of type int, not 'three'"),
        (["-p", "order", "-1"], "parameter order is -1; give a number from 0"),
        (["-p", "data", "jhmdb21"], "data_scripts/jhmdb21.py download"),
        (["-p", "data", "/no/such/place"], "/no/such/place: there is no such folder"),
        (["-p", "results", "x"], "parameter 'results' is set by --out"),
        (["--only", "part/none"], "no chapter part/none; there are: part/one"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(tmp_path, capsys, given, told):
    book = make_book(
        tmp_path, one=[('data: str = "synthetic"  # or a set', ["parameters"]), figures("part/one")]
    )
    assert run_chapters.main(["--book", str(book), "--out", str(tmp_path / "out"), *given]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("nowhere")
def test_a_listed_chapter_that_is_not_there_is_named(tmp_path, capsys):
    book = make_book(tmp_path, gone=[])
    (book / "part" / "gone.ipynb").unlink()
    assert run_chapters.main(["--book", str(book), "--out", str(tmp_path / "out")]) == 1
    assert "part/gone: there is no gone.ipynb" in capsys.readouterr().err
