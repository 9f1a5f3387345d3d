"""What the scripts of all data sets share: the verbs download, convert and verify."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conversion import Plan, convert, verify_converted
from download import ATTEMPTS, REGISTRY, Entry, fetch, read_registry, sha256_of

from stad_lite import packed
from stad_lite.data.location import data_root
from stad_lite.errors import MissingFileError, StadError
from stad_lite.progress import progress
from stad_lite.records import Annotations
from stad_lite.records.exchange.report import Reading

VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".webm", ".mpg")
"""Extensions of clips, the ones that publishers gave first: where a clip is there twice, it goes before."""


class Difference(StadError):
    """What is there is not what was measured."""


@dataclass(frozen=True)
class Dataset:
    """What a script says of its data set.

    name: its table in the registry
    load: (folder, split, subset) -> annotations with their report; None stands for "all"
    check: folder -> lines to print, the last with the counts; raises Difference
    subsets: names that --subset takes; synonyms map to the set's own words
    splits: numbers that --split takes
    clip_names: video id -> names without extension that its clip may have, with its folder or without
    guessed_sizes: frame sizes of the annotations are guesses; the clip's size is taken, boxes are kept
    """

    name: str
    load: Callable[[Path, int | None, str | None], Reading[Annotations]]
    check: Callable[[Path], list[str]]
    subsets: dict[str, str] = field(default_factory=dict)
    splits: tuple[int, ...] = ()
    clip_names: Callable[[str], Sequence[str]] = lambda video: (video, video.split("/")[-1])
    guessed_sizes: bool = False


def main(dataset: Dataset, arguments: Sequence[str] | None = None) -> int:
    """Run one verb; 0 when all is well, 1 for a difference or a failed download, 2 for bad input."""
    options = _parser(dataset).parse_args(arguments)
    try:
        return {"download": _download, "convert": _convert, "verify": _verify}[options.verb](dataset, options)
    except KeyboardInterrupt:
        print("stopped; the same line makes what is missing", file=sys.stderr)
        return 130
    except Difference as error:
        print(error, file=sys.stderr)
        return 1
    except StadError as error:
        print(error, file=sys.stderr)
        return 1 if options.verb == "verify" else 2


def find(folder: Path, *names: str) -> Path | None:
    """Return the file or folder of one of these names that lies least deep below a folder.

    Names are tried in their order, each also with .gz.
    """
    below = sorted(walk(folder), key=lambda path: (len(path.parts), path.as_posix()))
    for name in names:
        for candidate in (name, f"{name}.gz"):
            for path in below:
                if path.name == candidate:
                    return path
    return None


def walk(folder: Path, without: Path | None = None) -> Iterator[Path]:
    """Yield everything below a folder, through links to folders too, each folder once.

    without: a folder to stay out of
    """
    seen = set() if without is None else {os.path.realpath(without)}
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(place, name) for name in sorted(folders) + sorted(files))


def need(folder: Path, *names: str) -> Path:
    """Return what ``find`` finds. raises: MissingFileError"""
    found = find(folder, *names) if folder.is_dir() else None
    if found is None:
        raise MissingFileError(
            f"there is no {' or '.join(names)} at any depth",
            file=folder,
            remedy="run download, or put it there",
        )
    return found


def find_clips(
    dataset: Dataset, folder: Path, videos: Sequence[str], without: Path | None = None
) -> dict[str, list[Path]]:
    """Return the clips of every video that has one, the preferred first; ``without`` as in ``walk``."""
    by_name: dict[str, list[Path]] = {}
    for path in walk(folder, without):
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            below = path.relative_to(folder).with_suffix("")
            for key in {below.name, "/".join(below.parts[-2:])}:
                by_name.setdefault(key, []).append(path)
    found: dict[str, list[Path]] = {}
    for video in videos:
        names = [path for name in dataset.clip_names(video) for path in by_name.get(name, [])]
        unique = sorted(dict.fromkeys(names), key=lambda path: VIDEO_SUFFIXES.index(path.suffix.lower()))
        if unique:
            found[video] = unique
    return found


def check_equal(what: str, found: object, expected: object) -> None:
    """Raise Difference where a count is not the measured one."""
    if found != expected:
        raise Difference(f"{what}: {found}, expected {expected}")


def check_clips(
    dataset: Dataset, folder: Path, annotations: Annotations, short: int = 0, complete: bool = False
) -> str:
    """Decode every clip that is there and compare its frames; return a line that says how many.

    short: frames that a clip may lack at its end
    complete: where one clip is there, all have to be
    raises: Difference
    """
    from stad_lite.data.video import probe

    found = find_clips(dataset, folder, list(annotations.videos))
    fewer = 0
    for name, paths in progress(found.items(), total=len(found), desc="decoding"):
        expected = annotations.videos[name].num_frames or 0
        for path in paths:
            try:
                missing = expected - probe(path).num_frames
            except StadError as error:
                raise Difference(str(error)) from None
            if not 0 <= missing <= short:
                raise Difference(
                    f"{expected - missing} frames decode, expected {expected}", file=path, video=name
                )
            fewer += missing > 0
    absent = [name for name in annotations.videos if name not in found]
    if complete and found and absent:
        raise Difference(f"{len(absent)} of {len(annotations.videos)} clips are missing", video=absent[0])
    late = f", {fewer} of them a frame short" if fewer else ""
    return f"{len(found)} of {len(annotations.videos)} clips are here and decode{late}"


def check_files(entries: Sequence[Entry], folder: Path) -> str:
    """Compare checksums of the registry's files that are there; return a line that says how many.

    raises: Difference with the first file that differs
    """
    there = 0
    for entry in entries:
        path = folder / entry.path
        zipped = path.with_name(f"{path.name}.gz")
        if path.is_file():
            digest, size = sha256_of(path), path.stat().st_size
        elif zipped.is_file():
            try:
                content = packed.gunzip(zipped.read_bytes(), zipped)
            except StadError as error:
                raise Difference(f"not a whole gzip file ({error.problem})", file=zipped) from None
            digest, size = hashlib.sha256(content).hexdigest(), len(content)
        else:
            continue
        if (digest, size) != (entry.sha256, entry.size):
            raise Difference(
                f"{size} bytes, sha256 {digest}, expected {entry.size} and {entry.sha256}", file=entry.path
            )
        there += 1
    return f"{there} of {len(entries)} registered files are here and whole"


def _parser(dataset: Dataset) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=f"Get, convert and check the data set {dataset.name}.")
    parser.add_argument("--registry", type=Path, default=REGISTRY, help=argparse.SUPPRESS)
    verbs = parser.add_subparsers(dest="verb", required=True)
    home = data_root() / dataset.name
    place: dict[str, Any] = {"type": Path, "metavar": "DIR"}
    get = verbs.add_parser("download", help="fetch what can be had directly, say what cannot")
    get.add_argument(
        "--to", default=None, help="folder of the data set (default: its place below STAD_DATA)", **place
    )
    get.add_argument("--attempts", type=int, default=ATTEMPTS, help="connections to try for a file")
    turn = verbs.add_parser("convert", help="write OUT/annotations.json.gz and the clips that it speaks of")
    turn.add_argument(
        "--from", dest="source", default=None, help=f"folder of the files (default: {home.name})", **place
    )
    turn.add_argument("--out", type=Path, required=True, metavar="OUT")
    turn.add_argument("--split", type=int, choices=dataset.splits or None, help="number of the split")
    turn.add_argument("--subset", choices=list(dataset.subsets) or None)
    turn.add_argument("--classes", help="keep these classes only: A,B")
    turn.add_argument(
        "--clips", choices=["link", "copy", "index"], default="link", help="what to do with clips"
    )
    turn.add_argument("--all", action="store_true", help="keep annotated videos that have no clip")
    look = verbs.add_parser("verify", help="compare counts and checksums with what was measured")
    look.add_argument(
        "--from", dest="source", default=None, help=f"folder of the files (default: {home.name})", **place
    )
    return parser


def _home(dataset: Dataset, given: Path | None, registry: Path) -> Path:
    return given if given is not None else data_root() / read_registry(dataset.name, registry)[0]["folder"]


def _download(dataset: Dataset, options: argparse.Namespace) -> int:
    table, entries = read_registry(dataset.name, options.registry)
    target = options.to or data_root() / table["folder"]
    print(f"{table['title']}: {table['licence']}")
    failed = 0
    for entry in entries:
        if entry.url is None:
            continue
        try:
            state = fetch(entry, target / entry.path, options.attempts)
        except StadError as error:
            failed += 1
            state = f"failed: {error}"
        print(f"{entry.path}  {entry.size} bytes  {entry.licence}  {state}", flush=True)
    for item in table.get("by_hand", []):
        print(f"By hand: {item['what']} ({item['name']})\n  from {item['page']}\n  {item['put']}: {target}")
    print(f"{failed} files failed" if failed else f"all files are in {target}")
    return 1 if failed else 0


def _convert(dataset: Dataset, options: argparse.Namespace) -> int:
    source = _home(dataset, options.source, options.registry)
    if not source.is_dir():
        raise MissingFileError("there is no such folder", file=source, remedy="name it with --from")
    subset = dataset.subsets.get(options.subset) if options.subset else None
    annotations, report = dataset.load(source, options.split, subset)
    wanted = tuple(options.classes.split(",")) if options.classes else None
    found = find_clips(dataset, source, list(annotations.videos), options.out)
    clips = {name: paths[0] for name, paths in found.items()}
    plan = Plan(options.out, wanted, options.clips, options.all, dataset.guessed_sizes)
    for line in [*report, *convert(annotations, clips, plan)]:
        print(line)
    return 0


def _verify(dataset: Dataset, options: argparse.Namespace) -> int:
    table, entries = read_registry(dataset.name, options.registry)
    source = options.source or data_root() / table["folder"]
    if not source.is_dir():
        raise MissingFileError("there is no such folder", file=source, remedy="name it with --from")
    if (source / "clips.json").is_file():
        print(verify_converted(source))
        return 0
    print(check_files(entries, source))
    for line in dataset.check(source):
        print(line)
    return 0
