"""Slides of a chapter: what begins one, what is left out, and that every script lies beside the page."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

import slides
from notebooks import BOOK, chapters


def kinds(*cells) -> list[str]:
    notebook = slides.as_slides(v4.new_notebook(cells=list(cells)))
    return [cell.metadata["slideshow"]["slide_type"] for cell in notebook.cells]


def shown(text: str = "x"):
    return v4.new_code_cell("f()", outputs=[v4.new_output("stream", text=text)])


def live():
    return v4.new_code_cell("interact(f)", outputs=[v4.new_output("display_data", {slides.WIDGET_VIEW: {}})])


def test_headings_begin_slides_and_what_shows_nothing_is_left_out() -> None:
    told = [v4.new_markdown_cell(text) for text in ("# A", "## B", "### C", "words")]
    assert kinds(*told, v4.new_code_cell("x = 1"), live(), shown()) == [
        "slide", "slide", "subslide", "-", "skip", "skip", "-",
    ]  # fmt: skip


def test_a_long_slide_goes_on_below_and_a_cells_own_word_counts() -> None:
    own = v4.new_markdown_cell("words", metadata={"slideshow": {"slide_type": "notes"}})
    assert kinds(v4.new_markdown_cell("# A"), shown(), shown(), shown(), own, shown()) == [
        "slide", "-", "-", "subslide", "notes", "-",
    ]  # fmt: skip


def test_solutions_are_left_out() -> None:
    cell = v4.new_markdown_cell("### Exercise 1\nHow many?\n<details>\nSeven.\n</details>")
    slides.as_slides(v4.new_notebook(cells=[cell]))
    assert cell.source == "### Exercise 1\nHow many?\n"


@pytest.mark.parametrize("name", ["step/extrapolation"])
def test_a_chapters_slides_ask_no_other_machine(name: str, tmp_path: Path) -> None:
    (chapter,) = chapters(BOOK, [name])
    slides.write(nbformat.read(chapter.path, 4), tmp_path / "one.html", "scripts")
    page = (tmp_path / "one.html").read_text("utf-8")
    asked = re.findall(r"""(?:src|href|url)=["']([^"']+)|import .* from ['"]([^'"]+)""", page)
    outside = [one for pair in asked for one in pair if one.startswith(("http", "//"))]
    assert outside == [] and "MathJax.Hub" not in page.split("function setScrollingSlide")[1]
    assert "<section" in page and 'src="scripts/require/require.js"' in page
    assert "scripts/reveal/dist/reveal.js" in page and "<details>" not in page
