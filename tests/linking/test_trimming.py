from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite.errors import FormatError, NotFiniteError, StadError
from stad_lite.linking import (
    LabelSmoothing,
    MedianFilter,
    OnlineConfig,
    OnlineLinker,
    TubeletConfig,
    ViterbiConfig,
    from_scores,
    link_online,
    link_tubelets,
    link_viterbi,
    median_scores,
    smooth_labels,
    trim_tubes,
)
from stad_lite.tubes import Tube
from tests.oracles.linking import labelling

EIGHTHS = st.integers(0, 8).map(lambda n: n / 8)


def tube(scores: Any, start: int = 10, label: str = "run") -> Tube:
    scores = np.asarray(scores, dtype=float)
    boxes = np.array([[0.0, 0, 4, 4]]) + np.arange(len(scores))[:, None]
    return Tube(start, boxes, label, float(scores.mean()), scores)


def spans(trimmed: Any) -> list[tuple[int, int]]:
    return [(one.start, one.end) for one in trimmed.tubes]


@st.composite
def score_tables(draw: Any, most: int = 6) -> np.ndarray:
    frames, labels = draw(st.integers(0, most)), draw(st.integers(1, 3))
    return np.array([[draw(EIGHTHS) for _ in range(labels)] for _ in range(frames)]).reshape(frames, labels)


@settings(max_examples=250, deadline=None)
@given(score_tables(), st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0, 3.0]))
def test_labelling_has_the_largest_energy_of_all(scores: np.ndarray, alpha: float) -> None:
    labels = smooth_labels(scores, alpha)
    top, best = labelling(scores, alpha)
    assert tuple(labels.tolist()) in best
    picked = scores[np.arange(len(scores)), labels].sum()
    assert picked - alpha * (labels[1:] != labels[:-1]).sum() == top
    later = -1
    for place in reversed(range(len(scores))):  # the stated rule for ties
        choices = {one[place] for one in best}
        later = later if later in choices else min(choices)
        best = {one for one in best if one[place] == later}
    assert best == {tuple(labels.tolist())}


@settings(max_examples=60, deadline=None)
@given(st.lists(score_tables(), min_size=1, max_size=4), st.sampled_from([0.125, 0.5, 1.0]))
def test_many_tubes_together_are_labelled_as_one_by_one(tables: list[np.ndarray], alpha: float) -> None:
    tables = [table[:, :1] for table in tables if len(table)]
    tubes = [tube(table[:, 0]) for table in tables]
    together = trim_tubes(tubes, LabelSmoothing(alpha=alpha))
    alone = [piece for one in tubes for piece in trim_tubes([one], LabelSmoothing(alpha=alpha)).tubes]
    assert list(together.tubes) == alone


def test_no_switch_is_free_of_charge_and_a_high_price_forbids_them() -> None:
    scores = np.random.default_rng(0).random((30, 4))
    np.testing.assert_array_equal(smooth_labels(scores, 0.0), scores.argmax(axis=1))
    assert set(smooth_labels(scores, 1e9)) == {scores.sum(axis=0).argmax()}


def test_a_constant_on_all_scores_changes_nothing() -> None:
    scores = np.random.default_rng(1).integers(0, 8, (40, 5)) / 8
    np.testing.assert_array_equal(smooth_labels(scores + 20, 0.5), smooth_labels(scores, 0.5))


def test_two_labels_find_the_action_in_a_tube() -> None:
    scores = [0.1] * 6 + [0.9] * 10 + [0.4] + [0.9] * 3 + [0.2] * 6
    trimmed = trim_tubes([tube(scores)], LabelSmoothing(alpha=1.0))
    assert spans(trimmed) == [(16, 30)]
    assert trimmed.tubes[0].score == pytest.approx(np.mean(scores[6:20]))
    np.testing.assert_array_equal(trimmed.tubes[0].boxes[:, 0], np.arange(6, 20))
    assert len(trim_tubes([tube(scores)], LabelSmoothing(alpha=0.0)).tubes) == 2


