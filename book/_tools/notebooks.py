"""What the book's tools share: which chapters there are, their names and their parameters."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from stad_lite.errors import StadError
from stad_lite.reproduce.parameters import checked

BOOK = Path(__file__).resolve().parents[1]

REAL_FIGURE = "real-figure"
"""Tag of cells that draw or count real annotations and no footage; what they show is committed."""

TYPES = {"str": str, "int": int, "float": float, "bool": bool}


class ToolError(Exception):
    """Something a tool cannot go on with, told in one line."""


@dataclass(frozen=True)
class Chapter:
    """A notebook of the book; ``name`` is its place without the ending, "cfad/key_timestamps"."""

    name: str
    path: Path

    def read(self) -> NotebookNode:
        """Return the notebook."""
        if not self.path.is_file():
            raise ToolError(f"{self.name}: there is no {self.path.name}, but _toc.yml lists it")
        return nbformat.read(self.path, as_version=4)


def chapters(book: Path = BOOK, only: list[str] | None = None) -> list[Chapter]:
    """Return the chapters in the order of _toc.yml, then the notebooks in ``reproduce/``.

    only: names of the chapters that are wanted (with or without .ipynb); all when empty
    raises: ToolError for a name that the book does not have
    """
    found = {}
    for name in _entries(yaml.safe_load((book / "_toc.yml").read_text("utf-8"))):
        path = book / f"{name}.ipynb"
        if path.is_file() or not any((book / f"{name}{end}").is_file() for end in (".md", ".rst")):
            found[name] = Chapter(name, path)
    for path in sorted((book / "reproduce").glob("*.ipynb")):
        found.setdefault(f"reproduce/{path.stem}", Chapter(f"reproduce/{path.stem}", path))
    if not only:
        return list(found.values())
    wanted = [name.removeprefix("book/").removesuffix(".ipynb") for name in only]
    if unknown := [name for name in wanted if name not in found]:
        raise ToolError(f"no chapter {', '.join(unknown)}; there are: {', '.join(found)}")
    return [found[name] for name in found if name in wanted]


def _entries(node: Any) -> list[str]:
    if isinstance(node, list):
        return [entry for item in node for entry in _entries(item)]
    if not isinstance(node, dict):
        return []
    own = [str(node[key]).removesuffix(".ipynb") for key in ("root", "file") if key in node]
    return own + [e for value in node.values() if isinstance(value, list) for e in _entries(value)]


def tags(cell: NotebookNode) -> list[str]:
    """Return a cell's tags."""
    return list(cell.metadata.get("tags", []))


def parameter_types(notebook: NotebookNode) -> dict[str, type]:
    """Return the names and types that a chapter's parameters cell declares.

    raises: ToolError for a type other than str, int, float and bool
    """
    declared = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and "parameters" in tags(cell):
            for line in ast.parse(cell.source).body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    kind = ast.unparse(line.annotation)
                    if kind not in TYPES:
                        told = f"parameter {line.target.id} is declared as {kind}"
                        raise ToolError(f"{told}; use str, int, float or bool")
                    declared[line.target.id] = TYPES[kind]
    return declared


def parse_value(name: str, text: str, kind: type) -> Any:
    """Return the value that a text on the command line stands for.

    raises: ToolError when it is none of that type, or out of every range
    """
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind is not bool:
        try:
            return checked(name, kind(text), kind)
        except StadError as error:
            raise ToolError(str(error)) from None
        except ValueError:
            pass
    raise ToolError(f"parameter {name} is of type {kind.__name__}, not {text!r}")
