"""Which public names of the library nothing but tests uses: imports and attributes followed file by file."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
NAMED = re.compile(r"stad_lite[\w.]*:\w+")
"""How a table names what it imports when it is asked for, as ``module:Name``."""
CALLED_BY_NAME = {
    "cli": {"SUMMARY", "add_arguments", "run"},
    "system": {"build", "trunks", "training_set", "collate", "detect", "finish"},
    "experiments": {"VARIANTS", "CHOSEN", "run", "shared", "configured", "trained", "looked"},
    "": {"schedule", "detect"},
}
"""Part of a module's path -> what is fetched from such modules by name (verbs, systems, experiments)."""


def definitions(trees: Mapping[str, ast.Module]) -> dict[str, ast.stmt]:
    """Return the dotted names that stand at the top of modules, with their statements."""
    tops = ((module, one) for module, tree in trees.items() for one in tree.body)
    return {f"{module}.{name}": one for module, one in tops for name in _names(one)}


def unused(trees: Mapping[str, ast.Module], others: list[ast.Module], kept: set[str]) -> list[str]:
    """Return the public names that nothing reaches from outside tests.

    trees: module -> the library's code; a use within a definition counts where that is used itself
    others: all else whose uses count
    kept: names that count as used
    """
    known, exported = definitions(trees), _exported(trees)
    uses: dict[str | None, set[str]] = {None: set(kept)}
    for module, tree in [*trees.items(), *((None, tree) for tree in others)]:
        for holder, name in _uses(tree, module, known, exported):
            uses.setdefault(holder, set()).add(name)
    todo = uses[None] | {name for name in known if _by_name(name)}
    reached: set[str] = set()
    while todo:
        name = todo.pop()
        reached.add(name)
        todo |= uses.get(name, set()) - reached
    return [name for name in known if name not in reached and not name.rpartition(".")[2].startswith("_")]


def library() -> dict[str, ast.Module]:
    """Return the code of every module of the library."""
    found = {}
    for path in sorted((REPOSITORY / "stad_lite").rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = _parsed(path)
    return found


def users() -> list[ast.Module]:
    """Return the code of scripts, benchmarks and chapters, and the names in the README."""
    files = [path for folder in ("benchmarks", "data_scripts", "book") for path in _files(folder, "py")]
    chapters = ["\n".join(code_of(path)) for path in _files("book", "ipynb")]
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    told = "import stad_lite\n" + "\n".join(re.findall(r"stad_lite(?:\.\w+)+(?!\w*/)", readme))
    return [*map(_parsed, files), *map(ast.parse, chapters), ast.parse(told)]


def code_of(chapter: Path) -> list[str]:
    """Return the code cells of a chapter, without lines that are not Python."""
    cells = json.loads(chapter.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return [re.sub(r"^[%!].*$", "", text, flags=re.MULTILINE) for text in texts]


def _files(folder: str, ending: str) -> list[Path]:
    found = sorted((REPOSITORY / folder).rglob(f"*.{ending}"))
    return [path for path in found if not any(part.startswith((".", "_build")) for part in path.parts)]


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _by_name(name: str) -> bool:
    module, _, last = name.rpartition(".")
    return any(last in names and part in module for part, names in CALLED_BY_NAME.items())


def _names(one: ast.stmt) -> list[str]:
    if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [one.name]
    targets = one.targets if isinstance(one, ast.Assign) else [getattr(one, "target", None)]
    parts = (part for target in targets if target for part in ast.walk(target))
    return [part.id for part in parts if isinstance(part, ast.Name)]


def _exported(trees: Mapping[str, ast.Module]) -> dict[str, str]:
    """What modules import under their own name: re-exports, that are no use."""
    found = {}
    for module, tree in trees.items():
        for one in tree.body:
            if isinstance(one, ast.ImportFrom):
                found |= {f"{module}.{a.asname or a.name}": f"{one.module}.{a.name}" for a in one.names}
    return found


def _uses(
    tree: ast.Module, module: str | None, known: Mapping[str, ast.stmt], exported: Mapping[str, str]
) -> Iterator[tuple[str | None, str]]:
    """Yield (the definition that a use stands in, what is used)."""
    bound = _imports(tree)
    if module:
        bound |= {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == module}

    def dotted(node: ast.AST) -> str | None:
        if isinstance(node, ast.Attribute):
            name = dotted(node.value)
            name = f"{name}.{node.attr}" if name else None
        else:
            name = bound.get(node.id) if isinstance(node, ast.Name) else None
        return _settled(name, known, exported)

    for top in tree.body:
        names = [f"{module}.{name}" for name in _names(top)] if module else []
        holder = names[0] if names else None
        for node, local in _scoped(top, frozenset()):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAMED.fullmatch(node.value):
                yield None, node.value.replace(":", ".")
            elif isinstance(node, (ast.Name, ast.Attribute)) and _root(node) not in local:
                name = None if isinstance(node.ctx, ast.Store) else dotted(node)
                if name in known and name not in names:
                    yield holder, name


def _settled(name: str | None, known: Mapping[str, ast.stmt], exported: Mapping[str, str]) -> str | None:
    """Where a name that a module passes on is defined."""
    while name and name not in known and exported.get(name, name) != name:
        name = exported[name]
    return name


def _imports(tree: ast.Module) -> dict[str, str]:
    bound = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            bound |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            pairs = [(a.asname, a.name) if a.asname else (a.name.split(".")[0],) * 2 for a in node.names]
            bound |= dict(pairs)
    return bound


def _root(node: ast.AST) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _scoped(node: ast.AST, local: frozenset[str]) -> Iterator[tuple[ast.AST, frozenset[str]]]:
    """Yield every node below with the names that functions around it bind themselves."""
    yield node, local
    inner, body = local, []
    if isinstance(node, FUNCTIONS):
        body = node.body if isinstance(node.body, list) else [node.body]
        own = {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
        stored = (one for part in body for one in ast.walk(part) if isinstance(one, ast.Name))
        inner = local | own | {one.id for one in stored if isinstance(one.ctx, ast.Store)}
    for child in ast.iter_child_nodes(node):
        yield from _scoped(child, inner if child in body else local)