def test_all_labels_need_and_use_the_scores_of_all_classes() -> None:
    evidence = np.zeros((40, 3))
    evidence[:15, 1], evidence[15:, 2] = 0.9, 0.9
    one = tube(evidence[:, 1] + 0.05)
    trim = LabelSmoothing(alpha=3.0, labels="all")
    trimmed = trim_tubes([one], trim, [evidence], classes=("sit", "run", "jump"))
    assert spans(trimmed) == [(10, 25)]
    with pytest.raises(FormatError, match=r"tube 0: .*give \(frames, 3 classes\)"):
        trim_tubes([one], trim, [evidence[:, :2]], classes=("sit", "run", "jump"))
    with pytest.raises(FormatError, match="not among the classes"):
        trim_tubes([one], trim, [evidence], classes=("sit", "walk", "jump"))


def test_roads_run_is_longer_than_nine_frames_and_scored_by_its_forty_best() -> None:
    def trimmed(length: int) -> Any:
        evidence = np.zeros((100, 2))
        evidence[:length, 0], evidence[length:, 1] = 1.0, 1.0
        one = tube(np.linspace(0, 1, 100))
        return trim_tubes([one], LabelSmoothing.road(), [evidence], classes=("run", "jump"))

    assert spans(trimmed(10)) == [(10, 20)]
    assert (spans(trimmed(9)), trimmed(9).removed, trimmed(9).short_runs) == ([], 1, 1)
    assert trimmed(60).tubes[0].score == pytest.approx(np.linspace(0, 1, 100)[20:60].mean())


@settings(max_examples=200, deadline=None)
@given(st.lists(EIGHTHS, min_size=1, max_size=12), st.sampled_from([1, 3, 5, 17]))
def test_median_is_the_sorted_windows_middle(scores: list[float], width: int) -> None:
    half = width // 2
    padded = [scores[0]] * half + scores + [scores[-1]] * half
    literal = [sorted(padded[n : n + width])[half] for n in range(len(scores))]
    np.testing.assert_array_equal(median_scores(np.array(scores), width), literal)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(EIGHTHS, min_size=1, max_size=14),
    st.sampled_from(["longest", "best", "split"]),
    st.integers(1, 3),
    st.sampled_from(["drop", "keep"]),
)
def test_median_trim_keeps_the_stated_runs(scores: list[float], keep: str, least: int, empty: str) -> None:
    trim = MedianFilter(width=3, threshold=0.5, keep=keep, min_run=least, empty=empty)
    smooth = median_scores(np.array(scores), 3)
    found, place = [], 0
    for above, group in groupby(smooth >= 0.5):
        length = len(list(group))
        if above:
            found.append((place, place + length))
        place += length
    long = [span for span in found if span[1] - span[0] >= least]
    if keep == "longest" and long:
        kept = [min(long, key=lambda span: (span[0] - span[1], span[0]))]
    elif keep == "best" and long:
        kept = [min(long, key=lambda span: (-max(smooth[slice(*span)]), span[0]))]
    else:
        kept = long
    trimmed = trim_tubes([tube(scores, start=0)], trim)
    assert trimmed.short_runs == len(found) - len(kept)
    if kept:
        assert spans(trimmed) == kept
    else:
        assert spans(trimmed) == ([(0, len(scores))] if empty == "keep" else [])
    assert (trimmed.removed, trimmed.kept_whole) == (
        int(not kept and empty == "drop"),
        int(not kept and empty == "keep"),
    )


def test_actionness_may_differ_from_the_scores() -> None:
    actionness = np.array([0.0] * 5 + [0.9] * 10)
    trimmed = trim_tubes([tube([0.5] * 15)], MedianFilter(width=5, threshold=0.5), [actionness])
    assert spans(trimmed) == [(15, 25)]
    assert trimmed.tubes[0].score == 0.5


@pytest.mark.parametrize("kind", [LabelSmoothing, MedianFilter])
def test_a_run_may_keep_the_score_of_its_tube(kind: Any) -> None:
    low_then_high = Tube(0, np.array([[0.0, 0, 9, 9]] * 40), "run", 0.3, np.repeat([0.0, 0.8], 20))
    anew, kept = (trim_tubes([low_then_high], kind(rescore=rescore)).tubes[0] for rescore in (True, False))
    assert (anew.start, anew.end) == (kept.start, kept.end) == (20, 40)
    assert (anew.score, kept.score) == (pytest.approx(0.8), 0.3)
    np.testing.assert_array_equal(kept.box_scores, [0.8] * 20)


