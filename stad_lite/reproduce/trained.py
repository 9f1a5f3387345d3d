"""Trained detectors that chapters show: small files in ``book/trained``, each made by one command.

    python -m stad_lite.reproduce.trained cfad

trains a system's variant in ``SHOWN`` at ``lesson`` (``stad_lite.reproduce.experiments``), keeps the weights
at half precision, and beside them what they are, how they were made and the figures that they reach on a
few clips.
"""

from __future__ import annotations

import argparse
import json
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from stad_lite import runs
from stad_lite.catalogue import ENTRIES, find
from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.reproduce.experiments import experiment_module
from stad_lite.reproduce.program import program
from stad_lite.reproduce.results import installed_versions
from stad_lite.schedule import plain
from stad_lite.settings import from_plain
from stad_lite.training import checkpoint

_OF_THE_BOOK = Path(__file__).resolve().parents[2] / "book" / "trained"
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "stad_lite" / "trained"
FOLDER = _OF_THE_BOOK if _OF_THE_BOOK.is_dir() or not _INSTALLED.is_dir() else _INSTALLED
"""Where the detectors are: in the book, or where the package was installed without it."""
PREFIX = "trained:"
"""Before a system's name: the detector that is kept here, where else a run's folder stands."""
FORMAT = "stad-lite/trained/1"
CLIPS = 20
"""Clips of the split ``test`` that the figures are of."""
SHOWN = {
    "baseline": ("baselines", "both"),
    "step": ("step", "base"),
    "sp_tad": ("sp_tad", "base"),
    "pcsc": ("pcsc", "base"),
    "cfad": ("cfad", "base"),
    "flow_subnet": ("flow_subnet", "base"),
}
"""System -> the experiment and the variant that its trained detector is of."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained detector.

    system: with its weights, in float32, on the CPU
    command: that made it
    figures: name -> percent, on the first ``CLIPS`` clips of ``test``
    """

    system: Any
    command: str
    figures: dict[str, float]


def names(folder: str | PathLike[str] = FOLDER) -> tuple[str, ...]:
    """Return the systems that there is a trained detector of."""
    return tuple(sorted(path.stem for path in Path(folder).glob("*.pt") if path.stem in ENTRIES))


def load(name: str, folder: str | PathLike[str] = FOLDER) -> Trained:
    """Return the trained detector of a system.

    raises: MissingFileError where there is none, FormatError or TruncatedFileError for a damaged file
    """
    entry = find(name)
    with kept(Path(folder) / f"{name}.pt", command(name)) as (weights, about):
        config = from_plain(type(entry.config("smoke")), about["config"], "config")
        system = entry.rebuild(config, tuple(about["classes"]))
        system.network.load_state_dict(weights)
        system.network.eval()
        return Trained(system, about["command"], about["figures"])


def open_run(
    word: str, texts: dict[str, str] | None = None, device: str | None = None
) -> tuple[Any, runs.Spec]:
    """Return the system of a run's folder, or of ``trained:NAME``, and what it was made of.

    texts: settings to change, as in ``runs.load``
    raises: what ``load`` and ``runs.load`` raise
    """
    if not word.startswith(PREFIX):
        return runs.load(word, texts, device)
    name = word.removeprefix(PREFIX)
    found, entry = load(name), find(name)
    plan, data = entry.schedule("lesson"), entry.data("lesson")
    spec = runs.Spec(name, "lesson", found.system.config, plan, data, tuple(found.system.classes))
    spec = runs.with_texts(spec, texts or {})
    return runs.filled(spec, found.system.network.state_dict(), word, device), spec


