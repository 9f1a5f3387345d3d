"""No video, no frame of one, and no picture that nobody asked for is under version control."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import nbformat
import pytest

from normalise import normalise
from notebooks import BOOK, REAL_FIGURE, tags

REPOSITORY = Path(__file__).resolve().parents[1]

VIDEO_ENDINGS = {
    *(".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ogv", ".vob", ".webm", ".wmv", ".y4m"),
}
IMAGE_ENDINGS = {".bmp", ".flo", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
ALLOWED_IMAGES = {
    f"book/images/{name}.png": 400_000 for name in ("tube", "cfad", "step", "sp_tad", "pcsc", "flow_subnet")
}
"""Tracked pictures and the most bytes each may have: drawn from the synthetic set."""

IMAGE_TYPES = ("image/", "video/")
NOTEBOOKS = sorted(p for p in BOOK.rglob("*.ipynb") if "_build" not in p.parts)
EMBEDDED = ("data:image/", "data:video/", "<video", "<img")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True)
    if listed.returncode:
        pytest.skip("not a git checkout: nothing says which files are tracked")
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [path for name in names if (path := REPOSITORY / name).is_file()]


def kind_by_content(head: bytes) -> str:
    """Return ``video`` or ``image`` where the first bytes say so, else an empty text."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image"
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"):
        return "image"
    videos = (
        (head[:4] == b"RIFF" and head[8:12] == b"AVI "),
        head[4:8] in (b"ftyp", b"moov", b"mdat"),
        head.startswith((b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"GIF8", b"YUV4MPEG2")),
        head.startswith((b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")),
    )
    if any(videos):
        return "video"
    images = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"P5\n", b"P6\n", b"PIEH")
    return "image" if head.startswith(images) else ""


def pictures(cell: nbformat.NotebookNode) -> list[str]:
    """Return what of a cell's outputs is, or may hold, a picture."""
    found = []
    for output in cell.get("outputs", []):
        for kind, content in output.get("data", {}).items():
            if kind.startswith(IMAGE_TYPES) or any(mark in str(content) for mark in EMBEDDED):
                found.append(kind)
    return found


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"RIFF\x10\x00\x00\x00AVI LIST", "video"),
        (b"\x00\x00\x00\x20ftypisom", "video"),
        (b"\x1aE\xdf\xa3\x01\x00\x00\x00", "video"),
        (b"GIF89a\x10\x00", "video"),
        (b"\x00\x00\x01\xba\x44", "video"),
        (b"\x89PNG\r\n\x1a\n\x00", "image"),
        (b"\xff\xd8\xff\xe0\x00", "image"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image"),
        (b"P6\n320 240\n255\n", "image"),
        (b"PIEH\x00\x02\x00\x00", "image"),
        (b'"""Docstring"""', ""),
        (b"II*\x00\x08\x00\x00\x00", "image"),
        (b"PK\x03\x04", ""),
        (b"", ""),
    ],
)
def test_kinds_are_told_by_content(head: bytes, kind: str) -> None:
    assert kind_by_content(head) == kind


def test_no_tracked_file_is_a_video() -> None:
    found = []
    for path in tracked():
        with path.open("rb") as file:
            head = file.read(16)
        if path.suffix.lower() in VIDEO_ENDINGS or kind_by_content(head) == "video":
            found.append(str(path.relative_to(REPOSITORY)))
    assert found == []


def test_tracked_pictures_are_the_allowed_ones() -> None:
    found = {}
    for path in tracked():
        with path.open("rb") as file:
            head = file.read(16)
        if path.suffix.lower() in IMAGE_ENDINGS or kind_by_content(head) == "image":
            found[path.relative_to(REPOSITORY).as_posix()] = path.stat().st_size
    assert set(found) <= set(ALLOWED_IMAGES)
    assert {name: size for name, size in found.items() if size > ALLOWED_IMAGES[name]} == {}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=str)
def test_cells_on_real_data_hold_no_picture(notebook: Path) -> None:
    for cell in nbformat.read(notebook, as_version=4).cells:
        if "real-video" in tags(cell):
            assert not cell.get("outputs"), f"{cell.id}: run make refresh"
        if "real-data" in tags(cell) and REAL_FIGURE not in tags(cell):
            assert pictures(cell) == [], f"{cell.id}: run make refresh"


READS_FRAMES = re.compile(r"frames\(|video_files|\bread\(|decoded|open_source|imshow\(|\bshow\(|\.drawn\(")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=str)
def test_figures_of_real_annotations_read_no_frame(notebook: Path) -> None:
    for cell in nbformat.read(notebook, as_version=4).cells:
        if REAL_FIGURE in tags(cell):
            assert {"real-data", "nbval-ignore-output"} <= set(tags(cell)), cell.id
            assert "real-video" not in tags(cell), cell.id
            source = cell.source.replace("plt.show(", "")
            drawn = bool(pictures(cell))
            assert not (drawn and READS_FRAMES.search(source)), f"{cell.id}: only annotations may be drawn"
            assert cell.get("outputs"), f"{cell.id}: run make refresh ARGS=--data"


def test_refresh_strips_footage_and_nothing_else() -> None:
    cells = []
    for kinds in (["real-video", "real-data", "nbval-ignore-output"], []):
        cell = nbformat.v4.new_code_cell("show()", metadata={"tags": kinds})
        cell.outputs = [
            nbformat.v4.new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": "x"})
        ]
        cells.append(cell)
    assert [pictures(cell) for cell in cells] == [["image/png"], ["image/png"]]
    kept = normalise(nbformat.v4.new_notebook(cells=cells), "made").cells
    assert kept[0].outputs == [] and pictures(kept[1]) == ["image/png"]


def test_pictures_inside_html_are_seen() -> None:
    cell = nbformat.v4.new_code_cell("show()")
    cell.outputs = [
        nbformat.v4.new_output("display_data", {"text/html": "<img src='data:image/png;base64,x'>"})
    ]
    assert pictures(cell) == ["text/html"]
