"""How a run is trained: the frozen settings, and the learning rate as a plain function of the step."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Annotated, Any, Literal

from stad_lite.errors import FormatError
from stad_lite.settings import AtLeastOne, Between, Count, Group, Share, conflict


@dataclass(frozen=True)
class Length(Group):
    """How long a run is, and what an update sees.

    steps, epochs: the length; one of the two is given (0 for the other)
    batch: items an update, over all processes and accumulated parts
    accumulation: parts that a process cuts its share of a batch into, to save memory
    """

    steps: Count = 0
    epochs: Annotated[int | float, Between(0, 10**6)] = 0  # as given: 2 and 2.0 have other hashes
    batch: AtLeastOne = 8
    accumulation: AtLeastOne = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.steps > 0) == (self.epochs > 0):
            raise conflict(self, "steps", "epochs", remedy="give one of them, and 0 for the other")
        if self.batch % self.accumulation:
            raise conflict(self, "batch", "accumulation", remedy="give a batch that has as many equal parts")

    def total_steps(self, items: int) -> int:
        """Return the updates of the whole run over a data set of so many items.

        >>> TrainConfig(epochs=2, batch=4).total_steps(10)
        5
        """
        return self.steps or math.ceil(self.epochs * items / self.batch)


@dataclass(frozen=True)
class Optimiser(Group):
    """What an update does with a gradient.

    optimiser: "adamw", "adam" (whose decay is part of the gradient) or "sgd" (with ``momentum``)
    lr, weight_decay: peak learning rate, decay
    lr_factors: (prefix of parameter names in the network, factor on ``lr``); the longest prefix that fits
        counts, and 0 freezes: no gradient and no decay
    bias_factor: factor on the learning rate of biases, beside that of their prefix
    decay_bias: whether ``weight_decay`` holds for biases too
    schedule: "cosine" to 0, or "step": times ``drop`` at each of ``drops`` (parts of the run)
    warm_up: steps over which the rate rises linearly to its peak
    clip_norm: largest norm of the gradient, 0 for no clipping
    """

    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: Share = 1e-3
    weight_decay: Share = 1e-4
    lr_factors: tuple[tuple[str, Annotated[float, Between(0, 1000)]], ...] = ()
    bias_factor: Annotated[float, Between(0, 1000)] = 1.0
    decay_bias: bool = True
    momentum: Share = 0.9
    schedule: Literal["cosine", "step"] = "cosine"
    drops: tuple[Share, ...] = (2 / 3, 8 / 9)
    drop: Share = 0.1
    warm_up: Count = 0
    clip_norm: Annotated[float, Between(0, 10**6)] = 0.0


@dataclass(frozen=True)
class TrainConfig(Optimiser, Length):
    """Everything that decides what a run learns; where it runs is no part of it.

    amp: forward pass in bfloat16
    seed: of the order of the data and of all random numbers
    checkpoint_every, log_every: steps
    raises: FormatError
    """

    amp: bool = False
    seed: Annotated[int, Between(0, 2**32 - 1)] = 0
    checkpoint_every: AtLeastOne = 100
    log_every: AtLeastOne = 10


def chosen(schedules: Mapping[str, TrainConfig], profile: str) -> TrainConfig:
    """Return a profile's schedule. raises: FormatError for an unknown one"""
    if profile not in schedules:
        raise FormatError(f"no profile {profile!r}", remedy=f"choose from {', '.join(schedules)}")
    return schedules[profile]


def learning_rate(step: int, total: int, config: Optimiser) -> float:
    """Return the learning rate of an update.

    step: number of the update, from 0
    total: updates of the whole run

    >>> config = TrainConfig(steps=10, lr=1.0, warm_up=2)
    >>> [round(learning_rate(step, 10, config), 2) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    if step < config.warm_up:
        return config.lr * (step + 1) / config.warm_up
    if config.schedule == "step":
        return config.lr * config.drop ** sum(step >= part * total for part in config.drops)
    part = (step - config.warm_up) / max(1, total - config.warm_up)
    return config.lr * (1 + math.cos(math.pi * part)) / 2


def rate_factor(name: str, config: Optimiser) -> float:
    """Return the factor on the learning rate of one parameter, 0 for a frozen one.

    name: of the parameter in the network, as ``named_parameters`` gives it

    >>> config = TrainConfig(steps=1, lr_factors=(("backbone", 0.1), ("backbone.stem", 0)), bias_factor=2)
    >>> [rate_factor(f"{name}.weight", config) for name in ("backbone.stem", "backbone.last", "backbone2")]
    [0.0, 0.1, 1.0]
    >>> rate_factor("backbone.last.bias", config)
    0.2
    """
    fitting = [(len(prefix), f) for prefix, f in config.lr_factors if f"{name}.".startswith(f"{prefix}.")]
    factor = max(fitting)[1] if fitting else 1.0
    return factor * config.bias_factor if is_bias(name) else factor


def is_bias(name: str) -> bool:
    """Return whether a parameter of this name is a bias.

    >>> is_bias("head.bias"), is_bias("head.weight")
    (True, False)
    """
    return name.rpartition(".")[2] == "bias"


def plain(config: Any) -> Any:
    """Return a config as JSON holds it: dataclasses as dictionaries, tuples as lists."""
    return json.loads(json.dumps(asdict(config) if is_dataclass(config) else config, default=str))  # type: ignore[arg-type]


def config_hash(*configs: Any) -> str:
    """Return 16 hex digits that change with any setting.

    >>> config_hash(TrainConfig(steps=1)) == config_hash(TrainConfig(steps=1, lr=0.1))
    False
    """
    text = json.dumps([plain(config) for config in configs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
