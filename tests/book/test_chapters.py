"""The committed chapters' form; nothing is executed."""

from __future__ import annotations

import ast
import re
import statistics
from pathlib import Path

import nbformat
import pytest

from notebooks import BOOK, chapters, parameter_types, tags
from stad_lite.catalogue import ENTRIES

CHAPTERS = [c for c in chapters() if c.path.is_file()]
LESSONS = [c for c in CHAPTERS if not c.name.startswith("reproduce/")]
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|root|tmp|work|Users)/")
LONGEST_LINE, LONGEST_CELL, MEDIAN_CELL, SET_UP = 79, 20, 6, 8

every = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.name)
lesson = pytest.mark.parametrize("chapter", LESSONS, ids=lambda c: c.name)


def code_cells(chapter):
    return [cell for cell in chapter.read().cells if cell.cell_type == "code"]


def prints(source: str) -> bool:
    """Whether a cell surely shows something: it calls print or ends in a value's name."""
    tree = ast.parse(source)
    last = tree.body[-1] if tree.body else None
    shows = isinstance(last, ast.Expr) and isinstance(last.value, (ast.Name, ast.BinOp, ast.Tuple))
    calls = [node for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    return shows or any(isinstance(c.value.func, ast.Name) and c.value.func.id == "print" for c in calls)


def test_the_table_of_contents_lists_every_notebook():
    found = {
        str(path.relative_to(BOOK).with_suffix(""))
        for path in BOOK.rglob("*.ipynb")
        if not any(part.startswith(("_", ".")) for part in path.relative_to(BOOK).parts)
    }
    assert found == {c.name for c in CHAPTERS}


def test_every_listed_page_is_there():
    assert [c.name for c in chapters() if not c.path.is_file()] == []


def test_every_system_names_its_chapter():
    assert {system.chapter for system in ENTRIES.values()} <= {c.name for c in LESSONS}


def rows_of_dashes(text: str) -> list[str]:
    """Return the lines of a table that hold a label and nothing but dashes."""
    found = []
    for line in text.splitlines():
        cells = [cell for cell in re.split(r"\s{2,}", line.strip())[1:] if not cell.isdigit()]
        if len(cells) > 1 and set(cells) == {"-"}:
            found.append(line)
    return found


@every
def test_prints_no_row_that_was_not_run(chapter):
    """What was not run is left out; a line may say which command runs it."""
    for cell in code_cells(chapter):
        for output in cell.outputs:
            text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
            assert "not run yet" not in text, cell.id
            assert not rows_of_dashes(text), cell.id


def test_rows_of_dashes_are_told_from_rows_with_some():
    told = rows_of_dashes("base  41.6  -\nrgb   2     -    -\nC2  changed  -  -\nbase, measured   -   -")
    assert told == ["rgb   2     -    -", "base, measured   -   -"]


@every
def test_is_valid_and_refreshed(chapter):
    notebook = chapter.read()
    nbformat.validate(notebook)
    stem = chapter.path.stem
    assert [cell.id for cell in notebook.cells] == [f"{stem}-{i + 1:03d}" for i in range(len(notebook.cells))]
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), "nbval compares nothing in a cell without a count"
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "mystnb", "jupyter", "slideshow", "editable"}, cell.id


@every
def test_parameters_come_first(chapter):
    first = code_cells(chapter)[0]
    assert "parameters" in tags(first)
    types = parameter_types(chapter.read())
    assert types["profile"] is str and types["results"] is str
    for line in first.source.splitlines():
        assert line.count("#") == 1, f"one comment a line, no # in a value: {line}"
    assert sum("parameters" in tags(cell) for cell in code_cells(chapter)) == 1


@every
def test_outputs_are_committed_and_clean(chapter):
    for cell in code_cells(chapter):
        kinds = [output.output_type for output in cell.outputs]
        assert "error" not in kinds, cell.id
        if "real-video" in tags(cell):
            assert not cell.outputs, f"{cell.id}: footage must not be committed"
            continue
        assert all(output.get("name") != "stderr" for output in cell.outputs), cell.id
        if prints(cell.source):
            assert cell.outputs, f"{cell.id} prints, but no output is committed"
        for output in cell.outputs:
            text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
            assert not MACHINE_PATH.search(text), cell.id
            assert not ADDRESS.search(text), cell.id


@every
def test_tags_belong_together(chapter):
    for cell in code_cells(chapter):
        if "real-video" in tags(cell):
            assert "real-data" in tags(cell), cell.id
        if "real-data" in tags(cell):
            assert "nbval-ignore-output" in tags(cell), cell.id
        assert "raises-exception" not in tags(cell), f"{cell.id}: papermill stops there; use try/except"
        if "ipywidgets" in cell.source or "interact(" in cell.source:
            assert "nbval-ignore-output" in tags(cell) or not cell.outputs, cell.id


