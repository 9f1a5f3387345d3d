"""The figures of the papers' statements, by loops on tiny sets and on the real annotations."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stad_lite.data import activitynet13, statistics, thumos14
from stad_lite.errors import StadError
from stad_lite.records import Annotations, Segment, VideoAnnotation


def made(spans: list[list[tuple[float, float]]], duration: float | None = 60.0) -> Annotations:
    videos = {
        str(i): VideoAnnotation(duration=duration, segments=tuple(Segment("a", *span) for span in row))
        for i, row in enumerate(spans)
    }
    return Annotations("made", ("a",), videos)


def test_simple_figures() -> None:
    record = made([[(0, 1), (2, 4)], [], [(5, 5)]])
    assert statistics.durations(record).tolist() == [1, 2, 0]
    assert statistics.share_under(record, 2.0) == pytest.approx(2 / 3)
    assert statistics.instances_per_video(record) == 1.0 and statistics.most_instances(record) == 2
    with pytest.raises(StadError, match="no instances"):
        statistics.share_under(made([[]]), 1.0)


@given(st.floats(0.5, 200), st.floats(1, 40), st.floats(0.5, 20), st.sampled_from(["end", "over"]))
def test_windows_cover_the_video(duration: float, length: float, stride: float, last: str) -> None:
    stride = min(stride, length)
    starts = statistics.window_starts(duration, length, stride, last)
    assert starts[0] == 0 and (np.diff(starts) <= stride + 1e-6).all() and (np.diff(starts) > 0).all()
    assert starts[-1] + length >= duration - 1e-6
    if last == "end" and len(starts) > 1:
        assert starts[-1] + length <= duration + 1e-6


whole = st.tuples(st.integers(0, 50), st.integers(0, 12)).map(lambda pair: (float(pair[0]), float(sum(pair))))


@given(st.lists(st.lists(whole, min_size=1, max_size=5), min_size=1, max_size=3), st.booleans())
def test_window_counts_against_loops(spans: list[list[tuple[float, float]]], clipped: bool) -> None:
    record = made(spans)
    lengths, largest = [], 0
    for row in spans:
        for start in statistics.window_starts(60.0, 16.0, 8.0):
            inside = [(min(b, start + 16) - max(a, start), b - a) for a, b in row]
            counted = [(i, whole) for i, whole in inside if whole > 0 and i / whole > 0.5]
            largest = max(largest, len(counted))
            lengths += [i if clipped else whole for i, whole in counted]
    if not lengths:
        with pytest.raises(StadError):
            statistics.window_counts(record, 16.0, clipped=clipped)
        return
    found = statistics.window_counts(record, 16.0, clipped=clipped)
    assert (found.instances, found.largest) == (len(lengths), largest)
    assert found.share == pytest.approx(np.mean([length < 4.0 for length in lengths]))
    assert statistics.most_in_any_window(record, 16.0, 8.0) == largest


def test_histogram() -> None:
    record = made([[(0, 3), (0, 60), (0, 90), (30, 45)]])
    np.testing.assert_allclose(statistics.share_histogram(record, 4), [0.25, 0.25, 0, 0.5])


def test_histogram_of_windows() -> None:
    """Of windows at 0, 10, ... 40 s one holds (5, 15), two hold (41, 44), none half of the rest."""
    record = made([[(5, 15), (0, 60), (41, 44)]])
    np.testing.assert_allclose(statistics.share_histogram(record, 4, window=20.0), [2 / 3, 0, 1 / 3, 0])


def test_evaluated_classes() -> None:
    examples = {1: 30, 2: 5, 3: 40, 4: 25, 9: 0}
    found = statistics.evaluated_classes(examples, {1: "a", 2: "b", 4: "d", 9: "x"}, range(1, 5))
    assert (found.agree, found.disagree, found.unchecked) == ((1, 4), (2, 3), (9,))
    assert found.counted == {1: 30, 2: 5, 3: 40, 4: 25} and not found.complete
    assert statistics.evaluated_classes(examples, {}).complete


SHARES = {  # set: raw, clipped and unclipped with the last window at the end, the same with it reaching over
    "validation": (81.44, 84.60, 81.52, 84.50, 81.43, 26),
    "test": (76.89, 80.04, 77.01, 79.93, 76.85, 22),
}


@pytest.mark.parametrize("subset", list(SHARES))
def test_real_tad_durations_and_98(stad_data: Path, subset: str) -> None:
    """SP-TAD: over 80 % under a quarter of a window (Fig. 4); 98 % shorter than 25.6 s (Sec. 4.1)."""
    record = thumos14.load(stad_data / "thumos14", subset).record
    shares = [100 * statistics.share_under(record, 0.25 * statistics.WINDOW_SECONDS)]
    for last in ("end", "over"):
        for clipped in (True, False):
            shares.append(100 * statistics.window_counts(record, clipped=clipped, last=last).share)
    np.testing.assert_allclose(shares, SHARES[subset][:5], atol=0.005)
    assert 100 * statistics.share_under(record, statistics.WINDOW_SECONDS) == pytest.approx(99.70, abs=0.005)
    assert statistics.most_in_any_window(record) == SHARES[subset][5]


@pytest.mark.parametrize(("subset", "mean", "most"), [("training", 1.537, 23), ("validation", 1.554, 18)])
def test_real_tad_anet(stad_data: Path, subset: str, mean: float, most: int) -> None:
    record = activitynet13.load(stad_data / "activitynet", subset).record
    assert statistics.instances_per_video(record) == pytest.approx(mean, abs=5e-4)
    assert statistics.most_instances(record) == most
