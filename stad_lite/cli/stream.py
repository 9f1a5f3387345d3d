"""``stad-lite stream RUN VIDEO``: what a trained system finds, frame by frame, and how fast."""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite.cli.output import claim
from stad_lite.data import video
from stad_lite.data.flow import ESTIMATORS
from stad_lite.errors import MissingExtraError, StadError
from stad_lite.reproduce import trained
from stad_lite.training import distributed

SAY_EVERY = 1.0
"""Seconds from one line to the next."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("folder", metavar="RUN", help="folder that was trained into, or trained:flow_subnet")
    parser.add_argument("video", metavar="VIDEO", help="video file")
    parser.add_argument("--render", metavar="OUT", help="write the video with its boxes (.mp4) on the way")
    parser.add_argument(
        "--least", type=float, default=0.3, metavar="S", help="leave weaker boxes out of the rendered video"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="without it the GPU where there is one")


def run(arguments: argparse.Namespace) -> int:
    """Stream the frames, say the pace every second, and at the end where the time went."""
    claim(arguments.render, arguments.video)
    with distributed.processes(arguments.device):
        system, spec = trained.open_run(arguments.folder, device=arguments.device)
        given = getattr(spec.model, "estimator", "") == "given"
        estimator = ESTIMATORS[spec.data.flow]() if given else None
        stream = spec.entry.stream(system, estimator=estimator)
        frames = _frames(arguments.video)
        try:
            if arguments.render:
                print(_render(arguments, stream, system.classes, frames))
            else:
                deque(_paced(stream, frames), maxlen=0)
        except StadError as error:
            raise error.at(file=arguments.video) from None
    return 0


def _frames(path: str) -> Iterator[np.ndarray]:
    return (frame for batch in video.batches(path, 16) for frame in batch)


def _paced(stream: Any, frames: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield every frame with what is found on it, and print the pace; reading and drawing do not count."""
    spent, said, count = 0.0, time.perf_counter(), 0
    waiting: list[np.ndarray] = []
    for frame in chain(frames, (None,)):
        began = time.perf_counter()
        answers = stream.close() if frame is None else stream.push(frame)
        spent += time.perf_counter() - began
        waiting += [] if frame is None else [frame]
        for answer in answers:
            count += 1
            yield waiting.pop(0), answer
        if time.perf_counter() - said > SAY_EVERY:
            said = time.perf_counter()
            print(f"frame {count}: {count / spent:.1f} frames a second", flush=True)
    total = sum(stream.account.seconds.values()) or 1.0
    parts = ", ".join(f"{name} {100 * part / total:.0f} %" for name, part in stream.account.seconds.items())
    print(f"{count} frames, {count / max(spent, 1e-9):.1f} a second, {len(stream.tubes())} tubes; {parts}")


def _render(
    arguments: argparse.Namespace, stream: Any, classes: tuple[str, ...], frames: Iterator[np.ndarray]
) -> Path:
    try:
        from stad_lite.plots import style
        from stad_lite.plots.render import overlay
        from stad_lite.plots.shown import Shown
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed", remedy="pip install 'stad_lite[video]'"
        ) from None
    colours = style.class_colours(classes)

    def drawn() -> Iterator[np.ndarray]:
        for frame, answer in _paced(stream, frames):
            found = answer.found
            strong = np.flatnonzero((found.scores >= arguments.least) & (answer.paths >= 0))
            shown = [Shown(classes[found.labels[row]], found.boxes[row], found.scores[row]) for row in strong]
            yield overlay(frame, shown, colours)

    return video.write(arguments.render, drawn(), video.probe(arguments.video).fps or 25.0)
