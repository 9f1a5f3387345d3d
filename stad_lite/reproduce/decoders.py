"""What another decoder changes: pixels of real clips, and the score of a trained detector.

    python -m stad_lite.reproduce.decoders [--data jhmdb21] [--clips 40]

reads clips of a published set with PyAV, which the library uses, and with OpenCV, and tells how far their
pixels are apart. Then the kept detector of CFAD looks at the first test clips of the synthetic benchmark: as
rendered, and written as H.264 and read with either decoder.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from stad_lite.cfad import system as cfad
from stad_lite.data import published, video
from stad_lite.data.location import DATASETS, have_data, missing_message
from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.errors import MissingExtraError, StadError
from stad_lite.reproduce import trained
from stad_lite.reproduce.experiments.cfad import settings, tube_scores
from stad_lite.reproduce.program import program

DETECTOR = "cfad"
SIZE = (64, 64)
"""Pixels at which the small detectors look."""
TOLD = (
    "{videos} videos, {frames} frames, {other_length} of another length; {equal:.1f} % of values equal, "
    "mean difference {mean:.2f} grey levels, largest {largest}"
)


def opencv(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return all frames of a video as OpenCV decodes them: (n, h, w, 3) uint8 RGB.

    size: (height, width) to scale to as its users do, bilinear
    raises: MissingExtraError, FormatError where it gives none
    """
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("OpenCV is not installed", remedy="pip install 'stad_lite[flow]'") from None
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        good, frame = capture.read()
        if not good:
            break
        frames.append((frame if size is None else cv2.resize(frame, size[::-1]))[..., ::-1])
    capture.release()
    return np.stack(frames) if frames else np.zeros((0, 1, 1, 3), np.uint8)


DECODERS: Mapping[str, Callable[..., np.ndarray]] = {"PyAV": video.read, "OpenCV": opencv}
"""Name -> all frames of a file, at a size."""


def pixels(files: Mapping[str, Path], size: tuple[int, int] | None = None) -> dict[str, float]:
    """Return how far the two decoders are apart, over all frames of some videos that both decode.

    size: (height, width) to which each scales in its own way, None for the files' own
    returns: ``videos``, ``frames``; ``other_length``: videos of which they give another number of frames;
        ``mean``, ``largest`` difference in grey levels; ``equal``: percent of values that are the same
    """
    total, values, largest, same, frames, other = 0.0, 0, 0, 0, 0, 0
    for path in files.values():
        one, two = (read(path, size=size) for read in DECODERS.values())
        other += len(one) != len(two)
        count = min(len(one), len(two))
        apart = np.abs(one[:count].astype(np.int16) - two[:count])
        total, values, frames = total + float(apart.sum()), values + apart.size, frames + count
        largest, same = max(largest, int(apart.max(initial=0))), same + int((apart == 0).sum())
    told = {"videos": len(files), "frames": frames, "other_length": other, "largest": largest}
    return {**told, "mean": total / max(values, 1), "equal": 100 * same / max(values, 1)}


def scores(clips: int) -> dict[str, dict[str, float]]:
    """Return the figures of the kept detector on frames as rendered and as each decoder gives them."""
    system = trained.load(DETECTOR).system
    source = synthetic_source(settings("lesson"), clips, "test")
    found = {"as rendered": source}
    with tempfile.TemporaryDirectory() as place:
        files: dict[str, Path] = {}
        for name in source.videos:
            rendered = source.frames(name, range(source.num_frames(name)))
            files[name] = video.write(Path(place) / f"{len(files)}.mp4", rendered, source.fps(name))
        for decoder, read in DECODERS.items():
            found[decoder] = _reread(source, {name: read(path) for name, path in files.items()})
    return {name: tube_scores(one.annotations, cfad.detect(system, one)) for name, one in found.items()}


def _reread(source: VideoSource, frames: Mapping[str, np.ndarray]) -> VideoSource:
    def read(name: str, numbers: np.ndarray) -> np.ndarray:
        height, width = source.size
        return frames[name][numbers, :height, :width]

    return replace(source, read_frames=read)


def _files(data: str, clips: int) -> dict[str, Path]:
    """So many of a set's files, spread evenly over its list."""
    names = list(published.truth(data).record.videos)
    files = published.video_files(data, names)
    every = max(1, len(files) // clips)
    return dict(list(files.items())[::every][:clips])


@program("decoders")
def main(arguments: list[str] | None = None) -> int:
    """Print both tables and return the exit code: 2 where the data is not there."""
    parser = argparse.ArgumentParser(description="Compare what two decoders give.")
    parser.add_argument("--data", choices=sorted(DATASETS), default="jhmdb21")
    parser.add_argument("--clips", type=int, default=40, metavar="N", help="clips of the set")
    parser.add_argument("--rendered", type=int, default=trained.CLIPS, metavar="N", help="synthetic clips")
    chosen = parser.parse_args(arguments)
    if not have_data(chosen.data):
        raise StadError(missing_message(chosen.data))
    files = _files(chosen.data, max(1, chosen.clips))
    for size in (None, SIZE):
        print(f"{chosen.data}, {'its own size' if size is None else f'{size[0]} x {size[1]}'}: ", end="")
        print(TOLD.format(**pixels(files, size)))
    print(f"{DETECTOR} on {chosen.rendered} synthetic clips, percent:")
    for name, figures in scores(max(1, chosen.rendered)).items():
        print(f"  {name:<12}" + "  ".join(f"{key} {value:5.1f}" for key, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
