"""Polynomial tubes against numpy's own least squares, and the loss against Eq. 3 written out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite import boxes as box_ops
from stad_lite.cfad import trajectory
from stad_lite.errors import StadError
from tests.cfad.tube_cases import random_tubes, walk


@pytest.mark.parametrize("order, length", [(k, n) for k in range(9) for n in (2, 5, 9, 40, 900) if k < n])
def test_fit_is_the_least_squares_fit(order: int, length: int) -> None:
    tube = walk(np.random.default_rng(length + order), length)
    time = trajectory.normalised_time(length)
    expected = np.polynomial.polynomial.polyfit(time, tube, order)
    theta = trajectory.fit(tube, order)
    np.testing.assert_allclose(
        trajectory.evaluate(theta, time), np.polynomial.polynomial.polyval(time, expected).T, atol=1e-6
    )
    residual = trajectory.evaluate(theta, time) - tube
    # The residual of a least-squares fit is orthogonal to every power of t.
    np.testing.assert_allclose(trajectory.powers(time, order).T @ residual, 0, atol=1e-6 * length * 300)


def test_a_polynomial_is_recovered_exactly() -> None:
    theta = np.random.default_rng(1).normal(size=(5, 4)) * 20
    tube = trajectory.evaluate(theta, trajectory.normalised_time(60))
    np.testing.assert_allclose(trajectory.fit(tube, 4), theta, atol=1e-8)
    np.testing.assert_allclose(trajectory.fit(tube, 6)[:5], theta, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_short_tubes_are_interpolated(length: int) -> None:
    tube = walk(np.random.default_rng(3), length)
    theta = trajectory.fit(tube, 6)
    np.testing.assert_allclose(
        trajectory.evaluate(theta, trajectory.normalised_time(length)), tube, atol=1e-9
    )
    assert not theta[length:].any()


def test_many_tubes_at_once_equal_one_by_one() -> None:
    tubes = random_tubes(60)
    for order in (0, 1, 4, 8):
        thetas, fitted = trajectory.fit_many(tubes, order)
        for tube, theta, curve in zip(tubes, thetas, fitted, strict=True):
            np.testing.assert_allclose(theta, trajectory.fit(tube, order), rtol=1e-6, atol=1e-6)
            time = trajectory.normalised_time(len(tube))
            np.testing.assert_allclose(curve, trajectory.evaluate(theta, time), atol=1e-6)


def test_overlap_of_the_fit_is_the_mean_of_box_overlaps() -> None:
    tubes = random_tubes(30, seed=5)
    values = trajectory.fit_overlap(tubes, 2)
    for tube, value in zip(tubes, values, strict=True):
        curve = trajectory.evaluate(trajectory.fit(tube, 2), trajectory.normalised_time(len(tube)))
        assert value == pytest.approx(np.mean([box_ops.iou(a, b) for a, b in zip(curve, tube, strict=True)]))


def test_overlap_rises_with_the_order_on_average() -> None:
    means = [trajectory.fit_overlap(random_tubes(120, seed=2), order).mean() for order in range(7)]
    assert np.all(np.diff(means) > 0)


def test_fit_commutes_with_the_box_format() -> None:
    tube = walk(np.random.default_rng(9), 50)
    time = trajectory.normalised_time(50)
    centred = trajectory.evaluate(trajectory.fit(box_ops.xyxy_to_cxcywh(tube), 3), time)
    corners = trajectory.evaluate(trajectory.fit(tube, 3), time)
    np.testing.assert_allclose(box_ops.cxcywh_to_xyxy(centred), corners, atol=1e-8)


def test_normalised_time_runs_from_zero_to_one() -> None:
    np.testing.assert_array_equal(trajectory.normalised_time(1), [0.0])
    np.testing.assert_allclose(trajectory.normalised_time(7), np.arange(7) / 6)


def test_negative_order_is_refused() -> None:
    with pytest.raises(StadError, match="order is -1"):
        trajectory.fit(np.zeros((3, 4)), -1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5), st.integers(0, 1000))
def test_decoding_inverts_encoding(order: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    corner, size = generator.uniform(-50, 300, (7, 2)), generator.uniform(1, 200, (7, 2))
    boxes = np.concatenate([corner, corner + size], -1)
    anchor = np.array([10.0, 20.0, 90.0, 200.0])
    offsets = trajectory.encode_tube(boxes, anchor)
    np.testing.assert_allclose(box_ops.decode(offsets, anchor), boxes, atol=1e-8)
    theta = trajectory.fit(offsets, 6)  # 7 frames: exact
    decoded = trajectory.decode_tube(theta, anchor, trajectory.normalised_time(7))
    np.testing.assert_allclose(decoded, boxes, rtol=1e-6, atol=1e-6)


def loss_of_eq_3(theta, anchors, tubes, lengths) -> float:
    """Eq. 3 and the 1 / |B+| of Eq. 2, term by term."""
    total = 0.0
    for coefficients, anchor, tube, length in zip(theta, anchors, tubes, lengths, strict=True):
        own = 0.0
        for i in range(length):
            t = i / (length - 1) if length > 1 else 0.0
            prediction = sum(coefficients[j] * t**j for j in range(len(coefficients)))
            own += ((prediction - box_ops.encode(tube[i], anchor)) ** 2).sum()
        total += own / length
    return total / len(theta)


def loss_case(seed: int, lengths: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    tubes = np.stack([walk(generator, max(lengths)) for _ in lengths])
    anchors = tubes[:, 0] + generator.uniform(-3, 3, (len(lengths), 4))
    return generator.normal(size=(len(lengths), 4, 4)), anchors, tubes


@pytest.mark.parametrize("lengths", [[5, 9, 1], [2], [30, 30, 7, 12]])
def test_regression_loss_is_eq_3(lengths: list[int]) -> None:
    theta, anchors, tubes = loss_case(7, lengths)
    loss = trajectory.tube_regression_loss(
        *(torch.as_tensor(a) for a in (theta, anchors, tubes)), torch.tensor(lengths)
    )
    assert loss.item() == pytest.approx(loss_of_eq_3(theta, anchors, tubes, lengths), rel=1e-9)


def test_padding_does_not_reach_the_loss() -> None:
    theta, anchors, tubes = loss_case(8, [5, 9])
    changed = tubes.copy()
    changed[0, 5:] = [0, 0, 1, 1]
    losses = [
        trajectory.tube_regression_loss(
            torch.as_tensor(theta), torch.as_tensor(anchors), torch.as_tensor(t), torch.tensor([5, 9])
        ).item()
        for t in (tubes, changed)
    ]
    assert losses[0] == losses[1]


def test_gradient_is_that_of_the_squared_distance() -> None:
    lengths = [6, 11]
    theta, anchors, tubes = loss_case(11, lengths)
    parameters = torch.as_tensor(theta).requires_grad_()
    arguments = torch.as_tensor(anchors), torch.as_tensor(tubes), torch.tensor(lengths)
    trajectory.tube_regression_loss(parameters, *arguments).backward()
    for row, length in enumerate(lengths):
        time = trajectory.powers(trajectory.normalised_time(length), 3)
        error = time @ theta[row] - trajectory.encode_tube(tubes[row, :length], anchors[row])
        expected = 2 * time.T @ error / length / len(lengths)
        np.testing.assert_allclose(parameters.grad[row].numpy(), expected, rtol=1e-9)


def test_no_positive_gives_no_loss_but_a_gradient() -> None:
    theta = torch.zeros(0, 5, 4, requires_grad=True)
    loss = trajectory.tube_regression_loss(
        theta, torch.zeros(0, 4), torch.zeros(0, 3, 4), torch.zeros(0, dtype=torch.long)
    )
    loss.backward()
    assert loss.item() == 0 and theta.grad is not None
