"""What is stored becomes what networks are fed: as one did it item by item, for a whole batch at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stad_lite.nets.inputs import PIXELS
from stad_lite.systems.items import mirrored, read_stream, together
from stad_lite.systems.seen import Seen, fed, fed_volume, read_clip
from tests.systems.test_items import source

SIZE = (5, 7)


def stored(stream: str, items: int = 6, frames: int = 4) -> list[Seen]:
    """Items of noise, half of them mirrored."""
    random = np.random.default_rng(0)
    shape = (items, frames, *SIZE)
    values = random.integers(0, 256, (*shape, 3), np.uint8)
    if stream == "flow":
        values = random.normal(scale=6, size=(*shape, 2)).astype(np.float32)
    return [Seen(torch.from_numpy(row), torch.tensor(n % 2 == 1)) for n, row in enumerate(values)]


def literal(values: np.ndarray, stream: str, mirror: bool, name: str, scale: float, cut: bool) -> np.ndarray:
    """What a network is fed for one item, number by number: (t, channels, h, w)."""
    pixels, (h, w) = PIXELS[name], SIZE
    found = np.zeros((len(values), values.shape[-1], h, w))
    for place in np.ndindex(found.shape):
        frame, channel, y, x = place
        order = 2 - channel if stream == "rgb" and pixels.order == "bgr" else channel
        value = float(values[frame, y, w - 1 - x if mirror else x, order])
        if stream == "rgb":
            found[place] = (value - pixels.mean[channel]) * pixels.scale[channel]
            continue
        value = (-value if mirror and channel == 0 else value) / scale
        found[place] = (min(max(value, -1), 1) if cut else value) * pixels.half
    return found


@pytest.mark.parametrize("name", PIXELS)
@pytest.mark.parametrize("stream", ["rgb", "flow"])
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("looks", [True, False])
def test_a_batch_is_fed_as_its_items_by_the_letter(name, stream, cut, looks, monkeypatch):
    monkeypatch.setattr("stad_lite.systems.seen.readable", lambda _: looks)
    items = stored(stream)
    found = fed(together(items), stream, 4.0, name, cut)
    assert found.is_contiguous()
    for one, item in zip(found, items, strict=True):
        expected = literal(item.values.numpy(), stream, bool(item.mirror), name, 4.0, cut)
        np.testing.assert_allclose(one, expected, rtol=1e-6, atol=1e-4 if name in ("bgr", "bgr01") else 1e-6)
        torch.testing.assert_close(fed(item, stream, 4.0, name, cut), one, rtol=0, atol=0)


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_frames_that_are_not_there_are_fed_as_zeros(stream, monkeypatch):
    items = [item._replace(known=torch.tensor(n % 5)) for n, item in enumerate(stored(stream))]
    whole = fed_volume(together([item._replace(known=None) for item in items]), stream, 4.0)
    assert whole.is_contiguous()
    torch.testing.assert_close(whole.transpose(1, 2), fed(together(stored(stream)), stream, 4.0, cut=True))
    for place, item in enumerate(items):
        whole[place, :, int(item.known) :] = 0
    torch.testing.assert_close(fed_volume(together(items), stream, 4.0), whole, rtol=0, atol=0)
    full = together([item._replace(known=torch.tensor(4)) for item in items])
    looked = fed_volume(full, stream, 4.0)
    monkeypatch.setattr("stad_lite.systems.seen.readable", lambda _: False)
    torch.testing.assert_close(fed_volume(full, stream, 4.0), looked, rtol=0, atol=0)


def test_a_clip_is_the_middle_without_a_generator_and_a_drawn_window_with_one():
    some, numbers, streams = source(), np.arange(1, 4), ("rgb", "flow")
    clip = read_clip(some, streams, "v", numbers, (4, 4), 5)
    whole = {s: torch.from_numpy(read_stream(some, s, "v", numbers)) for s in streams}
    for stream, values in whole.items():
        assert torch.equal(clip[stream].values[:3], values[:, 1:5, 2:6])
        assert clip[stream].values.dtype == values.dtype and len(clip[stream].values) == 5
        assert not clip[stream].values[3:].any() and clip[stream].known == 3
    inputs = fed(Seen(whole["flow"]), "flow", 0.5, cut=True)
    assert inputs.abs().max() == 1
    kinds = set()
    for seed in range(40):
        drawn = read_clip(some, ("flow",), "v", numbers, (4, 4), 3, np.random.default_rng(seed))["flow"]
        shown = fed(drawn, "flow", 0.5, cut=True)
        found = [
            (top, left, turned)
            for turned, maps in enumerate((inputs, mirrored(inputs, "flow")))
            for top in range(3)
            for left in range(5)
            if torch.equal(shown, maps[..., top : top + 4, left : left + 4])
        ]
        assert len(found) == 1
        kinds.add(found[0])
    assert {kind[2] for kind in kinds} == {0, 1} and len({kind[:2] for kind in kinds}) > 5


def test_bytes_stay_bytes_in_a_batch():
    batch = together(stored("rgb"))
    assert batch.values.dtype == torch.uint8 and batch.values.shape == (6, 4, *SIZE, 3)
    given = torch.rand(2, 3)
    assert fed(given, "rgb") is given and fed_volume(given, "rgb", 1.0) is given


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_a_window_is_enlarged_as_torch_does_it_alone(stream):
    windows = [(0, 0, 5, 7), (1, 2, 3, 4), (2, 3, 3, 4), (0, 6, 2, 1)]
    items = [
        one._replace(window=torch.tensor(window))
        for one, window in zip(stored(stream), windows, strict=False)
    ]
    found = fed(together(items), stream, 4.0)
    for shown, item, (top, left, tall, wide) in zip(found, items, windows, strict=True):
        whole = fed(item._replace(window=None), stream, 4.0)
        part = whole[..., top : top + tall, left : left + wide]
        expected = F.interpolate(part, size=SIZE, mode="bilinear", align_corners=False)
        if stream == "flow":
            expected = expected * torch.tensor([7 / wide, 5 / tall])[:, None, None]
        torch.testing.assert_close(shown, expected, rtol=1e-5, atol=1e-6)
