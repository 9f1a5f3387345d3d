"""Short trainings by the way, as of a small backbone: in memory, by one process, repeated and not resumed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from stad_lite.progress import progress
from stad_lite.schedule import TrainConfig, learning_rate


def minimise(
    network: nn.Module, loss: Callable[[], dict[str, Tensor]], config: TrainConfig, desc: str = "training"
) -> None:
    """Train a network with AdamW; other processes are not asked, so one alone may call it (``first_alone``).

    loss: draws a batch of its own and returns the weighted terms
    config: ``steps``, learning rate and its schedule, ``weight_decay`` and ``clip_norm`` count
    """
    optimiser = torch.optim.AdamW(network.parameters(), config.lr, weight_decay=config.weight_decay)
    terms: dict[str, Tensor] = {}
    # looked at where it is shown: on a device each look waits
    shown = lambda: " ".join(f"{name} {float(value):.2f}" for name, value in terms.items())  # noqa: E731
    for step in progress(range(config.steps), desc=desc, after=shown):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, config.steps, config)
        found = loss()
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(found.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm or float("inf"))
        optimiser.step()
        terms = {name: value.detach() for name, value in found.items()}
