"""RoIAlign on maps and segment-of-interest align on sequences, differentiable in the maps and in the boxes.

RoI max pooling, their forerunner, moves the boxes to whole cells and has a gradient in the maps alone.
Linear interpolation along one axis is a matrix: row i holds what each cell of the axis contributes to
bin i. RoIAlign is one such matrix along y and one along x, as plain matrix products. Segment-of-interest
align sums the few cells of each bin alone, so its cost does not grow with the sequence.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor

from stad_lite.arrays import readable
from stad_lite.errors import FormatError
from stad_lite.tables import points_of, read_segments

BOXES_AT_A_TIME = 96
"""How many boxes are cut out in one product: few enough for what is in between to stay in the cache."""
FEW_MAPS = 4
"""Up to so many maps are looked at one by one; more of them together."""


def interpolation_weights(
    start: Tensor, end: Tensor, bins: int, size: int, samples: int = 0, aligned: bool = False, most: int = 0
) -> Tensor:
    """Return the weights with which the cells of one axis enter the bins of an interval.

    Each bin is the mean of ``samples`` evenly spaced linear interpolations. A point further than one
    cell outside the axis counts 0; one closer is moved onto it.

    start, end: (n,) in cells
    samples: per bin; 0 takes one for each cell that a bin covers (rounded up)
    aligned: cell i has its centre at i + 0.5 (else at i, and an interval is at least one cell long)
    most: samples of a bin that there are at most, where they are not told and may not be looked for
    returns: (n, bins, size)
    Source: Mask R-CNN, Sec. 3 (RoIAlign).

    >>> interpolation_weights(torch.tensor([1.0]), torch.tensor([3.0]), 2, 4, samples=1)
    tensor([[[0.0000, 0.5000, 0.5000, 0.0000],
             [0.0000, 0.0000, 0.5000, 0.5000]]])
    """
    points, share = points_of(start, end, bins, size, samples, aligned, most)
    cells = torch.arange(size, device=start.device)
    tents = (1 - (points[..., None] - cells).abs()).clamp(min=0)
    return (tents * share[..., None]).sum(2)


def roi_align(
    maps: Tensor,
    boxes: Tensor,
    index: Tensor,
    size: int | tuple[int, int],
    scale: float = 1.0,
    samples: int = 0,
    aligned: bool = True,
) -> Tensor:
    """Cut boxes out of maps and resample each to one size.

    maps: (b, c, h, w)
    boxes: (n, 4) xyxy pixels
    index: (n,) which of the b maps each box is cut from
    size: bins along y and x, or one number for both
    scale: cells of the map per pixel of the boxes (1 / stride)
    samples: interpolations per bin and axis; 0 takes one for each cell that a bin covers
    aligned: the corrected half-cell position; False gives the original (STEP's code), in which a box is
        at least one cell wide and high
    returns: (n, c, *size)
    raises: FormatError for shapes that do not fit or an index without a map
    Source: Mask R-CNN, Sec. 3; STEP Sec. 3.2 and PCSC Sec. 3.3 pool their regions with it.

    >>> maps = torch.arange(25.0).reshape(1, 1, 5, 5)
    >>> roi_align(maps, torch.tensor([[1.0, 1.0, 3.0, 3.0]]), torch.tensor([0]), 2)[0, 0]
    tensor([[ 6.,  7.],
            [11., 12.]])
    """
    _check_boxes(maps, boxes)
    rows, columns = (size, size) if isinstance(size, int) else size
    many = len(maps) > FEW_MAPS
    if many and samples and maps.dtype in (torch.float32, torch.float64):
        place, most = _places(*_by_map(index, len(boxes), len(maps)))
        return _align_points(maps, boxes * scale, place, most, (rows, columns), samples, aligned)
    x1, y1, x2, y2 = (boxes * scale).unbind(1)
    down = interpolation_weights(y1, y2, rows, maps.shape[2], samples, aligned).to(maps.dtype)
    across = interpolation_weights(x1, x2, columns, maps.shape[3], samples, aligned).to(maps.dtype)
    order, counts = _by_map(index, len(boxes), len(maps))
    most = max(counts, default=0)
    if many and 0 < len(maps) * most <= 2 * len(boxes):
        return _align_together(maps, down, across, *_places(order, counts))
    pieces = [maps.new_zeros(0, rows, columns, maps.shape[1])]
    for image, chosen in zip(maps, order.split(counts), strict=True):
        flat = rearrange(image, "c h w -> h (w c)") if len(chosen) else image
        for some in chosen.split(BOXES_AT_A_TIME) if len(chosen) else ():
            strips = rearrange(down[some], "n i h -> (n i) h") @ flat
            strips = rearrange(strips, "(n i) (w c) -> n i w c", i=rows, w=maps.shape[3])
            pieces.append(across[some][:, None] @ strips)
    found = torch.cat(pieces)
    return rearrange(found if len(maps) == 1 else found[order.argsort()], "n i j c -> n c i j")


def roi_align_all(
    maps: Tensor,
    boxes: Tensor,
    size: int,
    scale: float = 1.0,
    samples: int = 0,
    aligned: bool = True,
) -> Tensor:
    """Cut as many boxes out of every map: ``roi_align`` where nothing needs to be sorted.

    Nothing is read back from the device, and no shape depends on a value.

    maps: (b, c, h, w)
    boxes: (b, n, 4) xyxy pixels, inside the map where ``samples`` is 0
    size, scale, samples, aligned: as in ``roi_align``
    returns: (b, n, c, size, size)
    """
    most, flat = boxes.shape[1], rearrange(boxes, "b n side -> (b n) side")
    place = torch.arange(len(flat), device=flat.device)
    if len(maps) > FEW_MAPS and samples and maps.dtype in (torch.float32, torch.float64):
        found = _align_points(maps, flat * scale, place, most, (size, size), samples, aligned)
    else:
        x1, y1, x2, y2 = (flat * scale).unbind(1)
        down, across = (
            interpolation_weights(low, high, size, cells, samples, aligned, cells // size + 1).to(maps.dtype)
            for low, high, cells in ((y1, y2, maps.shape[2]), (x1, x2, maps.shape[3]))
        )
        found = _align_together(maps, down, across, place, most)
    return rearrange(found, "(b n) c i j -> b n c i j", n=most)


def _align_together(maps: Tensor, down: Tensor, across: Tensor, place: Tensor, most: int) -> Tensor:
    """RoIAlign of many maps with about as many boxes each: one product for all, with empty places in it.

    down, across: (n, bins, cells) weights of each box along y and x
    place, most: as ``_places`` gives them
    """
    table = down.new_zeros(len(maps) * most, *down.shape[1:]).index_copy(0, place, down)
    strips = rearrange(table, "(b n) i h -> b (n i) h", n=most) @ rearrange(maps, "b c h w -> b h (w c)")
    strips = rearrange(strips, "b (n i) (w c) -> (b n) i w c", n=most, w=maps.shape[3])[place]
    return rearrange(across[:, None] @ strips, "n i j c -> n c i j")


def _align_points(
    maps: Tensor,
    boxes: Tensor,
    place: Tensor,
    most: int,
    size: tuple[int, int],
    samples: int,
    aligned: bool,
) -> Tensor:
    """RoIAlign of many maps by reading a fixed number of points in each bin.

    boxes: (n, 4) in cells
    place, most: as ``_places`` gives them
    """
    x1, y1, x2, y2 = boxes.unbind(1)
    y, down = (each.flatten(1) for each in points_of(y1, y2, size[0], maps.shape[2], samples, aligned))
    x, across = (each.flatten(1) for each in points_of(x1, x2, size[1], maps.shape[3], samples, aligned))
    half = [max(side - 1, 1) / 2 for side in maps.shape[2:]]  # the grid runs from -1 to 1
    grid = torch.stack(torch.broadcast_tensors(x[:, None] / half[1] - 1, y[..., None] / half[0] - 1), -1)
    grid = grid.to(maps.dtype)
    table = grid.new_zeros(len(maps) * most, *grid.shape[1:]).index_copy(0, place, grid)
    table = rearrange(table, "(b n) i j xy -> b (n i) j xy", n=most)
    read = F.grid_sample(maps, table, padding_mode="border", align_corners=True)
    read = rearrange(read, "b c (n i) j -> (b n) c i j", n=most)[place]
    weighted = read * (down[..., None] * across[:, None])[:, None].to(maps.dtype)
    return reduce(weighted, "n c (i s) (j t) -> n c i j", "sum", s=samples, t=samples)


def _places(order: Tensor, counts: list[int]) -> tuple[Tensor, int]:
    """Return each box's place (n,) in a table with as many places for every map, and how many those are."""
    number, most = torch.tensor(counts, device=order.device), max(1, *counts)
    begin = torch.arange(len(counts), device=order.device) * most - (number.cumsum(0) - number)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device) + begin.repeat_interleave(number)
    return place, most


