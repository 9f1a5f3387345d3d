"""Processes that start as new interpreters, as on Windows: workers, sweeps, the chapters' runner."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stad_lite.catalogue import ENTRIES, find
from stad_lite.reproduce.rows import read_sweep
from stad_lite.reproduce.sweep import sweep
from stad_lite.training.checkpoint import seed_all
from tests.book.tiny import FIGURES, make_book

REPOSITORY = Path(__file__).resolve().parents[1]

SPAWNING = """\
import multiprocessing, runpy, sys
from joblib.externals.loky.backend.context import set_start_method
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    set_start_method("spawn")
    sys.argv = sys.argv[1:]
    if sys.argv[0].endswith(".py"):
        sys.path.insert(0, sys.argv[0].rpartition("/")[0])
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def spawning(folder: Path, *words: str) -> None:
    """Run a module or a script, with every process that it starts spawned; it must succeed."""
    script = folder / "spawning.py"
    script.write_text(SPAWNING, "utf-8")
    changes = {"PYTHONPATH": str(REPOSITORY), "STAD_CACHE": str(folder), "STAD_PROGRESS": "0"}
    changes |= {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "STAD_DATA": str(folder / "nowhere")}
    command, environment = [sys.executable, str(script), *words], os.environ | changes
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in the processes that are started: sums depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tensors(value: Any) -> list[Tensor]:
    """Return all tensors of a batch: of its dictionaries, lists, tuples and dataclasses."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in tensors(part)]
    return tensors(
        list(value.values() if isinstance(value, dict) else getattr(value, "__dict__", {}).values())
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_what_workers_are_sent_survives_it(name: str, tmp_path: Path) -> None:
    seed_all(0)
    entry = find(name)
    config = entry.config("smoke")
    source = entry.data("smoke").open(config.size, tmp_path)
    data = entry.training_set(entry.build(config, source.classes), source)
    sent, collate = pickle.loads(ForkingPickler.dumps((data, entry.collate)))
    ours, theirs = entry.collate([data[0]]), collate([sent[0]])
    pairs = list(zip(tensors(ours), tensors(theirs), strict=True))
    assert pairs and all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.processes
def test_a_sweep_of_two_processes_is_that_of_one(tmp_path: Path) -> None:
    variants = ["one_to_one", "one_to_one_silent"]
    sweep("matching", variants, [0], "smoke", folder=tmp_path, say=str)
    words = ["matching", "--variants", *variants, "--seeds", "1", "--profile", "smoke", "--jobs", "2"]
    spawning(tmp_path, "stad_lite.reproduce.sweep", *words, "--out", str(tmp_path / "two"))
    alone, two = read_sweep("matching", "smoke", tmp_path), read_sweep("matching", "smoke", tmp_path / "two")
    for name in alone.rows[0].figures.keys() - {"cpu_seconds"}:
        for variant in variants:
            assert two.values(variant, name) == alone.values(variant, name)


def test_the_runner_runs_two_chapters_at_a_time(tmp_path: Path) -> None:
    book = make_book(
        tmp_path, **{name: [(FIGURES.format(name=f"part/{name}"), [])] for name in ("one", "two")}
    )
    runner = REPOSITORY / "book" / "_tools" / "run_chapters.py"
    spawning(tmp_path, runner.as_posix(), "--book", str(book), "--out", str(tmp_path / "out"), "--jobs", "2")
    figures = (tmp_path / "out" / "figures.md").read_text("utf-8")
    assert "| part/one | twice the order | 4 |" in figures and "| part/two | twice the order | 4 |" in figures
