"""Truth and predictions whose frame numbers count time at different rates, brought to one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stad_lite.errors import FormatError
from stad_lite.records import Annotations, Predictions, VideoAnnotation, VideoPredictions


def on_one_clock(truth: Annotations, predictions: Predictions) -> tuple[Annotations, Predictions]:
    """Return both with boxes of one second on one number, where predictions say at which rate they count.

    raises: FormatError with the video where the rates have no common numbers
    """
    real, found = dict(truth.videos), dict(predictions.videos)
    changed = False
    for name, video in predictions.videos.items():
        known = truth.videos.get(name)
        if video.fps is None or video.frames is None or known is None or known.fps in (None, video.fps):
            continue
        changed = True
        try:
            real[name], found[name] = _together(known, video)
        except FormatError as error:
            raise error.at(video=name) from None
    return (
        (replace(truth, videos=real), replace(predictions, videos=found)) if changed else (truth, predictions)
    )


def _together(known: VideoAnnotation, video: VideoPredictions) -> tuple[VideoAnnotation, VideoPredictions]:
    ours, theirs = video.fps or 1.0, known.fps or 1.0
    assert video.frames is not None
    if known.num_frames is not None or known.tubes is not None:  # numbers of the video's own frames
        places = np.rint(video.frames.frame / ours * theirs).astype(np.int64)
        if known.times is not None:
            places = np.searchsorted(known.times, video.frames.frame / ours + 1e-6, side="right") - 1
        return known, replace(video, fps=None, frames=replace(video.frames, frame=places))
    rate = max(ours, theirs)
    if rate % ours or rate % theirs:
        problem = f"the truth counts {theirs:g} numbers a second and the predictions {ours:g}"
        raise FormatError(problem, remedy="convert both with the same rate")
    factor, boxes, keys = int(rate / theirs), known.frames, known.evaluated_frames
    known = replace(
        known,
        fps=rate,
        frames=None if boxes is None else replace(boxes, frame=boxes.frame * factor),
        evaluated_frames=None if keys is None else keys * factor,
    )
    found = replace(video.frames, frame=video.frames.frame * int(rate / ours))
    flat = None if video.flat is None else video.flat * [rate / ours, 1, 1]
    return known, replace(video, fps=rate, frames=found, flat=flat)
