"""RoIAlign and segment align against loops, exact integrals, and other libraries' stored values."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.roi_align_reference import inputs
from stad_lite.align import BOXES_AT_A_TIME, interpolation_weights, roi_align, segment_align
from stad_lite.errors import FormatError

GOLDENS = Path(__file__).parent / "goldens" / "roi_align.json"
fast = settings(max_examples=40, deadline=None)


def surface(image: np.ndarray, y: float, x: float) -> float:
    """The bilinear surface through the cells' values at integer places, by the definition."""
    height, width = image.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = min(int(y), max(height - 2, 0)), min(int(x), max(width - 2, 0))
    total = 0.0
    for row in {top, min(top + 1, height - 1)}:
        for column in {left, min(left + 1, width - 1)}:
            total += max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column)) * image[row, column]
    return total


def looped(image: np.ndarray, box: list[float], size: tuple[int, int], samples: int, aligned: bool):
    """RoIAlign of one box on one channel, one point at a time."""
    shift, least = (0.5, 0.0) if aligned else (0.0, 1.0)
    x1, y1 = box[0] - shift, box[1] - shift
    width, height = max(box[2] - box[0], least), max(box[3] - box[1], least)
    out = np.zeros(size)
    down, across = (samples or math.ceil(side / n) for side, n in zip((height, width), size, strict=True))
    for i in range(size[0]):
        for j in range(size[1]):
            for a in range(down):
                for b in range(across):
                    y = y1 + (i + (a + 0.5) / down) * height / size[0]
                    x = x1 + (j + (b + 0.5) / across) * width / size[1]
                    out[i, j] += surface(image, y, x) / (down * across)
    return out


def integral(image: np.ndarray, y1: float, y2: float, x1: float, x2: float) -> float:
    """The exact mean of the surface over a rectangle inside it: two Gauss points in every cell's part."""
    points, total = (-1 / math.sqrt(3), 1 / math.sqrt(3)), 0.0
    for bottom in range(math.floor(y1), math.ceil(y2)):
        for left in range(math.floor(x1), math.ceil(x2)):
            low_y, high_y = max(y1, bottom), min(y2, bottom + 1)
            low_x, high_x = max(x1, left), min(x2, left + 1)
            for u in points:
                for v in points:
                    y, x = (
                        (low_y + high_y + u * (high_y - low_y)) / 2,
                        (low_x + high_x + v * (high_x - low_x)) / 2,
                    )
                    total += surface(image, y, x) * (high_y - low_y) * (high_x - low_x) / 4
    return total / ((y2 - y1) * (x2 - x1))


def cut(image: np.ndarray, box: list[float], size: int | tuple[int, int], **options) -> np.ndarray:
    maps = torch.tensor(image, dtype=torch.float64)[None, None]
    boxes = torch.tensor([box], dtype=torch.float64)
    return roi_align(maps, boxes, torch.tensor([0]), size, **options)[0, 0].numpy()


@fast
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.tuples(*[st.floats(-3, 8)] * 2, *[st.floats(0, 9)] * 2),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(0, 3),
    st.booleans(),
    st.integers(0, 99),
)
def test_it_is_the_loop_over_points(height, width, corner_and_side, size, samples, aligned, seed):
    x, y, w, h = (round(value * 8) / 8 for value in corner_and_side)  # no point within rounding of an edge
    image = np.random.default_rng(seed).normal(size=(height, width))
    box = [x, y, x + w, y + h]
    ours = cut(image, box, size, samples=samples, aligned=aligned)
    near = cut(image, [v + 1e-7 for v in box], size, samples=samples, aligned=aligned)
    theirs = looped(image, box, size, samples, aligned)
    assert np.allclose(ours, theirs, atol=1e-9) or np.abs(near - ours).max() > 1e-3  # on the edge of -1 or n


def test_bins_that_hold_whole_cells_are_exact_integrals():
    image = np.random.default_rng(0).normal(size=(9, 8))
    ours = cut(image, [1, 2, 7, 8], 3, samples=2, aligned=False)  # a sample's part is one cell
    exact = [
        [integral(image, 2 + 2 * i, 4 + 2 * i, 1 + 2 * j, 3 + 2 * j) for j in range(3)] for i in range(3)
    ]
    np.testing.assert_allclose(ours, exact, atol=1e-12)


