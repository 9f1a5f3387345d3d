"""The older annotation's tubes taken apart into boxes and linked again: the chapter *From boxes to tubes*."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from stad_lite.data.location import have_data, missing_message
from stad_lite.linking import (
    Detections,
    Linked,
    OnlineConfig,
    ViterbiConfig,
    from_rows,
    link_online,
    link_viterbi,
)
from stad_lite.reproduce.published_files import second_annotation
from stad_lite.reproduce.results import Results
from stad_lite.tubes import Tube

LINKERS: dict[str, Callable[[Detections], Linked]] = {
    "online, NMS .45": link_online,
    "online, no NMS": partial(link_online, config=OnlineConfig(nms=None)),
    "Viterbi, NMS .45": link_viterbi,
    "Viterbi, no NMS": partial(link_viterbi, config=ViterbiConfig(nms=None)),
}


def measure(results: Results) -> list[str]:
    """Add how many tubes of videos with several come back whole; return a sentence where the file is not."""
    path = second_annotation.find()
    if path is None or not have_data("ucf101-24"):
        return [missing_message("ucf101-24")]
    videos = [video.tubes or () for video in second_annotation.read(path).videos.values()]
    several = [tubes for tubes in videos if len(tubes) > 1]
    results.add("real: videos with several tubes", len(several), data="ucf101-24")
    results.add("real: tubes in them", sum(map(len, several)), data="ucf101-24")
    boxes = taken_apart(several)
    for name, linker in LINKERS.items():
        linked: list[list[Tube]] = [[] for _ in several]
        for tube in linker(boxes).tubes:
            linked[int(tube.label)].append(tube)
        back = sum(map(whole, several, linked))
        results.add(f"real: whole tubes, {name}", back, "tubes", "ucf101-24")
    return []


def one_video(name: str) -> dict[str, Sequence[Tube]]:
    """Return the tubes of one video, "annotated" and linked again by each linker without NMS.

    returns: {} where the file is not
    """
    path = second_annotation.find()
    if path is None:
        return {}
    tubes = second_annotation.read(path).videos[name].tubes or ()
    made = {how: link(taken_apart([tubes])).tubes for how, link in LINKERS.items() if how.endswith("no NMS")}
    return {
        how: sorted(some, key=lambda tube: (tube.start, tube.boxes[0, 0]))
        for how, some in {"annotated": tubes, **made}.items()
    }


def taken_apart(videos: Sequence[Sequence[Tube]]) -> Detections:
    """Return the boxes of the videos' tubes as detections, a class a video: linkers keep classes apart."""
    tubes = [tube for video in videos for tube in video]
    lengths = [len(tube) for tube in tubes]
    frames = np.concatenate([tube.frames for tube in tubes])
    numbers = np.repeat([number for number, video in enumerate(videos) for _ in video], lengths)
    scores = np.repeat([tube.score for tube in tubes], lengths)
    boxes = np.concatenate([tube.boxes for tube in tubes])
    return from_rows(frames, numbers, boxes, scores, len(videos))


def whole(tubes: Sequence[Tube], linked: Sequence[Tube]) -> int:
    """Return how many tubes came back: every box, no more, no less."""
    return sum(
        any(one.start == other.start and np.array_equal(one.boxes, other.boxes) for other in linked)
        for one in tubes
    )
