"""The runner: copies, results, summary, failures, parameters."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path

import nbformat
import pytest
from tqdm import tqdm

import run_chapters
import summary
from notebooks import Chapter
from stad_lite.reproduce.results import Results
from stad_lite.reproduce.scorecard import Score, Where
from stad_lite.reproduce.sweep import Pace
from stad_lite.reproduce.verdicts import Part
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
    rows = list(csv.DictReader((out / "figures.csv").open(encoding="utf-8")))
    assert [r["chapter"] for r in rows] == ["part/broken", "part/good", "part/good", "part/silent"]
    assert rows[1]["figure"] == "twice the order" and rows[1]["value"] == "6"
    assert float(rows[1]["seconds"]) > 0
    assert rows[1]["data"] == "mechanics" and rows[2]["data"] == "ucf101-24"
    assert "| part/good | twice the order | 6 |" in (out / "figures.md").read_text("utf-8")
    lines = (out / "summary.md").read_text("utf-8").splitlines()
    assert lines[3].startswith(
        "| [part/good](chapters/part/good.ipynb) | twice the order | 6 |  | mechanics |"
    )
    assert [line.split("|")[-3].strip() for line in lines[2:]] == ["FAILED", "", "FAILED"]
    assert list(json.loads((tmp_path / "seconds.json").read_text("utf-8"))["smoke"]) == ["part/good"]
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


def outcome(profile: str = "smoke") -> summary.Outcome:
    results = Results("part/one", profile)
    results.add("right class", 50.0, "%")
    return summary.Outcome(Chapter("part/one", Path("one.ipynb")), 2.0, results)


def claim(name: str, verdict: str, *parts: Part, notebook: str = "part/one") -> Score:
    words = ("one", "ordering", "It helps.", "46.0; 48.4", "Table 1", notebook, "", "", verdict, verdict, "")
    return Score(name, *words, parts, Where("lesson"))


def test_the_headline_is_a_judged_claim_beside_the_papers_figure() -> None:
    alone = Part("a > b", "reproduced", "reproduced", "", 1.234, "points")
    beside = Part("c > d", "undecided", "undecided", "+2.4", 0.5, "points")
    empty = Part("e > f", "undecided", "undecided", "+9", None, "points")
    other = claim("other", "reproduced", beside, notebook="part/two")
    found = summary.headline(outcome(), [other, claim("x", "reproduced", empty, alone)])
    assert found == ("x: a > b", "1.23 points", "46.0", "kept: lesson", "reproduced")
    claims = [claim("x", "not testable here", beside), claim("y", "reproduced", alone, beside)]
    assert summary.headline(outcome(), claims)[:3] == ("y: c > d", "0.50 points", "+2.4")
    none = ("right class", "50.000 %", "", "mechanics", "")
    assert summary.headline(outcome(), [other]) == none
    assert summary.headline(outcome("lesson"), [other])[3] == "synthetic"


def test_the_screen_is_no_wider_than_a_terminal() -> None:
    long = outcome()
    long.results.add("right class", 1 / 3, "of all the things that are counted in it")
    long.chapter = Chapter("part/a_chapter_with_a_name_that_is_too_long", Path("one.ipynb"))
    screen, links = summary.one_screen([long])
    assert max(map(len, str(screen).splitlines())) <= 120
    assert "(chapters/part/a_chapter_with_a_name_that_is_too_long.ipynb)" in links


def test_the_pictures_of_a_copy_are_kept_and_older_ones_go(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("draw()", id="one-002")
    data = {"image/png": base64.b64encode(b"a picture").decode()}
    cell.outputs = [nbformat.v4.new_output("stream", text="x"), nbformat.v4.new_output("display_data", data)]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "one.ipynb")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "one-009-0.png").write_bytes(b"old")
    assert summary.write_pictures(tmp_path / "one.ipynb", tmp_path / "pictures") == 1
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["one-002-1.png"]
    assert (tmp_path / "pictures" / "one-002-1.png").read_bytes() == b"a picture"


def test_the_bar_counts_by_seconds_and_tells_the_time_left(monkeypatch) -> None:
    monkeypatch.setenv("STAD_PROGRESS", "1")
    told = io.StringIO()
    monkeypatch.setattr(run_chapters, "tqdm", lambda **how: tqdm(**how, file=told))
    pace = Pace({"short": 100.0, "long": 900.0})
    with run_chapters._bar(pace, 2) as bar:
        bar.update(pace.weights["short"])
        pace.note("short", 100.0)
        bar.set_postfix_str(str(pace))
        assert bar.n / bar.total == 0.1
    assert "0 of 2 chapters" in told.getvalue() and "about 17 min left" in told.getvalue()


@pytest.mark.parametrize("text", ["", "[]", '{"smoke": 3}', '{"smoke": {"part/one": "x"}}'])
def test_seconds_that_cannot_be_read_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "seconds.json").write_text(text, encoding="utf-8")
    assert run_chapters._seconds(tmp_path / "seconds.json", "smoke") == {}


def test_the_seconds_of_other_chapters_and_profiles_stay(tmp_path: Path) -> None:
    path = tmp_path / "seconds.json"
    path.write_text('{"lesson": {"part/one": 9}, "smoke": {"part/two": 8}}', encoding="utf-8")
    run_chapters._keep_seconds(path, "smoke", [outcome()])
    kept = json.loads(path.read_text("utf-8"))
    assert kept == {"smoke": {"part/two": 8, "part/one": 2}, "lesson": {"part/one": 9}}
