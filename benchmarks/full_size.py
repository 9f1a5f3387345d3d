"""One prediction and one training step of a system on the CPU, the backbone told apart from the rest.

For the papers' own sizes, where a step takes minutes: nothing is called twice, so figures are single ones.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stad_lite.schedule import TrainConfig
from stad_lite.training import optimisers
from stad_lite.training.profile import parameters, peak_memory


class Cut(nn.Module):
    """A backbone whose gradient waits at its maps, so that its time can be told from that of the heads.

    What comes after it sees leaves; ``finish`` passes their gradients on.
    inner: gives maps as a mapping or as a list
    seconds: CPU seconds of the calls and of ``finish`` since the last ``reset``
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.reset()

    def reset(self) -> None:
        """Forget the calls and their time."""
        self.seconds = 0.0
        self._maps: list[tuple[Tensor, Tensor]] = []

    def forward(self, *inputs: Any) -> Any:
        """Return the maps of the inner network, cut off where gradients are kept."""
        began = time.process_time()
        found = self.inner(*inputs)
        self.seconds += time.process_time() - began
        if isinstance(found, Mapping):
            return {name: self._leaf(maps) for name, maps in found.items()}
        return [self._leaf(maps) for maps in found]

    def _leaf(self, maps: Tensor) -> Tensor:
        if not maps.requires_grad:
            return maps
        leaf = maps.detach().requires_grad_()
        self._maps.append((maps, leaf))
        return leaf

    def finish(self) -> None:
        """Pass the gradients of the leaves on to the inner network."""
        began = time.process_time()
        reached = [(maps, leaf.grad) for maps, leaf in self._maps if leaf.grad is not None]
        if reached:
            torch.autograd.backward([maps for maps, _ in reached], [grad for _, grad in reached])
        self.seconds += time.process_time() - began


def cut(parent: nn.Module, names: Sequence[str]) -> list[Cut]:
    """Cut off children of a module, in place; return the cuts."""
    found = []
    for name in names:
        found.append(Cut(parent.get_submodule(name)))
        parent.add_module(name, found[-1])
    return found


def once(system: Any, batch: Any, train: TrainConfig, cuts: Sequence[Cut]) -> dict[str, Any]:
    """Return parameters, CPU seconds and memory of one prediction and one training step.

    cuts: the backbones of the system's network
    """
    network = system.network
    optimiser = optimisers.make(network, train)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(system.loss(batch).values())).sum().backward()
        for one in cuts:
            one.finish()
        torch.nn.utils.clip_grad_norm_(network.parameters(), train.clip_norm or float("inf"))
        optimiser.step()

    def predict() -> None:
        with torch.no_grad():
            system.predict(batch)

    own = sum(parameters(one)[0] for one in cuts)
    total = parameters(network)[0]
    found: dict[str, Any] = {
        "parameters": total,
        "parameters of the backbone": own,
        "share of the parameters, %": round(100 * own / total, 1),
    }
    network.eval()
    found["prediction"] = _call(predict, cuts)
    network.train()
    found["training step"] = _call(step, cuts)
    if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
        raise ArithmeticError("a parameter is not finite after the step")
    return found


def _call(work: Any, cuts: Sequence[Cut]) -> dict[str, float | None]:
    for one in cuts:
        one.reset()
    began = time.process_time()
    memory = peak_memory(work, torch.device("cpu"))
    seconds = time.process_time() - began
    inside = sum(one.seconds for one in cuts)
    for one in cuts:
        one.reset()
    return {
        "CPU s": float(f"{seconds:.4g}"),
        "share of the backbone, %": round(100 * inside / seconds, 1),
        "memory, MiB": None if memory is None else round(memory / 2**20),
    }
