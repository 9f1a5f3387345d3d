"""What systems are fed: items by place, streams at the network's scale, mirror images, padded batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from stad_lite.data.clips import FrameRun
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.nets.flow.warping import warp
from stad_lite.nets.inputs import FLOW_SCALE, flow_input, rgb_input

CHANNELS = {"rgb": 3, "flow": 2}
"""Stream -> channels of its input."""


@dataclass
class Items:
    """Items as a torch-style data set: each is what ``make`` makes of its place.

    places: runs of frames, key frames, windows
    make: (place, generator) -> item; the generator depends on seed, epoch and index alone
    title: place -> what a user calls the item
    seed, epoch: the training loop sets the epoch
    notes: what a user should know of it, such as what is not trained on
    """

    places: Sequence[Any]
    make: Callable[[Any, np.random.Generator], Any]
    title: Callable[[Any], str] = str
    seed: int = 0
    epoch: int = 0
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self.places):
            raise IndexError(f"item {index} of {len(self.places)}")
        return self.make(self.places[index], np.random.default_rng([self.seed, self.epoch, index]))

    def name(self, index: int) -> str:
        """Return what an item is called."""
        return self.title(self.places[index])


def run_title(run: FrameRun) -> str:
    """Return what a clip is called: its video and its first frame."""
    return f"{run.video} from frame {run.start}"


def first_frame(run: FrameRun) -> int:
    """Return the number of a clip's first frame that is there."""
    return int(run.frames[0])


def some_places(source: VideoSource, places: Sequence[Any], what: str) -> Sequence[Any]:
    """Return places to train on, at least one.

    what: the sentence where there is none, such as "no frame holds an annotated action"
    raises: FormatError with the name of the data set
    """
    if not places:
        raise FormatError(what, file=source.annotations.dataset, remedy="choose another subset")
    return places


def read_stream(source: VideoSource, stream: str, video: str, numbers: np.ndarray) -> np.ndarray:
    """Return frames (n, h, w, 3) uint8 or flow (n, h, w, 2) of a video.

    raises: FormatError where there are fewer, or where they are of another size than the source says
    """
    values = source.frames(video, numbers) if stream == "rgb" else source.flow(video, numbers)
    wanted = (len(numbers), *source.size)
    if values.shape[:3] != wanted:
        raise FormatError(
            f"{stream} has shape {values.shape[:3]} where (frames, height, width) is {wanted}",
            video=video,
            remedy="give RGB and flow the same frames at the same size",
        )
    return values


def flow_between(source: VideoSource, video: str, numbers: np.ndarray) -> np.ndarray:
    """Return the flow (n, h, w, 2) from each of some frames to the next of them, in pixels.

    Where frames lie between two, the source's flow is followed from one to the next; the last frame is taken
    to be as far from one more as from the one before it, within the video.

    numbers: (n,) rising frame numbers; one that repeats has the flow to the source's next frame
    raises: FormatError, as ``read_stream``
    """
    total = read_stream(source, "flow", video, numbers)
    gaps = np.diff(numbers, append=2 * numbers[-1:] - numbers[-2:-1])
    gaps = np.minimum(gaps, source.num_frames(video) - 1 - numbers)
    most = int(gaps.max(initial=0))
    total = np.array(total, np.float32) if most > 1 else total  # it is written to
    for step in range(1, most):
        some = np.flatnonzero(gaps > step)
        so_far, after = (
            rearrange(torch.from_numpy(np.ascontiguousarray(maps)), "n h w xy -> n xy h w")
            for maps in (total[some], read_stream(source, "flow", video, numbers[some] + step))
        )
        total[some] = rearrange(so_far + warp(after, so_far, "border"), "n xy h w -> n h w xy").numpy()
    return total


def stream_input(
    stream: str,
    values: np.ndarray | Tensor,
    scale: float = FLOW_SCALE,
    normalise: str = "unit",
    cut: bool = False,
) -> Tensor:
    """Return what a network of one stream is fed: (..., channels, h, w) float.

    values: (..., h, w, 3) uint8 frames, or (..., h, w, 2) flow in pixels a frame
    scale, normalise, cut: as in ``nets.inputs.flow_input``
    """
    return rgb_input(values, normalise) if stream == "rgb" else flow_input(values, scale, normalise, cut)


def mirrored(inputs: Tensor, stream: str) -> Tensor:
    """Return a network's input (..., channels, h, w) as a mirror shows it; flow along x changes its sign.

    stream: ``rgb``, ``flow`` (maps stacked in channels), or ``early`` (flow behind RGB)

    >>> mirrored(torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]), "flow").tolist()
    [[[-2.0, -1.0]], [[4.0, 3.0]]]
    """
    turned = inputs.flip(-1)
    if stream != "rgb":
        turned[..., CHANNELS["rgb"] if stream == "early" else 0 :: 2, :, :] *= -1
    return turned


def padded(rows: Sequence[Tensor], fill: float = 0, least: int = 0) -> Tensor:
    """Return rows of different lengths as one table (rows, longest, ...), filled up.

    least: places that the table has at least

    >>> padded([torch.tensor([1, 2]), torch.tensor([3])], fill=-1).tolist()
    [[1, 2], [3, -1]]
    """
    most = max([least, *(len(row) for row in rows)])
    table = rows[0].new_full((len(rows), most, *rows[0].shape[1:]), fill)
    for place, row in zip(table, rows, strict=True):
        place[: len(row)] = row
    return table


def collated(items: Sequence[Mapping[str, Any]], padding: Mapping[str, float]) -> dict[str, Any]:
    """Return items as a batch: what is seen stacked, and truths padded to the item that has most of them.

    padding: name of what is padded -> the value that stands where an item has fewer
    """
    return {
        name: padded([item[name] for item in items], padding[name], least=1)
        if name in padding
        else together([item[name] for item in items])
        for name in items[0]
    }


def together(values: Sequence[Any]) -> Any:
    """Return tensors of one shape, or dictionaries and tuples of them, with a first axis more; None stays.

    >>> together([(torch.zeros(3), None)] * 2)[0].shape
    torch.Size([2, 3])
    """
    first = values[0]
    if first is None or isinstance(first, Tensor):
        return None if first is None else torch.stack(list(values))
    if isinstance(first, Mapping):
        return {name: together([value[name] for value in values]) for name in first}
    parts = [together(part) for part in zip(*values, strict=True)]
    return tuple(parts) if type(first) is tuple else type(first)(*parts)
