"""The floors of the house: which module may import which, where addresses stand, how long things are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "stad_lite"

# Module or package -> floor. An import may only point to a lower floor (or to the same module).
FLOORS = {
    "errors": 1, "arrays": 1, "progress": 1, "unpickle": 1,
    "boxes": 1, "segments": 1, "align": 1, "anchors": 1,
    "tubes": 2,
    "matching": 3, "records": 3, "linking": 3, "schedule": 3, "settings": 3,
    "data": 4, "metrics": 4, "nets": 4,
    "training": 4.5,  # below the papers, so that their criteria count over all parts of a batch
    "baselines": 4.8,
    "cfad": 5, "step": 5, "sp_tad": 5, "pcsc": 5, "flow_subnet": 5,
    "plots": 5, "exercises": 5, "reproduce": 5,
    "systems": 6, "runs": 6,
    "cli": 7, "__main__": 8,
}  # fmt: skip

# On these floors a module may also import what stands before it in this list.
ORDERED = {
    1: ["errors", "arrays", "progress", "unpickle", "boxes", "segments", "align", "anchors"],
    3: ["matching", "settings", "schedule", "records", "linking"],
    4: ["data"],  # the loaders share nothing with metrics and nets
    5: ["cfad", "step", "sp_tad", "pcsc", "flow_subnet", "plots", "exercises", "reproduce"],
    6: ["systems", "runs"],
}
PAPERS = {"cfad", "step", "sp_tad", "pcsc", "flow_subnet"}
ABOVE_METRICS = PAPERS | {"nets", "baselines", "training", "systems", "runs"}
LONGEST_FILE, LONGEST_FUNCTION = 400, 40

# Where an address may stand besides data_scripts/registry.toml, and why.
ADDRESS = re.compile(r"https?://(?!localhost|127\.0\.0\.1)[\w\[]")
ADDRESSES_IN = {
    "data_scripts/registry.toml": "the one place for them",
    "LICENSE": "the licence's own text",
    "CITATION.cff": "its form asks for them",
}
NAMESPACE = re.compile(r"https?://(www\.w3\.org|json-schema\.org)/")  # names of XML and JSON dialects


def modules() -> dict[str, Path]:
    """Return the dotted names below stad_lite of all modules with their files."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> set[str]:
    """Return the top-level parts of stad_lite that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "stad_lite" and len(parts) > 1 and parts[1] != "__version__":
                found.add(parts[1])
    return found


def allowed(module: str, target: str) -> bool:
    """Return whether ``module`` may import ``target`` (both top-level parts of stad_lite)."""
    if module == target or FLOORS[target] < FLOORS[module]:
        return not (module == "metrics" and target in ABOVE_METRICS)
    if FLOORS[target] != FLOORS[module] or module in PAPERS:
        return False
    order = ORDERED.get(int(FLOORS[module]), [])
    return module in order and target in order and order.index(target) < order.index(module)


def test_every_module_has_a_floor():
    assert {name.split(".")[0] for name in modules() if name} <= set(FLOORS)


def test_imports_point_down():
    wrong = [
        f"stad_lite.{name} imports {target}"
        for name, path in modules().items()
        for target in imported(path)
        if not (allowed(name.split(".")[0], target) if name else FLOORS[target] == 1)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "target", "answer"),
    [
        ("tubes", "boxes", True),
        ("boxes", "tubes", False),
        ("cfad", "step", False),
        ("cfad", "plots", False),
        ("plots", "cfad", True),
        ("reproduce", "exercises", True),
        ("metrics", "nets", False),
        ("metrics", "records", True),
        ("nets", "metrics", False),
        ("linking", "records", True),
        ("records", "linking", False),
        ("baselines", "nets", True),
        ("cli", "systems", True),
    ],
)
def test_the_rule_itself(module, target, answer):
    assert allowed(module, target) is answer


@pytest.mark.parametrize(
    "module", ["stad_lite", "stad_lite.boxes", "stad_lite.tubes", "stad_lite.records", "stad_lite.cli"]
)
def test_imports_are_light(module):
    heavy = ["torch", "matplotlib", "scipy", "einops", "av", "cv2", "dask"]
    code = f"import sys, {module}; print(*[m for m in {heavy} if m in sys.modules])"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert run.stdout.split() == []


def tracked() -> list[Path]:
    """Return the files under version control, or all files of an unpacked archive."""
    run = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)
    if run.returncode:
        pytest.skip("not a git checkout")
    return [path for name in run.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


def test_addresses_stand_in_the_registry_only():
    wrong = []
    for path in tracked():
        name = str(path.relative_to(REPOSITORY))
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if name not in ADDRESSES_IN:
            lines = NAMESPACE.sub("", text).splitlines()
            wrong += [f"{name}:{i}" for i, line in enumerate(lines, 1) if ADDRESS.search(line)]
    assert wrong == []


def test_lengths():
    too_long = []
    for path in [*modules().values(), *sorted((REPOSITORY / "book" / "_tools").glob("*.py"))]:
        text = path.read_text(encoding="utf-8")
        lines, name = len(text.splitlines()), path.relative_to(REPOSITORY)
        if lines > LONGEST_FILE:
            too_long.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = body_length(node)
                if length > LONGEST_FUNCTION:
                    too_long.append(f"{name}:{node.lineno}: {node.name} has {length} lines of code")
    assert too_long == []


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return a function's lines without its docstring."""
    assert function.end_lineno is not None
    length = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function):
        doc = function.body[0]
        assert doc.end_lineno is not None
        length -= doc.end_lineno - doc.lineno + 1
    return length
