"""What a part of a batch divides its sums by, so that the parts together take the step of the whole batch.

A batch is cut into parts twice: among the processes, and within one into parts that are taken one after
another (``TrainConfig.accumulation``). The gradient is the mean of the parts' gradients. A loss that is a
mean over what all items have alike (windows, cells) needs nothing; one that divides by a count which differs
from item to item (truths, drawn proposals) divides by ``normaliser`` of its own count.

Two things stay apart: norms that are trained on the statistics of a batch see their own part of it (group
norms and frozen ones do not), and every process draws its own random numbers (dropout, drawn proposals).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from stad_lite.training import distributed

Result = TypeVar("Result")

_asked: ContextVar[Callable[[Tensor], Tensor] | None] = ContextVar("asked", default=None)
"""Answers for the parts that a process takes one after another; None where it takes its share in one."""


def normaliser(count: Tensor) -> Tensor:
    """Return what a part of a batch divides by in place of its own count: the whole batch's, shared equally.

    Every part calls it as often and in the same order, so before any early return.
    count: () of this part
    returns: () float; at least 1 over the number of parts, as a batch without any counts as one

    >>> normaliser(torch.tensor(0)), normaliser(torch.tensor(7))
    (tensor(1.), tensor(7.))
    """
    answer = _asked.get() or _over_processes
    return answer(count.detach().float())


def _over_processes(count: Tensor, parts: int = 1) -> Tensor:
    """Return the normaliser of a count over all of this process's parts."""
    return distributed.average(count).clamp(min=1 / distributed.world()) / parts


@contextmanager
def _answered(answer: Callable[[Tensor], Tensor]) -> Iterator[None]:
    before = _asked.set(answer)
    try:
        yield
    finally:
        _asked.reset(before)


def losses_of(
    parts: Sequence[Any], loss: Callable[[Any], Result], network: nn.Module, place: torch.device
) -> Iterator[Result]:
    """Yield the loss of each part of one process's share of a batch, divided by the counts of all parts.

    A forward pass without gradient counts first. It draws the random numbers that the other draws again and
    leaves the norms' running statistics alone, for counts may depend on both (drawn proposals).

    loss: of a part; it may ask for ``normaliser``
    network: what the loss calls
    place: device of the network
    """
    if len(parts) == 1:
        yield loss(parts[0])
        return
    devices = [place] if place.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices), _kept(network.buffers()):
        totals = _totals(parts, loss)
    whole = [_over_processes(total, len(parts)) for total in totals]
    for part in parts:
        with _answered(partial(_next, iter(whole))):
            value = loss(part)
        yield value


def _totals(parts: Sequence[Any], loss: Callable[[Any], Any]) -> list[Tensor]:
    """The counts of all parts together; a loss that asks for none on the first part asks for none at all."""
    totals: list[Tensor] = []
    for part in parts:
        counts: list[Tensor] = []

        def take(count: Tensor, counts: list[Tensor] = counts) -> Tensor:
            counts.append(count)
            return count.clamp(min=1)

        with _answered(take):
            loss(part)
        if not counts:
            break
        totals = [a + b for a, b in zip(totals, counts, strict=True)] if totals else counts
    return totals


def _next(known: Iterator[Tensor], _: Tensor) -> Tensor:
    return next(known)


@contextmanager
def _kept(buffers: Iterable[Tensor]) -> Iterator[None]:
    """Give tensors their values back at the end."""
    before = [(buffer, buffer.clone()) for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)
