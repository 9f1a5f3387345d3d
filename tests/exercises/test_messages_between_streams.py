"""The reference answers are what the library does; wrong answers do not pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from stad_lite.exercises import messages_between_streams as exercises
from stad_lite.pcsc.config import PCSCConfig
from stad_lite.pcsc.cooperation import turn
from stad_lite.pcsc.messages import Message
from stad_lite.pcsc.model import PCSC
from tests.exercises.references import right_and_silent

CHECKS = (
    (exercises.check_message, exercises.message),
    (exercises.check_message_parameters, exercises.message_parameters),
    (exercises.check_smallest_reduction, exercises.smallest_reduction),
    (exercises.check_features_change, exercises.features_change),
)


@pytest.mark.parametrize(("check", "reference"), CHECKS, ids=lambda one: one.__name__)
def test_the_reference_is_right_and_silence_is_no_answer(check, reference, capsys) -> None:
    right_and_silent(check, reference, capsys)


def test_wrong_answers(capsys: pytest.CaptureFixture[str]) -> None:
    def relu_last(helper, reduce, reduce_bias, restore, restore_bias):
        inner = np.einsum("nc,chw->nhw", reduce, helper) + reduce_bias[:, None, None]
        return np.maximum(np.einsum("cn,nhw->chw", restore, inner) + restore_bias[:, None, None], 0)

    def next_to_largest(channels, budget):
        return exercises.smallest_reduction(channels, budget) + 1

    def flow_only(changed, stages, messages):
        return exercises.features_change("flow", stages, messages)

    wrong = [
        (exercises.check_message, relu_last),
        (exercises.check_message_parameters, lambda c, r: sum(2 * n * (n // r) for n in c)),
        (exercises.check_message_parameters, lambda c, r: sum(2 * n * n // r + n // r + n for n in c)),
        (exercises.check_smallest_reduction, next_to_largest),
        (exercises.check_features_change, flow_only),
    ]
    for check, answer in wrong:
        check(answer)
        assert "not right" in capsys.readouterr().out


@pytest.mark.parametrize(("channels", "reduction"), [(6, 2), (9, 4), (5, 5)])
def test_the_message_is_the_librarys(channels: int, reduction: int) -> None:
    torch.manual_seed(0)
    module, helper = Message(channels, reduction), torch.randn(channels, 3, 4)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    parts = [p.detach().numpy().reshape(p.shape[:2]) for p in module.parameters()]
    expected = module(helper[None])[0].detach().numpy()
    np.testing.assert_allclose(exercises.message(helper.numpy(), *parts), expected, atol=1e-3)
    count = sum(p.numel() for p in module.parameters())
    assert exercises.message_parameters([channels], reduction) == count


def test_the_smallest_reduction_fits_and_the_one_before_does_not() -> None:
    levels = (24, 40)
    for budget in (65, 300, 1000, 2500):
        found = exercises.smallest_reduction(levels, budget)
        count = sum(sum(p.numel() for p in Message(c, found).parameters()) for c in levels) if found else 0
        assert count <= budget
        assert found == 1 or exercises.message_parameters(levels, max(found - 1, 1)) > budget


@torch.no_grad()
@pytest.mark.parametrize("messages", ["none", "image", "roi", "both"])
@pytest.mark.parametrize("changed", ["rgb", "flow"])
def test_features_change_where_the_network_says_so(changed: str, messages: str) -> None:
    torch.manual_seed(0)
    config = replace(PCSCConfig.smoke(), stages=4, messages=messages)
    network = PCSC(config, 3).eval()
    for part in [*(network.image_messages or []), *network.roi_messages.values()]:
        nn.init.normal_(part.restore.weight)
    maps = {s: torch.randn(1, config.frames, 32, 12, 12) for s in ("rgb", "flow")}
    other = {**maps, changed: torch.randn(1, config.frames, 32, 12, 12)}
    boxes, item = torch.tensor([[8.0, 8, 24, 30]]), torch.tensor([0])
    before, after = network.features(**maps), network.features(**other)
    heads = [("rgb", "rgb0"), ("flow", "flow0"), *((turn(t).stream, f"stage{t}") for t in range(1, 5))]
    found = [
        not torch.equal(*(network.region_features(x, boxes, item, s, name) for x in (before, after)))
        for s, name in heads
    ]
    assert found == exercises.features_change(changed, 4, messages)
