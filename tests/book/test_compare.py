"""Comparing outputs: numbers as numbers where a tolerance is stated, letters as letters everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import nbformat
import pytest

import compare
from compare import Tolerance, excess, near, told, tolerance_of
from notebooks import BOOK, ToolError, chapters
from tests.book.tiny import make_book

REPOSITORY = BOOK.parent
PERCENT = Tolerance(relative=Decimal("0.01"))
POINT = Tolerance(absolute=Decimal("0.1"))


def cell(*tags: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell("1", id="here", metadata={"tags": list(tags)})


def text(words: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("stream", name="stdout", text=words)


@pytest.mark.parametrize(
    ("committed", "computed", "tolerance", "passes"),
    [
        ("loss 1.25", "loss 1.26", PERCENT, True),
        ("loss 1.25", "loss 2.25", PERCENT, False),
        ("loss 1.25", "cost 1.25", PERCENT, False),
        ("4.9  3.9", "5.0  3.9", POINT, True),
        ("4.9  3.9", "5.1  3.9", POINT, False),
        ("-0.0", "0.0", PERCENT, True),
        ("0.1", "-0.1", POINT, False),
        (" 9.95 |", "10.01 |", PERCENT, True),
        ("[0.10 0.20\n 0.30]", "[0.10 0.20 0.30]", PERCENT, True),
        ("conv3: 1.00", "conv4: 1.00", Tolerance(absolute=Decimal(9)), False),
        ("1 2 3", "1 2", Tolerance(absolute=Decimal(9)), False),
        ("1e-7", "1.005e-7", PERCENT, True),
        ("2-3", "2-4", PERCENT, False),
        (".27", ".28", Tolerance(absolute=Decimal("0.01")), True),
        ("nan", "0.5", POINT, False),
        ("reproduced 3.0", "undecided 3.0", POINT, False),
        ("20.4", "20.9", Tolerance(Decimal("0.02"), Decimal("0.1")), True),
    ],
)
def test_numbers_are_compared_as_numbers(committed, computed, tolerance, passes):
    value = excess(committed, computed, tolerance)
    assert (value is not None and value <= 1) is passes
    kept = near([text(committed)], [text(computed)], tolerance)
    assert (kept[0].text == committed) is passes or committed == computed
    assert kept[0].text in (committed, computed)


def test_tables_and_results_are_compared_too_and_pictures_kept():
    def shown(number: str, picture: str) -> nbformat.NotebookNode:
        data = {"text/plain": "<Table>", "text/html": f"<td>{number}</td>", "image/png": picture}
        return nbformat.v4.new_output("display_data", data=data)

    (kept,) = near([shown("1.00", "old")], [shown("1.01", "new")], PERCENT)
    assert kept.data["text/html"] == "<td>1.00</td>" and kept.data["image/png"] == "new"
    (other,) = near([shown("1.00", "old")], [shown("1.02", "new")], PERCENT)
    assert other.data["text/html"] == "<td>1.02</td>"


def test_a_cell_states_its_tolerance_in_tags():
    assert tolerance_of(cell("real-data")) is None
    assert tolerance_of(cell("rtol:0.02", "atol:.5")) == Tolerance(Decimal("0.02"), Decimal("0.5"))
    with pytest.raises(ToolError, match="here: rtol:some is no tolerance"):
        tolerance_of(cell("rtol:some"))


def test_a_difference_says_what_it_hints_at():
    assert "hint at the machine" in told([text("1.25")], [text("1.35")], PERCENT)
    assert "a fault" in told([text("1.25")], [text("2.25")], PERCENT)
    assert "another text" in told([text("a 1")], [text("b 1")], PERCENT)
    assert "other outputs" in told([text("a")], [], PERCENT)
    assert "states no tolerance" in told([text("0.500")], [text("0.501")], None)


def test_tolerances_are_as_small_as_a_share():
    """A tolerance of more than a quarter of the number would let a wrong method through."""
    for chapter in chapters():
        for one in chapter.read().cells:
            if one.cell_type == "code" and (stated := tolerance_of(one)):
                assert stated.relative <= Decimal("0.25"), one.id
                assert "nbval-ignore-output" not in one.metadata.tags, one.id


def run_nbval(folder: Path, *notebooks: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Compare notebooks below a copy of the repository's files."""
    variables = {"PYTHONPATH": str(folder), "STAD_PROGRESS": "0", "STAD_DATA": str(folder), **variables}
    words = [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", *notebooks]
    environment = {**os.environ, **variables}
    environment.pop("IPYTHONDIR", None)  # that of a shaken run of these tests
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, encoding="utf-8")


