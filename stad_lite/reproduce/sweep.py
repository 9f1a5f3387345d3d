"""Sweeps: the runs that are missing are made, each is kept as soon as it is there, and time left is told.

    python -m stad_lite.reproduce.sweep step --variants base no_context --seeds 5 --profile lesson

is the short form of ``stad-lite reproduce step:base,no_context``. The same line again goes on where it was
stopped. A run is made anew where its variant's settings have changed, or what its seeds share.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

from stad_lite.catalogue import PROFILES
from stad_lite.errors import StadError
from stad_lite.reproduce.experiments import variants_of
from stad_lite.reproduce.jobs import Done, Job, Workers, done, hands
from stad_lite.reproduce.program import program
from stad_lite.reproduce.rows import SWEEPS, Sweep, config_of, keep_row, read_sweep, stale

ON_A_GPU = "the experiment protocol, or python -m stad_lite.reproduce.on_a_gpu SYSTEM"
"""What is large: all systems under one protocol, or one of them with its own clips."""


def sweep(
    name: str,
    variants: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    profile: str = "lesson",
    jobs: int = 1,
    folder: str | PathLike[str] = SWEEPS,
    say: Callable[[str], object] = print,
) -> Sweep:
    """Make the missing runs of an experiment and return all that are kept (``run_all`` says how).

    variants: names in the experiment's ``VARIANTS``, all of them without it
    jobs: processes, one thread each
    """
    wanted = [Job(name, variant, seed, profile) for seed in seeds for variant in variants_of(name, variants)]
    run_all(wanted, Workers(jobs), folder, say)
    return read_sweep(name, profile, folder)


def run_all(
    jobs: Sequence[Job],
    workers: Workers | None = None,
    folder: str | PathLike[str] = SWEEPS,
    say: Callable[[str], object] = print,
) -> None:
    """Make the runs that are missing (``make_all`` says how)."""
    make_all(missing(jobs, folder), workers or Workers(), folder, say)


def make_all(
    todo: Sequence[Job],
    workers: Workers,
    folder: str | PathLike[str] = SWEEPS,
    say: Callable[[str], object] = print,
) -> None:
    """Make runs, keeping each as soon as it is there.

    raises: StadError at the end for runs that failed, and what ``jobs.done`` raises
    """
    pace = Pace(expected(todo, folder), hands(workers) if todo else 1)
    failed: list[Done] = []
    for number, one in enumerate(done(todo, workers), 1):
        pace.note(one.job, None if one.row is None else one.row.seconds or one.row.cost)
        if one.row is None:
            failed.append(one)
            say(f"{one.trace}{one.job} failed: {one.problem}")
            continue
        keep_row(one.job.experiment, one.job.profile, one.row, folder)
        shown = ", ".join(f"{name} {value:.2f}" for name, value in list(one.row.figures.items())[:6])
        say(f"{one.job}: {shown} ({number} of {len(todo)}{pace})")
    if failed:
        told = "; ".join(f"{one.job}: {one.problem}" for one in failed)
        remedy = "the same line tries them again"
        raise StadError(f"{len(failed)} of {len(todo)} runs failed: {told}", remedy=remedy)


def missing(jobs: Iterable[Job], folder: str | PathLike[str] = SWEEPS) -> list[Job]:
    """Return the jobs, each once, that no kept run answers that went by today's settings.

    raises: StadError for a profile that an experiment does not know, and for a damaged file
    """
    jobs = list(dict.fromkeys(jobs))
    for error in refused(jobs).values():
        raise error
    have = {
        Job(name, row.variant, row.seed, profile)
        for name, profile in {(job.experiment, job.profile) for job in jobs}
        for row in read_sweep(name, profile, folder).rows
        if not stale(row, name)
    }
    return [job for job in jobs if job not in have]


def refused(jobs: Iterable[Job]) -> dict[str, StadError]:
    """Return the experiments that do not know a job's profile or variant, each with what it says of that."""
    found: dict[str, StadError] = {}
    for name, variant, profile in dict.fromkeys((job.experiment, job.variant, job.profile) for job in jobs):
        try:
            config_of(name, variant, profile)
        except StadError as error:
            remedy = f"{error.remedy}; on a GPU: {ON_A_GPU}" if profile == "large" else error.remedy
            found.setdefault(name, type(error)(error.problem, remedy=remedy))
    return found


def expected(jobs: Sequence[Job], folder: str | PathLike[str] = SWEEPS) -> dict[Job, float | None]:
    """Return the CPU seconds that jobs should take by the kept runs, None where nothing is known.

    A variant's own runs tell it, else those of the whole experiment; the library's where the folder has none.
    """
    known: dict[tuple[str, ...], list[float]] = {}
    for name, profile in {(job.experiment, job.profile) for job in jobs}:
        for row in read_sweep(name, profile, folder).rows or read_sweep(name, profile).rows:
            if row.cost:
                known.setdefault((name, profile, row.variant), []).append(row.cost)
                known.setdefault((name, profile), []).append(row.cost)
    found: dict[Job, float | None] = {}
    for job in jobs:
        whole = (job.experiment, job.profile)
        costs = known.get((*whole, job.variant)) or known.get(whole) or []
        found[job] = sum(costs) / len(costs) if costs else None
    return found


class Pace:
    """How much time is left: jobs count by what they should cost, and by how far that was off so far.

    expected: seconds of each job, None where nothing is known
    processes: that make them at once
    """

    def __init__(
        self,
        expected: Mapping[Any, float | None],
        processes: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        known = [cost for cost in expected.values() if cost is not None]
        self.usual = sum(known) / len(known) if known else 1.0
        self.weights = {job: self.usual if cost is None else cost for job, cost in expected.items()}
        # so many seconds are believed before any is measured: none where nothing is known
        self.measured = self.planned = self.usual if known else 0.0
        self.processes, self.clock, self.began = processes, clock, clock()

    def note(self, job: Any, seconds: float | None) -> None:
        """Take in what a job took; one that failed (None) says nothing of the others."""
        if seconds is None:
            self.weights[job] = 0.0
        else:
            self.measured += seconds
            self.planned += self.weights[job]

    def left(self) -> float | None:
        """Return the seconds that are left, None where nothing is known yet."""
        if not self.planned:
            return None
        whole = sum(self.weights.values()) * self.measured / self.planned / self.processes
        return max(whole - (self.clock() - self.began), 0.0)

    def __str__(self) -> str:
        left = self.left()
        return "" if left is None else f", about {duration(left)} left"


def duration(seconds: float) -> str:
    """Return a time as words.

    >>> duration(42), duration(400), duration(8000)
    ('42 s', '7 min', '2 h 13 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


@program("sweep")
def main(arguments: list[str] | None = None) -> int:
    """Run a sweep from the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Run the variants of an experiment over several seeds.")
    parser.add_argument("experiment", metavar="EXPERIMENT", help="baselines, step, sp_tad, ...")
    parser.add_argument("--variants", nargs="+", default=[], metavar="NAME", help="all without it")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 0 to N - 1")
    parser.add_argument("--profile", choices=PROFILES, default="lesson")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes of one thread each")
    parser.add_argument("--out", default=str(SWEEPS), metavar="DIR", help="folder of the kept runs")
    chosen = parser.parse_args(arguments)
    try:
        sweep(
            chosen.experiment, chosen.variants, range(chosen.seeds), chosen.profile, chosen.jobs, chosen.out
        )
    except KeyboardInterrupt:
        print("sweep: stopped; the same line goes on from the runs that are kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