@every
def test_code_is_short(chapter):
    lengths = []
    for cell in code_cells(chapter):
        lines = cell.source.splitlines()
        lengths.append(sum(bool(line.strip()) for line in lines))
        assert len(lines) <= LONGEST_CELL, f"{cell.id} has {len(lines)} lines"
        assert all(len(line) <= LONGEST_LINE for line in lines), f"{cell.id} is too wide"
        assert not re.search(r"(?m)^\s*[!%]", cell.source), f"{cell.id}: no shell lines, no magics"
        if "nbval-ignore-output" not in tags(cell):
            assert not cell.source.rstrip().endswith(";"), f"{cell.id}: nbval shows it all the same"
    assert statistics.median(lengths) <= MEDIAN_CELL


@every
def test_set_up_is_one_short_cell(chapter):
    """What is needed throughout; the rest is imported where it is used."""
    cells = chapter.read().cells
    at = next(n for n, cell in enumerate(cells) if cell.cell_type == "code" and " = begin(" in cell.source)
    assert [tags(cell) for cell in cells[:at] if cell.cell_type == "code"] == [["parameters"]]
    assert sum(bool(line.strip()) for line in cells[at].source.splitlines()) <= SET_UP
    for cell in cells[at + 1 :]:
        if cell.cell_type == "code":
            kinds = {type(node) for node in ast.parse(cell.source).body}
            assert kinds - {ast.Import, ast.ImportFrom}, f"{cell.id} does nothing but import"


@every
def test_results_are_written(chapter):
    source = "\n".join(cell.source for cell in code_cells(chapter))
    assert re.search(rf'begin\(\s*"{chapter.name}", globals\(\)', source)
    assert ".write(" in source


@lesson
def test_says_how_to_start(chapter):
    assert "Run All" in "".join(chapter.read().cells[0:2][i].source for i in (0, 1))


@lesson
def test_has_four_exercises_with_hidden_solutions_and_checks(chapter):
    cells = chapter.read().cells
    texts = [c.source if c.cell_type == "markdown" else "" for c in cells]
    starts = [i for i, text in enumerate(texts) if re.search(r"(?m)^#+ Exercise \d", text)]
    assert len(starts) >= 4
    for start, end in zip(starts, [*starts[1:], len(cells)], strict=True):
        text = "\n".join(texts[start:end])
        code = "\n".join(c.source for c in cells[start:end] if c.cell_type == "code")
        assert "<details>" in text and "</details>" in text, cells[start].source.splitlines()[0]
        assert re.search(r"\bcheck_\w+\(", code), cells[start].source.splitlines()[0]


@lesson
def test_ends_with_claims_and_measurements(chapter):
    text = "\n".join(c.source for c in chapter.read().cells if c.cell_type == "markdown").lower()
    for words in ("what the paper", "what we measured", "could not be measured"):
        assert words in text, words


@lesson
def test_a_dial_has_a_static_twin(chapter):
    cells = code_cells(chapter)
    live = [i for i, cell in enumerate(cells) if "interact(" in cell.source]
    assert live, "no dial"
    for i in live:
        function = re.search(r"interact\(\s*(\w+)", cells[i].source)[1]
        wanted = f"stepped({function}, ..."
        assert f"stepped({function}," in cells[i + 1].source, f"{cells[i].id}: {wanted} in the next cell"
        assert not cells[i].outputs, f"{cells[i].id}: a dial is dead on the site"
        assert "stad-slides" in str(cells[i + 1].outputs), f"{cells[i + 1].id}: not refreshed"


@every
def test_every_picture_says_what_it_shows(chapter):
    for cell in code_cells(chapter):
        for output in cell.outputs:
            data, told = output.get("data", {}), []
            if "image/png" in data:
                told = [output.metadata.get("image/png", {}).get("alt", "")]
            told += re.findall(r"<img\b[^>]*?alt=\"([^\"]*)\"", str(data.get("text/html", "")))
            assert len(told) >= str(data.get("text/html", "")).count("<img"), cell.id
            assert not (short := [alt for alt in told if len(alt.split()) < 4]), f"{cell.id}: {short}"


def test_committed_figures_are_readable_and_have_their_command():
    from stad_lite.reproduce.results import read_results

    others = {"gpu", "results"}  # folders of other forms: records of a GPU, and the scorecard
    figures = [path for path in BOOK.glob("results/**/*.json") if path.parent.name not in others]
    for path in sorted(figures):
        results = read_results(path)
        assert str(path.relative_to(BOOK / "results").with_suffix("")) == results.chapter
        assert results.chapter in {c.name for c in CHAPTERS}
        for figure in results.figures:
            assert figure.data != "synthetic" and figure.command, figure.name
            assert not Path(figure.command.split()[0]).is_absolute()


CELLS, WORDS = 90, 2200
"""A chapter has no more: it is read and run in one go."""


def test_chapters_are_short():
    over = []
    for chapter in CHAPTERS:
        cells = chapter.read().cells
        text = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
        if len(cells) > CELLS or len(text.split()) > WORDS:
            over.append(chapter.name)
    assert over == []
