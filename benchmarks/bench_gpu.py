"""What a GPU makes of the systems: prediction, training, whole detectors and runs, beside goals and papers.

python -m benchmarks.bench_gpu --json benchmarks/results/gpu.json

Each part (``gpu_parts.PARTS``) runs in a process of its own, and its figures are printed and written as they
come. One that fails or passes its time has a row that says so, and the others run. A table of goals ends it.
Where there is no GPU it says so and ends; ``--device cpu --small`` runs the same code at tiny sizes, whose
figures mean nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_parts import PARTS, SMALL, Rows, Sizes
from stad_lite.catalogue import ENTRIES
from stad_lite.reproduce.origin import ROOT, origin
from stad_lite.training.profile import hardware

RATE = "frames a second"
GOALS: tuple[tuple[str, str, tuple[str, ...], float, str], ...] = (
    ("SP-TAD, RGB to segments, frames/s", "sp_tad", ("*", RATE), 100_000, "5,574 (V100)"),
    ("SP-TAD, training step, frames/s", "system sp_tad", ("paper", "training step", RATE), 40_000, "-"),
    ("STEP, a clip every 6 frames, frames/s", "step", ("a clip every 6 frames", RATE), 1_500, "21"),
    ("PCSC, prediction, frames/s", "system pcsc", ("paper", "prediction", RATE), 3_000, "-"),
    ("flow subnet, one frame at a time, frames/s", "flow_subnet", ("a frame at a time", RATE), 300, "37.8"),
    *((f"{name}, lesson, times one CPU core", f"run {name}", ("times the CPU",), 5, "-") for name in ENTRIES),
)
"""Title, part, the way to its figure (the best of "*"), the goal on an H200, the paper's figure."""


def measured(name: str, device: str, small: bool, seconds: float) -> Rows:
    """Yield a part's rows from a process of its own, and where it does not end well a row that says so."""
    words = [sys.executable, "-m", "benchmarks.bench_gpu", "--part", name, "--device", device]
    words += ["--small"] if small else []
    run = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
    )
    assert run.stdout is not None and run.stderr is not None
    late: list[bool] = []
    clock = threading.Timer(seconds, lambda: (late.append(True), run.kill()))
    said: list[str] = []
    listener = threading.Thread(target=said.extend, args=(run.stderr,), daemon=True)
    clock.start()
    listener.start()
    try:
        yield from read(run.stdout)
        code = run.wait()
        listener.join(5)
    finally:
        clock.cancel()
        run.kill()
    if late:
        yield "stopped", f"not done in {seconds:g} s"
    elif code:
        yield "failed", f"not done: {' '.join(''.join(said[-1:]).split())[:200] or f'exit {code}'}"


def read(lines: Iterable[str]) -> Rows:
    """Yield the rows among the lines that a part prints; what else is printed is passed over."""
    for line in lines:
        try:
            name, figures = json.loads(line)
        except (ValueError, TypeError):
            continue
        yield name, figures


def rows(name: str, device: torch.device, sizes: Sizes) -> Rows:
    """Yield a part's rows from this process; for a failure one that says so, last."""
    try:
        yield from PARTS[name][0](device, sizes)
    except Exception as error:  # whatever it is: the rows before it stay, and it is told
        yield "failed", f"not done: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


def figure_of(found: dict[str, Any], way: Sequence[str]) -> float | None:
    """Return the figure at the end of a way through a part's rows, the largest of all where it says "*"."""
    here: list[Any] = [found]
    for step in way:
        dicts = [one for one in here if isinstance(one, dict)]
        here = [value for one in dicts for key, value in one.items() if step in ("*", key)]
    numbers = [value for value in here if isinstance(value, int | float)]
    return max(numbers, default=None)


def table(parts: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table of goals: what was measured beside what is wanted and what papers tell."""
    yield f"{'':<46}{'measured':>12}{'goal':>10}{'paper':>16}"
    for title, part, way, goal, paper in GOALS:
        value = figure_of(parts.get(part, {}), way)
        told = "-" if value is None else f"{value:,.4g}" if value < 100 else f"{value:,.0f}"
        mark = "" if value is None else "  reached" if value >= goal else "  missed"
        yield f"{title:<46}{told:>12}{goal:>10,}{paper:>16}{mark}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; 1 where the run that changes its device leaves the tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="", help="file to write")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that all of it runs")
    parser.add_argument("--only", nargs="+", choices=[*PARTS], help="default: all")
    parser.add_argument("--part", choices=[*PARTS], help="one part in this process, a row of JSON a line")
    parser.add_argument("--commit", default="", help="where git cannot tell it")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU here: nothing is measured (--device cpu --small runs the code at tiny sizes).")
        return 0
    device = torch.device(options.device)
    if options.part:
        return _alone(options.part, device, SMALL if options.small else Sizes())
    words = ["python -m benchmarks.bench_gpu", *(sys.argv[1:] if arguments is None else arguments)]
    figures: dict[str, Any] = origin(" ".join(words), hardware(device), options.commit)
    figures |= {"torch": torch.__version__, "CUDA": torch.version.cuda, "parts": {}}
    for part in options.only or PARTS:
        kept = figures["parts"].setdefault(part, {})
        for name, found in measured(part, options.device, options.small, PARTS[part][1]):
            kept[name] = found
            print(f"{part}: {name}: {json.dumps(found)}", flush=True)
            if options.json:
                text = json.dumps(figures, indent=1) + "\n"
                Path(options.json).write_text(text, "utf-8", newline="\n")
    print("\n".join(table(figures["parts"])))
    resumed = figures["parts"].get("resumed", {}).get("losses", {})
    return 0 if resumed.get("within", True) else 1


def _alone(part: str, device: torch.device, sizes: Sizes) -> int:
    """Print the rows of one part, and nothing else, on standard output."""
    out = sys.stdout
    torch.backends.cudnn.benchmark = True
    if device.type == "cpu":
        torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        for row in rows(part, device, sizes):
            print(json.dumps(row), file=out, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