@pytest.mark.parametrize("trim", [LabelSmoothing(), MedianFilter()])
def test_nothing_and_bad_evidence(trim: Any) -> None:
    assert trim_tubes([], trim).tubes == ()
    with pytest.raises(FormatError, match="tube 1: the tube has no box scores"):
        trim_tubes([tube([0.5]), Tube(0, np.array([[0.0, 0, 1, 1]]), "run", 0.5)], trim)
    with pytest.raises(FormatError, match="2 scores for 3 boxes"):
        trim_tubes([tube([0.5] * 3)], trim, [np.ones(2)])
    with pytest.raises(FormatError, match="shape"):
        trim_tubes([tube([0.5] * 3)], trim, [np.ones((3, 2))])
    with pytest.raises(NotFiniteError, match="tube 0, frame 11"):
        trim_tubes([tube([0.5] * 3)], trim, [np.array([1.0, np.nan, 1.0])])


def test_bad_settings_are_named() -> None:
    with pytest.raises(StadError, match="odd"):
        MedianFilter(width=4)
    with pytest.raises(StadError, match="alpha"):
        LabelSmoothing(alpha=-1)
    with pytest.raises(StadError, match="labels"):
        LabelSmoothing(labels="three")
    with pytest.raises(NotFiniteError):
        smooth_labels(np.array([[np.nan, 1.0]]), 1.0)


def acting(frames: int = 40) -> Any:
    """One actor: class 0 from frame 0 to 20, class 1 afterwards."""
    first = (np.arange(frames) < 20)[:, None]
    boxes = np.array([[0.0, 0, 10, 10]] * frames)
    return from_scores(np.arange(frames), boxes, np.where(first, [0.9, 0.1], [0.1, 0.9]))


@pytest.mark.parametrize(
    ("linker", "config"),
    [
        (link_online, OnlineConfig.road()),
        (link_tubelets, TubeletConfig(reach=2)),
        (link_viterbi, ViterbiConfig()),
    ],
)
@pytest.mark.parametrize(
    "trim", [LabelSmoothing(alpha=1.0), LabelSmoothing.road(), MedianFilter(threshold=0.5)]
)
def test_every_linker_trims(linker: Any, config: Any, trim: Any) -> None:
    whole = linker(acting(), config, ("run", "jump"))
    assert [(one.label, one.start, one.end) for one in whole.tubes] == [("run", 0, 40), ("jump", 0, 40)]
    linked = linker(acting(), config, ("run", "jump"), trim)
    assert [(one.label, one.start, one.end) for one in linked.tubes] == [("run", 0, 20), ("jump", 20, 40)]
    assert [one.score for one in linked.tubes] == pytest.approx([0.9, 0.9])
    assert linked.removed["trimmed_away"] == 0


def test_online_linking_with_labels_frame_after_frame() -> None:
    detections, linker = acting(), OnlineLinker(2, OnlineConfig.road())
    for frame in range(40):
        linker.step(frame, detections.boxes[frame], detections.score.reshape(40, 2)[frame : frame + 1])
        if frame == 19:
            assert [(one.label, one.end) for one in linker.tubes(LabelSmoothing.road())] == [("0", 20)]
    assert len(linker.tubes(LabelSmoothing.road())) == 2


def test_evidence_is_gathered_from_the_rows_of_one_box() -> None:
    """A box that stands once for each label is one box when all labels compete."""
    from stad_lite.linking import from_rows

    dense = acting()
    rows = from_rows(
        np.repeat(np.arange(40), 2), np.tile([1, 0], 40), dense.boxes[np.repeat(np.arange(40), 2), 0],
        dense.score.reshape(40, 2)[:, ::-1].reshape(-1), 2,
    )  # fmt: skip
    trim = LabelSmoothing.road()
    assert link_online(rows, trim=trim).tubes == link_online(dense, trim=trim).tubes
