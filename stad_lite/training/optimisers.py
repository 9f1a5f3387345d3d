"""Optimisers: a network's parameters in groups that share learning rate and decay."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from stad_lite.errors import FormatError
from stad_lite.schedule import Optimiser, is_bias, rate_factor


def groups(network: nn.Module, config: Optimiser) -> list[dict[str, Any]]:
    """Return the parameters by factor on the learning rate and by decay, in the network's order.

    A factor of 0 takes the parameter's gradient away and leaves it out, as does ``requires_grad`` False.
    returns: ``params``, ``factor`` and ``weight_decay`` of each group
    raises: FormatError where a prefix of ``lr_factors`` fits no parameter, and where all are frozen

    >>> network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    >>> config = Optimiser(lr_factors=(("0", 0),), decay_bias=False)
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups(network, config)]
    [(1, 0.0001), (1, 0.0)]
    """
    names = [name for name, _ in network.named_parameters()]
    for prefix, _ in config.lr_factors:
        if not any(f"{name}.".startswith(f"{prefix}.") for name in names):
            known = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
            raise FormatError(
                f"lr_factors names {prefix!r}, which no parameter's name begins with",
                remedy=f"the network's parts are {known}",
            )
    found: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        factor = rate_factor(name, config)
        if factor == 0:
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            decay = config.weight_decay if config.decay_bias or not is_bias(name) else 0.0
            group = {"params": [], "factor": factor, "weight_decay": decay}
            found.setdefault((factor, decay), group)["params"].append(parameter)
    if not found:
        raise FormatError("no parameter of the network is trained", remedy="freeze less in lr_factors")
    return list(found.values())


def make(network: nn.Module, config: Optimiser) -> torch.optim.Optimizer:
    """Return the optimiser that the settings ask for. raises: FormatError (``groups``)"""
    parts = groups(network, config)
    if config.optimiser == "sgd":
        return torch.optim.SGD(parts, config.lr, config.momentum)
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    return kind(parts, config.lr, fused=True)  # a fifth of the time on the CPU


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its learning rate: the step's rate times the group's factor."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
