"""The checks of the chapter on one's own video: right answers pass, near misses do not."""

from __future__ import annotations

import numpy as np
import pytest

from stad_lite.exercises import your_own_video as exercises
from stad_lite.records.exchange.tracks import Key, tubes_of


def greedy(places, tolerance):
    """Keeps a line as long as it can; not the fewest where a later start would reach farther."""
    start, count = 0, 1
    while start < len(places) - 1:
        end = start + 1
        while end + 1 < len(places):
            line = np.interp(np.arange(start, end + 2), [start, end + 1], [places[start], places[end + 1]])
            if np.abs(line - places[start : end + 2]).max() > tolerance:
                break
            end += 1
        start, count = end, count + 1
    return count


CASES = {
    "between": [
        (exercises.between, "right"),
        (lambda frames, boxes, frame: boxes[0], "not right"),
        (lambda frames, boxes, frame: ..., "not answered"),
    ],
    "spans": [
        (exercises.spans, "right"),
        (lambda frames, outside, end: [(frames[0], end)], "not right"),
        (lambda frames, outside, end: None, "not answered"),
    ],
    "from_mot": [
        (exercises.from_mot, "right"),
        (lambda line: (int(line.split(",")[0]), exercises.from_mot(line)[1]), "not right"),
        (lambda line: (exercises.from_mot(line)[0], [1.0, 1.0, 2.0, 2.0]), "not right"),
        (lambda line: ..., "not answered"),
    ],
    "fewest_keyframes": [
        (exercises.fewest_keyframes, "right"),
        (lambda places, tolerance: len(places), "not right"),
        (lambda places, tolerance: ..., "not answered"),
    ],
}


@pytest.mark.parametrize(
    ("name", "answer", "told"), [(n, a, t) for n, some in CASES.items() for a, t in some]
)
def test_checks(name, answer, told, capsys):
    getattr(exercises, f"check_{name}")(answer)
    said = capsys.readouterr().out
    assert told in said and (told != "right" or "not" not in said)


def test_the_spans_are_the_librarys():
    chance = np.random.default_rng(0)
    for _ in range(50):
        frames = np.sort(chance.choice(20, 5, replace=False)).tolist()
        outside = (chance.random(5) < 0.5).tolist()
        keys = [Key(f, (0, 0, 1, 1), "a", gone) for f, gone in zip(frames, outside, strict=True)]
        expected = [(tube.start, tube.end) for tube in tubes_of(keys, end=25)]
        assert exercises.spans(frames, outside, 25) == expected


def test_the_fewest_are_never_more_than_a_greedy_choice():
    chance = np.random.default_rng(1)
    walks = [np.cumsum(chance.normal(0, 1, 15)) for _ in range(20)]
    pairs = [(exercises.fewest_keyframes(walk, 1.0), greedy(walk, 1.0)) for walk in walks]
    assert all(few <= many for few, many in pairs) and any(few < many for few, many in pairs)
