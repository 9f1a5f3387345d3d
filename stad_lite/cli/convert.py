"""``stad-lite convert SRC DST --from FORMAT [--to FORMAT]``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stad_lite import records
from stad_lite.cli.output import claim
from stad_lite.errors import FormatError, StadError
from stad_lite.records import Annotations, Predictions, exchange

OWN = "records"
"""The house's formats: .json, .json.gz, .npz."""

KINDS = ("annotations", "predictions")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    readable = sorted({name for name, _ in exchange.READERS} | {OWN, "ucf101-24"})
    writable = sorted({name for name, _ in exchange.WRITERS} | {OWN})
    parser.add_argument("source", metavar="SRC", type=Path, help="file or folder to read")
    parser.add_argument("target", metavar="DST", type=Path, help="file or folder to write")
    parser.add_argument("--from", dest="source_format", required=True, choices=readable, help="format of SRC")
    parser.add_argument("--to", dest="target_format", default=OWN, choices=writable, help="format of DST")
    parser.add_argument("--kind", choices=KINDS, help="what SRC holds; needed where its format has both")
    parser.add_argument(
        "--truth", type=Path, metavar="T", help="annotations that give classes, videos and frame sizes"
    )
    parser.add_argument("--subset", help="list of activitynet or thumos14 annotations: validation, ...")
    parser.add_argument(
        "--actions", type=Path, metavar="LIST", help="of ava: the .pbtxt that names its actions"
    )
    own = parser.add_argument_group("tools for one's own videos")
    own.add_argument("--label", metavar="NAME", help="of cvat and via: the attribute that holds the class")
    own.add_argument("--track", metavar="NAME", help="of via: the attribute that names the actor (track)")
    own.add_argument("--size", metavar="W,H", help="of via and mot: pixels of the frames")
    own.add_argument("--fps", metavar="RATE", help="of via and mot: frames a second")
    own.add_argument("--first", metavar="N", help="of via: number of a video's first picture (1)")


def run(arguments: argparse.Namespace) -> int:
    """Read, check and write; a record file is written whole or not at all."""
    truth = records.read_annotations(arguments.truth) if arguments.truth else None
    if arguments.target_format == OWN and arguments.target.is_dir():
        raise FormatError("the target is a folder", file=arguments.target, remedy="name a file")
    claim(arguments.target, arguments.source, arguments.truth, arguments.actions)
    if arguments.source.is_dir():
        claim(arguments.target, *(path for path in arguments.source.rglob("*") if path.is_file()))
    record = _read(arguments, truth)
    if arguments.target_format == OWN:
        records.write(record, arguments.target)
    else:
        like = truth or (record if isinstance(record, Annotations) else None)
        options = {"actions": _actions(arguments)} if arguments.target_format == "ava" else {}
        exchange.write(record, arguments.target, arguments.target_format, like, **options)
    print(f"{arguments.target}: {len(record.videos)} videos, {len(record.classes)} classes")
    return 0


def _read(arguments: argparse.Namespace, truth: Annotations | None) -> Annotations | Predictions:
    name, source = arguments.source_format, arguments.source
    if name == OWN:
        return records.read(source)
    if name == "ucf101-24":
        return read_ucf101_24(source)
    kinds = [kind for kind in KINDS if (name, kind) in exchange.READERS]
    if arguments.kind is None and len(kinds) > 1:
        raise StadError(f"{name} files hold {' or '.join(kinds)}", remedy="say which with --kind")
    reading = exchange.read(source, name, arguments.kind or kinds[0], truth, **_options(arguments))
    for sentence in reading.report:
        print(f"note: {sentence}")
    record: Annotations | Predictions = reading.record
    return record


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the reader of the format is told beside the path."""
    options: dict[str, Any] = {}
    if arguments.subset:
        options["subset"] = arguments.subset
    if arguments.source_format == "ava":
        options["actions"] = _actions(arguments)
    for name, settle in TOLD.items():
        if (text := getattr(arguments, name)) is not None:
            try:
                options[name] = settle(text)
            except ValueError:
                raise StadError(f"--{name} is {text!r}", remedy=f"write {EXAMPLES[name]}") from None
    return options


def _size(text: str) -> tuple[int, int]:
    width, height = (int(part) for part in text.split(","))
    if width < 1 or height < 1:
        raise ValueError
    return width, height


def _rate(text: str) -> float:
    if not 0 < float(text) < float("inf"):
        raise ValueError
    return float(text)


TOLD: dict[str, Callable[[str], Any]] = {
    "label": str,
    "track": str,
    "size": _size,
    "fps": _rate,
    "first": int,
}
EXAMPLES = {"size": "--size 640,480", "fps": "--fps 25", "first": "--first 0"}


def _actions(arguments: argparse.Namespace) -> dict[int, str]:
    if arguments.actions is None:
        raise StadError("ava files number their actions", remedy="give the .pbtxt that names them, --actions")
    return exchange.ava.read_action_list(arguments.actions)


def read_ucf101_24(path: Path) -> Annotations:
    """Return the UCF101-24 annotations of a file (.pkl or .mat) or of the folder that holds one."""
    from stad_lite.data import ucf101_24

    if path.is_dir():
        found = [path / name for name in ("pyannot.pkl", "finalAnnots.mat") if (path / name).is_file()]
        if not found:
            raise StadError("the folder holds neither pyannot.pkl nor finalAnnots.mat", file=path)
        path = found[0]
    return ucf101_24.read_mat(path) if path.suffix == ".mat" else ucf101_24.read_pickle(path)
