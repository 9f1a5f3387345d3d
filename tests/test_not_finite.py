"""NaN and infinity at prediction are errors that name video and frame, whatever the system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from stad_lite.catalogue import ENTRIES
from stad_lite.data.source import VideoSource
from stad_lite.errors import NotFiniteError
from stad_lite.pcsc import system as pcsc
from stad_lite.records import Predictions
from stad_lite.step import system as step
from stad_lite.systems.maps import frame_maps
from stad_lite.training.checkpoint import seed_all
from tests.training.parts import source

BAD_FRAME = 6
"""Every system looks at it, those that resample videos too."""


@pytest.fixture(scope="module", params=ENTRIES)
def made(request: pytest.FixtureRequest) -> tuple[Any, VideoSource, Callable[[VideoSource], Predictions]]:
    """A new system, videos, and what it finds in them."""
    entry = ENTRIES[request.param]
    clips = source(entry.config("smoke").size)
    seed_all(0)
    system = entry.build(entry.config("smoke"), clips.classes)
    if request.param == "pcsc":
        system.network.actionness.trained.fill_(True)  # or it would not be asked
    return system, clips, lambda clips: entry.detect(system, clips)


def refused(detect: Callable[[], Predictions]) -> NotFiniteError | Predictions:
    try:
        return detect()
    except NotFiniteError as error:
        assert error.video in ("one", "seven") and error.frame is not None and error.remedy
        return error


def test_every_part_of_the_network(made):
    """Weights that are not finite are told, or they have no part in what is found."""
    system, clips, detect = made
    before = repr(detect(clips))
    parts: dict[str, list[torch.nn.Parameter]] = {}
    for name, parameter in system.network.named_parameters():
        parts.setdefault(".".join(name.split(".")[:2]), []).append(parameter)
    told = 0
    for parameters in parts.values():
        kept = [parameter.detach().clone() for parameter in parameters]
        with torch.no_grad():
            for parameter in parameters:
                parameter.fill_(torch.nan)
            found = refused(lambda: detect(clips))
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.copy_(value)
        told += isinstance(found, NotFiniteError)
        assert isinstance(found, NotFiniteError) or repr(found) == before
    assert told > len(parts) / 2


@pytest.mark.parametrize("kind", ["frames", "flow"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_inputs(made, kind, value):
    _, clips, detect = made
    looked = []

    def spoilt(video: str, numbers: np.ndarray) -> np.ndarray:
        found = getattr(clips, f"read_{kind}")(video, numbers).astype(np.float32)
        if video == "seven" and BAD_FRAME in numbers:
            looked.append(video)
            found[numbers == BAD_FRAME, 3, 4, 1] = value
        return found

    found = refused(lambda: detect(replace(clips, **{f"read_{kind}": spoilt})))
    assert isinstance(found, NotFiniteError) or not looked
    assert not looked or (found.video, found.frame) == ("seven", BAD_FRAME)
    assert looked or kind == "flow"


KEPT: dict[str, Any] = {"step": step, "pcsc": pcsc}
"""Systems that look at kept maps."""


@pytest.mark.parametrize("name", KEPT)
def test_maps(name):
    pipeline = KEPT[name]
    config = ENTRIES[name].config("smoke")
    clips = source(config.size)
    system = pipeline.build(config, clips.classes)
    maps = frame_maps(system, clips)
    maps.maps[system.streams[-1]]["seven"][BAD_FRAME, 0, 1, 1] = np.inf
    found = refused(lambda: pipeline.detect(system, clips, maps))
    assert isinstance(found, NotFiniteError) and (found.video, found.frame) == ("seven", BAD_FRAME)
    with torch.no_grad():  # finite numbers that half precision cannot hold
        for key, parameter in system.network.named_parameters():
            if key.startswith("backbone") and key.endswith("weight"):
                parameter.mul_(1e6)
    found = refused(lambda: pipeline.detect(system, clips))
    assert isinstance(found, NotFiniteError) and "map" in found.problem and found.frame == 0
