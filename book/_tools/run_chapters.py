"""Run the chapters with papermill: executed copies, their pictures, one results file a chapter, a summary.

    python book/_tools/run_chapters.py [--profile smoke] [--only CHAPTER] [-p NAME VALUE] [--out DIR]
                                       [--jobs N]

A chapter that fails is named with its cell and traceback, the others still run; the exit code is
then 1. What cannot be run, such as an unknown parameter or data that was asked for and is not there, ends
with 2 before anything runs. The screen shows one line a chapter; every figure stands in figures.md beside
summary.md. With --commit-results the real-data figures are written to book/results/ as well.

What a chapter takes is kept beside --out, per profile; time left is told by it, and by the seconds in
book/results/seconds.json before the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from tqdm import tqdm

from kernels import kernel_options, socket_folder
from notebooks import BOOK, Chapter, ToolError, chapters, parameter_types, parse_value, tags
from stad_lite.data.location import DATASETS, have_data, missing_message, set_name
from stad_lite.errors import StadError
from stad_lite.records import atomic_write
from stad_lite.reproduce.parameters import PROFILES
from stad_lite.reproduce.results import RECORDING, read_results
from stad_lite.reproduce.sweep import Pace
from summary import Outcome, one_screen, write_figures, write_pictures

ANSI = re.compile(r"\x1b\[[0-9;]*m")
SECONDS = BOOK / "results" / "seconds.json"
"""Profile -> chapter -> seconds of one core, without a GPU; of chapters that were measured."""


def main(arguments: list[str] | None = None) -> int:
    """Run the chapters that the command line names and return the exit code."""
    options = _options(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop(RECORDING, None)
    if options.commit_results:
        os.environ[RECORDING] = "1"
    try:
        wanted = chapters(options.book, options.only)
        values = {c.name: _values(c, options) for c in wanted}
        _refuse_unknown(options.parameter, values)
        _refuse_missing(options.parameter)
    except ToolError as error:
        print(error, file=sys.stderr)
        return 2
    for line in _missing_data(wanted):
        print(line)
    own = options.out.parent / "seconds.json"
    known = {**_seconds(SECONDS, options.profile), **_seconds(own, options.profile)}
    pace = Pace({c.name: known.get(c.name) for c in wanted}, min(options.jobs, len(wanted)))
    outcomes = {}
    # processes, as papermill's event loop and kernel sockets do not share one; in the order of the book
    runs = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
        delayed(_run)(chapter, values[chapter.name], options.out) for chapter in wanted
    )
    with _bar(pace, len(wanted)) as bar:
        for one in runs:
            outcomes[one.chapter.name] = one
            bar.update(pace.weights[one.chapter.name])
            pace.note(one.chapter.name, None if one.failure else one.seconds)
            bar.set_description(f"{len(outcomes)} of {len(wanted)} chapters")
            if one.failure:
                tqdm.write(f"FAILED {one.failure}", file=sys.stderr)
    _finish([outcomes[chapter.name] for chapter in wanted], options, own)
    return 1 if any(one.failure for one in outcomes.values()) else 0


@contextmanager
def _bar(pace: Pace, count: int) -> Iterator[tqdm[Any]]:
    """A bar of expected seconds whose time left goes on between two chapters."""
    form = "{desc} |{bar}| {elapsed}{postfix}"
    quiet = os.environ.get("STAD_PROGRESS") == "0"
    with tqdm(total=sum(pace.weights.values()), bar_format=form, disable=quiet, dynamic_ncols=True) as bar:
        bar.set_description(f"0 of {count} chapters")
        done = threading.Event()

        def tick() -> None:
            while not done.wait(1.0):
                bar.set_postfix_str(str(pace).removeprefix(", "))

        clock = threading.Thread(target=tick, daemon=True)
        clock.start()
        try:
            yield bar
        finally:
            done.set()
            clock.join()


def _finish(outcomes: list[Outcome], options: argparse.Namespace, own: Path) -> None:
    """Write tables and pictures, keep the seconds and say it on one screen."""
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    screen, text = one_screen(outcomes)
    (out / "summary.md").write_text(text, encoding="utf-8", newline="\n")
    write_figures(outcomes, out)
    pictures = sum(
        write_pictures(copy, out / "pictures" / one.chapter.path.parent.name)
        for one in outcomes
        if (copy := out / "chapters" / f"{one.chapter.name}.ipynb").is_file()
    )
    _keep_seconds(own, options.profile, outcomes)
    print(screen)
    print("kept: judged on runs in book/sweeps and book/results; mechanics: shows that it runs, nothing else")
    if options.commit_results:
        _commit(outcomes, options.book / "results")
    failed = [o.chapter.name for o in outcomes if o.failure]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} chapters ran; {pictures} pictures; links and")
    print(f"every figure: {out / 'summary.md'} and figures.md; copies: chapters/CHAPTER.ipynb beside them")
    if failed:
        print(f"failed: {', '.join(failed)}")


def _seconds(path: Path, profile: str) -> dict[str, float]:
    """Return what chapters took; nothing where there is no readable file: it only tells the time left."""
    try:
        return {name: float(value) for name, value in json.loads(path.read_text("utf-8"))[profile].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _keep_seconds(path: Path, profile: str, outcomes: list[Outcome]) -> None:
    kept = {one: _seconds(path, one) for one in PROFILES}
    kept[profile] |= {o.chapter.name: round(o.seconds, 1) for o in outcomes if not o.failure}
    text = json.dumps({name: took for name, took in kept.items() if took}, indent=1) + "\n"
    atomic_write(path, lambda stream: stream.write(text.encode()))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the chapters with papermill.")
    parser.add_argument("--profile", choices=PROFILES, default="smoke")
    parser.add_argument("--only", action="append", metavar="CHAPTER", help="may be given several times")
    parser.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--out", type=Path, default=BOOK.parent / "runs" / "latest")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="chapters at a time")
    parser.add_argument("--commit-results", action="store_true", help="write book/results/ too")
    parser.add_argument("--book", type=Path, default=BOOK, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.out, options.book = options.out.absolute(), options.book.absolute()
    if options.profile == "smoke":  # where there is a GPU, chapters train for minutes in a cell
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return options


def _values(chapter: Chapter, options: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters for one chapter: those of the command line that it declares."""
    try:
        types = parameter_types(chapter.read())
    except ToolError as error:
        if chapter.path.is_file():
            raise ToolError(f"{chapter.name}: {error}") from None
        return {}  # reported when its turn comes
    values = {name: parse_value(name, text, types[name]) for name, text in options.parameter if name in types}
    if "profile" in types:
        values.setdefault("profile", options.profile)
    if "results" in types:
        values["results"] = str(options.out / "results" / f"{chapter.name}.json")
    return values


