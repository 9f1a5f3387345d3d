"""What the benchmarks share: CPU seconds of a call, where figures are from, and where they go."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from stad_lite.reproduce.origin import origin
from stad_lite.training.profile import hardware

Name = TypeVar("Name", bound=Hashable)


def cpu_seconds(work: Callable[[], Any], rounds: int = 1) -> float:
    """Return the CPU seconds that a call takes: the median over the rounds."""
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def wall_seconds(work: Callable[[], Any], device: torch.device, rounds: int = 1) -> float:
    """Return the seconds until a call is done, on the GPU too: the median over the rounds."""
    taken = []
    for _ in range(rounds):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def in_turn(works: Mapping[Name, Callable[[], Any]], rounds: int = 1) -> dict[Name, float]:
    """Return the CPU seconds of some calls: medians over rounds in which all take their turn.

    Each is called once before, so that nothing is paid for that only the first call pays.
    """
    for work in works.values():
        work()
    taken = [{name: cpu_seconds(work) for name, work in works.items()} for _ in range(rounds)]
    return {name: statistics.median(row[name] for row in taken) for name in works}


def compare_parts(
    works: Mapping[str, Mapping[str, Callable[[], Any]]], shared: str, items: int, rounds: int
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, float]]]:
    """Return what parts of some rows cost beside each other, measured in turn.

    works: row -> part -> call
    shared: the part whose share of the whole is told
    items: what a call does, such as clips; all figures are for one
    returns: figures of each row (CPU ms of its parts, the share, the whole against the first row's), and CPU
        seconds of its parts
    """
    calls = {(row, part): call for row, parts in works.items() for part, call in parts.items()}
    taken = {key: value / items for key, value in in_turn(calls, rounds).items()}
    seconds = {row: {part: taken[row, part] for part in parts} for row, parts in works.items()}
    wholes = {row: sum(parts.values()) for row, parts in seconds.items()}
    first = next(iter(wholes.values()))
    figures: dict[str, dict[str, Any]] = {
        row: {
            **{f"{part}, ms": round(1e3 * value, 3) for part, value in parts.items()},
            f"share of the {shared}, %": round(100 * parts[shared] / wholes[row], 1),
            "whole, times the first row's": round(wholes[row] / first, 3),
        }
        for row, parts in seconds.items()
    }
    return figures, seconds


def largest_memory(workers: bool = False) -> int:
    """Return the most resident memory that this process has had, or one of its workers, in bytes.

    raises: ImportError on Windows
    """
    import resource

    who = resource.RUSAGE_CHILDREN if workers else resource.RUSAGE_SELF
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def report(figures: dict[str, Any], path: str) -> None:
    """Print figures as JSON, and write them where a path is given."""
    text = json.dumps(figures, indent=1) + "\n"
    print(text, end="")
    if path:
        Path(path).write_text(text, "utf-8", newline="\n")


def report_parts(parts: dict[str, Any], path: str) -> None:
    """Print parts of a record as JSON; where a path is given, put them into it beside the parts it has.

    parts: name -> figures with their own origin, so that each can be measured anew by itself
    """
    print(json.dumps(parts, indent=1))
    if path:
        file = Path(path)
        known = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        file.write_text(json.dumps({**known, **parts}, indent=1) + "\n", "utf-8", newline="\n")


def measure_parts(
    module: str,
    about: str | None,
    titles: Mapping[str, str],
    measured: Callable[[str, bool], dict[str, Any]],
    arguments: Sequence[str] | None = None,
) -> None:
    """Run a benchmark's command line: measure its parts on the CPU, print them, write them where asked.

    module: name in this folder; about: what its help says
    titles: part -> its name in the record; without ``--only`` the first two are measured
    measured: part, whether at tiny sizes -> its figures
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the code")
    parser.add_argument("--only", nargs="+", choices=titles, help="some parts")
    parser.add_argument("--commit", default="", help="where git cannot tell it")
    parser.add_argument("--json", default="", help="file to write")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    place, parts = hardware(torch.device("cpu")), {}
    for part in chosen.only or (list(titles) if chosen.small else list(titles)[:2]):
        told = origin(f"python -m benchmarks.{module} --only {part}", place, chosen.commit)
        figures = measured(part, chosen.small)
        parts[titles[part]] = {**told, "torch": torch.__version__, "figures": figures}
    report_parts(parts, chosen.json)