def chosen(
    name: str, network: str, seed: int = 0, profile: str = "smoke", say: Callable[[str], object] = print
) -> tuple[Any, str]:
    """Return the detector that a chapter shows, and the profile of its clips.

    network: ``trained`` for the kept one, of which command and figures are said, or ``live``: trained now
    seed, profile: of a live one
    raises: FormatError for another word, and what ``load`` and the training raise
    """
    if network == "live":
        experiment, variant = shown(name)
        return experiment.trained(variant, seed, profile)[0], profile
    if network != "trained":
        raise FormatError(f"no network is called {network!r}", remedy="choose trained or live")
    found = load(name)
    say(f"{found.command}\non {CLIPS} clips: {found.figures}")
    return found.system, "lesson"


@contextmanager
def kept(path: Path, again: str) -> Iterator[tuple[dict[str, Tensor], dict[str, Any]]]:
    """Read a kept file; what does not fit while it is used makes it a damaged one.

    again: the command that makes it
    yields: the weights, in float32, and what stands beside them
    raises: MissingFileError, FormatError or TruncatedFileError, naming the file
    """
    if not path.is_file():
        there = ", ".join(names(path.parent)) or "none"
        remedy = f"make it (minutes): {again}; or copy book/trained of the repository"
        raise MissingFileError(f"no trained network is kept here (there: {there})", file=path, remedy=remedy)
    state = checkpoint.read(path)
    try:
        about = json.loads(state["about"])
        if about["format"] != FORMAT:
            raise FormatError(f"format {about['format']!r} is not {FORMAT!r}")
        yield {key: _wide(value) for key, value in state["network"].items()}, about
    except StadError as error:
        raise error.at(file=path) from None
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        remedy = f"make it anew: {again}"
        raise FormatError(f"not a trained network ({error})", file=path, remedy=remedy) from None


def halve(network: nn.Module) -> None:
    """Round a network's weights to half precision, as a kept file has them."""
    network.load_state_dict({key: _wide(_half(value)) for key, value in network.state_dict().items()})


def keep(path: Path, network: nn.Module, **about: Any) -> Path:
    """Write a network's weights at half precision, and what is said of them: plain values."""
    told = {"format": FORMAT, **about, "versions": installed_versions()}
    weights = {key: _half(value) for key, value in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    return checkpoint.write_state(path, {"network": weights, "about": json.dumps(told)})


def make(name: str, seed: int = 0, profile: str = "lesson", folder: str | PathLike[str] = FOLDER) -> Path:
    """Train a system's detector and keep it, with its figures. raises: StadError for an unknown experiment"""
    experiment, variant = shown(name)
    system, _ = experiment.trained(variant, seed, profile)
    halve(system.network)
    return keep(
        Path(folder) / f"{name}.pt",
        system.network,
        command=command(name, seed, profile),
        config=plain(system.config),
        classes=list(system.classes),
        figures={key: round(value, 1) for key, value in experiment.looked(system, CLIPS, profile).items()},
    )


def shown(name: str) -> tuple[Any, str]:
    """Return the module of an experiment and its variant that a system's detector is of.

    raises: StadError for an unknown system
    """
    find(name)
    experiment, variant = SHOWN[name]
    return experiment_module(experiment), variant


def command(name: str, seed: int = 0, profile: str = "lesson") -> str:
    """Return the line that makes a trained detector.

    >>> command("cfad")
    'python -m stad_lite.reproduce.trained cfad --seed 0 --profile lesson'
    """
    return f"python -m stad_lite.reproduce.trained {name} --seed {seed} --profile {profile}"


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value


def _wide(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


@program("trained")
def main(arguments: list[str] | None = None) -> int:
    """Make a trained detector from the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Train the small detectors of the chapters and keep them.")
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help="all without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", choices=("smoke", "lesson"), default="lesson")
    parser.add_argument("--out", default=str(FOLDER), metavar="DIR", help="folder of the kept detectors")
    chosen = parser.parse_args(arguments)
    for name in chosen.systems or SHOWN:
        path = make(name, chosen.seed, chosen.profile, chosen.out)
        print(f"{path}: {path.stat().st_size:,} bytes, {load(name, chosen.out).figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
