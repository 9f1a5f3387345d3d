"""Sweeps: the variants of an experiment over several seeds, each run kept, and the verdict on an ordering.

An experiment is a module ``stad_lite.reproduce.experiments.NAME`` with ``VARIANTS`` (name -> the settings
that differ from the base), ``run(variant, seed, profile) -> figures`` and ``shared(variant)``. A seed sets
all that is random: first weights, order, mirroring, training clips, pretrained backbone. What a variant's
seeds have in common of that all the same is what ``shared`` names; each kept run says it. The command

    python -m stad_lite.reproduce.sweep step --variants base no_context --seeds 5 --profile lesson

makes the runs that are missing and keeps each in ``book/sweeps/step-lesson.json`` as soon as it is done;
the same line again goes on where it was stopped. A run is made anew where its variant's settings have
changed, or what its seeds share.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from stad_lite.errors import FormatError, MissingExtraError, StadError
from stad_lite.locks import held
from stad_lite.progress import progress
from stad_lite.records import atomic_write
from stad_lite.records.exchange.text import read_json
from stad_lite.reproduce.parameters import PROFILES
from stad_lite.reproduce.results import installed_versions

FORMAT = "stad-lite/sweep/1"
SWEEPS = Path(__file__).resolve().parents[2] / "book" / "sweeps"
VERDICTS = ("reproduced", "not reproduced", "undecided")


@dataclass(frozen=True)
class Row:
    """One run: what was asked for, and its figures (percent; ``cpu_seconds`` among them).

    shared: what of all that is random the runs with other seeds have too, such as "training clips"
    """

    variant: str
    seed: int
    settings: dict[str, Any]
    figures: dict[str, float]
    shared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """The runs of one experiment at one profile, by variant and seed."""

    experiment: str
    profile: str
    rows: tuple[Row, ...] = ()

    def values(self, variant: str, figure: str) -> dict[int, float]:
        """Return a figure of a variant by seed.

        raises: StadError where the variant was not run or has no such figure
        """
        rows = [row for row in self.rows if row.variant == variant]
        if not rows:
            remedy = f"run: {command(self.experiment, self.profile, [variant])}"
            raise StadError(f"{self.experiment} {variant!r} was not run", remedy=remedy)
        if any(figure not in row.figures for row in rows):
            known = ", ".join(rows[0].figures)
            raise StadError(f"{variant!r} has no figure {figure!r}", remedy=f"choose from {known}")
        return {row.seed: row.figures[figure] for row in rows}

    def ran(self, variant: str, figure: str, least: int = 2) -> dict[int, float]:
        """Return a figure of a variant by seed; nothing where fewer than ``least`` seeds have it."""
        rows = (row for row in self.rows if row.variant == variant and figure in row.figures)
        found = {row.seed: row.figures[figure] for row in rows}
        return found if len(found) >= least else {}

    def left_out(self, variants: Sequence[str], least: int = 2) -> str:
        """Return which variants have fewer than ``least`` seeds and what runs them; "" for none."""
        seeds = [row.variant for row in self.rows]
        few = [variant for variant in variants if seeds.count(variant) < least]
        if not few:
            return ""
        return (
            f"left out, with fewer than {least} seeds; to run:\n{command(self.experiment, self.profile, few)}"
        )

    def shared(self, *variants: str) -> str:
        """Return what the seeds of some variants share, as words."""
        names = [name for row in self.rows if row.variant in variants for name in row.shared]
        return ", ".join(dict.fromkeys(names)) or "nothing"

    def with_row(self, row: Row) -> Sweep:
        """Return the sweep with this run in place of an earlier one of its variant and seed."""
        kept = [old for old in self.rows if (old.variant, old.seed) != (row.variant, row.seed)]
        return replace(self, rows=tuple(sorted([*kept, row], key=lambda one: (one.variant, one.seed))))


@dataclass(frozen=True)
class Judgement:
    """How far the first lies above the second over paired seeds.

    mean: of the differences
    low, high: 95 % t-interval of that mean
    seeds: how many pairs
    verdict: ``reproduced`` where the interval lies above 0, ``not reproduced`` where it lies below,
        ``undecided`` where it holds 0 (or where there is one pair)
    """

    mean: float
    low: float
    high: float
    seeds: int
    verdict: str

    def __str__(self) -> str:
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}] over {self.seeds} seeds: {self.verdict}"


def interval(values: Iterable[float], level: float = 0.95) -> tuple[float, float, float]:
    """Return mean, low and high of Student's interval of a mean; infinite for one value.

    >>> [round(float(x), 2) for x in interval([1, 2, 3])]
    [2.0, -0.48, 4.48]
    """
    from scipy import stats

    numbers = list(values)
    if not numbers:
        raise FormatError("an interval of no values", remedy="give at least one")
    mean = math.fsum(numbers) / len(numbers)
    if len(numbers) == 1:
        return mean, -math.inf, math.inf
    spread = math.sqrt(math.fsum((x - mean) ** 2 for x in numbers) / (len(numbers) - 1) / len(numbers))
    reach = float(stats.t.ppf((1 + level) / 2, len(numbers) - 1)) * spread
    return mean, mean - reach, mean + reach


def judge(first: Mapping[int, float], second: Mapping[int, float]) -> Judgement:
    """Judge the claim that the first is larger, seed by seed (claims register: kind "ordering").

    first, second: a figure by seed; seeds that only one of them has are left out
    raises: FormatError where they share no seed

    >>> print(judge({0: 63.0, 1: 65.0, 2: 64.0}, {0: 60.0, 1: 61.0, 2: 62.0}))
    +3.0 [+0.5, +5.5] over 3 seeds: reproduced
    """
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise FormatError("the two have no seed in common", remedy="run both with the same seeds")
    mean, low, high = interval(first[seed] - second[seed] for seed in shared)
    verdict = VERDICTS[0] if low > 0 else VERDICTS[1] if high < 0 else VERDICTS[2]
    return Judgement(mean, low, high, len(shared), verdict)


def command(experiment: str, profile: str, variants: Sequence[str], seeds: int = 5) -> str:
    """Return the line that makes a sweep's runs.

    >>> command("step", "lesson", ["base"])
    'python -m stad_lite.reproduce.sweep step --variants base --seeds 5 --profile lesson'
    """
    return (
        f"python -m stad_lite.reproduce.sweep {experiment} --variants {' '.join(variants)} "
        f"--seeds {seeds} --profile {profile}"
    )


def read_sweep(experiment: str, profile: str, folder: str | PathLike[str] = SWEEPS) -> Sweep:
    """Return the runs kept so far, none where there is no file.

    raises: FormatError where the file is damaged
    """
    path = Path(folder) / f"{experiment}-{profile}.json"
    if not path.is_file():
        return Sweep(experiment, profile)
    try:
        document = read_json(path)
        if document["format"] != FORMAT:
            raise FormatError(f"format {document['format']!r} is not {FORMAT!r}")
        return Sweep(experiment, profile, tuple(_row(**row) for row in document["runs"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        remedy = "delete it: the runs are made anew"
        told = error.problem if isinstance(error, StadError) else f"{type(error).__name__}: {error}"
        problem = f"not a sweep file ({told})"
        raise FormatError(problem, file=path, remedy=remedy) from None


def _row(shared: Sequence[str] = ("not recorded",), **rest: Any) -> Row:
    return Row(**rest, shared=tuple(shared))


def keep_row(experiment: str, profile: str, row: Row, folder: str | PathLike[str] = SWEEPS) -> Sweep:
    """Add one run to those kept and return them all; other sweeps may be adding theirs meanwhile."""
    with held(Path(folder) / f".{experiment}-{profile}.lock", patience=600):
        kept = read_sweep(experiment, profile, folder).with_row(row)
        write_sweep(kept, folder)
    return kept


def write_sweep(sweep: Sweep, folder: str | PathLike[str] = SWEEPS) -> Path:
    """Write the runs, whole or not at all; return the file."""
    variants = list(dict.fromkeys(row.variant for row in sweep.rows))
    document = {
        "format": FORMAT,
        "experiment": sweep.experiment,
        "profile": sweep.profile,
        "command": command(sweep.experiment, sweep.profile, variants, len({r.seed for r in sweep.rows})),
        "versions": installed_versions(),
    }
    head = json.dumps(document, indent=1)[:-2]
    rows = ",\n".join("  " + json.dumps(_rounded(asdict(row)), allow_nan=False) for row in sweep.rows)
    text = f'{head},\n "runs": [\n{rows}\n ]\n}}\n'
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder) / f"{sweep.experiment}-{sweep.profile}.json"
    return atomic_write(path, lambda stream: stream.write(text.encode()))


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "figures": {name: float(f"{value:.5g}") for name, value in row["figures"].items()}}


def experiment_module(name: str) -> Any:
    """Return the module of an experiment. raises: StadError for an unknown name"""
    place = f"{__package__}.experiments.{name}"
    try:
        return import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise
        known = sorted(path.stem for path in (Path(__file__).parent / "experiments").glob("[a-z]*.py"))
        raise StadError(
            f"no experiment is called {name!r}", remedy=f"choose from {', '.join(known)}"
        ) from None


def _one(module: str, variant: str, seed: int, profile: str) -> Row:
    import torch

    torch.set_num_threads(1)
    experiment = import_module(module)
    figures = experiment.run(variant, seed, profile)
    settings = _plain(experiment.VARIANTS[variant])
    return Row(variant, seed, settings, {k: float(v) for k, v in figures.items()}, experiment.shared(variant))


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(dict(settings), default=str)))


def sweep(
    name: str,
    variants: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    profile: str = "lesson",
    jobs: int = 1,
    folder: str | PathLike[str] = SWEEPS,
    say: Callable[[str], object] = print,
) -> Sweep:
    """Make the runs that are missing, keeping each as soon as it is done, and return all kept runs.

    variants: names in the experiment's ``VARIANTS``, all of them without it
    jobs: processes, one thread each (joblib, and with it dask where its backend is set)
    raises: StadError for unknown names, MissingExtraError for several jobs without joblib
    """
    experiment = experiment_module(name)
    wanted = list(variants or experiment.VARIANTS)
    if unknown := [one for one in wanted if one not in experiment.VARIANTS]:
        raise StadError(
            f"{name} has no variant {', '.join(unknown)}",
            remedy=f"choose from {', '.join(experiment.VARIANTS)}",
        )
    kept = read_sweep(name, profile, folder)
    have = {(row.variant, row.seed) for row in kept.rows if _current(row, experiment)}
    missing = [(variant, seed) for seed in seeds for variant in wanted if (variant, seed) not in have]
    for row in progress(_rows(experiment.__name__, missing, profile, jobs), len(missing), name):
        kept = keep_row(name, profile, row, folder)
        shown = ", ".join(f"{key} {value:.2f}" for key, value in row.figures.items())
        say(f"{name} {row.variant} seed {row.seed}: {shown}")
    return kept


def _current(row: Row, experiment: Any) -> bool:
    """A run counts while its variant's settings, and what its seeds share, are what they were."""
    if row.variant not in experiment.VARIANTS:
        return False
    asked = (_plain(experiment.VARIANTS[row.variant]), experiment.shared(row.variant))
    return (row.settings, row.shared) == asked


def clips_of_seed(seed: int, count: int) -> range:
    """Return the numbers of the clips that a seed trains on: no two seeds have one in common.

    >>> clips_of_seed(0, 3), clips_of_seed(2, 3)
    (range(0, 3), range(20000, 20003))
    """
    return range(10_000 * seed, 10_000 * seed + count)


def _rows(module: str, missing: list[tuple[str, int]], profile: str, jobs: int) -> Iterator[Row]:
    if jobs == 1:
        yield from (_one(module, variant, seed, profile) for variant, seed in missing)
        return
    try:
        from joblib import Parallel, delayed
    except ImportError:
        remedy = "pip install 'stad_lite[cluster]', or give --jobs 1"
        raise MissingExtraError("joblib is not installed", remedy=remedy) from None
    calls = (delayed(_one)(module, variant, seed, profile) for variant, seed in missing)
    yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)


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
    except StadError as error:
        print(f"sweep: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
