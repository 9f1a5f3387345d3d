"""What the words of ``stad-lite reproduce`` mean: runs of experiments.

step-steps              what a claim is judged on
sp_tad                  what all claims of a paper are judged on
step/extrapolation      those of a chapter; where it has none, what it reads of the kept runs
step:base,late          some variants of an experiment; all of them behind nothing: step:
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from stad_lite.errors import StadError
from stad_lite.reproduce.claims import Claim, named, read_claims
from stad_lite.reproduce.experiments import experiment_names, variants_of
from stad_lite.reproduce.jobs import Job

BOOK = Path(__file__).resolve().parents[2] / "book"
READ = re.compile(r"""(?:read_sweep|Kept|from_sweep)\(\s*["'](\w+)["']""")

Pairs = list[tuple[str, str]]
"""Experiments with a variant each."""


def resolve(words: Sequence[str]) -> Pairs:
    """Return the experiments and variants that words mean, each pair once; those of all claims for no words.

    raises: StadError for a word that means nothing, or something that takes no runs

    >>> resolve(["step:base,late", "step:late"])
    [('step', 'base'), ('step', 'late')]
    """
    claims = {} if all(":" in word for word in words) and words else read_claims()
    found = [pair for word in words for pair in _meant(word, claims)] if words else _judged(claims.values())
    return list(dict.fromkeys(found))


def jobs_of(words: Sequence[str], seeds: Sequence[int], profile: str) -> list[Job]:
    """Return the runs that words mean: of every variant the first seed, then the next one."""
    pairs = resolve(words)
    return [Job(name, variant, seed, profile) for seed in seeds for name, variant in pairs]


def _meant(word: str, claims: Mapping[str, Claim]) -> Pairs:
    name, colon, variants = word.partition(":")
    if colon:
        return _variants(name, [part for part in variants.split(",") if part])
    name = word.removeprefix("book/").removesuffix(".ipynb")
    some = named(claims, name)
    if pairs := _judged(some):
        return pairs
    if name in experiment_names():
        return _variants(name)
    chapters = _chapters()
    if name in chapters and (read := _read_by(BOOK / f"{name}.ipynb")):
        return [pair for one in read for pair in _variants(one)]
    if some or name in chapters:
        told = f"; run: {some[0].command}" if some else ""
        raise StadError(f"{name} takes no runs that are kept{told}")
    near = get_close_matches(word, [*claims, *experiment_names(), *chapters], 3) or experiment_names()
    raise StadError(f"nothing to reproduce is called {word!r}", remedy=f"did you mean {', '.join(near)}?")


def _judged(claims: Iterable[Claim]) -> Pairs:
    """What claims are judged on."""
    return [(one.experiment, variant) for one in claims if one.experiment for variant in one.variants]


def _variants(name: str, variants: Sequence[str] = ()) -> Pairs:
    return [(name, variant) for variant in variants_of(name, variants)]


def _chapters() -> list[str]:
    paths = (path.relative_to(BOOK).with_suffix("").as_posix() for path in BOOK.glob("*/*.ipynb"))
    return sorted(path for path in paths if not path.startswith(("_", ".")))


def _read_by(chapter: Path) -> list[str]:
    """The experiments whose kept runs a chapter reads."""
    cells = json.loads(chapter.read_text("utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return list(dict.fromkeys(READ.findall(code)))
