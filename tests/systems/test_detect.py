"""The loop over videos, and networks that are given back as they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from stad_lite.errors import NotFiniteError
from stad_lite.systems import detect
from stad_lite.systems.detect import Found, batched, evaluated, even_parts, joined
from stad_lite.systems.items import Items
from tests.systems.test_items import source


@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_given_back_as_it_was(training):
    network = nn.Linear(2, 2).train(training)
    with pytest.raises(KeyError), evaluated(network) as (same, device):
        assert same is network and not network.training and device.type == "cpu"
        raise KeyError
    assert network.training is training


@pytest.mark.parametrize(("count", "most"), [(0, 4), (1, 4), (4, 4), (9, 4), (20, 16)])
def test_parts_are_even_and_hold_everything(count, most):
    parts = even_parts(count, most)
    assert [number for part in parts for number in part] == list(range(count))
    assert all(0 < len(part) <= most for part in parts)
    assert not parts or max(map(len, parts)) - min(map(len, parts)) <= 1


def test_batches_come_in_order():
    found = list(batched(range(7), torch.tensor, torch.device("cpu"), 3))
    assert [batch.tolist() for batch in found] == [[0, 1, 2], [3, 4, 5], [6]]


def test_every_video_is_looked_at_without_gradient_and_in_evaluation_mode():
    one, network = source(), nn.Linear(1, 1)
    twice = dict.fromkeys("vw", one.annotations.videos["v"])
    some = replace(one, annotations=replace(one.annotations, videos=twice))
    modes = []

    def answer(batch, check):
        modes.append((network.training, torch.is_grad_enabled()))
        check(batch.float())
        return batch.sum().item()

    items = Items(range(5), lambda place, _: place)
    looks = detect.look(network, some, lambda video: items, torch.tensor, answer, frame=int, most=2)
    for video, data, answers in looks:
        assert video in "vw" and data is items and answers == [1, 5, 4]
        assert torch.is_grad_enabled()  # between videos the caller's own
    assert set(modes) == {(False, False)} and network.training


def test_what_is_not_finite_is_told_by_its_frame():
    def answer(batch, check):
        check(torch.where(batch == 3, torch.nan, 1.0))

    items = Items(range(5), lambda place, _: place)
    looks = detect.look(
        nn.Linear(1, 1), source(), lambda _: items, torch.tensor, answer, lambda place: 10 * place, most=2
    )
    with pytest.raises(NotFiniteError, match="video v, frame 30: what the network says is not finite"):
        next(looks)


def test_joined_rows_keep_their_order():
    parts = [Found(np.full((n, 4), n), np.full(n, n), np.full(n, 0.1 * n)) for n in (2, 0, 1)]
    every = joined(parts)
    assert len(every) == 3 and every.labels.tolist() == [2, 2, 1] and every.boxes[:, 0].tolist() == [2, 2, 1]
