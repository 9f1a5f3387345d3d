"""The printed solutions of the chapter pass its checks, wrong answers do not."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stad_lite.data import statistics, thumos14
from stad_lite.exercises import data_sets as exercises
from stad_lite.records import Annotations, Segment, VideoAnnotation
from tests.exercises.references import verdicts

spans_of_whole_seconds = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 6)).map(lambda pair: (pair[0], sum(pair))), max_size=8
)


def test_right_edges(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_right_edges(lambda x, w: x.astype(float) + w)
    exercises.check_right_edges(lambda x, w: x + w)
    exercises.check_right_edges(lambda x, w: None)
    assert verdicts(capsys) == ["right", "not right", "not answered yet"]


def test_counts(capsys: pytest.CaptureFixture[str]) -> None:
    def of_the_window(start: float, end: float, window: float, length: float) -> bool:
        return min(end, window + length) - max(start, window) > 0.5 * length

    def at_least_half(start: float, end: float, window: float, length: float) -> bool:
        return min(end, window + length) - max(start, window) >= 0.5 * (end - start)

    exercises.check_counts(
        lambda start, end, window, length: (
            min(end, window + length) - max(start, window) > 0.5 * (end - start)
        )
    )
    exercises.check_counts(of_the_window)
    exercises.check_counts(at_least_half)
    assert verdicts(capsys) == ["right", "not right", "not right"]


def test_most_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    def solution(spans: np.ndarray) -> int:
        return max(sum(a <= start < b for a, b in spans) for start, _ in spans)

    exercises.check_most_at_once(solution)
    exercises.check_most_at_once(lambda spans: max(sum(a <= s <= b for a, b in spans) for s, _ in spans))
    assert verdicts(capsys) == ["right", "not right"]


def test_smallest_window(capsys: pytest.CaptureFixture[str]) -> None:
    def solution(durations: np.ndarray, share: float) -> int:
        frames = 1
        while np.mean(durations * 10 < frames - 1e-9) < share:
            frames += 1
        return frames

    exercises.check_smallest_window(solution)
    exercises.check_smallest_window(lambda durations, share: math.ceil(10 * np.quantile(durations, share)))
    assert verdicts(capsys) == ["right", "not right"]


@given(spans_of_whole_seconds)
def test_most_at_once_against_every_moment(spans: list[tuple[int, int]]) -> None:
    moments = [sum(start <= moment < end for start, end in spans) for moment in range(20)]
    assert exercises.most_at_once(np.array(spans)) == max(moments)


@given(spans_of_whole_seconds.filter(bool), st.integers(1, 10))
def test_counting_agrees_with_the_library(spans: list[tuple[int, int]], length: int) -> None:
    video = VideoAnnotation(duration=20.0, segments=tuple(Segment("a", *span) for span in spans))
    starts = statistics.window_starts(20.0, length, length / 2)
    total = sum(exercises.counts(*span, start, length) for span in spans for start in starts)
    if total:
        found = statistics.window_counts(Annotations("made", ("a",), {"v": video}), length)
        assert found.instances == total


def test_real_smallest_window(stad_data: Path) -> None:
    """The 98 % of SP-TAD Sec. 4.1 need fewer frames than the 256 that it takes."""
    for subset in thumos14.SETS:
        lengths = statistics.durations(thumos14.load(stad_data / "thumos14", subset).record)
        frames = exercises.smallest_window(lengths, 0.98)
        assert (lengths < frames / 10).mean() >= 0.98 > (lengths < (frames - 1) / 10).mean()
        assert frames < 256
