"""What the coverage says is so: modules, names, tests and chapters are there, and no number is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stad_lite.errors import FormatError, MissingFileError
from stad_lite.reproduce.coverage import KINDS, STATUSES, missing, problems, read_coverage
from stad_lite.reproduce.printed import read_printed
from tests.reproduce.papers import lines_of

REPOSITORY = Path(__file__).resolve().parents[2]
LAST = {  # paper -> the last section, equation, algorithm, figure and table that it numbers
    "cfad": ("5", "7", "", "7", "3"),
    "flow_subnet": ("5", "8", "", "6", "6"),
    "pcsc": ("5", "1", "", "1", "6"),
    "sp_tad": ("5", "3", "", "5", "8"),
    "step": ("5", "5", "1", "8", "3"),
}
HEADING = re.compile(r"^#+ (?:\d+ )?(\d(?:\.\d)*)\.? +[A-Z]")
EQUATION = re.compile(r"^(?:.*\$\$.*(?:\\tag\{|\()|\s*\()(\d)[)}][$\s]*$")
PATTERNS = {
    "algorithm": re.compile(r"Algorithm (\d)"),
    "figure": re.compile(r"(?:Fig\.|Figure) (\d)"),
    "table": re.compile(r"Table (\d)"),
}
SMALL = """
paper: small
rows:
  - {part: section 1, about: introduction, status: not here, reason: prose}
  - {part: section 2, about: boxes, code: [stad_lite.boxes:iou], tests: [test_boxes.py],
     chapters: [ground/tubes_and_overlap], status: done}
"""


@pytest.fixture(scope="module")
def coverage():
    return read_coverage()


def small(folder, old="", new=""):
    assert old in SMALL
    (folder / "small.yaml").write_text(SMALL.replace(old, new, 1), encoding="utf-8")
    return read_coverage(folder)


def test_all_that_is_named_is_there(coverage):
    assert list(problems(coverage, REPOSITORY)) == []


def test_each_papers_numbering_is_whole(coverage):
    """``read_coverage`` refuses holes; the last numbers are held here."""
    assert set(coverage) == set(LAST)
    for paper, parts in coverage.items():
        numbers = {kind: [part.number for part in parts if part.kind == kind] for kind in KINDS}
        tops = tuple(
            max(numbers[kind], key=lambda n: n.split("."), default="").split(".")[0] for kind in KINDS
        )
        assert tops == LAST[paper]


def test_each_printed_table_and_section_has_its_row(coverage):
    for paper in read_printed().papers.values():
        known = {part.part for part in coverage[paper.name]}
        assert {f"table {table.table.rstrip('ab')}" for table in paper.tables} == {
            name for name in known if name.startswith("table")
        }
        sections = {one for figure in paper.figures.values() for one in figure.section.split(", ")}
        assert {f"section {one}" for one in sections - {"Abstract"}} <= known


def test_a_test_speaks_of_what_it_is_named_for(coverage):
    for paper, parts in coverage.items():
        for part in parts:
            names = {name for code in part.code for name in re.split(r"[.:]", code)[-2:]}
            for test in part.tests:
                words = set(re.findall(r"\w+", (REPOSITORY / "tests" / test).read_text(encoding="utf-8")))
                assert names & words, (paper, part.part, test)


def test_all_statuses_are_used_and_reasoned(coverage):
    parts = [part for rows in coverage.values() for part in rows]
    assert {part.status for part in parts} == set(STATUSES)
    assert all(bool(part.reason) == (part.status != "done") for part in parts)


@pytest.mark.parametrize("paper", LAST)
def test_every_number_of_the_paper_has_its_row(coverage, paper):
    lines = lines_of(paper)
    lines = lines[: next(i for i, line in enumerate(lines) if re.fullmatch(r"#+ References\s*", line))]
    known = {part.part for part in coverage[paper]}
    found = {f"section {hit[1]}" for line in lines if (hit := HEADING.match(line))}
    found |= {f"equation {hit[1]}" for line in lines if (hit := EQUATION.match(line))}
    for kind, pattern in PATTERNS.items():
        found |= {f"{kind} {number}" for line in lines for number in pattern.findall(line)}
    assert found == known


def test_the_small_file_is_sound(tmp_path):
    assert list(problems(small(tmp_path), REPOSITORY)) == []


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ("boxes:iou", "boxes:overlap_of_all", "small, section 2: stad_lite.boxes has no overlap_of_all"),
        ("stad_lite.boxes:iou", "stad_lite.crates", "small, section 2: stad_lite.crates cannot be imported"),
        ("test_boxes.py", "test_crates.py", "small, section 2: there is no tests/test_crates.py"),
        ("tubes_and_overlap", "crates", "small, section 2: there is no book/ground/crates.ipynb"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, old, new, problem):
    assert list(problems(small(tmp_path, old, new), REPOSITORY)) == [problem]


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ("section 2", "section 3", "section 2 is missing"),
        ("section 2", "section 2.2", "section 2 is missing"),
        ("section 2", "section 1", "part section 1 stands there twice"),
        ("section 2", "chapter 2", "no part is named 'chapter 2'"),
        ("section 2", "section two", "no part is named 'section two'"),
        ("status: done", "status: partly", "section 2: partly with reason ''"),
        ("status: done", "status: nearly", "Invalid enum value 'nearly'"),
        (", reason: prose", "", "section 1: not here with reason ''"),
        (" tests: [test_boxes.py],", "", "section 2: done without tests"),
        ("reason: prose", "reason: prose, tests: [test_boxes.py]", "section 1: not here, yet it names where"),
        ("about: boxes", "colour: red", "unknown field `colour`"),
        ("paper: small", "paper: large", "it holds 'large'"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, old, new, problem):
    with pytest.raises(FormatError) as caught:
        small(tmp_path, old, new)
    assert problem in str(caught.value) and "small.yaml" in str(caught.value)


def test_no_files(tmp_path):
    with pytest.raises(MissingFileError):
        read_coverage(tmp_path)


def test_holes_in_a_numbering():
    assert missing(["1", "3.1.2"]) == ["2", "3", "3.1", "3.1.1"]
    assert missing(["1", "2", "2.1"]) == [] and missing([]) == []
