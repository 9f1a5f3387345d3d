"""``stad-lite render VIDEO --predictions P --out OUT``."""

from __future__ import annotations

import argparse

from stad_lite.cli.output import claim
from stad_lite.errors import MissingExtraError
from stad_lite.records import read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("video", metavar="VIDEO", help="video file")
    parser.add_argument("--predictions", required=True, metavar="P", help="predictions or annotations file")
    parser.add_argument("--truth", metavar="T", help="annotations, drawn as thin white boxes")
    parser.add_argument(
        "--id", metavar="ID", help="the video's name in the files, where it is not the file's"
    )
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="draw these only")
    parser.add_argument("--min-score", type=float, default=0.0, metavar="S", help="leave weaker boxes out")
    parser.add_argument(
        "--size", nargs=2, type=int, metavar=("HEIGHT", "WIDTH"), help="frame size of the boxes"
    )
    parser.add_argument("--out", required=True, metavar="OUT", help="the .mp4 to write")


def run(arguments: argparse.Namespace) -> int:
    """Draw the boxes over the video; the file is written whole or not at all."""
    try:
        from stad_lite.plots.render import render_video
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed", remedy="pip install 'stad_lite[video]'"
        ) from None
    claim(arguments.out, arguments.video, arguments.predictions, arguments.truth)
    out = render_video(
        arguments.video,
        read(arguments.predictions),
        arguments.out,
        video_id=arguments.id,
        truth=read(arguments.truth) if arguments.truth else None,
        only=arguments.classes,
        least=arguments.min_score,
        size=tuple(arguments.size) if arguments.size else None,
    )
    print(out)
    return 0
