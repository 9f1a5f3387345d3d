"""Refreshing: the same bytes twice, nothing of the run in the file, a failure leaves it as it was."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import nbformat
import pytest

import normalise
import refresh
import run_chapters
from tests.book.tiny import REAL, WIDGET, make_book

PICTURE = """\
from stad_lite.plots import style
style.use()
plt.plot([0, 1, 2], label="ours")
plt.xlabel("step")
plt.ylabel("loss")
plt.show()"""


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("STAD_PROGRESS", "0")


def test_two_refreshes_give_the_same_bytes(tmp_path, capsys):
    ignored = ["nbval-ignore-output"]
    book = make_book(
        tmp_path,
        all=[
            ("print('a')\nprint('b')", []),
            (WIDGET, ignored),
            (PICTURE, []),
            (REAL, ["real-data", *ignored]),
            ("print('footage')", ["real-data", "real-video", *ignored]),
            ("1 + 1", []),
        ],
    )
    path = book / "part" / "all.ipynb"
    assert refresh.main(["--book", str(book)]) == 0
    first = path.read_bytes()
    assert refresh.main(["--book", str(book)]) == 0
    assert path.read_bytes() == first
    assert "1 chapters: 0 changed, 0 failed" in capsys.readouterr().out
    assert refresh.main(["--book", str(book), "--check"]) == 0

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells] == [f"all-{i:03d}" for i in range(1, 9)]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, 8))
    assert code[1].outputs[0].text == "a\nb\n"
    assert code[2].outputs == [] and "widgets" not in notebook.metadata  # dead without a kernel
    (shown,) = code[3].outputs
    assert shown.metadata == {"image/png": {"alt": "Curves of loss against step; ours from 0 to 2."}}
    picture = base64.b64decode(shown.data["image/png"])
    assert b"Software" not in picture and picture.startswith(normalise.PNG_SIGNATURE)
    assert "ucf101-24 is not here" in code[4].outputs[0].text
    assert code[5].outputs == []
    assert code[6].outputs[0].data["text/plain"] == "2"


def test_committed_outputs_are_made_without_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    asked = 'import os\nprint("GPU", os.environ["CUDA_VISIBLE_DEVICES"])'
    book = make_book(tmp_path, gpu=[(asked, [])])
    path = book / "part" / "gpu.ipynb"
    assert refresh.main(["--book", str(book)]) == 0
    assert nbformat.read(path, as_version=4).cells[2].outputs[0].text.strip() == "GPU"
    run_chapters.main(["--book", str(book), "--out", str(tmp_path / "out")])
    copy = nbformat.read(tmp_path / "out" / "chapters" / "part" / "gpu.ipynb", as_version=4)
    shown = [output.text for cell in copy.cells for output in cell.get("outputs", []) if "text" in output]
    assert [text.strip() for text in shown if "GPU" in text] == ["GPU"]


def test_the_makefile_runs_chapters_without_a_gpu():
    lines = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8").splitlines()
    runs = [n for n, line in enumerate(lines) if "$(NBVAL)" in line or "--out runs/variants" in line]
    assert len(runs) == 5
    for number in runs:
        assert "$(NO_GPU)" in lines[number] or any("$(NO_GPU)" in line for line in lines[number - 2 : number])


def test_a_number_within_its_tolerance_stays_as_it_is_committed(tmp_path):
    book = make_book(tmp_path, near=[("1.26", ["rtol:0.01"]), ("1.26", []), ("2.26", ["rtol:0.01"])])
    path = book / "part" / "near.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells[2:]:
        shown = {"output_type": "execute_result", "execution_count": 1, "data": {"text/plain": "1.25"}}
        cell.outputs = [nbformat.from_dict({**shown, "metadata": {}})]
    nbformat.write(notebook, path)
    assert refresh.main(["--book", str(book)]) == 0
    cells = nbformat.read(path, as_version=4).cells[2:]
    assert [cell.outputs[0].data["text/plain"] for cell in cells] == ["1.25", "1.26", "2.26"]


def test_figures_of_real_annotations_stay_and_come_from_the_data_alone(tmp_path, capsys, monkeypatch):
    seen = 'import os\nif os.listdir(os.environ["STAD_DATA"]):\n    print("drawn")'
    drawn = (seen, ["real-data", "real-figure", "nbval-ignore-output"])
    path = make_book(tmp_path, real=[drawn, (seen, [])]) / "part" / "real.ipynb"
    arguments = ["--book", str(tmp_path / "book")]

    def shown() -> list[list[str]]:
        cells = nbformat.read(path, as_version=4).cells[2:]
        return [[output.text for output in cell.outputs] for cell in cells]

    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("STAD_DATA", str(data))
    assert refresh.main([*arguments, "--data"]) == 1
    assert "shows nothing" in capsys.readouterr().err
    (data / "truth.txt").touch()
    assert refresh.main(arguments) == 0 and shown() == [[], []]
    assert refresh.main([*arguments, "--data"]) == 0 and shown() == [["drawn\n"], []]
    assert refresh.main(arguments) == 0 and shown() == [["drawn\n"], []]


def test_a_failing_chapter_is_named_and_stays_as_it_was(tmp_path, capsys):
    book = make_book(tmp_path, bad=[("1 / 0", [])])
    path = book / "part" / "bad.ipynb"
    before = path.read_bytes()
    assert refresh.main(["--book", str(book)]) == 1
    assert path.read_bytes() == before
    told = capsys.readouterr().err
    assert "part/bad" in told and "ZeroDivisionError" in told


def test_png_text_goes_and_pixels_stay():
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head, pixels, end = chunk(b"IHDR", b"h" * 13), chunk(b"IDAT", b"p" * 40), chunk(b"IEND", b"")
    text, time = chunk(b"tEXt", b"Software\0x"), chunk(b"tIME", b"1234567")
    whole = normalise.PNG_SIGNATURE + head + text + pixels + time + end
    assert normalise.strip_png(whole) == normalise.PNG_SIGNATURE + head + pixels + end
    assert normalise.strip_png(b"no picture") == b"no picture"
