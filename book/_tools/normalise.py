"""Make an executed notebook independent of when and where it was executed."""

from __future__ import annotations

import base64
import binascii
import io
import re
from typing import Any

import nbformat
from nbformat import NotebookNode
from PIL import Image

from notebooks import REAL_FIGURE, tags

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "pygments_lexer": "ipython3",
}
CELL_METADATA = ("tags", "mystnb", "jupyter", "slideshow", "editable")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
RANDOM_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
LARGE = 50_000
"""Bytes from which a picture gets few colours: frames are full of shades that nobody tells apart."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_TEXT = (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf")


def normalise(notebook: NotebookNode, stem: str) -> NotebookNode:
    """Return the notebook with everything removed or renamed that another run would change.

    Cell ids become ``stem-001`` and so on; code cells are counted from 1 (nbval compares nothing in
    a cell without a count); times and text in PNG files go, and so do widgets, which are dead without
    a kernel; random ids in HTML are numbered; of an output's metadata what stands in for a picture
    stays; cells tagged ``real-video`` lose their outputs, and those tagged ``real-data`` their pictures.
    """
    notebook.metadata = NotebookNode(kernelspec=KERNEL, language_info=LANGUAGE)
    counted = 0
    for number, cell in enumerate(notebook.cells, start=1):
        cell["id"] = f"{re.sub('[^A-Za-z0-9_-]', '-', stem)[:60]}-{number:03d}"
        cell.metadata = NotebookNode({k: cell.metadata[k] for k in CELL_METADATA if k in cell.metadata})
        if cell.cell_type == "code":
            counted += 1
            cell.execution_count = counted
            cell.outputs = [] if "real-video" in tags(cell) else _outputs(cell.outputs, counted)
            if "real-data" in tags(cell) and REAL_FIGURE not in tags(cell):
                cell.outputs = [
                    output for output in cell.outputs if "image/png" not in output.get("data", {})
                ]
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return _rename(notebook)


def write_text(notebook: NotebookNode) -> str:
    """Return the file's text."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def strip_png(data: bytes) -> bytes:
    """Return a PNG file without its text and time chunks; the pixels stay as they are."""
    if not data.startswith(PNG_SIGNATURE):
        return data
    kept, at = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in PNG_TEXT:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def lighter(data: bytes) -> bytes:
    """Return a large PNG file with a palette of 256 colours, where that is smaller."""
    if len(data) < LARGE:
        return data
    image = Image.open(io.BytesIO(data))
    if image.mode == "P":
        return data
    stream = io.BytesIO()
    few = image.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(stream, "PNG", optimize=True)
    return min(data, stream.getvalue(), key=len)


def _outputs(outputs: list[NotebookNode], count: int | None = None) -> list[NotebookNode]:
    """Return the outputs with the cell's count, pieces of one stream joined, pictures without text."""
    clean: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            if clean and clean[-1].output_type == "stream" and clean[-1].name == output.name:
                clean[-1].text += output.text
                continue
        elif WIDGET_VIEW in output.get("data", {}):
            continue
        elif "data" in output:
            output.metadata = _alternatives(output.get("metadata", {}))
            output.data = NotebookNode({mime: _plain(mime, value) for mime, value in output.data.items()})
        if "execution_count" in output:
            output.execution_count = count
        clean.append(output)
    return clean


def _alternatives(metadata: dict[str, Any]) -> NotebookNode:
    """What stands in for pictures, by kind; nothing else of an output's metadata is kept."""
    told = {
        mime: value["alt"] for mime, value in metadata.items() if isinstance(value, dict) and "alt" in value
    }
    return NotebookNode({mime: NotebookNode(alt=alt) for mime, alt in told.items()})


def _plain(mime: str, value: Any) -> Any:
    if mime == "image/png":
        return _strip_base64(value)
    return value


def _strip_base64(text: str) -> str:
    try:
        return base64.b64encode(lighter(strip_png(base64.b64decode(text)))).decode()
    except (binascii.Error, ValueError):
        return text


def _rename(notebook: NotebookNode) -> NotebookNode:
    """Number the random ids in HTML, in the order in which they come."""
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"{len(names) + 1:032x}")

    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = RANDOM_ID.sub(name, output.data["text/html"])
    return notebook