def roi_max_pool(
    maps: Tensor, boxes: Tensor, index: Tensor, size: int | tuple[int, int], scale: float = 1.0
) -> Tensor:
    """Cut boxes out of maps, their edges moved to whole cells, and keep the largest value of each bin.

    A box reaches from the cell of its first pixel to that of its last, both rounded; a bin takes every
    cell that it touches, so neighbours may share some. A bin beyond the map is 0.

    maps: (b, c, h, w)
    boxes: (n, 4) xyxy pixels, half-open: the last pixel is x2 - 1; they get no gradient
    index: (n,) which of the b maps each box is cut from
    size: bins along y and x, or one number for both
    scale: cells of the map per pixel of the boxes (1 / stride)
    returns: (n, c, *size)
    raises: FormatError for shapes that do not fit or an index without a map
    Source: Fast R-CNN, Sec. 2.1 (RoI pooling) and its code's rounding; STEP Sec. 3.2 pools with it.

    >>> maps = torch.arange(25.0).reshape(1, 1, 5, 5)
    >>> roi_max_pool(maps, torch.tensor([[1.0, 1.0, 4.0, 4.0]]), torch.tensor([0]), 2)[0, 0]
    tensor([[12., 13.],
            [17., 18.]])
    """
    _check_boxes(maps, boxes)
    order, counts = _by_map(index, len(boxes), len(maps))
    rows, columns = (size, size) if isinstance(size, int) else size
    height, width = maps.shape[2:]
    x1, y1, x2, y2 = boxes.detach().unbind(1)
    down = _whole_cells(y1 * scale, (y2 - 1) * scale, rows, height)
    across = _whole_cells(x1 * scale, (x2 - 1) * scale, columns, width)
    pieces = [torch.zeros(0, rows, columns, maps.shape[1], dtype=torch.long, device=maps.device)]
    for number, (image, chosen) in enumerate(zip(maps.detach(), order.split(counts), strict=True)):
        if len(chosen):
            cells = _largest_cells(image, *(side[chosen] for side in (*down, *across)))
            pieces.append(cells + number * height * width)
    flat = rearrange(maps, "b c h w -> (b h w) c")
    found = flat.gather(0, rearrange(torch.cat(pieces)[order.argsort()], "n i j c -> (n i j) c"))
    empty = (down[0] >= down[1])[..., None] | (across[0] >= across[1])[:, None]
    found = found.masked_fill(rearrange(empty, "n i j -> (n i j) 1"), 0)
    return rearrange(found, "(n i j) c -> n c i j", i=rows, j=columns)


