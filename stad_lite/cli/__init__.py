"""The command line: ``stad-lite VERB ...``.

Each verb is a module of this package with ``SUMMARY``, ``add_arguments(parser)`` and
``run(arguments) -> exit code``; only the verb that is called is imported. Bad input ends with exit
code 2 and one sentence on standard error.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from stad_lite import __version__
from stad_lite.errors import StadError

VERBS = {
    "check": "say what a file is, and the first thing wrong with it",
    "evaluate": "score predictions against annotations",
    "convert": "turn others' annotations and predictions into the record formats",
    "link": "link the boxes of single frames into tubes",
    "oracles": "compute the figures that real annotations alone can give",
    "render": "draw boxes over a video",
    "train": "train a system, or go on with a run that was stopped",
    "predict": "find actions in videos with a trained system",
    "stream": "find actions frame by frame as a video comes, and say how fast",
    "profile": "measure what a system or a network costs",
    "reproduce": "make the runs that claims, papers and chapters rest on, and keep each",
}
"""Verb -> one line; the verb's module has its name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 for success, 2 for bad input, 130 where it was stopped.

    arguments: words of the command line, those of the process where None
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what the terminal cannot show is told by its number
            stream.reconfigure(errors="backslashreplace")
    verb = words[0] if words and words[0] in VERBS else ""
    try:
        return _run(words)
    except KeyboardInterrupt:
        _refuse(verb, "stopped; files that were not finished are not there")
        return 130
    except StadError as error:
        return _refuse(verb, str(error))
    except MemoryError as error:
        return _refuse(verb, f"there is not enough memory ({error or 'none is left'})")
    except OSError as error:
        place = error.filename if error.filename is not None else ""
        return _refuse(verb, f"{place}: {error.strerror or error}".lstrip(": "))


def _run(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="stad-lite", description="Spatio-temporal action detection.")
    parser.add_argument("--version", action="version", version=f"stad-lite {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, summary in VERBS.items():
        child = verbs.add_parser(verb, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if verb in words[:1]:
            import_module(f"{__name__}.{verb}").add_arguments(child)
    chosen = parser.parse_args(words)
    with warnings.catch_warnings():
        warnings.showwarning = _note
        return int(import_module(f"{__name__}.{chosen.verb}").run(chosen))


def _note(message: Warning | str, *place: object, **rest: object) -> None:
    """A warning as one sentence, without the line of code that gave it."""
    print(f"note: {' '.join(str(message).split())}", file=sys.stderr)


def _refuse(verb: str, sentence: str) -> int:
    print(f"{f'stad-lite {verb}'.strip()}: {' '.join(sentence.split())}", file=sys.stderr)
    return 2
