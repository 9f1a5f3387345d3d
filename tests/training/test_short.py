"""Short trainings: the steps of the plain loop, and files of a cache that are made when they are missing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stad_lite.schedule import TrainConfig, learning_rate
from stad_lite.training import checkpoint
from stad_lite.training.short import minimise


def test_it_takes_the_steps_of_adamw():
    config = TrainConfig(steps=5, lr=0.1, warm_up=2, weight_decay=0.1, clip_norm=0.5)
    torch.manual_seed(0)
    x, networks = torch.randn(8, 3), [nn.Linear(3, 1) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    loss = lambda network: {"a": network(x).square().mean(), "b": network.weight.abs().sum()}  # noqa: E731
    minimise(networks[0], lambda: loss(networks[0]), config)
    optimiser = torch.optim.AdamW(networks[1].parameters(), 1.0, weight_decay=0.1)
    for step in range(5):
        optimiser.param_groups[0]["lr"] = learning_rate(step, 5, config)
        optimiser.zero_grad()
        sum(loss(networks[1]).values()).backward()
        nn.utils.clip_grad_norm_(networks[1].parameters(), 0.5)
        optimiser.step()
    assert torch.equal(networks[0].weight, networks[1].weight)


def test_a_kept_file_is_made_once_and_anew_where_it_is_damaged(tmp_path):
    path, made = tmp_path / "folder" / "a.pt", []

    def make():
        made.append(len(made))
        return {"x": torch.ones(2)}

    for _ in range(2):
        assert checkpoint.kept(path, make)["x"].tolist() == [1, 1]
    assert made == [0]
    path.write_bytes(path.read_bytes()[:50])
    checkpoint.kept(path, make)
    assert made == [0, 1]
    path.unlink()
    with pytest.raises(KeyError):
        checkpoint.kept(path, lambda: {}["no"])
    assert not path.exists()
