"""What systems feed their networks of a batch of bytes, beside the floats that items were one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stad_lite.catalogue import ENTRIES
from stad_lite.cfad import videos
from stad_lite.data.clips import FrameRun, flow_stack, key_frame, resampled, tubelets
from stad_lite.data.source import VideoSource
from stad_lite.pcsc import clips as pcsc_clips
from stad_lite.step import clips as step_clips
from stad_lite.systems.items import mirrored, read_stream, stream_input, together
from stad_lite.systems.seen import fed_streams, fed_volume
from stad_lite.training.examples import Noise

ITEMS = 8
Case = tuple[list[Any], Callable[[Any], dict[str, Tensor]], list[dict[str, Tensor]]]


def drawn(index: int) -> np.random.Generator:
    """The generator of an item."""
    return np.random.default_rng([0, 3, index])


def floats(source: VideoSource, stream: str, numbers: np.ndarray, mirror: bool, *how: Any) -> Tensor:
    """One item's input (t, channels, h, w), as it was made before batches."""
    inputs = stream_input(stream, read_stream(source, stream, "noise", numbers), *how)
    return mirrored(inputs, stream) if mirror else inputs


def of_step(source: VideoSource) -> Case:
    config = replace(ENTRIES["step"].config("smoke"), stream="early", frozen=False, pretrained="")
    runs = tubelets("noise", 320, config.clip, 40)[:ITEMS]
    items = [step_clips.training_item(run, drawn(n), config, source, None) for n, run in enumerate(runs)]
    expected = []
    for number, run in enumerate(runs):
        mirror = bool(drawn(number).random() < 0.5)
        numbers = run.frames if config.reach == 0 else _around(run, config)
        maps = [
            floats(source, "flow", flow_stack(320, int(frame), config.flow_depth), mirror, config.flow_scale)
            for frame in numbers
        ]
        rgb = floats(source, "rgb", numbers, mirror)
        expected.append({"frames": torch.cat([rgb, torch.stack(maps).flatten(1, 2)], 1)})
    return items, lambda batch: {"frames": step_clips.shown(batch["frames"], config)}, expected


def _around(run: FrameRun, config: Any) -> np.ndarray:
    reach = config.reach * len(run)
    return np.clip(np.arange(run.start - reach, run.start + len(run) + reach), 0, 319)


def of_cfad(source: VideoSource) -> Case:
    config = replace(ENTRIES["cfad"].config("smoke"), stream="early", pretrained="")
    run = resampled("noise", 320, config.length)
    truths = {"noise": videos.true_tubes(source, config, run)}
    items = [videos.training_item(run, drawn(n), config, source, truths, None) for n in range(ITEMS)]
    expected = []
    for number in range(ITEMS):
        mirror = bool(drawn(number).random() < 0.5)
        parts = [floats(source, name, run.frames, mirror, config.flow_scale) for name in ("rgb", "flow")]
        expected.append({"frames": torch.cat(parts, 1)})
    return items, lambda batch: {"frames": fed_streams(batch["frames"], config.flow_scale)}, expected


def of_pcsc(source: VideoSource) -> Case:
    config = ENTRIES["pcsc"].config("smoke")
    places = [("noise", 37 * number) for number in range(ITEMS)]
    items = [pcsc_clips.training_clip(p, drawn(n), source, config, None) for n, p in enumerate(places)]
    expected = []
    for number, (video, frame) in enumerate(places):
        mirror = bool(drawn(number).random() < 0.5)
        run = key_frame(video, 320, frame, config.frames, config.gap)
        expected.append(
            {
                name: floats(
                    source, name, run.frames, mirror, config.flow_scale, "unit", name == "flow"
                ).transpose(0, 1)
                for name in ("rgb", "flow")
            }
        )

    def network(batch: Any) -> dict[str, Tensor]:
        return {name: fed_volume(batch[name], name, config.flow_scale) for name in ("rgb", "flow")}

    return items, network, expected


@pytest.mark.parametrize("case", [of_step, of_cfad, of_pcsc])
def test_a_batch_of_bytes_is_fed_as_its_items_were(case: Callable[[VideoSource], Case]) -> None:
    size = ENTRIES[case.__name__.removeprefix("of_")].config("smoke").size
    noise = Noise(tuple(size)).source()
    items, network, expected = case(noise)
    seen = [{name: item[name] for name in ("frames", "rgb", "flow") if name in item} for item in items]
    found = network(together(seen))
    for number, one in enumerate(expected):
        for name, inputs in one.items():
            torch.testing.assert_close(found[name][number], inputs, rtol=0, atol=1e-6)
    first = next(iter(found))
    assert not all(torch.equal(found[first][0], row) for row in found[first][1:])
