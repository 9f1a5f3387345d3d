"""The runs that are kept: a row each, and a file for each experiment and profile (``book/sweeps``).

A row says what was asked for, what came out, and where it is from. Files of the first format, which says
less, are read too; what they do not say is "not recorded" in their rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

from stad_lite.errors import FormatError, StadError
from stad_lite.locks import held
from stad_lite.records import atomic_write
from stad_lite.records.exchange.text import read_json
from stad_lite.reproduce.experiments import experiment_module
from stad_lite.reproduce.results import installed_versions
from stad_lite.schedule import config_hash
from stad_lite.settings import from_plain

FORMAT, FIRST_FORMAT = "stad-lite/sweep/2", "stad-lite/sweep/1"
SWEEPS = Path(__file__).resolve().parents[2] / "book" / "sweeps"
NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Row:
    """One run: what was asked for, its figures (most in percent), and where it is from.

    settings: of the variant, that differ from the base
    shared: what of all that is random the runs with other seeds have too, such as "training clips"
    config: hash of all settings that the run went by
    commit: of the code, with "+" where files differed from it
    device: processor or GPU; date: in UTC
    seconds, cpu_seconds: of the whole run, by the clock and of its process
    """

    variant: str
    seed: int
    settings: dict[str, Any]
    figures: dict[str, float]
    shared: tuple[str, ...] = ()
    profile: str = ""
    config: str = NOT_RECORDED
    commit: str = NOT_RECORDED
    device: str = NOT_RECORDED
    date: str = NOT_RECORDED
    seconds: float | None = None
    cpu_seconds: float | None = None

    @property
    def cost(self) -> float:
        """CPU seconds of the run; of an early row what its figures say, 0 where they say nothing."""
        told = (self.figures.get(name, 0.0) for name in ("cpu_seconds", "feature_seconds"))
        return sum(told) if self.cpu_seconds is None else self.cpu_seconds


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

    def shared(self, *variants: str) -> str:
        """Return what the seeds of some variants share, as words."""
        names = [name for row in self.rows if row.variant in variants for name in row.shared]
        return ", ".join(dict.fromkeys(names)) or "nothing"

    def with_row(self, row: Row) -> Sweep:
        """Return the sweep with this run in place of an earlier one of its variant and seed."""
        kept = [old for old in self.rows if (old.variant, old.seed) != (row.variant, row.seed)]
        return replace(self, rows=tuple(sorted([*kept, row], key=lambda one: (one.variant, one.seed))))


def command(experiment: str, profile: str, variants: Sequence[str], seeds: int = 5) -> str:
    """Return the line that makes a sweep's runs.

    >>> command("step", "lesson", ["base"])
    'python -m stad_lite.reproduce.sweep step --variants base --seeds 5 --profile lesson'
    """
    return (
        f"python -m stad_lite.reproduce.sweep {experiment} --variants {' '.join(variants)} "
        f"--seeds {seeds} --profile {profile}"
    )


def stale(row: Row, experiment: str) -> str:
    """Return what of a run's settings is no longer what it was, in words; "" where all is.

    >>> stale(Row("base", 0, {"heads": 3}, {}, profile="lesson"), "sp_tad")
    'its settings have changed'
    """
    module = experiment_module(experiment)
    if row.variant not in module.VARIANTS:
        return "there is no such variant now"
    if row.settings != plain_settings(module.VARIANTS[row.variant]):
        return "its settings have changed"
    if row.shared != module.shared(row.variant):
        return "what its seeds share has changed"
    if row.config not in (NOT_RECORDED, config_of(experiment, row.variant, row.profile)):
        return "its configuration has changed"
    return ""


def config_of(experiment: str, variant: str, profile: str) -> str:
    """Return the hash of all settings that a run of a variant goes by. raises: StadError"""
    return config_hash(*experiment_module(experiment).configured(variant, profile))


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a file holds them."""
    return dict(json.loads(json.dumps(dict(settings), default=str)))


def sweep_file(experiment: str, profile: str, folder: str | PathLike[str] = SWEEPS) -> Path:
    """Return the file of an experiment's runs at a profile."""
    return Path(folder) / f"{experiment}-{profile}.json"


def read_sweep(experiment: str, profile: str, folder: str | PathLike[str] = SWEEPS) -> Sweep:
    """Return the runs kept so far, none where there is no file.

    raises: FormatError where the file is damaged, naming the run
    """
    path = sweep_file(experiment, profile, folder)
    if not path.is_file():
        return Sweep(experiment, profile)
    remedy = "mend it, or delete it: the runs are made anew"
    try:
        document = read_json(path)
        if not isinstance(document, dict) or document.get("format") not in (FORMAT, FIRST_FORMAT):
            raise FormatError(f"not a sweep file (its format is not {FORMAT!r})")
        for name, said in (("experiment", experiment), ("profile", profile)):
            if document.get(name) != said:
                raise FormatError(f"its {name} is {document.get(name)!r}, by its name {said!r}")
        if not isinstance(document.get("runs"), list):
            raise FormatError("not a sweep file (it has no list of runs)")
        early = document["format"] == FIRST_FORMAT
        rows = tuple(_row(row, number, profile, early) for number, row in enumerate(document["runs"], 1))
        _check_twice(rows)
    except StadError as error:
        raise FormatError(error.problem, file=path, remedy=error.remedy or remedy) from None
    return Sweep(experiment, profile, rows)


def _row(told: Any, number: int, profile: str, early: bool) -> Row:
    if not isinstance(told, dict):
        raise FormatError(f"run {number} is {str(told)[:80]!r}", remedy="give its fields")
    if early:
        told = {"shared": [NOT_RECORDED], "profile": profile} | told
    needed = [field.name for field in fields(Row)][: 4 if early else None]
    if missing := [name for name in needed if name not in told]:
        raise FormatError(f"run {number} has no {', '.join(missing)}")
    row: Row = from_plain(Row, told, f"run {number}")
    if row.profile != profile:
        raise FormatError(f"run {number} is of profile {row.profile!r}, the file of {profile!r}")
    return row


def _check_twice(rows: Sequence[Row]) -> None:
    seen: dict[tuple[str, int], int] = {}
    for number, row in enumerate(rows, 1):
        first = seen.setdefault((row.variant, row.seed), number)
        if first != number:
            raise FormatError(f"runs {first} and {number} are both {row.variant!r} with seed {row.seed}")


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
    told = (_rounded(asdict(replace(row, profile=sweep.profile))) for row in sweep.rows)
    rows = ",\n".join("  " + json.dumps(row, allow_nan=False) for row in told)
    text = f'{head},\n "runs": [\n{rows}\n ]\n}}\n'
    path = sweep_file(sweep.experiment, sweep.profile, folder)
    return atomic_write(path, lambda stream: stream.write(text.encode()))


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "figures": {name: float(f"{value:.5g}") for name, value in row["figures"].items()}}
