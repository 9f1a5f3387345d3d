"""What a network costs: parameters, operations, time, memory and frames a second.

Two things are measured: a prediction (the network forward and its decoding, without gradient) and a training
step (loss, gradient, update). On the CPU times are CPU time, so they hold on a busy machine too.
"""

from __future__ import annotations

import ctypes
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from stad_lite.errors import FormatError
from stad_lite.nets.layers import values_to_norm
from stad_lite.schedule import TrainConfig
from stad_lite.training import distributed, optimisers
from stad_lite.training.loop import System

Work = Callable[[], Any]
Shape = tuple[int, ...]

MEMORY = {
    "cuda": "most GPU memory that tensors held at a time",
    "cpu": "rise of the process's resident memory at its peak",
}
"""Kind of device -> what ``Cost.memory`` is there."""


@dataclass(frozen=True)
class Timing:
    """How long a call takes.

    median, fastest, slowest: seconds
    rounds: calls that were timed, after those to warm up
    clock: ``CPU`` (seconds of all threads together) or ``GPU`` (CUDA events)
    """

    median: float
    fastest: float
    slowest: float
    rounds: int
    clock: str


@dataclass(frozen=True)
class Cost:
    """What one call costs.

    flop: operations of convolutions, matrix products and attention, a multiply-add counts as two; all others
        are left out
    timing: how long it takes
    memory: bytes, as ``MEMORY`` says; None where the system does not tell
    """

    flop: int
    timing: Timing
    memory: int | None


@dataclass(frozen=True)
class Profile:
    """The costs of a system on one batch.

    trainable, total: parameters
    parts: name of a part of the network -> its parameters, and its operations in a prediction
    items, frames: of the batch; 0 frames where items hold none
    predict, step: of a prediction and of a training step
    device, threads: where it ran
    amp: whether it ran in bfloat16 where autocast takes it
    """

    trainable: int
    total: int
    parts: dict[str, tuple[int, int]]
    items: int
    frames: int
    predict: Cost
    step: Cost
    device: str
    threads: int
    amp: bool

    def rate(self, cost: Cost) -> float:
        """Return the frames a second of a call (of ``timing.clock``), the items where they hold no frames."""
        return (self.frames or self.items) / cost.timing.median


