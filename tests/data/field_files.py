"""Video files as people meet them: made here, frame by frame, with what cameras and shops do to them."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")

TICK = Fraction(1, 1000)
ROTATIONS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""Clockwise degrees -> a, b, c, d of the display matrix."""


def pictures(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Grey frames that say their number in their brightness, with a white block at x 8-24, y 4-12."""
    frames = []
    for number in range(count):
        frame = np.full((height, width, 3), 20 + 3 * number % 150, np.uint8)
        frame[4:12, 8:24] = 255
        frames.append(frame)
    return frames


def at_times(path: Path, times: list[float], sound_from: float | None = None, codec: str = "libx264") -> Path:
    """A video whose frames are shown at these seconds; with sound from another second on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = TICK
        sound = None if sound_from is None else container.add_stream("aac", rate=8000)
        for image, second in zip(pictures(len(times)), times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(second / TICK), TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None and sound_from is not None:
            silence = np.zeros((1, int(8000 * (times[-1] - sound_from + 0.5))), np.float32)
            heard = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            heard.sample_rate, heard.pts = 8000, int(8000 * sound_from)
            heard.time_base = Fraction(1, 8000)
            container.mux(sound.encode(heard))
            container.mux(sound.encode())
    return path


def with_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix into an .mp4's track header, as phones do."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    a, b, c, d = (65536 * value for value in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(data))
    return path


def shown(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """A picture as a player shows it, pixel by pixel."""
    a, b, c, d = matrix
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    turned = np.zeros((down.max() + 1, across.max() + 1, 3), np.uint8)
    turned[down, across] = image
    return turned


def with_cover(path: Path, frames: list[np.ndarray], video: bool = True) -> Path:
    """An .mp4 that holds a cover picture, and a video unless it is sound alone."""
    from av.stream import Disposition

    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 200, 200, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        stream = container.add_stream("libx264" if video else "aac", rate=10 if video else 8000)
        if video:
            stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.full((200, 200, 3), 90, np.uint8), format="rgb24")
        for packet in [*cover.encode(picture), *cover.encode()]:
            container.mux(packet)
        for image in frames if video else ():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        if not video:
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
            heard.sample_rate = 8000
            container.mux(stream.encode(heard))
        container.mux(stream.encode())
    return path
