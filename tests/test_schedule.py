"""The settings of a run, its learning rate, and the factors on it."""

from __future__ import annotations

import json

import pytest

from stad_lite.errors import FormatError
from stad_lite.schedule import TrainConfig, config_hash, learning_rate, plain, rate_factor


def test_step_schedule():
    config = TrainConfig(steps=9, lr=1.0, schedule="step", drops=(1 / 3, 2 / 3), drop=0.1)
    rates = [learning_rate(step, 9, config) for step in range(9)]
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01])


@pytest.mark.parametrize(
    "wrong",
    [{}, {"steps": 1, "epochs": 1}, {"steps": 1, "batch": 0}, {"steps": 1, "batch": 3, "accumulation": 2},
     {"steps": 1, "schedule": "linear"}, {"steps": 1, "optimiser": "lamb"}, {"steps": -1, "epochs": 1},
     {"steps": 1, "lr_factors": (("a", -0.1),)}, {"steps": 1, "bias_factor": float("nan")}],
)  # fmt: skip
def test_settings_that_cannot_be(wrong):
    with pytest.raises(FormatError):
        TrainConfig(**wrong)


def test_the_longest_prefix_counts_whatever_the_order():
    factors = (("a", 0.5), ("a.b.c", 0.25), ("a.b", 0.0))
    for order in (factors, factors[::-1]):
        config = TrainConfig(steps=1, lr_factors=order)
        names = ("a.weight", "a.b.weight", "a.b.c.weight", "a.bb.weight", "ab.weight", "a.b.c")
        assert [rate_factor(name, config) for name in names] == [0.5, 0, 0.25, 0.5, 1, 0.25]


def test_factors_survive_the_way_through_json():
    config = TrainConfig(steps=1, lr_factors=(("a", 1),), drops=(0.5,))
    again = TrainConfig(**json.loads(json.dumps(plain(config))) | {"drops": (0.5,)})
    assert again == config and config_hash(again) == config_hash(config)
