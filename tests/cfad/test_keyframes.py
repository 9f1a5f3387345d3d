"""Key timestamps: the reference against a literal reading of Eq. 5, baselines, and the optimum."""

import itertools

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from stad_lite.cfad import keyframes
from stad_lite.errors import StadError
from tests.cfad.tube_cases import random_tubes, walk


def literal_overlap(boxes: np.ndarray, keys: list[int], kind: str) -> float:
    """IOU of Eq. 5 frame by frame, with areas counted by hand."""
    total = 0.0
    curve = CubicSpline(keys, boxes[keys])(np.arange(len(boxes))) if kind == "spline" else None
    for frame, truth in enumerate(boxes):
        if curve is not None:
            box = curve[frame]
        else:
            box = [np.interp(frame, keys, boxes[keys][:, i]) for i in range(4)]
        width = min(box[2], truth[2]) - max(box[0], truth[0])
        height = min(box[3], truth[3]) - max(box[1], truth[1])
        shared = max(width, 0) * max(height, 0)
        own = max(box[2] - box[0], 0) * max(box[3] - box[1], 0)
        total += shared / (own + (truth[2] - truth[0]) * (truth[3] - truth[1]) - shared)
    return total / len(boxes)


def literal_greedy(boxes: np.ndarray, count: int, epsilon: float, kind: str) -> list[int]:
    positions = [round(i / (count - 1) * (len(boxes) - 1)) for i in range(count)]
    everything = sorted(set(positions))
    keys = [everything[0], everything[-1]]
    while literal_overlap(boxes, sorted(keys), kind) <= epsilon and len(keys) < len(everything):
        free = [stamp for stamp in everything if stamp not in keys]
        values = [literal_overlap(boxes, sorted([*keys, stamp]), kind) for stamp in free]
        keys.append(next(s for s, v in zip(free, values, strict=True) if v >= max(values) - 1e-9))
    return keys


@pytest.mark.parametrize("kind", ["spline", "linear"])
@pytest.mark.parametrize("seed", range(4))
def test_greedy_is_eq_5(kind: str, seed: int) -> None:
    boxes = walk(np.random.default_rng(seed), 37 + 11 * seed)
    assert keyframes.greedy_keys(boxes, 9, 0.85, kind) == literal_greedy(boxes, 9, 0.85, kind)


@pytest.mark.parametrize("length, count", [(31, 4), (100, 16), (16, 16), (7, 16), (2, 16), (1, 16), (5, 3)])
def test_stamps_are_the_nearest_frames(length: int, count: int) -> None:
    expected = sorted({round(i * (length - 1) / (count - 1)) for i in range(count)})
    assert keyframes.stamps(length, count).tolist() == expected


@pytest.mark.parametrize("epsilon", [0.5, 0.8, 0.95])
def test_greedy_holds_its_promise(epsilon: float) -> None:
    """Ends always in; beyond epsilon unless every stamp is taken; no key more than was needed."""
    for boxes in random_tubes(30, seed=4):
        everything = keyframes.stamps(len(boxes), 8).tolist()
        keys = keyframes.greedy_keys(boxes, 8, epsilon, "linear")
        assert {everything[0], everything[-1]} <= set(keys) <= set(everything)
        assert len(set(keys)) == len(keys)
        reached = keyframes.overlap(boxes, np.sort(keys), "linear")
        assert reached > epsilon or len(keys) == len(everything)
        if len(keys) > 2:
            assert keyframes.overlap(boxes, np.sort(keys[:-1]), "linear") <= epsilon + keyframes.TIE


def test_a_still_actor_needs_its_ends_only_and_ties_go_to_the_earliest() -> None:
    still = np.tile([10.0, 10.0, 30.0, 60.0], (50, 1))
    assert keyframes.greedy_keys(still) == [0, 49]
    everything = keyframes.stamps(50, 16)
    assert keyframes.greedy_step(still, everything[[0, -1]], everything[1:-1]) == everything[1]


def test_a_jump_is_where_the_first_key_goes() -> None:
    """One sudden move between frames 30 and 31: linear interpolation needs a key beside it."""
    boxes = np.tile([10.0, 10.0, 30.0, 60.0], (61, 1))
    boxes[31:] += 25
    everything = keyframes.stamps(61, 16)
    first = keyframes.greedy_step(boxes, everything[[0, -1]], everything[1:-1], "linear")
    assert first in (28, 32)


def test_baselines_have_the_count_that_is_asked_for() -> None:
    generator = np.random.default_rng(0)
    for length, keys in itertools.product((1, 2, 5, 16, 90), (2, 3, 7, 16)):
        everything = keyframes.stamps(length, 16).tolist()
        wanted = min(keys, len(everything))
        for chosen in (
            keyframes.uniform_keys(length, 16, keys),
            keyframes.random_keys(length, 16, keys, generator),
        ):
            assert len(chosen) == len(set(chosen.tolist())) == wanted
            assert set(chosen.tolist()) <= set(everything)
            assert {everything[0], everything[-1]} <= set(chosen.tolist())
            assert (np.diff(chosen) > 0).all()


def test_random_keys_reach_every_inner_stamp() -> None:
    generator = np.random.default_rng(1)
    seen = {int(frame) for _ in range(300) for frame in keyframes.random_keys(100, 8, 3, generator)}
    assert seen == set(keyframes.stamps(100, 8).tolist())


@pytest.mark.parametrize("kind", ["spline", "linear"])
def test_the_optimum_is_found_and_greedy_stays_below(kind: str) -> None:
    for seed in range(5):
        boxes = walk(np.random.default_rng(seed), 60)
        everything = keyframes.stamps(60, 8).tolist()
        best, value = keyframes.best_keys(boxes, 8, 4, kind)
        choices = itertools.combinations(everything[1:-1], 2)
        values = [literal_overlap(boxes, [0, *inner, 59], kind) for inner in choices]
        assert value == pytest.approx(max(values)) == literal_overlap(boxes, best.tolist(), kind)
        greedy = keyframes.greedy_keys(boxes, 8, 2.0, kind)[:4]
        assert keyframes.overlap(boxes, np.sort(greedy), kind) <= value + 1e-12


def test_too_many_choices_are_refused() -> None:
    with pytest.raises(StadError, match="lower N"):
        keyframes.best_keys(np.tile([0.0, 0, 4, 4], (200, 1)), 64, 32)


def test_one_stamp_is_refused() -> None:
    with pytest.raises(StadError, match="N >= 2"):
        keyframes.stamps(10, 1)


def test_rebuilt_tubes_pass_through_their_keys() -> None:
    boxes = walk(np.random.default_rng(2), 40)
    keys = np.array([0, 7, 20, 33, 39])
    for kind in ("spline", "linear"):
        np.testing.assert_allclose(keyframes.rebuild(boxes, keys, kind)[keys], boxes[keys], atol=1e-9)
