"""One run on many processes: started by ``torchrun``, with plain functions where they must agree.

Every process takes its share of each batch; the gradients are averaged, so all take the same step, that of
one process where losses divide by ``counts.normaliser``.
Without ``torchrun`` every function is that of one process.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from stad_lite.errors import StadError

PATIENCE = timedelta(hours=1)
"""How long a process waits for another, such as for the first to decode a data set."""

START = "spawn"
"""How workers start: as new interpreters, which is the only way on Windows and macOS's own.

What they get is pickled, so data sets and collate functions hold no lambda and no function of a function.
"""

Result = TypeVar("Result")


def rank() -> int:
    """Return this process's number, 0 for one alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Return how many processes there are.

    >>> rank(), world()
    (0, 1)
    """
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def processes(device: str | None = None) -> Iterator[torch.device]:
    """Be one of the processes that ``torchrun`` started; they stay joined until they end.

    Leaving and joining again would not do: who is late then finds the addresses of the first time.

    device: "cpu", "cuda" or "cuda:1"; without it the GPU where there is one
    yields: the device of this process (nccl between GPUs, gloo between CPUs)
    raises: StadError for a GPU that is not there
    """
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    place = torch.device(kind)
    if place.type == "cuda" and not torch.cuda.is_available():
        raise StadError("there is no GPU here", remedy="use the device cpu")
    if place.type == "cuda":
        index = int(os.environ.get("LOCAL_RANK", 0)) if place.index is None else place.index
        place = torch.device("cuda", index)
        torch.cuda.set_device(place)  # random states are those of the device that is set
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=PATIENCE)
        atexit.register(_leave)
    yield place


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def broadcast(value: Any) -> Any:
    """Return what the first process holds."""
    if world() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def gather(value: Any) -> list[Any]:
    """Return what all processes hold, by rank."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    dist.all_gather_object(values, value)
    return values


def from_first(work: Callable[[], Result]) -> Result:
    """Return in every process what a function returns in the first one, which alone calls it.

    raises: in every process the StadError that the function raises
    """
    if world() == 1:
        return work()
    value: Any = None
    try:
        value = work() if rank() == 0 else None
    except StadError as error:
        value = error
    value = broadcast(value)
    if isinstance(value, StadError):
        raise value
    return value


def first_alone(work: Callable[[], Result]) -> Result:
    """Return what a function returns, called in the first process before the others.

    So that a file which it makes once is there when the others look for it.
    raises: in every process the StadError that the function raises in the first one
    """
    held: list[Result] = []
    from_first(lambda: held.append(work()))
    return held[0] if held else work()


def average(value: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes, without gradient."""
    value = value.detach().clone()
    if world() > 1:
        dist.all_reduce(value)
        value /= world()
    return value


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients by their mean over the processes.

    A parameter without a gradient in some of them counts as 0 there; without one in all it keeps None.
    """
    if world() == 1:
        return
    kept = [parameter for parameter in parameters if parameter.requires_grad]
    for group in _by_type(kept).values():
        used = torch.tensor([float(p.grad is not None) for p in group], device=group[0].device)
        flat = torch.cat(
            [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in group]
        )
        dist.all_reduce(used)
        dist.all_reduce(flat)
        parts = (flat / world()).split([p.numel() for p in group])
        for parameter, part, count in zip(group, parts, used.tolist(), strict=True):
            parameter.grad = part.view_as(parameter).clone() if count else None


def _by_type(parameters: list[nn.Parameter]) -> dict[torch.dtype, list[nn.Parameter]]:
    groups: dict[torch.dtype, list[nn.Parameter]] = {}
    for parameter in parameters:
        groups.setdefault(parameter.dtype, []).append(parameter)
    return groups


def to(batch: Any, device: torch.device) -> Any:
    """Return a batch with all tensors in its lists, tuples and dictionaries on a device."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: to(value, device) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        parts = [to(value, device) for value in batch]
        return type(batch)(parts) if type(batch) in (list, tuple) else type(batch)(*parts)  # named tuples
    return batch
