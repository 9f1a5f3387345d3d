"""Write the chapters for a course: without solutions (``student``), or with answers filled in (``solved``).

    python book/_tools/course.py student [--only CHAPTER] [--out FOLDER]

Answer cells and checks are tagged and hold nbgrader's metadata: its ``generate_assignment`` starts from the
solved chapters, and where STAD_GRADING is 1 a check that is not passed raises.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from normalise import write_text
from notebooks import BOOK, ToolError, chapters
from stad_lite.records.exchange.text import write_text as write_whole

HEADING = re.compile(r"(?m)^#+ Exercise (\d+)")
DETAILS = re.compile(r"\n*<details>.*?</details>[ \t]*", re.S)
CODE = re.compile(r"```python\n(.*?)```", re.S)
CHECK = "check_"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


def main(arguments: list[str] | None = None) -> int:
    """Write the copies that the command line asks for and return the exit code."""
    parser = argparse.ArgumentParser(description="Write the chapters for a course, into runs/.")
    parser.add_argument("kind", choices=("student", "solved"), help="without solutions, or with answers")
    parser.add_argument("--only", action="append", metavar="CHAPTER", help="may be given several times")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="runs/student or runs/solved by default")
    parser.add_argument("--book", type=Path, default=BOOK, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    out = options.out or BOOK.parent / "runs" / options.kind
    count = 0
    try:
        for chapter in chapters(options.book.absolute(), options.only):
            notebook, exercises = for_course(chapter.read(), chapter.name, solved=options.kind == "solved")
            if exercises:
                write_whole(out / f"{chapter.name}.ipynb", write_text(notebook))
                count += 1
    except ToolError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{count} chapters with exercises are in {out}")
    return 0


def for_course(notebook: NotebookNode, name: str, solved: bool) -> tuple[NotebookNode, int]:
    """Return a copy of a chapter without its solutions, or with them as answers; and its exercises' count.

    Each exercise's code becomes two cells: one to answer in, and a locked one that checks.
    raises: ToolError for an exercise without a solution in ``<details>`` or without a check
    """
    notebook, cells, count = nbformat.from_dict(notebook), [], 0
    waiting: tuple[str, str] | None = None
    for cell in notebook.cells:
        found = HEADING.search(cell.source) if cell.cell_type == "markdown" else None
        if found:
            if waiting:
                raise ToolError(f"{name}: {waiting[0]} has no check")
            waiting = f"exercise-{found[1]}", solution(cell.source, f"{name}: exercise {found[1]}")
            cell.source = DETAILS.sub("", cell.source)
            count += 1
        if waiting and cell.cell_type == "code" and CHECK in cell.source:
            mark, answer = waiting
            stub, checks = split(cell.source)
            stem = name.replace("/", "-")
            cells += [
                _cell(filled(stub, answer) if solved else stub, f"{stem}-{mark}-answer", "solution"),
                _cell(checks, f"{stem}-{mark}-check", "check", points=checks.count(CHECK)),
            ]
            waiting = None
        else:
            cells.append(cell)
    if waiting:
        raise ToolError(f"{name}: {waiting[0]} has no check")
    notebook.cells = cells
    return notebook, count


def solution(source: str, where: str = "exercise") -> str:
    """Return the code of an exercise's solution.

    raises: ToolError where there is none
    """
    hidden = DETAILS.search(source)
    if not (hidden and (code := CODE.search(hidden[0]))):
        raise ToolError(f"{where} has no solution in <details>")
    return code[1].rstrip()


def filled(stub: str, answer: str) -> str:
    """Return an answer as nbgrader takes it away again: what was asked stays, as a comment.

    >>> print(filled("x = ...  # your answer", "x = 3"))
    # x = ...  # your answer
    ### BEGIN SOLUTION
    x = 3
    ### END SOLUTION
    """
    return "\n".join([*(f"# {line}" for line in stub.splitlines()), BEGIN, answer, END])


def split(source: str) -> tuple[str, str]:
    """Return what is to be answered in an exercise's cell (what holds dots), and what checks it.

    >>> split("x = ...  # your answer\\nexercises.check_x(x)")
    ('x = ...  # your answer', 'exercises.check_x(x)')
    """
    lines = source.splitlines()
    asked: list[str] = []
    checks: list[str] = []
    for node in ast.parse(source).body:
        part = asked if any(_dots(one) for one in ast.walk(node)) else checks
        part.append("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    return "\n".join(asked), "\n".join(checks)


def _dots(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _cell(source: str, identifier: str, tag: str, points: int = 0) -> NotebookNode:
    graded = bool(points)
    marks = {
        "schema_version": 3, "grade_id": identifier, "cell_type": "code", "task": False,
        "grade": graded, "solution": not graded, "locked": graded,
    }  # fmt: skip
    if graded:
        marks["points"] = points
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": [tag], "nbgrader": marks})
    cell["id"] = identifier[:64]
    return cell


if __name__ == "__main__":
    sys.exit(main())
