"""RoI max pooling against a loop over cells and another library's expected values."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stad_lite.align import BOXES_AT_A_TIME, roi_max_pool
from stad_lite.errors import FormatError


def away_from_zero(value: Fraction) -> int:
    """C's round: halves go away from zero."""
    return int(math.copysign(math.floor(abs(value) + Fraction(1, 2)), value))


def touched(place: int, length: int, bins: int) -> range:
    """The cells of an axis that a bin touches."""
    return range(math.floor(Fraction(place * length, bins)), math.ceil(Fraction((place + 1) * length, bins)))


def looped(image: np.ndarray, box: list[float], size: tuple[int, int], scale: Fraction) -> np.ndarray:
    """One box on one channel, one cell at a time, in exact fractions."""
    first = [away_from_zero(Fraction(value) * scale) for value in box[:2]]
    last = [away_from_zero((Fraction(value) - 1) * scale) for value in box[2:]]
    width, height = (max(b - a + 1, 1) for a, b in zip(first, last, strict=True))
    out = np.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            rows, columns = touched(i, height, size[0]), touched(j, width, size[1])
            cells = [
                image[first[1] + row, first[0] + column]
                for row in rows
                for column in columns
                if 0 <= first[1] + row < image.shape[0] and 0 <= first[0] + column < image.shape[1]
            ]
            out[i, j] = max(cells, default=0.0)
    return out


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(-40, 60), st.integers(-40, 60), st.integers(0, 90), st.integers(0, 90)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from([1, 2, 4]),
    st.integers(0, 99),
)
def test_it_is_the_loop_over_cells(shape, corner_and_side, size, stride, seed):
    x, y, w, h = (value / 4 for value in corner_and_side)
    image = np.random.default_rng(seed).normal(size=shape) - 3  # below 0, so that an empty bin shows
    box = [x, y, x + w, y + h]
    maps, boxes = torch.tensor(image)[None, None], torch.tensor([box], dtype=torch.float64)
    ours = roi_max_pool(maps, boxes, torch.tensor([0]), size, scale=1 / stride)
    assert np.array_equal(ours[0, 0].numpy(), looped(image, box, size, Fraction(1, stride)))


def test_published_values_and_gradients():
    """The outputs and gradients that mmcv's tests/test_ops/test_roi_pool.py (2810718) expects."""
    image = [[1.0, 2, 5, 6], [3, 4, 7, 8], [9, 10, 13, 14], [11, 12, 15, 16]]
    maps = torch.tensor([[image]], requires_grad=True)
    out = roi_max_pool(maps, torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([0]), 2)
    assert out.tolist() == [[[[4, 8], [12, 16]]]]
    out.sum().backward()
    assert maps.grad[0, 0].tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [0, 1, 0, 1]]


def test_gradients_of_the_maps():
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(2, 2, 6, 7, dtype=torch.float64, generator=generator, requires_grad=True)
    boxes = torch.tensor([[0.7, 1.1, 6.4, 5.9], [-2.0, 3.0, 9.0, 8.0]], dtype=torch.float64)
    index = torch.tensor([1, 0])
    assert torch.autograd.gradcheck(lambda m: roi_max_pool(m, boxes, index, (3, 2)), maps)


def test_equal_cells_share_one_gradient():
    maps = torch.zeros(1, 1, 6, 6, requires_grad=True)
    roi_max_pool(maps, torch.tensor([[0.0, 0, 6, 5]]), torch.tensor([0]), 1).sum().backward()
    assert maps.grad.sum() == 1 and not maps.grad[..., 5, :].any()


def test_order_batches_and_scale_do_not_matter():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 4, 25, 25, generator=generator)
    n = BOXES_AT_A_TIME + 40
    corner = torch.rand(n, 2, generator=generator) * 300
    boxes = torch.cat([corner, corner + 1 + torch.rand(n, 2, generator=generator) * 300], 1)
    index = torch.randint(0, 5, (n,), generator=generator).clamp(max=1) * 2  # map 1 has none, map 2 most
    together = roi_max_pool(maps, boxes, index, 7, scale=1 / 16)
    zero = torch.tensor([0])
    alone = [roi_max_pool(maps[[k]], boxes[[i]], zero, 7, scale=1 / 16) for i, k in enumerate(index.tolist())]
    assert torch.equal(together, torch.cat(alone)) and together.shape == (n, 4, 7, 7)


def test_no_boxes_half_precision_and_what_does_not_fit():
    maps = torch.randn(2, 3, 5, 5)
    none = torch.zeros(0, dtype=torch.long)
    assert roi_max_pool(maps, torch.zeros(0, 4), none, (7, 2)).shape == (0, 3, 7, 2)
    boxes, index = torch.tensor([[10.0, 3.0, 70.0, 60.0]]), torch.tensor([1])
    half = roi_max_pool(maps.bfloat16(), boxes, index, 4, scale=1 / 16)
    assert torch.equal(half, roi_max_pool(maps, boxes, index, 4, scale=1 / 16).bfloat16())
    with pytest.raises(FormatError, match="boxes"):
        roi_max_pool(maps, torch.zeros(1, 5), index, 2)
    with pytest.raises(FormatError, match="which of 2 maps"):
        roi_max_pool(maps, boxes, torch.tensor([2]), 2)


def test_nan_is_the_largest():
    maps = torch.zeros(1, 1, 4, 4)
    maps[..., 1, 2] = torch.nan
    found = roi_max_pool(maps, torch.tensor([[0.0, 0, 4, 4], [0, 0, 2, 4]]), torch.tensor([0, 0]), 1)
    assert found.isnan().flatten().tolist() == [True, False]
