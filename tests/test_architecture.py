"""The floors of the house: which module may import which, where addresses stand, how long things are."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from stad_lite.catalogue import ENTRIES
from stad_lite.schedule import TrainConfig
from tests import names

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "stad_lite"

PAPERS = ["cfad", "step", "sp_tad", "pcsc", "flow_subnet"]

# Module or package -> floor. An import may only point to a lower floor (or to the same module).
FLOORS = {
    "errors": 1, "arrays": 1, "progress": 1, "packed": 1, "locks": 1, "matlab": 1, "unpickle": 1,
    "tensors": 1, "boxes": 1, "segments": 1, "tables": 1, "align": 1, "anchors": 1,
    "tubes": 2,
    "matching": 3, "records": 3, "linking": 3, "settings": 3,
    "data": 4, "metrics": 4, "nets": 4,
    "schedule": 4.5, "training": 4.5,  # below the papers, so that criteria can average over processes
    "systems": 4.7,
    "baselines": 4.8,
    **dict.fromkeys([*PAPERS, "plots"], 5),
    "catalogue": 6, "runs": 6,
    "exercises": 7, "reproduce": 7, "cli": 7, "__main__": 8,
}  # fmt: skip

# On these floors a module may also import what stands before it in this list.
ORDERED = {
    1: [
        "errors",
        "arrays",
        "progress",
        "locks",
        "packed",
        "matlab",
        "unpickle",
        "tensors",
        "boxes",
        "segments",
        "tables",
        "align",
        "anchors",
    ],
    3: ["matching", "settings", "records", "linking"],
    4: ["data"],  # the loaders share nothing with metrics and nets
    4.5: ["schedule", "training"],
    5: [*PAPERS, "plots"],
    6: ["catalogue", "runs"],
    7: ["exercises", "reproduce", "cli"],
}
ABOVE_METRICS = {*PAPERS, "nets", "schedule", "training", "systems", "baselines", "catalogue", "runs"}
LONGEST_FILE, LONGEST_FUNCTION = 400, 40

MOST_FIELDS = 16
MORE_FIELDS = {
    "metrics.conventions.Rules": "a table of where toolkits differ, each with all of them",
    "data.synthetic.settings.Settings": "every dial of one clip",
}
"""Dataclass with more fields of its own -> why they are one group."""

# What all systems share stands once, here.
SHARED = {
    "System": "training.loop", "TrainingData": "training.loop", "Entry": "catalogue",
    "read_stream": "systems.items", "stream_input": "systems.items",
    "padded": "systems.items", "collated": "systems.items", "run_title": "systems.items",
    "Truth": "systems.truth", "TrueBoxes": "systems.truth", "truth_of": "systems.truth",
    "boxes_on": "systems.truth", "key_frames": "systems.truth", "segments_of": "systems.truth",
    "FrameMaps": "systems.maps", "frame_maps": "systems.maps", "kept_maps": "systems.maps",
    "Found": "systems.detect", "evaluated": "systems.detect", "batched": "systems.detect",
    "Proposals": "nets.proposals", "survivors": "nets.proposals", "best_by_class": "nets.proposals",
    "region_proposals": "nets.proposals", "small_vgg": "nets.vgg", "pretrained": "baselines.pretraining",
    "minimise": "training.short", "tubelet_iou": "boxes", "cut_at": "tubes",
    "rgb_input": "nets.inputs", "flow_input": "nets.inputs",
}  # fmt: skip
# Gradients are taken in the training package; elsewhere only for a reason.
GRADIENTS = {
    "stad_lite/reproduce/drift.py": "boxes alone; committed figures hang on torch's own schedule",
}

# What is plumbing in a paper's package; all else is the paper.
PLUMBING = {"config", "system"}
MORE_PLUMBING = {"step": {"augment"}}
LONGEST_SYSTEM, MOST_PLUMBING = 150, 0.25

# Where an address may stand besides data_scripts/registry.toml, and why.
ADDRESS = re.compile(r"https?://(?!localhost|127\.0\.0\.1)[\w\[]")
ADDRESSES_IN = {
    "data_scripts/registry.toml": "the one place for them",
    "LICENSE": "the licence's own text",
    "CITATION.cff": "its form asks for them",
    "book/_tools/launch.py": "where the launch buttons lead",
    "tests/book/test_launch.py": "what they become",
}
# What only tests use so far, and who will use it.
AWAITED: dict[str, str] = {}
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
    order = ORDERED.get(FLOORS[module], [])
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
        ("cli", "catalogue", True),
        ("step", "training", True),
        ("systems", "training", True),
        ("training", "systems", False),
        ("baselines", "step", False),
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
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, cwd=REPOSITORY)
    assert run.stdout.split() == []


def test_a_training_starts_without_what_it_does_not_use():
    needed = ["stad_lite.cli.train", *(entry.system for entry in ENTRIES.values())]
    heavy = ["matplotlib", "scipy", "av", "cv2", "dask", "joblib"]
    code = f"import sys, {', '.join(needed)}; print(*[m for m in {heavy} if m in sys.modules])"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, cwd=REPOSITORY)
    assert run.stdout.split() == []


def tracked() -> list[Path]:
    """Return the files under version control, or all files of an unpacked archive."""
    run = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, encoding="utf-8")
    if run.returncode:
        pytest.skip("not a git checkout")
    return [path for name in run.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


def test_addresses_stand_in_the_registry_only():
    wrong = []
    for path in tracked():
        name = path.relative_to(REPOSITORY).as_posix()
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


def own_fields(definition: ast.ClassDef) -> int:
    """Return how many fields a dataclass declares in its own body, 0 for another class."""
    is_dataclass = any("dataclass" in ast.unparse(one) for one in definition.decorator_list)
    return is_dataclass * sum(isinstance(one, ast.AnnAssign) for one in definition.body)


def test_settings_are_cut_into_groups():
    many = {
        f"{module}.{node.name}"
        for module, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and own_fields(node) > MOST_FIELDS
    }
    assert many == set(MORE_FIELDS)


@pytest.mark.parametrize("config", [*(entry.config("smoke") for entry in ENTRIES.values()), TrainConfig(1)],
                         ids=lambda config: type(config).__name__)  # fmt: skip
def test_the_groups_of_a_config_do_not_overlap(config):
    """And they stand in the file in the order of the config's fields, the config itself last."""
    groups = type(config).__mro__[::-1]
    own = [name for group in groups for name in inspect.get_annotations(group)]
    assert own == [field.name for field in fields(config)] and len(set(own)) == len(own)
    lines = [inspect.getsourcelines(group)[1] for group in groups if group.__module__ == config.__module__]
    assert lines == sorted(lines)


