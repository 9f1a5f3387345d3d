"""What is seen, as it is stored until it is where the network is: scaled and mirrored there, all of a batch.

Bytes cross to a device and float32 is made on it, by the same functions as on the CPU. Numbers are drawn when
an item is made, from the item's own generator, and travel with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from stad_lite.arrays import readable
from stad_lite.data.source import VideoSource
from stad_lite.data.transforms import Change
from stad_lite.nets.inputs import FLOW_SCALE
from stad_lite.systems.items import flow_between, mirrored, read_stream, stream_input


class Seen(NamedTuple):
    """One stream of an item or, with a first axis more in all parts, of a batch.

    values: (t, ..., h, w, c) uint8 RGB, or flow in pixels a frame
    mirror: () bool, whether a mirror shows it
    known: () how many of the t frames there are; networks are fed zeros for the others
    window: (4,) top, left, height and width of the part that is shown at full size, as a mirror shows it
    colours: (3, 4) of RGB, factors and what is added (``data.transforms.recolouring``)
    """

    values: Tensor
    mirror: Tensor | None = None
    known: Tensor | None = None
    window: Tensor | None = None
    colours: Tensor | None = None

    def changed(self, change: Change) -> Seen:
        """Return it as it is shown in training."""
        mirror, window, colours = (None if part is None else torch.as_tensor(part) for part in change)
        return self._replace(mirror=mirror, window=window, colours=colours)


def fed(
    seen: Seen | Tensor,
    stream: str,
    scale: float = FLOW_SCALE,
    normalise: str = "unit",
    cut: bool = False,
) -> Tensor:
    """Return what a network is fed: (..., t, channels, h, w) float, on the device that it is seen on.

    seen: what is a tensor already stays as it is
    scale, normalise, cut: as in ``nets.inputs.flow_input``

    >>> seen = Seen(torch.tensor([[[[0, 0, 0], [255, 255, 255]]]], dtype=torch.uint8), torch.tensor(True))
    >>> fed(seen, "rgb")[0, 0].tolist()
    [[1.0, -1.0]]
    """
    if isinstance(seen, Tensor):
        return seen
    # channels before rows while they are bytes; what follows keeps the order in memory
    values = rearrange(coloured(seen, stream), "... h w c -> ... c h w").contiguous()
    inputs = stream_input(stream, rearrange(values, "... c h w -> ... h w c"), scale, normalise, cut)
    return _placed(inputs, seen, stream)


def pixels(seen: Seen | Tensor, stream: str) -> Tensor:
    """Return what is shown in its own unit: (..., t, channels, h, w), grey levels or pixels a frame.

    seen: what is a tensor already stays as it is
    """
    if isinstance(seen, Tensor):
        return seen
    values = rearrange(coloured(seen, stream), "... h w c -> ... c h w").contiguous()
    return _placed(values.to(torch.float32, copy=True), seen, stream)


def _placed(inputs: Tensor, seen: Seen, stream: str) -> Tensor:
    return enlarged(known_only(turned(inputs, seen.mirror, stream), seen.known), seen.window, stream)


def coloured(seen: Seen, stream: str) -> Tensor:
    """Return the values (..., t, h, w, c) of a stream, RGB in other colours where they are drawn."""
    if seen.colours is None or stream != "rgb":
        return seen.values
    t, h, w = seen.values.shape[-4:-1]
    rows = rearrange(seen.values.float(), "... t h w c -> ... (t h w) c")
    factors, added = seen.colours[..., :3], seen.colours[..., None, :, 3]
    with torch.autocast(rows.device.type, enabled=False):
        found = (rows @ factors.mT + added).clamp_(0, 255)
    return rearrange(found, "... (t h w) c -> ... t h w c", t=t, h=h, w=w)


def fed_streams(seen: Mapping[str, Seen] | Tensor, *how: Any) -> Tensor:
    """Return streams stacked in channels: (..., t, channels, h, w); how each is ``fed``."""
    if isinstance(seen, Tensor):
        return seen
    return torch.cat([fed(one, stream, *how) for stream, one in seen.items()], -3)


def fed_volume(seen: Seen | Tensor, stream: str, scale: float) -> Tensor:
    """Return what a network in three dimensions is fed (..., channels, t, h, w), of flow cut at the scale."""
    if isinstance(seen, Tensor):
        return seen
    # time behind channels while they are bytes; what follows keeps the order in memory
    values = rearrange(seen.values, "... t h w c -> ... c t h w").contiguous()
    inputs = stream_input(stream, rearrange(values, "... c t h w -> ... t h w c"), scale, cut=True)
    inputs = known_only(turned(inputs, seen.mirror, stream), seen.known)
    return rearrange(inputs, "... t c h w -> ... c t h w").contiguous()


def turned(inputs: Tensor, mirror: Tensor | None, stream: str) -> Tensor:
    """Return inputs (..., channels, h, w) with those that a mirror shows turned, on the CPU in place."""
    if mirror is None:
        return inputs
    if not readable(mirror):
        return torch.where(_before(mirror, inputs), mirrored(inputs, stream), inputs)
    for place in mirror.nonzero():
        inputs[tuple(place)] = mirrored(inputs[tuple(place)], stream)
    return inputs


def enlarged(inputs: Tensor, window: Tensor | None, stream: str) -> Tensor:
    """Return windows of inputs (..., t, channels, h, w) at their full size, linear between pixel centres.

    window: (..., 4) top, left, height, width; of flow the lengths grow along
    """
    if window is None:
        return inputs
    h, w = inputs.shape[-2:]
    top, left, tall, wide = window.double().unbind(-1)
    rows, columns = (
        part.float()[..., None, None, :, :] for part in (_weights(top, tall, h), _weights(left, wide, w))
    )
    with torch.autocast(inputs.device.type, enabled=False):  # where pixels come from is no matter of bfloat16
        larger = rows @ inputs @ columns.mT
    if stream == "flow":
        for axis, factor in enumerate((w / wide, h / tall)):
            larger[..., axis::2, :, :] *= _before(factor.float(), larger)
    return larger


def _weights(first: Tensor, length: Tensor, count: int) -> Tensor:
    """(..., count, count) shares that pixels of a window have in those of its enlargement to the whole."""
    places = torch.arange(count, device=first.device) + 0.5
    first, length = first[..., None, None], length[..., None, None]
    centres = first + places[:, None] * length / count
    inside = (places > first) & (places < first + length)
    shares = (1 - (places - centres).abs()).clamp(min=0) * inside
    return shares / shares.sum(-1, keepdim=True)


def known_only(inputs: Tensor, known: Tensor | None) -> Tensor:
    """Return inputs (..., t, channels, h, w) with zeros behind the frames that there are."""
    length = inputs.shape[-4]
    if known is None or (readable(known) and bool((known >= length).all())):
        return inputs
    there = torch.arange(length, device=known.device) < known[..., None]
    return inputs * _before(there, inputs)


def _before(flags: Tensor, values: Tensor) -> Tensor:
    """Flags on the first axes of values, with the others' axes of length 1."""
    return flags.reshape(*flags.shape, *[1] * (values.ndim - flags.ndim))


