"""``stad-lite link --predictions P --method M --out Q``."""

from __future__ import annotations

import argparse

from stad_lite.cli.output import claim
from stad_lite.linking import PRESETS, TRIMS, link_counted
from stad_lite.records import read_predictions, write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    presets = sorted({name for table in PRESETS.values() for name in table})
    parser.add_argument("--predictions", required=True, metavar="P", help="file with frame boxes")
    parser.add_argument("--method", required=True, choices=sorted(PRESETS), help="how boxes become tubes")
    parser.add_argument("--preset", choices=presets, help="whose settings; the sound defaults without it")
    parser.add_argument("--trim", choices=sorted(TRIMS), help="how tubes are cut in time")
    parser.add_argument("--out", required=True, metavar="Q", help="file to write: .json, .json.gz or .npz")


def run(arguments: argparse.Namespace) -> int:
    """Link every video; the file is written whole or not at all."""
    claim(arguments.out, arguments.predictions)
    result = link_counted(
        read_predictions(arguments.predictions), arguments.method, arguments.preset, arguments.trim
    )
    write(result.predictions, arguments.out)
    print(f"{arguments.out}: " + ", ".join(f"{count} {what}" for what, count in result.counts.items()))
    return 0