def test_every_public_name_is_used():
    """By the library, a chapter, a benchmark or a script: what only tests call goes, or moves into them."""
    trees, others = names.library(), names.users()
    awaited = {f"stad_lite.{name}" for name in AWAITED}
    assert names.unused(trees, others, awaited) == []
    needless = awaited - set(names.unused(trees, others, set()))
    assert needless == set(), "used by now, or gone: take it off the list"


def test_the_search_for_uses_itself():
    library = {
        "stad_lite.a": "def used(): return helper\ndef helper(): ...\ndef alone(): return alone_too\n"
        "def alone_too(): ...\nSIZE, _PRIVATE = 1, 2\ndef shadow(): ...\nclass Kind: ...\nclass Typed: ...",
        "stad_lite.b": "from stad_lite.a import alone\nfrom stad_lite import a\nTABLE = 'stad_lite.a:Kind'\n"
        "def run(shadow: 'a.Typed'): return shadow, a.used",
        "stad_lite.c": "from stad_lite import b\nshown = b.alone.__name__\ndef detect(): ...",
    }
    trees = {name: ast.parse(text) for name, text in library.items()}

    def found(code: str) -> list[str]:
        return [name.removeprefix("stad_lite.") for name in names.unused(trees, [ast.parse(code)], set())]

    run = "from stad_lite import b as x\nx.run()"
    never = ["a.SIZE", "a.shadow", "a.Typed", "b.TABLE"]  # a text is no use, nor is an argument of that name
    assert found(run) == ["a.alone", "a.alone_too", *never, "c.shown"]  # who is not called uses nothing
    assert found(run + "\nfrom stad_lite.c import shown\nprint(shown)") == never
    assert found("import stad_lite.a\nprint(stad_lite.a.SIZE)") == [
        "a.used", "a.helper", "a.alone", "a.alone_too", *never[1:], "b.run", "c.shown"
    ]  # fmt: skip


def definitions(path: Path) -> list[str]:
    """Return the names of the classes and functions at the top of a file."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [node.name for node in body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]


def test_what_all_systems_share_stands_once():
    places: dict[str, list[str]] = {}
    for module, path in modules().items():
        for name in definitions(path):
            places.setdefault(name, []).append(module)
    assert {name: places.get(name, []) for name in SHARED} == {name: [at] for name, at in SHARED.items()}


def calls(path: Path, name: str) -> bool:
    """Tell whether a file calls a function or a method of this name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func
            if name == (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")):
                return True
    return False


def test_gradients_are_taken_in_training_only():
    wrong = {
        str(path.relative_to(REPOSITORY))
        for module, path in modules().items()
        if calls(path, "backward") and module.split(".")[0] != "training"
    }
    assert wrong == set(GRADIENTS)


def test_the_loop_does_not_probe_what_it_is_given():
    wrong = [
        module
        for module, path in modules().items()
        if module.split(".")[0] in ("training", "runs") and calls(path, "hasattr")
    ]
    assert wrong == []


def test_the_command_line_knows_of_papers_only_what_all_have():
    wrong = []
    for module, path in modules().items():
        if module.split(".")[0] in ("cli", "runs", "catalogue"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [f"{node.module}.{alias.name}".split(".")[1:3] for alias in node.names]
                    wrong += [(module, *name) for name in names if _room_of_a_paper(name)]
    assert wrong == []


def _room_of_a_paper(name: list[str]) -> bool:
    return name[0] in PAPERS and name[1:] not in (["config"], ["system"])


@pytest.mark.parametrize("paper", sorted(PAPERS))
def test_most_of_a_papers_package_is_the_paper(paper):
    lengths = {
        path.stem: len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted((PACKAGE / paper).glob("*.py"))
    }
    assert lengths.get("system", 0) <= LONGEST_SYSTEM
    names = PLUMBING | MORE_PLUMBING.get(paper, set())
    plumbing = sum(lines for name, lines in lengths.items() if name in names)
    assert plumbing <= MOST_PLUMBING * sum(lengths.values()), (plumbing, sum(lengths.values()))
