"""``stad-lite convert SRC DST --from FORMAT``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from stad_lite import records
from stad_lite.errors import FormatError, StadError
from stad_lite.records import Annotations, Predictions


def read_records(path: Path) -> Annotations | Predictions:
    """Return what a file in the house's own formats holds."""
    return records.read(path)


def read_ucf101_24(path: Path) -> Annotations:
    """Return the UCF101-24 annotations of a file (.pkl or .mat) or of the folder that holds one."""
    from stad_lite.data import ucf101_24

    if path.is_dir():
        found = [path / name for name in ("pyannot.pkl", "finalAnnots.mat") if (path / name).is_file()]
        if not found:
            raise StadError("the folder holds neither pyannot.pkl nor finalAnnots.mat", file=path)
        path = found[0]
    return ucf101_24.read_mat(path) if path.suffix == ".mat" else ucf101_24.read_pickle(path)


READERS: dict[str, Callable[[Path], Annotations | Predictions]] = {
    "records": read_records,
    "ucf101-24": read_ucf101_24,
}
"""Format name -> function from a file or folder to a record."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("source", metavar="SRC", type=Path, help="file or folder to read")
    parser.add_argument("target", metavar="DST", type=Path, help="file to write: .json, .json.gz or .npz")
    parser.add_argument(
        "--from", dest="source_format", required=True, choices=sorted(READERS), help="format of SRC"
    )


def run(arguments: argparse.Namespace) -> int:
    """Read, check and write; the target is written whole or not at all."""
    if arguments.target.is_dir():
        raise FormatError("the target is a folder", file=arguments.target, remedy="name a file")
    record = READERS[arguments.source_format](arguments.source)
    records.write(record, arguments.target)
    print(f"{arguments.target}: {len(record.videos)} videos, {len(record.classes)} classes")
    return 0
