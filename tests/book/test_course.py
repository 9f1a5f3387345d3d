"""Chapters for a course: without solutions no exercise is passed, with them every one is."""

from __future__ import annotations

import ast
import symtable
from contextlib import chdir

import matplotlib
import nbformat
import pytest
import torch
from nbformat import NotebookNode

from course import BEGIN, CODE, DETAILS, END, for_course, main, solution, split
from notebooks import Chapter, ToolError, chapters
from stad_lite.exercises.checks import UNANSWERED

LESSONS = [chapter for chapter in chapters() if not chapter.name.startswith("reproduce/")]
DEFINES = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
lesson = pytest.mark.parametrize("chapter", LESSONS, ids=lambda chapter: chapter.name)


def marked(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def names(source: str) -> tuple[set[str], set[str]]:
    """Return the names that a piece of code sets and those that it needs from before."""
    table = symtable.symtable(source, "cell", "exec")
    sets = {one.get_name() for one in table.get_symbols() if one.is_assigned() or one.is_imported()}
    reads = {one.get_name() for one in table.get_symbols() if one.is_referenced()}
    inner = table.get_children()
    while inner:
        part = inner.pop()
        reads |= {one.get_name() for one in part.get_symbols() if one.is_global()}
        inner += part.get_children()
    return sets, reads


def needed(notebook: NotebookNode) -> list[str]:
    """Return the code of the exercises, and the definitions before it that it cannot do without."""
    wanted: set[str] = set()
    kept: list[str] = []
    for cell in reversed([cell for cell in notebook.cells if cell.cell_type == "code"]):
        exercise = "nbgrader" in cell.metadata or "parameters" in cell.metadata.get("tags", ())
        parts = [ast.unparse(node) for node in ast.parse(cell.source).body if isinstance(node, DEFINES)]
        for source in [cell.source] if exercise else reversed(parts):
            sets, reads = names(source)
            if exercise or sets & wanted:
                wanted = (wanted - sets) | reads
                kept.insert(0, source)
    return kept


def run(notebook: NotebookNode, chapter: Chapter, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Run what the exercises need; what their checks said."""
    matplotlib.use("Agg")
    space: dict[str, object] = {}
    said = []
    with chdir(chapter.path.parent), torch.random.fork_rng(devices=[]), torch.set_grad_enabled(True):
        for source in needed(notebook):
            exec(compile(source, "<cell>", "exec", dont_inherit=True), space)
            told = capsys.readouterr().out
            said += told.splitlines() if "exercises.check_" in source else []
    return said


@lesson
def test_a_students_chapter_holds_no_solution_and_all_that_is_asked(chapter: Chapter) -> None:
    notebook, count = for_course(chapter.read(), chapter.name, solved=False)
    nbformat.validate(notebook)
    whole = chapter.read()
    text = "\n".join(cell.source for cell in notebook.cells)
    for cell in whole.cells:
        for hidden in DETAILS.findall(cell.source) if "Exercise" in cell.source else ():
            assert CODE.search(hidden)[1].strip() not in text and "<summary>Solution" not in text
    assert len(marked(notebook, "solution")) == len(marked(notebook, "check")) == count >= 4
    for cell, check in zip(marked(notebook, "solution"), marked(notebook, "check"), strict=True):
        assert "..." in cell.source and "check_" not in cell.source
        assert "exercises.check_" in check.source and "..." not in check.source
    assert whole == chapter.read()


@lesson
def test_a_solution_answers_what_is_asked(chapter: Chapter) -> None:
    """It sets every name that is asked for; nbgrader takes it away again, and what was asked stays."""
    solved, _ = for_course(chapter.read(), chapter.name, solved=True)
    asked, _ = for_course(chapter.read(), chapter.name, solved=False)
    for answer, stub in zip(marked(solved, "solution"), marked(asked, "solution"), strict=True):
        before, given = answer.source.split(BEGIN)
        assert given.endswith(END) and before == "".join(f"# {line}\n" for line in stub.source.splitlines())
        assert names(stub.source)[0] <= names(answer.source)[0], answer.source


@lesson
def test_stripped_chapters_fail_and_solved_ones_pass(
    chapter: Chapter, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for solved in (False, True):
        notebook, count = for_course(chapter.read(), chapter.name, solved)
        said = run(notebook, chapter, capsys)
        assert len(said) >= count
        if solved:
            assert [line for line in said if not line.endswith(": right")] == []
        else:
            assert [line for line in said if UNANSWERED not in line] == []


def test_nbgrader_is_told_what_each_cell_is() -> None:
    """The keys of its metadata's third version; a check is worth a point, an answer none."""
    notebook, _ = for_course(LESSONS[0].read(), LESSONS[0].name, solved=True)
    (answer, *_), (check, *_) = marked(notebook, "solution"), marked(notebook, "check")
    common = {"schema_version": 3, "task": False, "cell_type": "code"}
    one = {"grade": False, "solution": True, "locked": False}
    other = {"grade": True, "solution": False, "locked": True, "points": 1}
    identifier = "ground-tubes_and_overlap-exercise-1"
    assert answer.metadata.nbgrader == common | one | {"grade_id": f"{identifier}-answer"}
    assert check.metadata.nbgrader == common | other | {"grade_id": f"{identifier}-check"}


def test_what_is_asked_is_told_from_what_checks() -> None:
    stub, checks = split("def f(x):\n    ...  # yours\n\n\nassert y\na, b = ..., 2\nexercises.check_f(f)")
    assert stub == "def f(x):\n    ...  # yours\na, b = ..., 2"
    assert checks == "assert y\nexercises.check_f(f)"


def test_an_exercise_without_solution_or_check_is_named() -> None:
    with pytest.raises(ToolError, match="a/b: exercise 2 has no solution"):
        solution("## Exercise 2\n```python\nx\n```", "a/b: exercise 2")
    cells = [nbformat.v4.new_markdown_cell("## Exercise 1\n<details>\n```python\nx\n```\n</details>")]
    with pytest.raises(ToolError, match="a/b: exercise-1 has no check"):
        for_course(nbformat.v4.new_notebook(cells=cells), "a/b", solved=True)


def test_copies_are_written_where_they_are_wanted(tmp_path, capsys) -> None:
    arguments = ["--only", "ground/tubes_and_overlap", "--only", "reproduce/audit", "--out", str(tmp_path)]
    assert main(["student", *arguments]) == 0
    assert capsys.readouterr().out.startswith("1 chapters with exercises are in")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.ipynb")] == [
        "ground/tubes_and_overlap.ipynb"
    ]
    assert main(["solved", "--only", "nowhere"]) == 2
    assert "no chapter nowhere" in capsys.readouterr().err
