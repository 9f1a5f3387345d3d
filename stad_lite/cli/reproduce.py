"""``stad-lite reproduce [TARGET ...]``: the runs that claims, papers and chapters rest on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from stad_lite.catalogue import PROFILES
from stad_lite.errors import FormatError
from stad_lite.reproduce.jobs import Job, Workers
from stad_lite.reproduce.rows import SWEEPS
from stad_lite.reproduce.sweep import ON_A_GPU, duration, expected, make_all, missing, refused
from stad_lite.reproduce.targets import jobs_of

MOST = 1000
"""Seeds and processes that are more than anybody means."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="claim, paper, chapter (step/extrapolation), or variants (step:base,late); all without",
    )
    parser.add_argument("--profile", choices=PROFILES, default="lesson", help="default: lesson")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 0 to N - 1 (default: 5)")
    parser.add_argument("--jobs", type=int, default=1, metavar="J", help="processes of one thread each")
    parser.add_argument("--cluster", default="", metavar="ADDRESS", help="of a dask scheduler, instead")
    parser.add_argument("--devices", default="", metavar="LIST", help="GPUs such as 0,1; a run takes one")
    parser.add_argument("--out", default=str(SWEEPS), metavar="DIR", help="folder of the kept runs")
    parser.add_argument("--tell", action="store_true", help="say what would be run and what it should take")


def run(arguments: argparse.Namespace) -> int:
    """Make the runs that are missing; the same line again goes on where it was stopped."""
    for name in ("seeds", "jobs"):
        if not 1 <= getattr(arguments, name) <= MOST:
            told = f"--{name} is {getattr(arguments, name)}"
            raise FormatError(told, remedy=f"give a number from 1 to {MOST}")
    workers = Workers(arguments.jobs, arguments.cluster, _numbers(arguments.devices))
    jobs = jobs_of(arguments.targets, range(arguments.seeds), arguments.profile)
    jobs = _known(jobs, arguments.profile)
    todo = missing(jobs, arguments.out)
    print(_told(todo, len(jobs), arguments.out))
    if arguments.tell:
        print("\n".join(f"  {job}" for job in todo))
    else:
        make_all(todo, workers, arguments.out)
    return 0


def _known(jobs: Sequence[Job], profile: str) -> list[Job]:
    """Return the jobs of experiments that know a profile, and say which others are left out.

    raises: StadError where none knows it
    """
    without = refused(jobs)
    known = [job for job in jobs if job.experiment not in without]
    if without and not known:
        raise next(iter(without.values()))
    if without:
        other = f" (on a GPU: {ON_A_GPU})" if profile == "large" else ""
        print(f"left out, for they have no profile {profile}: {', '.join(sorted(without))}{other}")
    return known


def _told(todo: Sequence[Job], asked: int, folder: str) -> str:
    """How many runs there are to be made, and the CPU time that they should take."""
    costs = expected(todo, folder)
    known = [cost for cost in costs.values() if cost is not None]
    line = f"{asked - len(todo)} of {asked} runs are kept, {len(todo)} are to be made"
    if known:
        line += f": about {duration(sum(known))} on one processor"
    if len(known) < len(todo):
        line += f", and {len(todo) - len(known)} of which nothing is known yet"
    return line


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        raise FormatError(f"--devices is {text!r}", remedy="give numbers between commas") from None
