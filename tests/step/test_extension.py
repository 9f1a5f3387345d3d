"""Temporal extension: exact on straight motion, in order of time, by both readings of Eq. 4."""

import numpy as np
import pytest
import torch

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError
from stad_lite.step.extension import (
    KINDS,
    ahead,
    anticipate,
    concatenate,
    extrapolate,
    outermost,
    overlap_ahead,
    replicate,
    windows,
)


def straight(frames: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return boxes whose four numbers are straight lines in time."""
    return np.array([10, 12, 40, 60]) + generator.normal(size=4) * np.asarray(frames)[:, None]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("clip", [2, 3, 6, 12])
def test_exact_on_straight_motion_at_every_step(kind, clip):
    generator = np.random.default_rng(clip)
    times = np.arange(-2 * clip, 3 * clip)
    truth = straight(times, generator)
    tubelet = truth[2 * clip : 3 * clip]
    for step in (1, 2):
        before, after = extrapolate(tubelet, clip, kind)
        tubelet = concatenate(before, tubelet, after)
        assert len(tubelet) == clip * (2 * step + 1)
        wanted = truth[(2 - step) * clip : (3 + step) * clip]
        np.testing.assert_allclose(tubelet, wanted, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_frame_by_frame_as_the_equations_say(kind):
    clip, boxes = 4, np.random.default_rng(0).normal(size=(9, 4))
    last, found = list(boxes), ahead(boxes, clip, kind)
    for k in range(1, clip + 1):
        if kind == "closed":
            wanted = boxes[-1] + k / (clip - 1) * (boxes[-1] - boxes[-clip])
        else:
            wanted = clip / (clip - 1) * last[-1] - last[-clip] / (clip - 1)
            last.append(wanted)
        np.testing.assert_allclose(found[k - 1], wanted)


def test_the_readings_agree_on_the_first_frame_and_then_part():
    boxes = np.random.default_rng(1).normal(size=(6, 4))
    closed, recursive = (ahead(boxes, 6, kind) for kind in KINDS)
    np.testing.assert_allclose(closed[0], recursive[0])
    assert (np.abs(closed[1:] - recursive[1:]) > 1e-3).all()


def test_the_clip_before_is_the_clip_after_in_reversed_time():
    boxes = np.random.default_rng(2).normal(size=(5, 18, 4))
    before, after = extrapolate(boxes, 6)
    mirrored_before, mirrored_after = extrapolate(boxes[:, ::-1], 6)
    np.testing.assert_array_equal(before, mirrored_after[:, ::-1])
    np.testing.assert_array_equal(after, mirrored_before[:, ::-1])


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_give_what_arrays_give(kind):
    boxes = np.random.default_rng(3).normal(size=(2, 7, 4))
    for ours, theirs in zip(
        extrapolate(boxes, 6, kind), extrapolate(torch.tensor(boxes), 6, kind), strict=True
    ):
        np.testing.assert_allclose(ours, theirs.numpy())
    for ours, theirs in zip(replicate(boxes, 6), replicate(torch.tensor(boxes), 6), strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())
    clips = [torch.tensor(boxes[:, :6])] * 3
    assert concatenate(*clips).shape == (2, 18, 4)


def test_replicate_holds_the_outermost_boxes():
    boxes = np.random.default_rng(4).normal(size=(7, 4))
    before, after = replicate(boxes, 3)
    assert (before == boxes[0]).all() and (after == boxes[-1]).all() and before.shape == (3, 4)


def test_anticipation_counts_from_the_outermost_clip():
    generator = np.random.default_rng(5)
    proposals = np.sort(generator.uniform(0, 50, (2, 18, 2, 2)), -2).reshape(2, 18, 4) + [0, 0, 9, 9]
    truth = proposals + generator.uniform(-1, 1, proposals.shape)
    offsets = box_ops.encode(truth, proposals)
    past, future = truth[:, :6] - 3.0, truth[:, -6:] + 2.0
    residuals = (
        box_ops.encode(past, proposals[:, :6]) - offsets[:, :6],
        box_ops.encode(future, proposals[:, -6:]) - offsets[:, -6:],
    )
    before, after = anticipate(offsets, residuals, 6)
    np.testing.assert_allclose(box_ops.decode(before, proposals[:, :6]), past)
    np.testing.assert_allclose(box_ops.decode(after, proposals[:, -6:]), future)


def test_anticipation_from_a_copy_holds_the_outermost_box_where_nothing_is_added():
    generator = np.random.default_rng(6)
    proposals = np.sort(generator.uniform(0, 50, (3, 18, 2, 2)), -2).reshape(3, 18, 4) + [0, 0, 9, 9]
    offsets = generator.normal(size=proposals.shape) * 0.1
    told = anticipate(offsets, (np.zeros((3, 6, 4)), np.zeros((3, 6, 4))), 6, "copy")
    held = replicate(box_ops.decode(offsets, proposals), 6)
    for side, some, wanted in zip(outermost(proposals, 6, "copy"), told, held, strict=True):
        np.testing.assert_allclose(box_ops.decode(some, side), wanted)


@pytest.mark.parametrize(("shape", "clip"), [((5, 4), 6), ((6, 3), 6), ((6, 4), 1), ((4,), 2)])
def test_what_cannot_be_extended_is_refused(shape, clip):
    with pytest.raises(FormatError, match="cannot be extended"):
        ahead(np.zeros(shape), clip)


def test_unknown_reading_is_refused():
    with pytest.raises(FormatError, match="quadratic"):
        ahead(np.zeros((6, 4)), 6, "quadratic")


def test_windows_and_their_forecast():
    generator = np.random.default_rng(6)
    line = straight(np.arange(25) / 10, generator)
    found = windows([line, line[:17], line[:18]], 18, 6)
    assert found.shape == (3, 18, 4)
    np.testing.assert_array_equal(found[1], line[6:24])
    overlap = overlap_ahead(found[:, :6], found[:, 6:], 6, lambda boxes: ahead(boxes, 6))
    np.testing.assert_allclose(overlap, np.ones((3, 2)))
    held = overlap_ahead(found[:, :6], found[:, 6:], 6, lambda boxes: replicate(boxes, 6)[1])
    last = found[0, 5]
    np.testing.assert_allclose(held[0, 1], box_ops.iou(last[None], found[0, 12:]).mean())
