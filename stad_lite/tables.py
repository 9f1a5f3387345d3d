"""Segments and boxes read out of sequences and maps of any sizes that stand in one table, row by row.

Nothing is read back from the device, and no shape depends on a value: what is read where is arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def by_number(number: Tensor, values: Sequence[float]) -> Tensor:
    """Return the value of each number (n,): whole, or float64; the program's values are not copied there.

    >>> by_number(torch.tensor([0, 2]), [5, 6, 7])
    tensor([5, 7])
    """
    found = torch.full_like(number, values[0], dtype=None if isinstance(values[0], int) else torch.float64)
    for place, value in enumerate(values[1:], start=1):
        found = found.masked_fill(number == place, value)
    return found


def points_of(
    start: Tensor, end: Tensor, bins: int, size: int | Tensor, samples: int, aligned: bool, most: int = 0
) -> tuple[Tensor, Tensor]:
    """Return where the axis is read, moved onto it, and what each reading counts; both (n, bins, samples).

    size: of the axis, or (n, 1, 1) where each interval has its own
    """
    if start.dtype not in (torch.float32, torch.float64):
        start, end = start.float(), end.float()
    length = (end - start).clamp(min=0 if aligned else 1)
    start = start - 0.5 if aligned else start
    count = torch.full_like(length, samples) if samples else (length.detach() / bins).ceil()
    most = samples or most or (int(count.max()) if len(count) else 0)
    step = torch.arange(most, device=start.device)
    part = (step + 0.5) / count[:, None, None].clamp(min=1)
    place = torch.arange(bins, device=start.device)[:, None] + part
    points = start[:, None, None] + length[:, None, None] / bins * place
    taken = (step < count[:, None, None]) & (points >= -1) & (points <= size)
    last = points.new_full((), size - 1) if isinstance(size, int) else size - 1
    return points.clamp(min=0).minimum(last), taken / count[:, None, None].clamp(min=1)


def read_segments(
    table: Tensor,
    segments: Tensor,
    first: Tensor,
    size: int | Tensor,
    bins: int,
    samples: int = 0,
    aligned: bool = False,
) -> Tensor:
    """Cut segments out of sequences that stand in one table, and resample each to one length.

    table: (rows, c), the steps of all sequences, one sequence behind the other
    segments: (n, 2) start and end in steps of its sequence
    first: (n,) row at which each one's sequence begins
    size: steps of the sequences, or (n,) of each one's
    bins, samples, aligned: as in ``segment_align``
    returns: (n, c, bins)
    """
    start, end = segments.unbind(1)
    cells, weights = _read(start, end, bins, size, samples, aligned)
    cells, weights = cells + first[:, None, None], weights.to(table.dtype)
    if not cells.numel():
        return table.new_zeros(len(segments), table.shape[1], bins)
    found = F.embedding_bag(cells.flatten(0, 1), table, per_sample_weights=weights.flatten(0, 1), mode="sum")
    return rearrange(found, "(n i) c -> n c i", i=bins)


def read_boxes(
    table: Tensor,
    boxes: Tensor,
    first: Tensor,
    sides: tuple[Tensor, Tensor],
    size: int,
    samples: int,
    aligned: bool = True,
) -> Tensor:
    """Cut boxes out of maps of any sizes that stand in one table, and resample each to one size.

    table: (rows, c), the cells of all maps row by row, one map behind the other
    boxes: (n, 4) xyxy in cells of its map
    first: (n,) row at which each one's map begins
    sides: (n,) height and (n,) width of each one's map
    size, samples, aligned: as in ``roi_align``, samples from 1
    returns: (n, c, size, size)
    """
    x1, y1, x2, y2 = boxes.unbind(1)
    y, down = _read(y1, y2, size, sides[0], samples, aligned)
    x, across = _read(x1, x2, size, sides[1], samples, aligned)
    rows = first[:, None, None] + y * sides[1][:, None, None]
    cells = rows[:, :, None, :, None] + x[:, None, :, None, :]
    weights = (down[:, :, None, :, None] * across[:, None, :, None, :]).to(table.dtype)
    flat = (rearrange(part, "n i j s t -> (n i j) (s t)") for part in (cells, weights))
    found = F.embedding_bag(next(flat), table, per_sample_weights=next(flat), mode="sum")
    return rearrange(found, "(n i j) c -> n c i j", i=size, j=size)


def _read(
    start: Tensor, end: Tensor, bins: int, size: int | Tensor, samples: int, aligned: bool
) -> tuple[Tensor, Tensor]:
    """Return the cells that each bin reads and what each counts; both (n, bins, 2 samples)."""
    size = size if isinstance(size, int) else size[:, None, None]
    points, share = points_of(start, end, bins, size, samples, aligned)
    left = points.detach().nan_to_num().floor()  # NaN stays NaN in what is found
    part = points - left
    right = (left + 1).clamp(max=size - 1) if isinstance(size, int) else (left + 1).minimum(size - 1)
    return torch.cat([left, right], 2).long(), torch.cat([(1 - part) * share, part * share], 2)