def read_clip(
    source: VideoSource,
    streams: Sequence[str],
    video: str,
    numbers: np.ndarray,
    crop: tuple[int, int],
    length: int,
    generator: np.random.Generator | None = None,
) -> dict[str, Seen]:
    """Return a clip of each stream, cut out of its frames: what is not cut out need not cross to a device.

    numbers: (t,) rising frame numbers; flow is that from each of them to the next (``flow_between``)
    crop: (height, width) in pixels
    length: frames that the clip has with those that are not there
    generator: draws the crop's place and the mirror image; the middle and none without it
    """
    (height, width), (h, w) = source.size, crop
    top, left, mirror = (height - h) // 2, (width - w) // 2, None
    if generator is not None:
        top, left = int(generator.integers(height - h + 1)), int(generator.integers(width - w + 1))
        mirror = torch.tensor(bool(generator.random() < 0.5))
    found = {}
    for stream in streams:
        rgb = stream == "rgb"
        values = read_stream(source, stream, video, numbers) if rgb else flow_between(source, video, numbers)
        whole = torch.from_numpy(values)
        part = F.pad(whole[:, top : top + h, left : left + w], (0, 0, 0, 0, 0, 0, 0, length - len(whole)))
        found[stream] = Seen(part, mirror, torch.tensor(len(whole)))
    return found
