"""The profile ``large``: from pixels to the end, backbones trained, sized for minutes on a GPU of 8 GB."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from stad_lite.catalogue import ENTRIES
from stad_lite.cli import main
from stad_lite.runs import read_spec
from stad_lite.schedule import rate_factor
from stad_lite.training.examples import CLASSES, Noise
from stad_lite.training.profile import operations
from stad_lite.training.run_folder import read_metrics

SEES = re.compile(r"(backbones?|trunks|motion)\.")
"""What sees pixels."""
HELD, WORK = 4e9, 600e12
"""Half of 8 GB; what a GPU that gets 2 TFLOP/s out of such networks does in five minutes."""
SHORT = ("train.steps=1", "train.batch=1", "data.clips=1")
SMALL = (*SHORT, "data.settings.frames=20", "data.settings.span=8,16")


def held_for_backward(terms: Any) -> tuple[dict[str, Tensor], int]:
    """Return what a function returns, and the bytes that are held for its gradient."""
    held: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        found = terms()
    return found, sum(tensor.untyped_storage().nbytes() for tensor in held.values())


@pytest.mark.parametrize("name", ENTRIES)
def test_all_that_sees_pixels_learns_within_the_limits(name):
    entry = ENTRIES[name]
    config, plan, noise = entry.config("large"), entry.schedule("large"), Noise((112, 112))
    assert tuple(config.size) == noise.size and plan.amp and not getattr(config, "pretrained", "")
    torch.manual_seed(0)
    system = entry.rebuild(config, CLASSES)
    batch, frames = noise.batch(entry.training_set(system, noise.source()), entry.collate, 1)
    assert frames > 0, "maps of a backbone that is not trained are kept"
    system.network.train()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            terms, held = held_for_backward(lambda: system.loss(batch))
        assert plan.batch * held < HELD
        torch.stack([term.float() for term in terms.values()]).sum().backward()

    flop, _ = operations(step)
    assert plan.steps * plan.batch * flop < WORK
    seeing = {key: one for key, one in system.network.named_parameters() if SEES.match(key)}
    assert len(seeing) > 5
    assert [key for key, one in seeing.items() if one.grad is None] == []
    # one item may have nothing to say on some level
    assert sum(bool(one.grad.any()) for one in seeing.values()) > len(seeing) / 2
    assert min(rate_factor(key, plan) for key in seeing) > 0


@pytest.mark.parametrize("name", ENTRIES)
def test_the_command_line_trains_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("STAD_CACHE", str(tmp_path / "cache"))
    line = ["train", name, "--profile", "large", "--device", "cpu", "--out", str(tmp_path / "run")]
    assert main([*line, *(word for text in SMALL for word in ("--set", text))]) == 0
    spec = read_spec(tmp_path / "run")
    assert spec.profile == "large" and spec.train.amp and spec.model == ENTRIES[name].config("large")
    (told,) = read_metrics(tmp_path / "run")
    assert math.isfinite(told["loss"])
