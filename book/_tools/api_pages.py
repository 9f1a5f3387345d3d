"""Sphinx extension: the pages of ``book/api`` from the docstrings of the library, read and not imported.

``.. api:: boxes linking`` documents a module, or all public modules of a package, each under a heading.
Docstrings are short plain text; what they have besides, lines such as ``boxes: (n, 4) xyxy pixels`` and
``raises: FormatError``, literal blocks, lists and examples, is laid out here. Autodoc takes minutes for this.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2] / "stad_lite"
NAME = r"\*{0,2}[a-z_]\w*"
ENTRY = re.compile(rf"({NAME}(?:, {NAME})*): +(\S.*)")
ITEM = re.compile(r"(-|\d+\.) +(\S.*)")
CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
ENDS = ("", ".", ":", ")")
"""How a line ends after which an entry may stand; elsewhere ``word: more`` is prose."""
Defined = ast.FunctionDef | ast.ClassDef
WIDTH = 78


def public_modules(name: str, root: Path = ROOT) -> list[tuple[str, Path]]:
    """Return the dotted name and the file of a module, and of all public ones in it.

    >>> [name for name, _ in public_modules("plots.style")]
    ['plots.style']
    """
    place = root.joinpath(*name.split("."))
    if place.with_suffix(".py").is_file():
        return [(name, place.with_suffix(".py"))]
    inside = {one.stem for one in place.iterdir() if one.suffix == ".py" or (one / "__init__.py").is_file()}
    return [(name, place / "__init__.py")] + [
        each
        for one in sorted(inside)
        if not one.startswith("_")
        for each in public_modules(f"{name}.{one}", root)
    ]


def laid_out(text: str) -> list[nodes.Node]:
    """Return a docstring of the house as paragraphs, lists of entries, examples and literal blocks.

    >>> [one.tagname for one in laid_out("Areas.\\n\\nboxes: (n, 4)\\n    pixels\\nraises: FormatError")]
    ['paragraph', 'bullet_list']
    """
    out: list[nodes.Node] = []
    block, before = "", ""
    for line in text.splitlines():
        if block == "literal" and (line.startswith(" ") or not line):
            out[-1] = _literal(f"{out[-1].astext()}\n{line}".strip("\n"))
        elif block == "example" and line:
            out[-1] = _literal(f"{out[-1].astext()}\n{line}")
        elif not line:
            block = ""
        elif line.startswith(">>>"):
            block = "example"
            out.append(_literal(line))
        elif entry := (before[-1:] in ENDS or block == "list") and ENTRY.match(line):
            _item(out, block, [nodes.strong(text=entry[1]), *_marked(f": {entry[2]}")])
            block = "list"
        elif item := ITEM.match(line):
            _item(out, block, _marked(item[2]))
            block = "list"
        elif block == "list" and line.startswith(" "):
            out[-1][-1][-1].extend(_marked(" " + line.strip()))
        elif block == "text":
            out[-1].extend(_marked(" " + line.strip()))
        else:
            block = "text"
            out.append(nodes.paragraph("", "", *_marked(line.strip())))
        if block == "text" and line.endswith("::"):
            block = "literal"
            out.append(_literal(""))
        before = line
    return out


def _item(out: list[nodes.Node], block: str, words: list[nodes.Node]) -> None:
    if block != "list":
        out.append(nodes.bullet_list())
    out[-1].append(nodes.list_item("", nodes.paragraph("", "", *words)))


def _marked(text: str) -> list[nodes.Node]:
    parts = CODE.split(text.replace("::", ":") if text.endswith("::") else text)
    return [
        nodes.literal(text=part.strip("`")) if at % 2 else nodes.Text(part) for at, part in enumerate(parts)
    ]


def _literal(text: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language="python", force=True)


def signature(node: Defined) -> str:
    """Return what a class or function is called with, in lines of a page's width.

    >>> signature(ast.parse("def area(boxes: Array, fill: float=0.0) -> Array: pass").body[0])
    'area(boxes: Array, fill: float=0.0) -> Array'
    """
    if isinstance(node, ast.ClassDef):
        bases = f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ""
        fields = [
            f"    {ast.unparse(one)}"
            for one in node.body
            if isinstance(one, ast.AnnAssign) and not ast.unparse(one.target).startswith("_")
        ]
        return "\n".join([f"class {node.name}{bases}", *fields])
    taken = ast.unparse(node.args)
    gives = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if len(line := f"{node.name}({taken}){gives}") <= WIDTH:
        return line
    own = node.args
    given = [*own.posonlyargs, *own.args, *own.kwonlyargs]
    cuts = [re.search(rf"(?<![\w.]){one.arg}(?=:|=|,|$)", taken) for one in given[1:]]
    for place in sorted({cut.start() for cut in cuts if cut}, reverse=True):
        taken = taken[:place].rstrip() + "\n    " + taken[place:]
    return f"{node.name}(\n    {taken}\n){gives}"


class Api(SphinxDirective):
    """``.. api:: NAME ...``: modules and packages of the library, each module under its name."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return a section for each module that has something to say."""
        found = []
        for name, path in (each for one in self.arguments[0].split() for each in public_modules(one)):
            self.env.note_dependency(str(path))
            tree = ast.parse(path.read_text(encoding="utf-8"))
            section = nodes.section(ids=[nodes.make_id(f"stad_lite.{name}")], names=[name])
            section += nodes.title("", "", nodes.literal(text=name))
            section += laid_out(ast.get_docstring(tree) or "")
            section += list(_documented(tree.body, name))
            found.append(section)
        return found


def _documented(body: list[ast.stmt], module: str) -> Iterator[nodes.Node]:
    for node, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(node, Defined) and not node.name.startswith("_"):
            if text := ast.get_docstring(node):
                inside = [] if isinstance(node, ast.FunctionDef) else list(_documented(node.body, module))
                yield _entry(f"{module}.{node.name}", signature(node), [*laid_out(text), *inside])
        elif isinstance(node, ast.Assign) and isinstance(after, ast.Expr):
            text = getattr(after.value, "value", None)
            name = ast.unparse(node.targets[0])
            if isinstance(text, str) and not name.startswith("_"):
                yield _entry(f"{module}.{name}", name, laid_out(text))


def _entry(name: str, title: str, told: list[nodes.Node]) -> nodes.Node:
    return nodes.container("", _literal(title), nodes.container("", *told, classes=["api"]), ids=[name])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("api", Api)
    return {"parallel_read_safe": True}
