"""Make slides of chapters, as they are committed, into runs/slides/ (``make slides``).

    python book/_tools/slides.py [CHAPTER ...] [--out DIR]

A heading of the first or second level begins a slide, one of the third a slide below it; a long one goes on
below as well. Code is left out, its pictures and tables stay, and so do exercises without their solutions;
a cell's own ``slideshow`` metadata goes before these rules. Open CHAPTER.html in a browser: every script lies
beside it, and no page asks another machine for anything.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from nbconvert import SlidesExporter
from nbformat import NotebookNode

from build_site import vendor
from normalise import WIDGET_VIEW
from notebooks import BOOK, ToolError, chapters

MOST = 3
"""Cells with something to show on one slide."""
SCRIPTS = {
    "require_js_url": "require/require.js",
    "jquery_url": "jquery/jquery.min.js",
    "mermaid_js_url": "",
    "mathjax_url": "mathjax/tex-svg.js",
}
SOLUTION = re.compile(r"<details>.*?</details>", re.DOTALL)


def as_slides(notebook: NotebookNode) -> NotebookNode:
    """Say of every cell whether it begins a slide, goes on with it or is left out."""
    shown = MOST
    for cell in notebook.cells:
        cell.source = SOLUTION.sub("", cell.source) if cell.cell_type == "markdown" else cell.source
        own = cell.metadata.get("slideshow", {}).get("slide_type")
        kind = own or kind_of(cell, shown)
        shown = 1 if kind in ("slide", "subslide") else shown + (kind in ("-", "fragment"))
        cell.metadata["slideshow"] = {"slide_type": kind}
    notebook.metadata.pop("widgets", None)  # a dial has no kernel here; its static twin stays
    return notebook


def kind_of(cell: NotebookNode, shown: int) -> str:
    """Return the slide type of a cell. shown: cells with something to show on the slide so far"""
    if cell.cell_type == "markdown" and (head := re.match(r"(#+) ", cell.source)):
        return "slide" if len(head[1]) <= 2 else "subslide"
    outputs = cell.get("outputs", [])
    live = any(WIDGET_VIEW in one.get("data", {}) for one in outputs)
    if not cell.source.strip() or (cell.cell_type == "code" and (live or not outputs)):
        return "skip"
    return "subslide" if shown >= MOST else "-"


def write(notebook: NotebookNode, path: Path, scripts: str) -> None:
    """Write a chapter's slides. scripts: the folder of the scripts, as the page reaches it"""
    exporter = SlidesExporter(exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True)
    exporter.reveal_url_prefix = f"{scripts}/reveal"
    for name, place in SCRIPTS.items():
        setattr(exporter, name, f"{scripts}/{place}" if place else "")
    page, _ = exporter.from_notebook_node(as_slides(notebook))
    page = re.sub(r'<script type="module">\s*import mermaid.*?</script>', "", page, flags=re.DOTALL)
    # the template speaks to MathJax 2, and the book brings MathJax 3, which sets all formulas by itself
    page = re.sub(r"<!-- Load mathjax -->.*?<!-- End of mathjax configuration -->", "", page, flags=re.DOTALL)
    settings = "window.MathJax={tex:{inlineMath:[['$','$'],['\\\\(','\\\\)']]}}"
    own = f'<script>{settings}</script><script defer src="{scripts}/mathjax/tex-svg.js"></script>'
    page = page.replace("Reveal.addEventListener('slidechanged', update);", "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page.replace("</head>", f"{own}</head>", 1), encoding="utf-8", newline="\n")


def main(arguments: list[str] | None = None) -> int:
    """Make the slides and return the exit code."""
    parser = argparse.ArgumentParser(description="Make slides of chapters.")
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help="step/extrapolation; all without it")
    parser.add_argument("--out", type=Path, default=BOOK.parent / "runs" / "slides")
    parser.add_argument("--book", type=Path, default=BOOK, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        wanted = chapters(options.book, options.chapters)
        for folder in ("mathjax", "reveal", "require", "jquery"):
            vendor(folder, options.out / "scripts")  # not book/_vendor: the site loads all that lies there
        for chapter in wanted:
            path = options.out / f"{chapter.name}.html"
            write(chapter.read(), path, "../" * chapter.name.count("/") + "scripts")
            print(path)
    except ToolError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