@pytest.mark.parametrize("aligned", [False, True])
def test_many_samples_approach_the_integral(aligned):
    image, shift = np.random.default_rng(1).normal(size=(12, 12)), 0.5 * aligned
    box = np.array([1.3, 2.2, 9.7, 8.9])
    x = np.linspace(box[0], box[2], 4) - shift
    y = np.linspace(box[1], box[3], 4) - shift
    exact = np.array([[integral(image, *y[i : i + 2], *x[j : j + 2]) for j in range(3)] for i in range(3)])
    errors = [
        np.abs(cut(image, box.tolist(), 3, samples=n, aligned=aligned) - exact).max() for n in (1, 4, 16, 64)
    ]
    assert errors[3] < 2e-4 and errors[3] < errors[2] < errors[1] < errors[0]


@pytest.mark.parametrize("case", json.loads(GOLDENS.read_text("utf-8"))["cases"], ids=str)
def test_stored_values_of_another_library(case):
    maps, boxes, index = map(torch.from_numpy, inputs())
    ours = roi_align(
        maps, boxes, index, tuple(case["size"]), samples=case["samples"], aligned=case["aligned"]
    )
    theirs = torch.tensor(case["values"]).reshape(ours.shape)
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=0)
    assert theirs[:6].abs().amax((1, 2, 3)).min() > 0 or case["aligned"]


def test_published_values():
    """The values that detectron2's tests/layers/test_roi_align.py (405ef0d) expects of its operator."""
    ramp = np.arange(25.0).reshape(5, 5)
    steps = 2.5 * np.arange(4)[:, None] + 0.5 * np.arange(4)
    np.testing.assert_allclose(cut(ramp, [1, 1, 3, 3], 4, aligned=False), 7.5 + steps)
    np.testing.assert_allclose(cut(ramp, [1, 1, 3, 3], 4, aligned=True), 4.5 + steps)
    assert not cut(ramp, [3, 4, 5, 4], 7, aligned=True).any()  # a box without height is zero


def test_published_values_and_gradients():
    """The outputs and gradients in mmcv's tests/test_ops/test_roi_align.py (01be0e6)."""
    image = [[1.0, 2, 5, 6], [3, 4, 7, 8], [9, 10, 13, 14], [11, 12, 15, 16]]
    maps = torch.tensor([[image]], requires_grad=True)
    out = roi_align(maps, torch.tensor([[0.0, 0, 3, 3]]), torch.tensor([0]), 2, samples=2)
    torch.testing.assert_close(out[0, 0], torch.tensor([[1.9375, 4.75], [7.5625, 10.375]]))
    out.sum().backward()
    row = torch.tensor([0.6875, 0.625, 0.625, 0.0625])
    torch.testing.assert_close(maps.grad[0, 0], row[:, None] * row)


def test_order_batches_and_scale_do_not_matter():
    generator = torch.Generator().manual_seed(0)
    n = 2 * BOXES_AT_A_TIME + 7
    maps = torch.randn(3, 4, 7, 9, generator=generator)
    corner = torch.rand(n, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + 1 + torch.rand(n, 2, generator=generator) * 60], 1)
    index = torch.randint(0, 2, (n,), generator=generator) * 2  # map 1 has none
    together = roi_align(maps, boxes, index, (2, 3), scale=1 / 8)
    alone = [roi_align(maps, boxes[i : i + 1] / 8, index[i : i + 1], (2, 3)) for i in range(n)]
    torch.testing.assert_close(together, torch.cat(alone))
    assert together.shape == (n, 4, 2, 3)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("samples", [0, 1, 2])
