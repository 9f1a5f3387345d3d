"""The labeller of many tubes gives exactly the keys of the reference, tube by tube."""

import numpy as np
import pytest

from stad_lite.cfad import keyframes, labeller
from stad_lite.errors import StadError
from tests.cfad.tube_cases import random_tubes, real_tubes


def sample(count: int) -> list[np.ndarray]:
    """Tubes spread over all lengths: real ones where the data is here."""
    tubes = real_tubes() or random_tubes(3 * count, seed=6)
    return tubes[:: max(len(tubes) // count, 1)][:count]


@pytest.mark.parametrize("kind, count", [("spline", 300), ("linear", 300)])
def test_keys_are_those_of_the_reference(kind: str, count: int) -> None:
    tubes = sample(count)
    assert len(tubes) == count
    labels = labeller.label_tubes(tubes, 16, 0.8, kind)
    for tube, keys, reached, available in zip(tubes, labels.keys, labels.overlap, labels.stamps, strict=True):
        assert keys.tolist() == keyframes.greedy_keys(tube, 16, 0.8, kind)
        assert reached == pytest.approx(keyframes.overlap(tube, np.sort(keys), kind), abs=1e-9)
        assert available == len(keyframes.stamps(len(tube), 16))


@pytest.mark.slow
def test_spline_keys_of_more_tubes() -> None:
    tubes = sample(900)
    for tube, keys in zip(tubes, labeller.label_tubes(tubes).keys, strict=True):
        assert keys.tolist() == keyframes.greedy_keys(tube)


@pytest.mark.parametrize("count, epsilon", [(6, 0.8), (8, 0.9), (16, 2.0), (2, 0.8), (3, 0.5)])
def test_other_settings(count: int, epsilon: float) -> None:
    tubes = random_tubes(40, seed=8)
    for kind in ("spline", "linear"):
        labels = labeller.label_tubes(tubes, count, epsilon, kind)
        for tube, keys in zip(tubes, labels.keys, strict=True):
            assert keys.tolist() == keyframes.greedy_keys(tube, count, epsilon, kind)


def test_tubes_shorter_than_the_stamps() -> None:
    tubes = random_tubes(20, seed=3)  # lengths 1 to 20
    labels = labeller.label_tubes(tubes, 16, 2.0)
    assert labels.stamps.tolist() == [min(n, 16) for n in range(1, 21)]
    assert labels.counts.tolist() == labels.stamps.tolist()
    short = labels.overlap[:16]
    np.testing.assert_allclose(short, 1.0, atol=1e-12)  # every frame is a key


def test_order_of_the_tubes_does_not_matter() -> None:
    tubes = random_tubes(50, seed=12)
    forward, backward = labeller.label_tubes(tubes), labeller.label_tubes(tubes[::-1])
    for one, other in zip(forward.keys, backward.keys[::-1], strict=True):
        assert one.tolist() == other.tolist()


def test_nothing_to_label() -> None:
    labels = labeller.label_tubes([])
    assert labels.keys == [] and len(labels.counts) == 0


def test_unknown_interpolation_is_refused() -> None:
    with pytest.raises(StadError, match="choose spline or linear"):
        labeller.label_tubes(random_tubes(2), kind="cubic")