def profile(
    system: System,
    batch: Any,
    config: TrainConfig,
    *,
    items: int = 1,
    frames: int = 0,
    device: str = "cpu",
    rounds: int = 5,
    seconds: float = 30.0,
) -> Profile:
    """Measure what a system costs on a batch; its weights change, as in any training.

    batch: as its collate makes it
    config: optimiser and precision of the training step
    items, frames: how many the batch holds
    device: "cpu" or "cuda"
    rounds, seconds: calls that are timed, fewer where they take longer than so many seconds together
    raises: FormatError where a batch norm sees one value
    """
    place, network = torch.device(device), system.network
    network.to(place)
    batch = distributed.to(batch, place)
    optimiser = optimisers.make(network, config)

    def predict() -> None:
        with torch.no_grad(), torch.autocast(place.type, torch.bfloat16, enabled=config.amp):
            system.predict(batch)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with values_to_norm(), torch.autocast(place.type, torch.bfloat16, enabled=config.amp):
            terms = system.loss(batch)
        torch.stack([term.float() for term in terms.values()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm or float("inf"))
        optimiser.step()

    network.eval()
    predicted, held = measure(predict, place, network, rounds, seconds)
    network.train()
    trained, _ = measure(step, place, network, rounds, seconds)
    total, trainable = parameters(network)
    parts = {name: (parameters(part)[0], held.get(name, 0)) for name, part in network.named_children()}
    return Profile(
        trainable, total, parts, items, frames, predicted, trained,
        hardware(place), torch.get_num_threads(), config.amp,
    )  # fmt: skip


def parameters(module: nn.Module) -> tuple[int, int]:
    """Return how many parameters a module has, and how many of them are trained.

    >>> net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1, bias=False).requires_grad_(False))
    >>> parameters(net)
    (10, 8)
    """
    every = list(module.parameters())
    return sum(p.numel() for p in every), sum(p.numel() for p in every if p.requires_grad)


def measure(
    work: Work, device: torch.device, network: nn.Module, rounds: int = 5, seconds: float = 30.0
) -> tuple[Cost, dict[str, int]]:
    """Measure a call: memory of the first, operations of the second, times of those that follow.

    returns: the costs, and the operations inside each part of the network (``operations``)
    """
    memory = peak_memory(work, device)
    flop, parts = operations(work, network)
    return Cost(flop, timed(work, device, rounds, seconds), memory), parts


def operations(work: Work, network: nn.Module | None = None) -> tuple[int, dict[str, int]]:
    """Return the operations of a call (``Cost.flop``), and how many run inside each part of a network.

    network: its named children are the parts

    >>> operations(lambda: torch.ones(2, 3) @ torch.ones(3, 5))
    (60, {})
    """
    found: Counter[str] = Counter()
    with _counter() as counter, _watched(network, found, counter):
        work()
    return int(counter.get_total_flops()), dict(found)


@contextmanager
def _watched(network: nn.Module | None, found: Counter[str], counter: FlopCounterMode) -> Iterator[None]:
    """Add to ``found`` what is counted while any module of a part runs; calls inside calls count once."""
    handles = []
    for name, part in network.named_children() if network is not None else ():
        began: list[int] = []

        def enter(*_: Any, began: list[int] = began) -> None:
            began.append(counter.get_total_flops())

        def leave(*_: Any, began: list[int] = began, name: str = name) -> None:
            first = began.pop()
            if not began:
                found[name] += counter.get_total_flops() - first

        for module in part.modules():
            handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _counter() -> Iterator[FlopCounterMode]:
    """Count operations, those of attention on the CPU too, which torch's own table leaves out."""
    aten = torch.ops.aten
    table = {
        aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    }
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused call in which nothing can be counted
    try:
        counter = FlopCounterMode(display=False, custom_mapping=table)
        counter.mod_tracker = _Untracked()  # type: ignore[assignment]
        with counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _Untracked:
    """In place of torch's tracker of modules, which fails on parameters' views where no gradient is kept."""

    parents = ("Global",)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: Any) -> None: ...


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(gradient: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


def timed(work: Work, device: torch.device, rounds: int = 5, seconds: float = 30.0) -> Timing:
    """Time a call some times, until that took ``seconds``; what is slow at first is run before.

    raises: FormatError for no rounds or no time
    """
    if rounds < 1 or not seconds > 0:
        raise FormatError(f"{rounds} rounds in {seconds} s", remedy="time 1 or more, for more than 0 s")
    taken: list[float] = []
    while len(taken) < rounds and sum(taken) < seconds:
        taken.append(_gpu_seconds(work) if device.type == "cuda" else _cpu_seconds(work))
    clock = "GPU" if device.type == "cuda" else "CPU"
    return Timing(statistics.median(taken), min(taken), max(taken), len(taken), clock)


def clock(device: torch.device | str = "cpu") -> float:
    """Return CPU seconds of this process; for a GPU those of the clock, once it has done all it was asked."""
    if torch.device(device).type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _cpu_seconds(work: Work) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _gpu_seconds(work: Work) -> float:
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    work()
    last.record()
    torch.cuda.synchronize()
    return float(first.elapsed_time(last)) / 1e3


def peak_memory(work: Work, device: torch.device) -> int | None:
    """Return what a call needs at its peak in bytes, as ``MEMORY`` says; None where nothing tells.

    On the GPU weights and batch count, for they are held as well; on the CPU only what comes on top of them.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device))
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)  # what earlier calls freed goes back to the system
    try:
        Path("/proc/self/clear_refs").write_bytes(b"5")
        before = _status("VmRSS")
    except OSError:
        work()
        return None
    work()
    return max(0, _status("VmHWM") - before)


def _status(name: str) -> int:
    """Return a line of /proc/self/status in bytes. raises: OSError where there is none"""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith(name + ":"):
            return 1024 * int(line.split()[1])
    raise OSError(f"no {name} in /proc/self/status")


def hardware(device: torch.device) -> str:
    """Return the name of a GPU or of the processor."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
