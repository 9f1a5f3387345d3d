"""A tiny book made for a test: three chapters that take a second each."""

from __future__ import annotations

from pathlib import Path

import nbformat

PARAMETERS = """\
profile: str = "smoke"  # smoke, lesson or paper
results: str = ""  # where to write the results JSON
order: int = 2  # a number"""

FIGURES = """\
from stad_lite.reproduce.results import Results
figures = Results("{name}", profile)
figures.add("twice the order", 2 * order)
figures.add("a real one", 1 / 3, data="ucf101-24")
figures.write(results)
figures.table()"""

WIDGET = """\
import ipywidgets as widgets
import matplotlib.pyplot as plt
def show(order):
    plt.figure(figsize=(1, 1))
    plt.plot([0, order])
    plt.show()
dial = widgets.IntSlider(value=1, min=0, max=4, description="order")
_ = widgets.interact(show, order=dial)"""

REAL = """\
from stad_lite.data.location import have_data, missing_message
print("here" if have_data("ucf101-24") else missing_message("ucf101-24"))"""


def make_book(folder: Path, **chapters: list[tuple[str, list[str]]]) -> Path:
    """Write a book of chapters ``part/<name>``, each a list of (code, tags); return its folder."""
    book = folder / "book"
    (book / "part").mkdir(parents=True)
    entries = "".join(f"  - file: part/{name}\n" for name in chapters)
    (book / "_toc.yml").write_text(f"format: jb-book\nroot: intro\nchapters:\n{entries}", "utf-8")
    (book / "intro.md").write_text("# A book\n", "utf-8")
    for name, cells in chapters.items():
        made = [nbformat.v4.new_markdown_cell("# A chapter")]
        for code, tags in [(PARAMETERS, ["parameters"]), *cells]:
            made.append(nbformat.v4.new_code_cell(code, metadata={"tags": tags} if tags else {}))
        notebook = nbformat.v4.new_notebook(cells=made)
        notebook.metadata["kernelspec"] = {"display_name": "x", "language": "python", "name": "python3"}
        nbformat.write(notebook, book / "part" / f"{name}.ipynb")
    return book
