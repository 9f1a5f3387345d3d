"""``stad-lite oracles DATASET --data DIR --json OUT``."""

from __future__ import annotations

import argparse
from pathlib import Path

from stad_lite.cli.output import claim, write_json
from stad_lite.reproduce.oracles import ORACLES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("dataset", choices=sorted(ORACLES), help="data set")
    parser.add_argument("--data", required=True, metavar="DIR", help="folder with the published files")
    parser.add_argument("--json", default="-", metavar="OUT", help="file to write, - for standard output")


def run(arguments: argparse.Namespace) -> int:
    """Compute the figures and write them as one JSON object."""
    claim(arguments.json, *Path(arguments.data).glob("*"))
    write_json(ORACLES[arguments.dataset](arguments.data), arguments.json)
    return 0