@pytest.mark.parametrize("numbers", [(3, 3, 3, 3, 3, 3), (2, 3, 0, 3, 2, 3), (0, 9, 0, 0, 0, 1)])
def test_many_maps_together_are_many_maps_one_by_one(numbers, samples, aligned):
    generator = torch.Generator().manual_seed(sum(numbers) + samples)
    maps = torch.randn(len(numbers), 2, 5, 1 if samples == 2 else 7, generator=generator, dtype=torch.float64)
    index = torch.arange(len(numbers)).repeat_interleave(torch.tensor(numbers))
    index = index[torch.randperm(len(index), generator=generator)]
    corner = torch.rand(len(index), 2, generator=generator, dtype=torch.float64) * 14 - 4
    boxes = torch.cat([corner, corner + torch.rand(len(index), 2, generator=generator).double() * 9], 1)
    found, wanted = [], []
    for kept, one_by_one in ((found, False), (wanted, True)):
        ours, theirs = maps.clone().requires_grad_(), boxes.clone().requires_grad_()
        if one_by_one:
            parts = [
                roi_align(
                    ours[i : i + 1], theirs[index == i], index[index == i] * 0, (2, 3), 0.5, samples, aligned
                )
                for i in range(len(maps))
            ]
            pooled = torch.zeros(len(index), 2, 2, 3, dtype=torch.float64)
            for i, part in enumerate(parts):
                pooled[index == i] = part
        else:
            pooled = roi_align(ours, theirs, index, (2, 3), 0.5, samples, aligned)
        weights = torch.arange(pooled.numel(), dtype=torch.float64).reshape(pooled.shape)
        kept += [pooled.detach(), *torch.autograd.grad((pooled * weights).sum(), [ours, theirs])]
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("aligned", [False, True])
def test_gradients_of_maps_and_boxes(aligned):
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(2, 2, 5, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    boxes = torch.tensor([[0.71, 1.13, 4.37, 3.91], [1.3, 0.2, 3.83, 4.9]], dtype=torch.float64)
    boxes.requires_grad_()
    index = torch.tensor([1, 0])
    assert torch.autograd.gradcheck(
        lambda m, b: roi_align(m, b, index, 3, samples=2, aligned=aligned), (maps, boxes)
    )


def test_a_segment_is_a_box_one_cell_wide():
    """G-TAD's Align1D is the uncorrected RoIAlign on an axis of width 1."""
    generator = torch.Generator().manual_seed(2)
    sequences = torch.randn(2, 3, 20, generator=generator)
    start = torch.rand(30, generator=generator) * 26 - 4
    segments = torch.stack([start, start + torch.rand(30, generator=generator) * 12], 1)
    index = torch.randint(0, 2, (30,), generator=generator)
    for samples in (0, 1, 3):
        ours = segment_align(sequences, segments, index, 4, samples=samples)
        wide = torch.tensor([[0.0, 1.0]]).expand(30, 2)
        boxes = torch.stack([wide[:, 0], segments[:, 0], wide[:, 1], segments[:, 1]], 1)
        flat = roi_align(sequences[..., None], boxes, index, (4, 1), samples=samples, aligned=False)
        torch.testing.assert_close(ours, flat[..., 0])


def test_segment_of_a_ramp_by_hand():
    """Align1D by its rules: bins of (9.5 + .5) / 5 = 2, two samples a bin, the first at 0 and 1."""
    ramp = torch.arange(1.0, 11).reshape(1, 1, 10)
    got = segment_align(ramp, torch.tensor([[-0.5, 9.5], [0.1, 0.9]]), torch.tensor([0, 0]), 5)
    whole = [(1.0 + 2.0) / 2, 3.5, 5.5, 7.5, 9.5]
    short = [1.1 + 0.2 * (i + 0.5) for i in range(5)]  # shorter than a cell: taken as one cell long
    torch.testing.assert_close(got[:, 0], torch.tensor([whole, short]))


def test_gradient_of_segments():
    sequences = torch.randn(2, 2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    sequences.requires_grad_()
    segments = torch.tensor([[1.13, 5.77], [0.31, 8.02]], dtype=torch.float64, requires_grad=True)
    index = torch.tensor([1, 0])
    for samples in (0, 2):
        assert torch.autograd.gradcheck(
            lambda *given, n=samples: segment_align(*given, index, 3, samples=n), (sequences, segments)
        )


def test_a_segment_of_nan_gives_nan():
    segments = torch.tensor([[torch.nan, 2.0], [0.0, 2.0]])
    found = segment_align(torch.ones(1, 1, 4), segments, torch.zeros(2, dtype=torch.long), 2, samples=1)
    assert found[0].isnan().all() and (found[1] == 1).all()


def test_no_boxes_and_half_precision():
    maps = torch.randn(2, 3, 5, 5)
    none = torch.zeros(0, dtype=torch.long)
    assert roi_align(maps, torch.zeros(0, 4), none, 7).shape == (0, 3, 7, 7)
    assert segment_align(maps[..., 0], torch.zeros(0, 2), none, 7).shape == (0, 3, 7)
    boxes, index = torch.tensor([[10.0, 3.0, 70.0, 60.0]]), torch.tensor([1])
    half = roi_align(maps.bfloat16(), boxes, index, 4, scale=1 / 16)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(
        half.float(), roi_align(maps, boxes, index, 4, scale=1 / 16), atol=0.05, rtol=0.02
    )


def test_constant_maps_stay_constant_inside():
    weights = interpolation_weights(torch.tensor([2.2, 0.6]), torch.tensor([7.9, 3.1]), 5, 10)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 5))


@pytest.mark.parametrize(
    ("boxes", "index"),
    [
        (torch.zeros(2, 5), [0, 0]),
        (torch.zeros(2, 4), [0]),
        (torch.zeros(2, 4), [0, 2]),
        (torch.zeros(1, 4), [-1]),
    ],
)
def test_what_does_not_fit_is_refused(boxes, index):
    with pytest.raises(FormatError, match=r"boxes|map"):
        roi_align(torch.zeros(2, 1, 3, 3), boxes, torch.tensor(index), 2)
