"""Experiments: one module each, whose variants are run over seeds and kept (``stad-lite reproduce``).

A module has

- ``VARIANTS``: name -> the settings that differ from the base;
- ``run(variant, seed, profile, device="cpu") -> figures`` in percent, ``cpu_seconds`` among them. A seed sets
  all that is random: first weights, order, mirroring, training clips, pretrained backbone. Networks are
  trained and asked on the device, and what is kept of a GPU is kept apart from the CPU's. Times are CPU
  seconds, on a GPU those of the clock (``training.profile.clock``);
- ``shared(variant)``: what of that a variant's seeds have in common all the same;
- ``configured(variant, profile)``: all settings that a run goes by, whose hash its row keeps;
- ``CHOSEN``: what was chosen by looking at figures, and on which clips.

Clips of the split ``test`` judge. Early choices were made by scripts that were not kept: where their record
says so of split or seeds, they may be those that judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from stad_lite.errors import StadError


@dataclass(frozen=True)
class Chosen:
    """Settings that were picked by figures.

    what: the settings
    split: whose clips gave the figures
    seeds: of the runs that were compared
    command: that gives the figures again; "" where what gave them was not kept

    >>> print(Chosen("the trims", "val", "5 to 9"))
    the trims: chosen on the split val, seeds 5 to 9, by a script that was not kept
    """

    what: str
    split: str
    seeds: str
    command: str = ""

    def __str__(self) -> str:
        by = f"`{self.command}`" if self.command else "a script that was not kept"
        return f"{self.what}: chosen on the split {self.split}, seeds {self.seeds}, by {by}"


def clips_of_seed(seed: int, count: int) -> range:
    """Return the numbers of the clips that a seed trains on: no two seeds have one in common.

    >>> clips_of_seed(0, 3), clips_of_seed(2, 3)
    (range(0, 3), range(20000, 20003))
    """
    return range(10_000 * seed, 10_000 * seed + count)


def experiment_names() -> list[str]:
    """Return the names of all experiments."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def experiment_module(name: str) -> Any:
    """Return the module of an experiment. raises: StadError for an unknown name"""
    place = f"{__name__}.{name}"
    try:
        return import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise
        known = ", ".join(experiment_names())
        raise StadError(f"no experiment is called {name!r}", remedy=f"choose from {known}") from None


def variants_of(name: str, variants: Sequence[str] = ()) -> list[str]:
    """Return the variants that are meant, all without names. raises: StadError for an unknown one"""
    known = experiment_module(name).VARIANTS
    if unknown := [one for one in variants if one not in known]:
        raise StadError(
            f"{name} has no variant {', '.join(unknown)}", remedy=f"choose from {', '.join(known)}"
        )
    return list(variants or known)