def segment_align(
    sequences: Tensor,
    segments: Tensor,
    index: Tensor,
    bins: int,
    scale: float = 1.0,
    samples: int = 0,
    aligned: bool = False,
) -> Tensor:
    """Cut segments out of sequences and resample each to one length: RoIAlign along time.

    sequences: (b, c, t)
    segments: (n, 2) start and end
    index: (n,) which of the b sequences each segment is cut from
    scale: steps of the sequence per unit of the segments
    samples, aligned: as in ``roi_align``; the default is G-TAD's Align1D
    returns: (n, c, bins)
    raises: FormatError for shapes that do not fit or an index without a sequence
    Source: G-TAD, Sec. 3.3 (SGAlign), as SP-TAD Sec. 3.1.3 uses it.

    >>> ramp = torch.arange(10.0).reshape(1, 1, 10)
    >>> segment_align(ramp, torch.tensor([[2.0, 6.0]]), torch.tensor([0]), 2)
    tensor([[[3., 5.]]])
    """
    if sequences.ndim != 3 or segments.ndim != 2 or segments.shape[1] != 2:
        raise FormatError(
            f"sequences of shape {tuple(sequences.shape)} with segments of shape {tuple(segments.shape)}",
            remedy="give sequences (b, c, t) and segments (n, 2)",
        )
    _check_index(index, len(segments), len(sequences))
    size = sequences.shape[2]
    table = rearrange(sequences, "b c t -> (b t) c")
    return read_segments(table, segments * scale, index.to(table.device) * size, size, bins, samples, aligned)


