"""Every command line that is printed does what it says: its parser takes it, its settings can be built."""

from __future__ import annotations

import json
import re
import shlex
from argparse import Namespace
from collections.abc import Sequence

import pytest

from stad_lite import runs
from stad_lite.errors import FormatError
from stad_lite.reproduce.experiments import experiment_module
from stad_lite.schedule import TrainConfig
from stad_lite.training import distributed, loop
from tests.commands import REPOSITORY, Command, collected, commands_in, parsed

STANDS_FOR = {
    "SYSTEM": "step", "DATASET": "ucf101-24", "FORMAT": "records", "NAME": "step", "M": "video-map",
    "VALUE": "1", "CHAPTER": "reproduce/step", "VERB": "check", "...": "FILE",
}  # fmt: skip
"""Placeholders of which a parser takes certain words only; another is a path like any other."""
FRAGMENTS = {
    ("stad-lite", "train", "--set"): "names an option",
    ("torchrun", "-m", "stad_lite.cli", "train"): "names the way of starting",
    ("python", "-m", "stad_lite.cli"): "names the module",
}
COMMANDS = [command for command in collected() if command.words not in FRAGMENTS]
DONE = {
    "results": "book/_tools/run_chapters.py",
    "reproduce": "book/_tools/run_chapters.py",
    "scorecard": "stad_lite.reproduce.scorecard",
    "refresh": "book/_tools/refresh.py",
    "slides": "book/_tools/slides.py",
    "book": "book/_tools/build_site.py",
    "picture": "book/_tools/picture.py",
    "student": "book/_tools/course.py",
    "solved": "book/_tools/course.py",
}
"""Target of the Makefile -> the script that its ARGS go to."""


def test_commands_are_found():
    """Of every program some, so that the tests below look at what they should."""
    programs = [command.words[0] for command in COMMANDS]
    least = {"stad-lite": 20, "torchrun": 4, "python": 60, "papermill": 2, "make": 5}
    assert [name for name, few in least.items() if programs.count(name) < few] == []
    every = {command.words for command in collected()}
    assert every >= set(FRAGMENTS), "a fragment is gone: take it off the list"


def test_the_search_itself():
    text = """Say ``stad-lite check FILE``, or
        A=1 python -m benchmarks.x --json out.json    # a minute
    L="--set model.size=4 \\
        --set train.lr=1"
    stad-lite train step --out runs/x $L
make results ARGS='--only a -p settings "b=1 c=2"'
make all of it, python is a language. Run python data_scripts/ava.py download, which says more.
```
torchrun -m stad_lite.cli train pcsc \\
    --out [DIR]
```
"""
    assert set(commands_in(text)) == {
        ("stad-lite", "check", "FILE"),
        ("python", "-m", "benchmarks.x", "--json", "out.json"),
        ("stad-lite", *["train", "step", "--out", "runs/x", "--set", "model.size=4", "--set", "train.lr=1"]),
        ("make", "results", 'ARGS=--only a -p settings "b=1 c=2"'),
        ("torchrun", *["-m", "stad_lite.cli", "train", "pcsc", "--out", "DIR"]),
    }
    assert list(commands_in("run python data_scripts/ava.py download, which")) == [
        ("python", "data_scripts/ava.py", "download")
    ]


OTHERS = ("venv", "pip", "jupyter", "pytest")
"""Modules of others, whose lines in the README are run by tests/test_readme.py."""


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_printed_command_is_taken(command: Command):
    program, *words = (STANDS_FOR.get(word, word) for word in command.words)
    {"stad-lite": stad_lite, "torchrun": torchrun, "python": python, "papermill": papermill, "make": make}[
        program
    ](words)


def stad_lite(words: Sequence[str], processes: int = 1) -> None:
    if words[:2] == ["link", "--predictions"]:
        words = ["online" if word == "video-map" else word for word in words]
    options = parsed("stad_lite.cli", words)
    if options.verb == "train":
        check_training(options, processes)


def check_training(options: Namespace, processes: int) -> None:
    """Build the settings and divide the batch, as the processes do before anything is read."""
    spec = runs.make_spec(options.system, options.profile, runs.pairs(options.settings), name=options.data)
    divide(spec.train, processes)


def divide(train: TrainConfig, processes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "world", lambda: processes)
        assert loop._total(train, range(1000)) > 0


def torchrun(words: Sequence[str]) -> None:
    processes = 1
    if words[0] == "--nproc-per-node":
        processes, words = int(words[1]), words[2:]
    assert words[:2] == ["-m", "stad_lite.cli"]
    stad_lite(words[2:], processes)


def python(words: Sequence[str]) -> None:
    module, words = (words[1], words[2:]) if words[0] == "-m" else (words[0], words[1:])
    if module in OTHERS:
        return None
    if module == "stad_lite.cli":
        return stad_lite(words)
    options = parsed(module, words)
    if module == "stad_lite.reproduce.sweep":
        known = experiment_module(options.experiment).VARIANTS
        assert set(options.variants) <= set(known)
    return None


def papermill(words: Sequence[str]) -> None:
    chapter = REPOSITORY / words[0]
    assert chapter.is_file() and words[1].endswith(".ipynb")
    rest = words[2:] if words[2] != "--cwd" else words[4:]
    assert rest[::3] == ["-p"] * (len(rest) // 3)
    assert set(rest[1::3]) <= parameters(words[0])


def parameters(chapter: str) -> set[str]:
    """The names in a chapter's first cell of code."""
    cells = json.loads((REPOSITORY / chapter).read_text(encoding="utf-8"))["cells"]
    first = next(cell for cell in cells if "parameters" in cell["metadata"].get("tags", []))
    return set(re.findall(r"^(\w+):", "".join(first["source"]), re.MULTILINE))


def make(words: Sequence[str]) -> None:
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    given = [word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")]
    assert {word for word in words if "=" not in word} <= targets
    for text in given:
        if words[0] == "lab":  # JupyterLab's own
            continue
        options = parsed(DONE[words[0]], shlex.split(text))
        for chapter in getattr(options, "only", None) or ():
            assert {name for name, _ in options.parameter} <= parameters(f"book/{chapter}.ipynb")


def test_a_batch_that_cannot_be_divided_is_seen():
    line = "-m stad_lite.cli train pcsc --profile paper --data ucf101-24 --out runs/pcsc"
    torchrun(["--nproc-per-node", "3", *line.split()])
    with pytest.raises(FormatError, match="a batch of 3 cannot be shared by 8"):
        torchrun(["--nproc-per-node", "8", *line.split()])
    for wrong in ("stad_lite.cli check", "stad_lite.cli link --predictions P --method none --out Q"):
        with pytest.raises(SystemExit):
            python(["-m", *wrong.split()])
    with pytest.raises(AssertionError):
        python(["-m", "stad_lite.reproduce.sweep", "step", "--variants", "nothing"])