def copied(tmp_path: Path) -> Path:
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    shutil.copytree(BOOK / "_tools", tmp_path / "book" / "_tools")
    return tmp_path


CELLS = [
    ("import torch\nx = torch.linspace(0.1, 1, 1001).repeat(64, 1)", [], ""),
    ("print(bool((x.sum(1) - 550.55).abs().max() < 2e-4))", [], "True\n"),
    ("print(f'{x.sum(1)[0]:.3f}')", ["atol:0.002"], "550.550\n"),
    ("print(f'loss {1.01 * 1.25:.2f}')", ["rtol:0.01"], "loss 1.25\n"),
    ("print('loss 1.25')", [], "loss 1.26\n"),
]


def test_nbval_compares_this_way_and_kernels_are_shaken(tmp_path):
    folder = copied(tmp_path)
    path = make_book(folder / "made", numbers=[cell[:2] for cell in CELLS]) / "part" / "numbers.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for number, (made, (_, _, words)) in enumerate(zip(notebook.cells[2:], CELLS, strict=True), start=2):
        made.execution_count = number
        made.outputs = [text(words)] if words else []
    nbformat.write(notebook, path)
    quiet = run_nbval(folder, str(path), STAD_SHAKE="").stdout
    assert "1 failed, 5 passed" in quiet and "Cell 5: Cell outputs differ" in quiet, quiet
    assert "this cell states no tolerance): a hint at the machine" in quiet
    shaken = run_nbval(folder, str(path), STAD_SHAKE="1").stdout
    assert "2 failed, 4 passed" in shaken and "Cell 2: Cell outputs differ" in shaken, shaken


FAULTS = {
    "a box shifted by one pixel": (
        "stad_lite/data/synthetic/scene.py",
        ("return np.clip(actor.extent()[:-1],", "return np.clip(1.0 + actor.extent()[:-1],"),
        "ground/tubes_and_overlap",
    ),
    "cells that lie half a stride off": (
        "stad_lite/baselines/dense.py",
        ("torch.stack([x, y], -1) + 0.5)", "torch.stack([x, y], -1) + 1.0)"),
        "ground/from_frames_to_a_detector",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_library_is_still_caught(fault, tmp_path):
    folder = copied(tmp_path)
    shutil.copytree(REPOSITORY / "stad_lite", folder / "stad_lite")
    for kept in ("trained", "sweeps"):
        shutil.copytree(BOOK / kept, folder / "book" / kept)
    name, (right, wrong), chapter = FAULTS[fault]
    source = (folder / name).read_text(encoding="utf-8")
    assert source.count(right) == 1
    (folder / name).write_text(source.replace(right, wrong), encoding="utf-8")
    place = folder / "book" / f"{chapter}.ipynb"
    place.parent.mkdir()
    shutil.copy(BOOK / f"{chapter}.ipynb", place)
    told = run_nbval(folder, str(place)).stdout
    assert "Cell outputs differ" in told, told


def test_the_layer_is_installed_once():
    from nbval.plugin import IPyNbCell

    before = IPyNbCell.compare_outputs
    try:
        compare.install()
        once = IPyNbCell.compare_outputs
        compare.install()
        assert IPyNbCell.compare_outputs is once
    finally:
        IPyNbCell.compare_outputs = before
