"""CONTRIBUTING's recipe for a sixth paper, followed with a toy (``tests/sixth``) in a copy."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
ADDED = REPOSITORY / "tests" / "sixth"
COPIED = ("stad_lite", "tests", "book", "benchmarks", "data_scripts")
ENTRY = """\
    "toy": Entry(
        summary="one box a frame",
        chapter="toy/first",
        configs="stad_lite.toy.config:ToyConfig",
        system="stad_lite.toy.system",
    ),
"""
ROW = "| [Toy](book/toy/first.ipynb) | a toy |"
EDITS = {
    "stad_lite/catalogue.py": ('}\n"""Name -> entry."""', f'{ENTRY}}}\n"""Name -> entry."""'),
    "tests/test_architecture.py": ('"flow_subnet"]', '"flow_subnet", "toy"]'),
    "book/_toc.yml": (
        "  - caption: Reproductions\n",
        "  - caption: Toy\n    chapters:\n      - file: toy/first\n  - caption: Reproductions\n",
    ),
    "README.md": ("| [STEP: its tables", f"{ROW}\n| [STEP: its tables"),
}
"""File -> what is replaced in it, and by what."""
LISTED = [
    "tests/test_architecture.py::test_every_module_has_a_floor",
    "tests/test_architecture.py::test_imports_point_down",
    "tests/test_architecture.py::test_every_public_name_is_used",
    "tests/test_architecture.py::test_lengths",
    "tests/test_readme.py::test_every_chapter_and_system_is_listed",
    "tests/book/test_chapters.py::test_the_table_of_contents_lists_every_notebook",
    "tests/book/test_chapters.py::test_every_system_names_its_chapter",
]
"""Tests that look at all systems at once."""
INHERITED = {
    "test_a_step_and_a_prediction", "test_accumulated_parts_take_the_step_of_one",
    "test_every_part_of_the_network", "test_every_setting_of_a_system", "test_every_stage_lives",
    "test_every_system_has_a_profile",
    "test_every_system_of_two_streams_is_measured", "test_inputs", "test_is_valid_and_refreshed",
    "test_paper_asks_for_weights_and_takes_none", "test_two_processes_take_the_step_of_one",
    "test_two_settings_at_once", "test_what_workers_are_sent_survives_it",
}  # fmt: skip
"""Tests that look at each system."""
TOO_SMALL = (
    "tests/test_architecture.py::test_most_of_a_papers_package_is_the_paper[toy]",
    "tests/book/test_chapters.py::test_has_four_exercises_with_hidden_solutions_and_checks[toy/first]",
    "tests/book/test_chapters.py::test_a_dial_has_a_static_twin[toy/first]",
    "tests/book/test_course.py",
)
"""A toy has less of a paper than of what every paper needs, and a chapter of few cells."""


def recipe() -> str:
    """Return the section of CONTRIBUTING for a system that is called toy."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
    return text.partition("\n## A sixth paper\n")[2].partition("\n## ")[0].replace("SYSTEM", "toy")


def named() -> set[str]:
    """Return the files that the recipe's numbered steps name."""
    steps = recipe().partition("\n1. ")[2]
    return set(re.findall(r"`([\w/]+\.(?:py|ipynb|yml|md))`", steps))


def lines() -> list[list[str]]:
    """Return the words of the commands that the recipe gives."""
    (block,) = re.findall(r"```\n(.*?)```", recipe(), re.DOTALL)
    return [line.split() for line in block.splitlines() if line.strip()]


def run(folder: Path, *words: str) -> str:
    """Run Python in the copy; it must succeed."""
    changes = {"PYTHONPATH": str(folder), "STAD_CACHE": str(folder / "cache"), "STAD_PROGRESS": "0"}
    changes |= {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "CUDA_VISIBLE_DEVICES": ""}
    command, environment = [sys.executable, *words], os.environ | changes
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def passing(folder: Path, *words: str) -> set[str]:
    """Run tests of the copy; the names of those that passed."""
    told = run(
        folder, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "-m", "not browser and not slow", *words
    )
    return set(re.findall(r"^PASSED \S*::(\w+)", told, re.MULTILINE))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with a sixth paper."""
    folder = tmp_path_factory.mktemp("sixth") / "copy"
    left_out = shutil.ignore_patterns("__pycache__", "_build", "_vendor", ".*", "sixth", "test_recipe.py")
    for name in COPIED:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=left_out)
    for path in REPOSITORY.iterdir():
        if path.is_file() and path.suffix in (".md", ".toml", ".py", ".txt", ".yml"):
            shutil.copy(path, folder)
    shutil.copytree(ADDED, folder, dirs_exist_ok=True, ignore=left_out)
    for name, (before, after) in EDITS.items():
        text = (folder / name).read_text("utf-8")
        assert text.count(before) == 1, name
        text = text.replace(before, after).replace("takes a system (", "takes a system (`toy`, ")
        (folder / name).write_text(text, "utf-8", newline="\n")
    return folder


def test_the_recipe_names_what_is_added_and_changed():
    paths = (path for path in ADDED.rglob("*.*") if "__pycache__" not in path.parts)
    added = {path.relative_to(ADDED).as_posix() for path in paths}
    assert named() == added | set(EDITS)


def test_the_command_line_trains_predicts_and_evaluates(copy: Path):
    train, predict, evaluate = (words[1:] for words in lines() if words[0] == "stad-lite")
    assert [words[0] for words in (train, predict, evaluate)] == ["train", "predict", "evaluate"]
    small: Sequence[str] = ["--set", "data.clips=4", "--device", "cpu"]
    assert "8 steps are done" in run(copy, "-m", "stad_lite.cli", *train, *small)
    run(copy, "-m", "stad_lite.cli", *predict, *small)
    assert "frame-map" in run(copy, "-m", "stad_lite.cli", *evaluate)
    found = json.loads((copy / "runs" / "found.json").read_text("utf-8"))
    assert len(found["videos"]) == 4


def test_every_inherited_test_passes(copy: Path):
    ((_, *words),) = (line for line in lines() if line[0] == "pytest")
    passed = passing(copy, *words, *(f"--deselect={name}" for name in TOO_SMALL))
    assert passed >= INHERITED and "test_two_truths_of_one_frame_share_its_loss" in passed


def test_the_lists_know_it(copy: Path):
    assert len(passing(copy, *LISTED)) == len(LISTED)
