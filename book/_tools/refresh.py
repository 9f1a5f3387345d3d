"""Execute the chapters without real data at profile smoke and store them normalised, in place.

    python book/_tools/refresh.py [--only CHAPTER] [--check] [--data]

Two runs on one machine give the same bytes; on another machine, numbers within the tolerance that their cell
states stay as they are committed. A chapter that fails is named with its cell and stays
as it was. With --check nothing is written and the exit code is 1 where something would change.

Cells tagged real-figure draw or count real annotations, no footage: what they show is taken with --data,
which executes with the real data of $STAD_DATA and changes nothing else, and stays in every other run.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

from compare import near, tolerance_of
from kernels import kernel_options, socket_folder
from normalise import normalise, write_text
from notebooks import BOOK, REAL_FIGURE, Chapter, ToolError, chapters, tags

ANSI = re.compile(r"\x1b\[[0-9;]*m")
SETTINGS = {
    "STAD_PROGRESS": "0",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "CUDA_VISIBLE_DEVICES": "",
}


def main(arguments: list[str] | None = None) -> int:
    """Refresh the chapters that the command line names and return the exit code."""
    parser = argparse.ArgumentParser(description="Execute and normalise the chapters in place.")
    parser.add_argument("--only", action="append", metavar="CHAPTER", help="may be given several times")
    parser.add_argument("--check", action="store_true", help="write nothing; say what would change")
    parser.add_argument("--data", action="store_true", help="draw the figures of real annotations")
    parser.add_argument("--book", type=Path, default=BOOK, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    failed = changed = 0
    quiet = os.environ.get("STAD_PROGRESS") == "0"
    try:
        wanted = chapters(options.book.absolute(), options.only)
    except ToolError as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as empty, tqdm(wanted, unit="chapter", disable=quiet) as bar:
        for chapter in bar:
            bar.set_description(chapter.name)
            try:
                changed += refresh(chapter, None if options.data else empty, write=not options.check)
            except (ToolError, CellExecutionError) as error:
                failed += 1
                tqdm.write(f"FAILED {chapter.name}: {ANSI.sub('', str(error))}", file=sys.stderr)
    print(f"{len(wanted)} chapters: {changed} changed, {failed} failed")
    return 1 if failed or (options.check and changed) else 0


def refresh(chapter: Chapter, empty: str | None, write: bool = True) -> bool:
    """Execute one chapter, normalise it and write it where that changes it; return whether it did.

    empty: an empty folder that stands for the data root; None takes the figures of real annotations
    raises: CellExecutionError when a cell fails, ToolError where a figure of real annotations is empty
    """
    notebook, committed = chapter.read(), chapter.read()
    if empty is None and not any(REAL_FIGURE in tags(cell) for cell in notebook.cells):
        return False
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    with socket_folder() as sockets:
        client = NotebookClient(
            notebook,
            timeout=1200,
            resources={"metadata": {"path": str(chapter.path.parent)}},
            **kernel_options(sockets),
        )
        data = {} if empty is None else {"STAD_DATA": empty}
        client.execute(env={**os.environ, **SETTINGS, **data})
    notebook = normalise(notebook, chapter.path.stem)
    for cell, before in zip(notebook.cells, committed.cells, strict=True):
        if cell.cell_type == "code" and (tolerance := tolerance_of(cell)):
            cell.outputs = near(before.outputs, cell.outputs, tolerance)
        if cell.cell_type == "code" and (REAL_FIGURE in tags(cell)) != (empty is None):
            cell.outputs = before.outputs
        if REAL_FIGURE in tags(cell) and empty is None and not cell.outputs:
            raise ToolError(f"{cell.id} shows nothing; is the data at $STAD_DATA?")
    text = write_text(notebook)
    if chapter.path.read_text(encoding="utf-8") == text:
        return False
    if write:
        temporary = chapter.path.with_suffix(".part")
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, chapter.path)
    return True


if __name__ == "__main__":
    sys.exit(main())
