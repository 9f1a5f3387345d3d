"""What a GPU would wait for: looks at values in a training step, and in the networks' forward passes.

There is no GPU in these tests. The looks that only cost where tensors are on one (``arrays.readable``) are
left out here as they are there, so that the same code runs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from stad_lite import arrays
from stad_lite.baselines.system import fed_inputs
from stad_lite.catalogue import ENTRIES
from stad_lite.flow_subnet.model import pixels_of
from stad_lite.training.checkpoint import seed_all
from stad_lite.training.examples import CLASSES, Noise

LOOKS = ("item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__")
ALLOWED = {
    "flow_subnet": {"__bool__": 1},  # whether the flow network is still frozen
    "sp_tad": {"numpy": 1},  # the costs of the matching, of all windows and heads together
    "pcsc": {
        "equal": 8
    },  # whether a suppression is settled: of two streams, and of two stages' own and other
}
"""System -> the looks of one training step; of others none."""
TUBES = "cfad"
"""Labels true tubes with arrays and scipy, item by item: how often depends on the data."""


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every tensor for one that a look at would have to wait for."""
    known = arrays.readable
    for module in list(sys.modules.values()):
        if getattr(module, "readable", None) is known:
            monkeypatch.setattr(module, "readable", lambda _: False)


@contextmanager
def looks() -> Iterator[Counter[str]]:
    """Count the looks at tensors' values."""
    found: Counter[str] = Counter()

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any, **named: Any) -> Any:
            found[name] += 1
            return call(*given, **named)

        return called

    with pytest.MonkeyPatch.context() as patch:
        for name in LOOKS:
            patch.setattr(Tensor, name, counted(name, getattr(Tensor, name)))
        patch.setattr(torch, "equal", counted("equal", torch.equal))
        yield found


class Waits(TorchDispatchMode):
    """Count the operations whose shapes hang on values: a device is waited for to know them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[1]
        masks = args[1] if name in ("index", "index_put", "index_put_") else ()
        by_mask = any(mask is not None and mask.dtype == torch.bool for mask in masks)
        self.found[name] += name in ("nonzero", "masked_select", "_unique2") or by_mask
        return func(*args, **(kwargs or {}))


def example(name: str, items: int = 6) -> tuple[Any, Any]:
    """A new system at ``smoke`` and a batch of noise."""
    entry = ENTRIES[name]
    config = entry.config("smoke")
    seed_all(0)
    noise, system = Noise(tuple(config.size)), entry.rebuild(config, CLASSES)
    return system, noise.batch(entry.training_set(system, noise.source()), entry.collate, items)[0]


def step(system: Any, batch: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The terms of the loss and the gradients of one step."""
    torch.manual_seed(0)
    system.network.train().zero_grad()
    terms = system.loss(batch)
    torch.stack(list(terms.values())).sum().backward()
    named = system.network.named_parameters()
    return terms, {key: value.grad.clone() for key, value in named if value.grad is not None}


@pytest.mark.parametrize("name", ENTRIES)
def test_looks_of_a_training_step(name: str, elsewhere: None) -> None:
    system, batch = example(name)
    with looks() as found:
        step(system, batch)
    if name == TUBES:
        assert found.total() > sum(ALLOWED["sp_tad"].values())
    else:
        assert found == ALLOWED.get(name, {})


@pytest.mark.parametrize("name", [name for name in ENTRIES if name != TUBES])
def test_no_shape_hangs_on_values(name: str, elsewhere: None) -> None:
    system, batch = example(name)
    with Waits() as waits:
        step(system, batch)
    assert not +waits.found


@pytest.mark.parametrize("name", ENTRIES)
def test_the_step_is_that_of_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "pcsc":  # padded tables take other numbers from the generator: all anchors and boxes are drawn
        smoke = ENTRIES[name].config("smoke")
        every = replace(smoke, rpn_batch=4096, head_batch=4096, positive_share=1.0)
        monkeypatch.setattr(type(smoke), "smoke", classmethod(lambda _: every))
    system, batch = example(name)
    terms, gradients = step(system, batch)
    for module in list(sys.modules.values()):
        if getattr(module, "readable", None) is arrays.readable and module is not arrays:
            monkeypatch.setattr(module, "readable", lambda _: False)
    monkeypatch.setattr(arrays, "readable", lambda _: False)
    other_terms, others = step(system, batch)
    torch.testing.assert_close(other_terms, terms, rtol=1e-5, atol=1e-6)
    largest = max(float(value.abs().max()) for value in gradients.values())
    torch.testing.assert_close(others, gradients, rtol=1e-4, atol=1e-5 * largest)


def forward(name: str, system: Any, batch: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A system's network and what it is given."""
    given: dict[str, Callable[[], tuple[Any, ...]]] = {
        "baseline": lambda: (fed_inputs(batch.inputs, system.config),),
        "sp_tad": lambda: (batch.inputs,),
        "step": lambda: (system.maps(batch),),
        "pcsc": lambda: (batch["rgb"], batch["flow"]),
        "flow_subnet": lambda: (pixels_of(batch)["frames"],),
        "cfad": lambda: (torch.rand(2, system.config.length, system.config.channels, *system.config.size),),
    }
    if name not in given:
        pytest.skip(f"say here what the network of {name} is fed")
    network = system.network
    if name == "cfad":  # its forward pass are features; a part reads them
        return lambda frames: network.proposals(network(frames)), given[name]()
    return network, given[name]()


def tensors(outputs: Any) -> list[Tensor]:
    """All tensors of raw outputs."""
    if isinstance(outputs, Tensor):
        return [outputs]
    values = vars(outputs).values() if hasattr(outputs, "__dataclass_fields__") else outputs
    values = values.values() if isinstance(values, dict) else values
    return [part for value in values or () if not isinstance(value, str | int) for part in tensors(value)]


@pytest.mark.parametrize("name", ENTRIES)
def test_the_forward_pass_is_one_graph(name: str, elsewhere: None) -> None:
    """Dynamo refuses a shape or a branch that depends on a value."""
    system, batch = example(name, 2)
    network, given = forward(name, system, batch)
    system.network.eval()
    torch.compiler.reset()
    with torch.no_grad():
        plain = tensors(network(*given))
        whole = tensors(torch.compile(network, fullgraph=True, backend="eager")(*given))
    torch.compiler.reset()
    assert len(plain) == len(whole) > 0
    for one, other in zip(whole, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