def _refuse_unknown(given: list[list[str]], values: dict[str, dict[str, Any]]) -> None:
    """papermill only warns of a name that no parameters cell has; here it is an error."""
    known = {name for taken in values.values() for name in taken}
    for name, _ in given:
        if name not in known:
            raise ToolError(f"no chosen chapter has a parameter {name!r}")
        if name == "results":
            raise ToolError("parameter 'results' is set by --out")


def _refuse_missing(given: list[list[str]]) -> None:
    """Data that is asked for by name, or as a folder, must be there."""
    for name, text in given:
        if name != "data" or text == "synthetic":
            continue
        known = set_name(text)
        if known in DATASETS and not have_data(known):
            raise ToolError(missing_message(known))
        if known is None and not Path(text).exists():
            raise ToolError(f"{text}: there is no such folder, and no data set is called so")


def _missing_data(wanted: list[Chapter]) -> list[str]:
    cells = [
        cell.source
        for chapter in wanted
        if chapter.path.is_file()
        for cell in chapter.read().cells
        if "real-data" in tags(cell)
    ]
    needed = [name for name in DATASETS if any(name in source for source in cells)]
    return [missing_message(name) for name in needed if not have_data(name)]


def _run(chapter: Chapter, values: dict[str, Any], out: Path) -> Outcome:
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError

    outcome = Outcome(chapter)
    copy = out / "chapters" / f"{chapter.name}.ipynb"
    results = out / "results" / f"{chapter.name}.json"
    for path in (copy, results):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    start = time.perf_counter()
    try:
        chapter.read()
        with socket_folder() as sockets:
            execute_notebook(
                chapter.path,
                copy,
                values,
                cwd=chapter.path.parent,
                progress_bar=False,
                **kernel_options(sockets),
            )
        if "results" in values:
            outcome.results = read_results(results)
    except PapermillExecutionError as error:
        cell = error.cell_index + 1 - bool(values)  # without the injected cell, from 1
        trace = ANSI.sub("", "\n".join(error.traceback))
        outcome.failure = f"{chapter.name}, cell {cell}: {error.ename}: {error.evalue}\n{trace}"
    except (ToolError, StadError) as error:
        outcome.failure = f"{chapter.name}: {error}"
    except Exception as error:  # a dead kernel, a full disk: the other chapters still run
        outcome.failure = f"{chapter.name}: {type(error).__name__}: {error}"
    outcome.seconds = time.perf_counter() - start
    return outcome


def _commit(outcomes: list[Outcome], folder: Path) -> None:
    for outcome in outcomes:
        if outcome.results and not outcome.failure and outcome.results.real().figures:
            path = folder / f"{outcome.chapter.name}.json"
            outcome.results.prepared_for_commit().write(path)
            print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
