"""Detection: the loop over videos and their items, and what a system finds in one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from stad_lite.arrays import check_finite_frames
from stad_lite.data.source import VideoSource
from stad_lite.progress import progress
from stad_lite.systems.items import Items
from stad_lite.training import distributed

BATCH = 16
"""Items that are looked at together."""

Network = TypeVar("Network", bound=nn.Module)
Check = Callable[..., None]
"""Takes tensors with a row for each item of a batch."""


def unchecked(*said: Tensor) -> None:
    """Check nothing: for answers outside of a look at videos."""


@dataclass(frozen=True, eq=False)
class Found:
    """The detections of one item, one row a box (or tubelet) and class.

    boxes: (n, ..., 4) xyxy pixels
    labels: (n,) class indices
    scores: (n,)
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)


class Places(Protocol):
    """Items that are made when they are asked for (``systems.items.Items``)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


@contextmanager
def evaluated(network: Network) -> Iterator[tuple[Network, torch.device]]:
    """Switch a network to evaluation and give it back as it was.

    yields: the network, and the device that it is on
    """
    training = network.training
    try:
        yield network.eval(), next(network.parameters()).device
    finally:
        network.train(training)


def dialled(system: Any, **changes: Any) -> Any:
    """Return a system with the same weights and other settings of inference; the first one stays as it was.

    changes: fields of its config that say nothing of the network's shape
    """
    found, network = copy(system), copy(system.network)
    found.config = network.config = replace(system.config, **changes)
    found.network = network
    return found


def even_parts(count: int, most: int) -> list[np.ndarray]:
    """Return the numbers below a count in parts of nearly one size, at most so many in each.

    >>> [len(part) for part in even_parts(20, 16)], even_parts(0, 16)
    ([10, 10], [])
    """
    return np.array_split(np.arange(count), -(-count // most)) if count else []


def batched(
    data: Places, collate: Callable[[list[Any]], Any], device: torch.device, most: int = BATCH
) -> Iterator[Any]:
    """Yield all items of a data set in order, as batches on a device.

    most: items of a batch
    """
    for first in range(0, len(data), most):
        items = [data[index] for index in range(first, min(first + most, len(data)))]
        yield distributed.to(collate(items), device)


@torch.no_grad()
def look(
    network: nn.Module,
    source: VideoSource,
    items: Callable[[str], Items],
    collate: Callable[[list[Any]], Any],
    answer: Callable[[Any, Check], Any],
    frame: Callable[[Any], int],
    most: int = BATCH,
) -> Iterator[tuple[str, Any, list[Any]]]:
    """Yield every video with its items and what is answered to their batches.

    items: video -> its items; as many as ``most`` make a batch
    answer: batch, on the network's device -> anything; it calls the check for what the network says, tensors
        of a row an item, which is refused where it is not finite
    frame: place of an item -> the frame that the check names
    raises: NotFiniteError with the video and the frame
    """
    with evaluated(network) as (_, device):
        for video in progress(source.videos, desc="detecting"):
            data = items(video)
            frames = [frame(place) for place in data.places]
            parts = enumerate(batched(data, collate, device, most))
            answers = [answer(batch, partial(_check, video, frames[n * most :])) for n, batch in parts]
            yield video, data, answers


def _check(video: str, frames: Sequence[int], *said: Tensor) -> None:
    check_finite_frames("what the network says", video, frames, *said)


def joined(parts: Sequence[Found]) -> Found:
    """Return the rows of several items as one table.

    raises: ValueError for no items
    """
    names = ("boxes", "labels", "scores")
    return Found(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
