"""Timelines, windows, what counts in them, and back to videos."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite.errors import FormatError, FrameRangeError, UnknownLabelError
from stad_lite.records import Segment, VideoAnnotation
from stad_lite.sp_tad.config import SpTadConfig
from stad_lite.sp_tad.windows import (
    FoundSegments,
    Window,
    merge,
    slide,
    timeline,
    to_seconds,
    unseen,
    window_truth,
)
from stad_lite.systems.truth import segments_of
from stad_lite.tubes import Tube
from tests.oracles import geometry

few = settings(max_examples=80, deadline=None)
LINE = timeline("a", num_frames=400, fps=10)


def found(window, spans, scores, labels=None):
    labels = [0] * len(scores) if labels is None else labels
    spans = np.array(spans).reshape(-1, 2)
    return FoundSegments(window, spans, np.array(scores, dtype=float), np.array(labels, int))


@few
@given(st.integers(1, 700), st.integers(1, 20), st.integers(1, 16), st.sampled_from([1, 4, 8]))
def test_windows_leave_no_frame_out(frames, parts, stride, step):
    length = 8 * parts
    line = timeline("a", frames, fps=10)
    windows = slide(line, length, min(8 * stride, length), step)
    covered = np.zeros(frames, dtype=bool)
    for window in windows:
        assert window.start % step == 0 and window.length == length
        covered[window.start : window.start + length] = True
    assert covered.all()
    assert windows[-1].start + length < max(frames, length) + step
    assert len({w.start for w in windows}) == len(windows)


def test_published_windows():
    """256 frames at 10 a second, every 128th: 60 s of 30 frames a second are 600 places."""
    line = timeline("a", num_frames=1800, fps=30, rate=10)
    assert [w.start for w in slide(line, 256, 128)] == [0, 128, 256, 344]
    assert len(slide(line, 256, 30)) == 13  # 0, 30 ... 330 and the last at 344
    assert line.frames[:3].tolist() == [0, 3, 6] and line.seconds == 0.1 and line.duration == 60
    whole = timeline("a", num_frames=1800, fps=30, squeeze=768)
    assert len(whole) == 768 and whole.seconds == pytest.approx(60 / 768)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((12, 14), [0.2, 0.4]),  # inside
        ((8.1, 12), [0.0, 0.2]),  # a little more than half of it: counts, and is cut
        ((8, 12), None),  # half of it
        ((5, 24.8), [0.0, 1.0]),  # a little less than twice as long as the window
        ((5, 25), None),  # twice as long: in no window
        ((13, 13), None),  # no length
        ((20, 22), None),  # next door
    ],
)
def test_what_counts_in_a_window(span, expected):
    inside, label = window_truth(Window("a", 100, 100), LINE, [Segment("y", *span)], ["x", "y"])
    if expected is None:
        assert len(inside) == 0
    else:
        np.testing.assert_allclose(inside, [expected])
        assert label.tolist() == [1]


@pytest.mark.parametrize(("span", "counts"), [((8, 12), True), ((7.9, 12), False), ((5, 25), True)])
def test_exactly_half_counts_where_it_is_asked_for(span, counts):
    inside, _ = window_truth(Window("a", 100, 100), LINE, [Segment("x", *span)], ["x"], exact=True)
    assert len(inside) == counts
    assert unseen([LINE], [Window("a", 100, 100)], {"a": [Segment("x", *span)]}, exact=True) == {
        "without length": 0, "too long for a window": int(not counts),
    }  # fmt: skip


def test_no_instance_lies_inside_by_more_than_all_of_it():
    with pytest.raises(FormatError, match="truth_share is 1"):
        SpTadConfig(truth_share=1.0)
    assert SpTadConfig(truth_share=1.0, exact_share=True).exact_share


@few
@given(st.floats(0, 40), st.floats(0.01, 30), st.integers(0, 30), st.floats(0.1, 1))
def test_share_by_the_definition(start, length, first, share):
    window, span = Window("a", 10 * first, 100), (start, start + length)
    inside, _ = window_truth(window, LINE, [Segment("x", *span)], ["x"], share)
    part = max(0.0, min(span[1], first + 10) - max(span[0], first)) / length
    if abs(part - share) > 1e-6:
        assert len(inside) == (part > share)
    if len(inside):
        seconds = to_seconds(inside, window, LINE)[0]
        assert seconds[0] == pytest.approx(max(span[0], first)) and 0 <= inside.min() <= inside.max() <= 1


def test_labels_outside_the_classes_are_refused():
    with pytest.raises(UnknownLabelError, match=r"video a: label 'z'"):
        window_truth(Window("a", 0, 100), LINE, [Segment("z", 1, 2)], ["x"])


def test_instances_that_no_window_counts_are_told():
    spans = [Segment("x", 1, 2), Segment("x", 5, 5), Segment("x", 0, 25), Segment("x", 3, 12)]
    windows = slide(LINE, 104, 32)
    assert unseen([LINE], windows, {"a": spans}) == {"without length": 1, "too long for a window": 1}


@pytest.mark.parametrize(
    ("frames", "fps", "error"),
    [(0, 10, FrameRangeError), (10, 0, FormatError), (10, float("nan"), FormatError)],
)
@pytest.mark.parametrize("squeeze", [0, 16])
def test_videos_without_frames_or_rate_are_refused(frames, fps, error, squeeze):
    with pytest.raises(error, match="video a"):
        timeline("a", frames, fps, squeeze=squeeze)


def test_tubes_stand_in_for_segments():
    tube = Tube(10, np.tile([0.0, 0, 5, 5], (15, 1)), "run")
    video = VideoAnnotation(num_frames=50, width=9, height=9, tubes=(tube,))
    assert segments_of(video, 25.0) == (Segment("run", 0.4, 1.0),)
    with_segments = VideoAnnotation(num_frames=50, width=9, height=9, tubes=(tube,), segments=())
    assert segments_of(with_segments, 25.0) == ()


def test_there_and_back():
    window = Window("a", 160, 64)
    inside, _ = window_truth(window, LINE, [Segment("x", 17.0, 20.5)], ["x"])
    np.testing.assert_allclose(to_seconds(inside, window, LINE), [[17.0, 20.5]])
    np.testing.assert_allclose(to_seconds(np.array([[-3.0, 9.0]]), window, LINE), [[0.0, 40.0]])


@few
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 50), st.floats(0.1, 1)), min_size=1, max_size=7))
def test_merging_is_soft_suppression_over_all_windows(rows):
    """Places are whole, so overlaps can be counted."""
    firsts = [40 * (i % 3) for i in range(len(rows))]
    scores = [score for *_, score in rows]
    parts = [
        found(Window("a", first, 100), [(start / 100, (start + length) / 100)], [score])
        for first, (start, length, score) in zip(firsts, rows, strict=True)
    ]
    places = [(f + start, f + start + length) for f, (start, length, _) in zip(firsts, rows, strict=True)]
    cells = [geometry.segment_cells(place) for place in places]
    expected = geometry.softly_suppressed(cells, scores, 0.5, 0.05)
    merged = merge(parts, LINE, ["x"], sigma=0.5, min_score=0.05)
    ours = sorted((round(10 * one.start), round(10 * one.end), one.score) for one in merged)
    theirs = sorted((*places[i], score) for i, score in expected)
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    assert [row[2] for row in ours] == pytest.approx([row[2] for row in theirs])


def test_classes_do_not_suppress_each_other_and_the_best_are_kept():
    window = Window("a", 0, 100)
    one = found(window, [(0.1, 0.3)] * 3, [0.9, 0.8, 0.7], [0, 1, 1])
    merged = merge([one], LINE, ["x", "y"], sigma=0.5)
    assert [(s.label, round(s.score, 4)) for s in merged] == [
        ("x", 0.9), ("y", 0.8), ("y", round(0.7 * np.exp(-2), 4)),
    ]  # fmt: skip
    assert [s.score for s in merge([one], LINE, ["x", "y"], sigma=0.0, most=2)] == [0.9, 0.8]


def test_nothing_found_and_nothing_left_give_no_segment():
    outside = found(Window("a", 384, 64), [(0.5, 0.9)], [0.9])  # all of it beyond the video's end
    assert merge([], LINE, ["x"]) == merge([outside], LINE, ["x"]) == ()
