"""What the words of ``stad-lite reproduce`` mean: runs of experiments, by paper, chapter or name.

sp_tad                  all experiments of a paper, or one experiment
step:base,late          some variants of an experiment
step/extrapolation      what a chapter reads from the kept runs
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from stad_lite.errors import StadError
from stad_lite.reproduce.experiments import experiment_names, variants_of
from stad_lite.reproduce.jobs import Job

BOOK = Path(__file__).resolve().parents[2] / "book"
PAPERS = {"sp_tad": ("sp_tad", "matching"), "flow_subnet": ("flow_subnet", "flow")}
"""Papers with more than one experiment; another paper's has its name."""
READ = re.compile(r"""read_sweep\(\s*["'](\w+)["']""")


def resolve(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the experiments and variants that words mean, each pair once; all of them for no words.

    raises: StadError for a word that means nothing

    >>> resolve(["step:base,late", "step:late"])
    [('step', 'base'), ('step', 'late')]
    """
    found = [pair for word in words or experiment_names() for pair in _meant(word)]
    return list(dict.fromkeys(found))


def jobs_of(words: Sequence[str], seeds: Sequence[int], profile: str) -> list[Job]:
    """Return the runs that words mean: of every variant the first seed, then the next one."""
    pairs = resolve(words)
    return [Job(name, variant, seed, profile) for seed in seeds for name, variant in pairs]


def _meant(word: str) -> list[tuple[str, str]]:
    name, colon, variants = word.partition(":")
    if colon:
        return [(name, one) for one in variants_of(name, [part for part in variants.split(",") if part])]
    names = _experiments(word)
    return [(name, variant) for name in names for variant in variants_of(name)]


def _experiments(word: str) -> Sequence[str]:
    names, chapters = experiment_names(), _chapters()
    chapter = word.removeprefix("book/").removesuffix(".ipynb")
    if word in PAPERS or word in names:
        return PAPERS.get(word, (word,))
    if chapter in chapters:
        return _read_by(BOOK / f"{chapter}.ipynb")
    near = get_close_matches(word, [*names, *chapters], 3) or names
    raise StadError(f"nothing to reproduce is called {word!r}", remedy=f"did you mean {', '.join(near)}?")


def _chapters() -> list[str]:
    paths = (path.relative_to(BOOK).with_suffix("").as_posix() for path in BOOK.glob("*/*.ipynb"))
    return sorted(path for path in paths if not path.startswith(("_", ".")))


def _read_by(chapter: Path) -> list[str]:
    """The experiments whose kept runs a chapter reads. raises: StadError where it reads none"""
    cells = json.loads(chapter.read_text("utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    found = list(dict.fromkeys(READ.findall(code)))
    if not found:
        remedy = "open it, or run make reproduce"
        raise StadError(f"the chapter {chapter.stem} reads no kept runs", remedy=remedy)
    return found
