from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stad_lite.errors import FormatError, StadError
from stad_lite.linking import (
    PRESETS,
    TRIMS,
    LabelSmoothing,
    OnlineConfig,
    TubeletConfig,
    ViterbiConfig,
    from_rows,
    link,
    link_counted,
    link_online,
    link_tubelets,
    link_viterbi,
)
from stad_lite.records import FrameBoxes, Predictions, Segment, VideoPredictions
from stad_lite.tubes import Tube

CLASSES = ("run", "jump")


def frames(length: int = 30, x: float = 0.0) -> FrameBoxes:
    left = x + np.arange(length, dtype=float)
    boxes = np.stack([left, 0 * left, left + 20, 0 * left + 30], axis=1)
    return FrameBoxes(np.arange(length), np.zeros(length, dtype=int), boxes, np.full(length, 0.75))


def predictions(**videos: VideoPredictions) -> Predictions:
    return Predictions(CLASSES, videos)


@pytest.mark.parametrize(
    ("method", "function"), [("online", link_online), ("tubelets", link_tubelets), ("viterbi", link_viterbi)]
)
def test_every_method_links_every_video(method: str, function: Any) -> None:
    record = predictions(a=VideoPredictions(frames=frames()), b=VideoPredictions(frames=frames(20, 300.0)))
    linked = link(record, method)
    for name, video in record.videos.items():
        boxes = video.frames
        assert boxes is not None
        direct = function(from_rows(boxes.frame, boxes.label, boxes.box, boxes.score, 2), None, CLASSES)
        assert linked.videos[name].tubes == direct.tubes
        assert [(tube.label, tube.score, len(tube)) for tube in direct.tubes] == [("run", 0.75, len(boxes))]
        assert linked.videos[name].frames == boxes


@pytest.mark.parametrize(
    ("method", "name"), [(method, name) for method in PRESETS for name in PRESETS[method]]
)
@pytest.mark.parametrize("trim", [None, *TRIMS])
def test_presets_and_trims_by_name(method: str, name: str, trim: str | None) -> None:
    record = predictions(a=VideoPredictions(frames=frames()))
    settings, cutter = PRESETS[method][name](), None if trim is None else TRIMS[trim]()
    assert link(record, method, name, trim) == link(record, method, settings, cutter)
    assert len(link(record, method, name, trim).videos["a"].tubes or ()) == 1


def test_counts_say_what_was_left_out() -> None:
    boxes = frames(30)
    lonely = FrameBoxes(
        np.append(boxes.frame, 3),
        np.append(boxes.label, 1),
        np.concatenate([boxes.box, [[500.0, 0, 520, 20]]]),
        np.append(boxes.score, 0.5),  # type: ignore[arg-type]
    )
    result = link_counted(predictions(a=VideoPredictions(frames=lonely), b=VideoPredictions(frames=boxes)))
    counts = {"videos": 2, "boxes": 61, "unused": 1, "tubes": 2, "short": 1, "weak": 0, "suppressed": 0}
    assert result.counts == counts
    trimmed = link_counted(predictions(a=VideoPredictions(frames=frames(5))), trim="road").counts
    assert (trimmed["trimmed_away"], trimmed["short_runs"], trimmed["tubes"]) == (1, 1, 0)


def test_videos_without_boxes() -> None:
    segment = Segment("run", 0.0, 1.0, 0.5)
    empty = FrameBoxes(np.zeros(0), np.zeros(0), np.zeros((0, 4)), np.zeros(0))
    linked = link(predictions(a=VideoPredictions(frames=empty, segments=(segment,)), b=VideoPredictions()))
    assert linked.videos["a"] == VideoPredictions(tubes=(), frames=empty, segments=(segment,))
    assert linked.videos["b"].tubes == ()
    assert link(predictions()).videos == {}
    tube = Tube(0, np.array([[0.0, 0, 1, 1]]), "run", 0.5)
    with pytest.raises(FormatError, match="video c: there are no frame boxes to link"):
        link(predictions(c=VideoPredictions(tubes=(tube,))))


def test_old_tubes_are_replaced() -> None:
    tube = Tube(0, np.array([[0.0, 0, 1, 1]]), "jump", 0.5)
    linked = link(predictions(a=VideoPredictions(tubes=(tube,), frames=frames())))
    assert [one.label for one in linked.videos["a"].tubes or ()] == ["run"]


def test_unknown_names_and_wrong_settings() -> None:
    record = predictions(a=VideoPredictions(frames=frames()))
    with pytest.raises(StadError, match="'greedy'; choose from online, tubelets, viterbi"):
        link(record, "greedy")
    with pytest.raises(StadError, match="no viterbi preset is called 'road'"):
        link(record, "viterbi", "road")
    with pytest.raises(StadError, match="no trim is called 'mean'"):
        link(record, trim="mean")
    with pytest.raises(FormatError, match="TubeletConfig are not the settings of online; give OnlineConfig"):
        link(record, "online", TubeletConfig())


def test_names_are_the_presets() -> None:
    assert PRESETS["online"]["road"]() == OnlineConfig.road()
    assert PRESETS["viterbi"]["yowo"]() == ViterbiConfig.yowo()
    assert TRIMS["road"]() == LabelSmoothing.road()
