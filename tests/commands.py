"""The command lines that README, docstrings and chapters print, and how each is parsed without being run."""

from __future__ import annotations

import argparse
import ast
import json
import re
import runpy
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAMS = ("stad-lite", "torchrun", "python", "papermill", "make")
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"``?([^`]+)``?")
START = r"stad-lite|torchrun|python|papermill (?=\S+\.ipynb)|make [a-z]+ (?=ARGS=)"
BARE = re.compile(rf"^[ >'$]*((?:[A-Z_]+=\S+ )*(?:{START})[^\n]*)", re.MULTILINE)
TOLD = re.compile(r"\brun (python [\w/.-]+(?: [\w-]+)?)")
"""A command within a sentence, up to its first words."""
SHELL = re.compile(r'^ *(\w+)="([^"]*)"', re.MULTILINE)
"""A variable that lines of the same text use."""


class Command(NamedTuple):
    """A printed line.

    where: file and, in a chapter, cell
    words: without what stands before the program
    """

    where: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where}: {' '.join(self.words)}"


class Parsed(Exception):
    """What a program's own parser made of its words."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        self.options = options


def collected() -> list[Command]:
    """Return every command line that is printed anywhere, each once a file."""
    found = [Command(where, words) for where, text in _texts() for words in commands_in(text)]
    return list(dict.fromkeys(found))


def commands_in(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command line: in fences, in backticks, alone on a line, after "run"."""
    text = re.sub(r"\\\n\s*", " ", text)
    variables = dict(SHELL.findall(text))
    fences = FENCED.findall(text)
    rest = FENCED.sub("\n", text)
    lines = [line for fence in fences for line in fence.splitlines()]
    lines += QUOTED.findall(rest)
    lines += BARE.findall(QUOTED.sub(" ", rest)) + TOLD.findall(rest)
    for line in lines:
        line = re.sub(r"\$(\w+)", lambda name: variables.get(name[1], name[0]), line)
        words = _words(line)
        if words and words[0] in PROGRAMS and len(words) > 1:
            yield words


def _words(line: str) -> tuple[str, ...]:
    line = re.sub(r"\s+#.*| {3,}\S.*", "", line.replace("\n", " "))
    if line.count("'") == 1:  # of the text that the line ends
        line = line.rstrip("'")
    try:
        words = shlex.split(line.replace("[", " ").replace("]", " "))
    except ValueError:
        return ()
    while words and re.fullmatch(r"[A-Z_]+=\S+", words[0]):
        words = words[1:]
    return tuple(word.rstrip(",;") for word in words)


def _texts() -> Iterator[tuple[str, str]]:
    for path in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("book/**/*.md")):
        yield _name(path), path.read_text(encoding="utf-8")
    for folder in ("stad_lite", "benchmarks", "data_scripts", "book/_tools"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            pieces = {id(part) for one in ast.walk(tree) for part in _pieces(one)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in pieces:
                    yield _name(path), node.value
    for path in sorted(REPOSITORY.glob("book/**/*.ipynb")):
        if not any(part.startswith((".", "_")) for part in path.relative_to(REPOSITORY).parts):
            yield from _cells(path)


def _cells(path: Path) -> Iterator[tuple[str, str]]:
    """The text of a chapter and what its cells have printed."""
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        texts = [cell["source"]] if cell["cell_type"] == "markdown" else []
        texts += [out["text"] for out in cell.get("outputs", []) if "text" in out]
        for text in texts:
            yield f"{_name(path)}, cell {number}", "".join(text)


def _pieces(node: ast.AST) -> list[ast.AST]:
    """The strings that are parts of a longer one."""
    return list(ast.iter_child_nodes(node)) if isinstance(node, (ast.JoinedStr, ast.BinOp)) else []


def _name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@contextmanager
def only_parsing(words: Sequence[str]) -> Iterator[None]:
    """Let every parser of this process end its program with ``Parsed`` once it has read its words."""
    real = argparse.ArgumentParser.parse_args

    def parse(self: argparse.ArgumentParser, args: object = None, namespace: object = None) -> None:
        raise Parsed(real(self, args, namespace))  # type: ignore[call-overload]

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore", RuntimeWarning)  # a module that is imported already runs once more
        patch.setattr(argparse.ArgumentParser, "parse_args", parse)
        patch.setattr(sys, "argv", list(words))
        patch.setattr(sys, "path", list(sys.path))
        yield


def parsed(module: str, words: Sequence[str]) -> argparse.Namespace:
    """Return what the parser of a module or a script makes of words.

    module: dotted, or a path below the repository
    raises: SystemExit where the program refuses them
    """
    script = REPOSITORY / module
    with only_parsing([module, *words]):
        try:
            if module.endswith(".py"):
                sys.path.insert(0, str(script.parent))
                runpy.run_path(str(script), run_name="__main__")
            else:
                runpy.run_module(module, run_name="__main__", alter_sys=False)
        except Parsed as done:
            return done.options
    raise AssertionError(f"{module} reads no command line")