def _by_map(index: Tensor, n: int, maps: int) -> tuple[Tensor, list[int]]:
    """Return the boxes' order by map, and how many each map has."""
    _check_index(index, n, maps)
    return index.argsort(stable=True), torch.bincount(index.long(), minlength=maps).tolist()


def _whole_cells(first: Tensor, last: Tensor, bins: int, size: int) -> tuple[Tensor, Tensor]:
    """Return the half-open range of cells of each bin, cut off at the axis' ends; both (n, bins)."""
    start, end = (torch.where(at < 0, (at - 0.5).ceil(), (at + 0.5).floor()).long() for at in (first, last))
    length, place = (end - start + 1).clamp(min=1)[:, None], torch.arange(bins, device=first.device)
    begin = start[:, None] + place * length // bins
    stop = start[:, None] - (-(place + 1) * length // bins)
    return begin.clamp(0, size), stop.clamp(0, size)


def _largest_cells(image: Tensor, top: Tensor, bottom: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Return which cell of an image (c, h, w) is the largest of each bin: (n, rows, columns, c), row by row.

    Two windows of 2^k cells, one from the start and one up to the end of a bin, cover it along each axis.
    """
    channels, height, width = image.shape
    cells = torch.arange(height * width, device=image.device).view(height, width, 1)
    table = rearrange(image, "c h w -> h w c"), cells.expand(-1, -1, channels)
    high, wide = ((stop - start).clamp(min=1) for start, stop in ((top, bottom), (left, right)))
    high, wide = (torch.frexp(length.double()).exponent.long() - 1 for length in (high, wide))
    table = _window_maxima(_window_maxima(table, 0, int(high.max())), 2, int(wide.max()))
    values, cells = (rearrange(part, "a d h w c -> (a d h w) c") for part in table)
    plane = wide[:, None] * (1 + high.max()) + high[..., None]
    places = [
        (plane * height + y[..., None]) * width + x[:, None]
        for y in (top.clamp(max=height - 1), (bottom - 2**high).clamp(min=0))
        for x in (left.clamp(max=width - 1), (right - 2**wide).clamp(min=0))
    ]
    pieces = []
    for some in zip(*(place.split(BOXES_AT_A_TIME) for place in places), strict=True):
        best = F.embedding(some[0], values), some[0][..., None]
        for place in some[1:]:
            best = _larger(best, F.embedding(place, values), place[..., None])
        pieces.append(cells.gather(0, best[1].flatten(0, 2)).view_as(best[1]))
    return torch.cat(pieces)


def _window_maxima(table: tuple[Tensor, Tensor], axis: int, largest: int) -> tuple[Tensor, Tensor]:
    """Stack in front the maxima over the next 1, 2, ..., 2^largest places of an axis, cut off at its end."""
    found, size = [table], table[0].shape[axis]
    for k in range(largest):
        next_one = (torch.arange(size, device=table[0].device) + 2**k).clamp(max=size - 1)
        found.append(_larger(found[-1], *(part.index_select(axis, next_one) for part in found[-1])))
    values, cells = zip(*found, strict=True)
    return torch.stack(values), torch.stack(cells)


def _larger(one: tuple[Tensor, Tensor], values: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Return the larger of two values with its cell; NaN counts as the largest."""
    better = (values > one[0]) | values.isnan()
    return torch.where(better, values, one[0]), torch.where(better, cells, one[1])


def _check_boxes(maps: Tensor, boxes: Tensor) -> None:
    if maps.ndim != 4 or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise FormatError(
            f"maps of shape {tuple(maps.shape)} with boxes of shape {tuple(boxes.shape)}",
            remedy="give maps (b, c, h, w) and boxes (n, 4)",
        )


def _check_index(index: Tensor, n: int, maps: int) -> None:
    fits = index.shape == (n,)
    if fits and n and readable(index):
        fits = 0 <= int(index.min()) <= int(index.max()) < maps
    if not fits:
        raise FormatError(
            f"the index of shape {tuple(index.shape)} does not say for each of {n} boxes "
            f"which of {maps} maps it is cut from",
            remedy=f"give {n} whole numbers from 0 to {maps - 1}",
        )
