"""Optical flow: estimators under one call, and the files that keep it.

An estimator is a callable (frame_a, frame_b) -> (h, w, 2): pixels that each point of the first frame
moves right and down until the second. DIS, Farneback and TV-L1 are OpenCV's (extra ``flow``), ``brox`` is
ours; a flow network serves as one just as well.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite import packed
from stad_lite.errors import FormatError, MissingExtraError, StadError, TruncatedFileError

Estimator = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(h, w, 3) uint8 RGB twice -> (h, w, 2) float32 pixels."""

UNKNOWN = 1e9
"""Beyond this the Middlebury format calls flow unknown; here unknown flow is NaN."""

_MAGIC = struct.pack("<f", 202021.25)


def _cv2() -> Any:
    try:
        import cv2
    except ImportError:
        raise MissingExtraError(
            "this flow needs OpenCV", remedy='install the extra: pip install "stad_lite[flow]"'
        ) from None
    return cv2


def _grey(frame: np.ndarray) -> np.ndarray:
    frame = np.asarray(frame)
    if frame.dtype != np.uint8 or frame.ndim not in (2, 3):
        raise FormatError(f"a frame is {frame.dtype} {frame.shape}", remedy="give (h, w, 3) or (h, w) uint8")
    return np.ascontiguousarray(frame if frame.ndim == 2 else _cv2().cvtColor(frame, _cv2().COLOR_RGB2GRAY))


def dis(preset: str = "medium") -> Estimator:
    """Return OpenCV's dense inverse search.

    preset: ultrafast, fast or medium
    raises: MissingExtraError, StadError
    Source: Kroeger et al., Fast Optical Flow using Dense Inverse Search.
    """
    cv2, presets = _cv2(), ("ultrafast", "fast", "medium")
    if preset not in presets:
        raise StadError(f"no preset is called {preset!r}", remedy=f"choose from {', '.join(presets)}")
    solver = cv2.DISOpticalFlow_create(presets.index(preset))
    return lambda a, b: solver.calc(_grey(a), _grey(b), None)


def farneback(window: int = 15, levels: int = 5, iterations: int = 3) -> Estimator:
    """Return OpenCV's polynomial expansion.

    window: pixels that are averaged over; levels: of the pyramid, each half the size
    raises: MissingExtraError
    Source: Farneback, Two-Frame Motion Estimation Based on Polynomial Expansion.
    """
    cv2 = _cv2()
    return lambda a, b: cv2.calcOpticalFlowFarneback(
        _grey(a), _grey(b), None, 0.5, levels, window, iterations, 7, 1.5, 0
    )


def tvl1() -> Estimator:
    """Return OpenCV's duality-based TV-L1, which only its contrib build has.

    raises: MissingExtraError
    Source: Zach et al., A Duality Based Approach for Realtime TV-L1 Optical Flow.
    """
    cv2 = _cv2()
    if not hasattr(cv2, "optflow"):
        raise MissingExtraError(
            "TV-L1 needs OpenCV's contrib modules",
            remedy="install opencv-contrib-python-headless instead of opencv-python-headless, or use brox",
        )
    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    return lambda a, b: solver.calc(_grey(a), _grey(b), None)


def brox(**options: Any) -> Estimator:
    """Return the variational solver after Brox et al. (options: the fields of ``variational.Brox``)."""
    from stad_lite.data.variational import Brox

    return Brox(**options)


ESTIMATORS: dict[str, Callable[..., Estimator]] = {
    "dis": dis,
    "farneback": farneback,
    "tvl1": tvl1,
    "brox": brox,
}
"""Makers of estimators by name."""


def of_clip(frames: np.ndarray, estimator: Estimator, repeat_last: bool = True) -> np.ndarray:
    """Return the flow from every frame to the next.

    frames: (t, h, w, 3) uint8 RGB
    repeat_last: the last map stands again for the last frame, which has no next one
    returns: (t, h, w, 2) float32 pixels, or (t - 1, h, w, 2)
    raises: FormatError for fewer than two frames
    """
    if len(frames) < 2:
        raise FormatError(f"{len(frames)} frames have no flow", remedy="give at least two")
    maps = [np.asarray(estimator(a, b), np.float32) for a, b in pairwise(frames)]
    return np.stack(maps + maps[-1:] if repeat_last else maps)


def end_point_error(flow: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean distance in pixels between two flows where the truth is known (not NaN).

    >>> end_point_error(np.zeros((2, 2, 2)), np.full((2, 2, 2), [3., 4.]))
    5.0
    """
    distance = np.linalg.norm(np.asarray(flow, np.float64) - np.asarray(truth, np.float64), axis=-1)
    return float(distance[np.isfinite(np.asarray(truth)).all(-1)].mean())


def read_flo(path: str | PathLike[str]) -> np.ndarray:
    """Return the flow of a Middlebury .flo file (or .flo.gz): (h, w, 2) float32, NaN where unknown.

    raises: MissingFileError, FormatError, TruncatedFileError
    """
    path = Path(path)
    data = packed.read(path)
    if data[:4] != _MAGIC:
        raise FormatError("not a .flo file (it does not start with PIEH)", file=path)
    if len(data) < 12:
        raise TruncatedFileError("the file ends in its header", file=path, remedy="copy the file again")
    width, height = struct.unpack("<ii", data[4:12])
    needed = 12 + 8 * width * height
    if not (0 < width < 100_000 and 0 < height < 100_000):
        raise FormatError(f"a flow of {width}x{height} pixels cannot be", file=path)
    if len(data) < needed:
        raise TruncatedFileError(f"the file ends {needed - len(data)} bytes too early", file=path)
    if len(data) > needed:
        raise FormatError(f"{len(data) - needed} bytes follow the flow", file=path)
    flow = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2).astype(np.float32)
    flow[(np.abs(flow) > UNKNOWN).any(-1)] = np.nan
    return flow
