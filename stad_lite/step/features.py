"""What the detector is fed: frames and flow of a run of clips, or their maps, computed once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from stad_lite.arrays import check_finite_frames
from stad_lite.baselines.dense import flow_input, rgb_input
from stad_lite.data.clips import flow_stack
from stad_lite.data.source import VideoSource
from stad_lite.data.transforms import to_bgr_mean
from stad_lite.errors import FormatError
from stad_lite.progress import progress
from stad_lite.records import atomic_write
from stad_lite.step.config import StepConfig
from stad_lite.step.model import StepNetwork

AT_ONCE = 64
"""Frames that pass the backbone together."""


def stream_input(
    frames: np.ndarray | None, flow: np.ndarray | None, config: StepConfig, mirror: bool = False
) -> Tensor:
    """Return what the backbone takes: (t, channels, h, w) float.

    frames: (t, h, w, 3) uint8, where the stream needs them
    flow: (t, flow_depth, h, w, 2) pixels a frame, where the stream needs it
    mirror: as a mirror shows them: x turns round, and flow along x its sign
    """
    parts = []
    if config.stream != "flow":
        assert frames is not None
        bgr = config.normalise == "bgr"
        parts.append(torch.from_numpy(to_bgr_mean(frames)).permute(0, 3, 1, 2) if bgr else rgb_input(frames))
    if config.stream != "rgb":
        assert flow is not None
        maps = flow_input(flow, config.flow_scale)
        if mirror:
            maps[:, :, 0] = -maps[:, :, 0]
        parts.append(maps.flatten(1, 2))
    stacked = torch.cat(parts, 1)
    return stacked.flip(-1) if mirror else stacked


def read_input(
    source: VideoSource,
    config: StepConfig,
    video: str,
    numbers: np.ndarray,
    mirror: bool = False,
    recolour: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Tensor:
    """Return the backbone's input (t, channels, h, w) for frames of a video.

    numbers: (t,) frame numbers; a frame's flow is stacked from it on, the last map repeats at the end
    recolour: changes the frames (t, h, w, 3) uint8
    raises: FormatError for a source without flow where the stream needs it, or of another size
    """
    if tuple(source.size) != tuple(config.size):
        raise FormatError(
            f"the source is {source.size} and the configuration {config.size}",
            remedy="open the source at the configuration's size",
        )
    frames = source.frames(video, numbers) if config.stream != "flow" else None
    if frames is not None and recolour is not None:
        frames = recolour(frames)
    flow = None
    if config.stream != "rgb":
        count = source.num_frames(video)
        wanted = np.stack([flow_stack(count, int(number), config.flow_depth) for number in numbers])
        flow = source.flow(video, wanted.ravel())
        flow = flow.reshape(*wanted.shape, *flow.shape[1:])
    return stream_input(frames, flow, config, mirror)


@dataclass(frozen=True)
class FrameMaps:
    """The backbone's maps of all frames of some videos.

    maps: video -> (t, c, h, w) float16
    mirrored: the same of the frames' mirror images, none where they were not asked for
    """

    maps: Mapping[str, np.ndarray]
    mirrored: Mapping[str, np.ndarray] = field(default_factory=dict)

    def clip(self, video: str, numbers: np.ndarray, mirror: bool = False) -> Tensor:
        """Return the maps (t, c, h, w) float16 of frames of a video."""
        return torch.from_numpy(np.asarray((self.mirrored if mirror else self.maps)[video][numbers]))

    def check(self, video: str) -> None:
        """Refuse a video's maps where they are not finite. raises: NotFiniteError"""
        check_finite_frames("the map", video, range(len(self.maps[video])), self.maps[video])


@torch.no_grad()
def video_maps(network: StepNetwork, source: VideoSource, video: str, mirror: bool = False) -> np.ndarray:
    """Return the maps (t, c, h, w) float16 of all frames of a video.

    raises: FormatError for I3D, whose maps belong to clips
    """
    if network.config.backbone == "i3d":
        raise FormatError("I3D sees whole clips: it has no maps of frames", remedy="set frozen=False")
    numbers = np.arange(source.num_frames(video))
    device = next(network.parameters()).device
    parts = [
        network.features(read_input(source, network.config, video, some, mirror).to(device)[None])[0]
        for some in np.array_split(numbers, -(-len(numbers) // AT_ONCE))
    ]
    return torch.cat(parts).half().cpu().contiguous().numpy()  # as files give them: sums depend on the order


def frame_maps(network: StepNetwork, source: VideoSource, mirror: bool = False) -> FrameMaps:
    """Return the maps of all videos of a source; with ``mirror`` of their mirror images too."""
    shown = progress(source.videos, desc="features")
    found = {
        video: [video_maps(network, source, video, turned) for turned in (False, True)[: 1 + mirror]]
        for video in shown
    }
    return FrameMaps(
        {video: maps[0] for video, maps in found.items()},
        {video: maps[1] for video, maps in found.items()} if mirror else {},
    )


def kept_maps(
    network: StepNetwork,
    source: VideoSource,
    folder: str | PathLike[str],
    name: str = "",
    mirror: bool = False,
) -> FrameMaps:
    """Return ``frame_maps``, from a file where the same backbone has seen the same videos before.

    folder: of the files
    name: says which set this is; two sources of one name with the same videos are taken for the same
    """
    turns = ("plain", "mirrored")[: 1 + mirror]
    paths = {turn: Path(folder) / f"{turn}-{_key(network, source, name)}.npy" for turn in turns}
    counts = [source.num_frames(video) for video in source.videos]
    tables = {turn: _read(path, sum(counts)) for turn, path in paths.items()}
    if any(table is None for table in tables.values()):
        made = frame_maps(network, source, mirror)
        for turn, values in zip(turns, (made.maps, made.mirrored), strict=False):
            table = np.concatenate([values[video] for video in source.videos])
            paths[turn].parent.mkdir(parents=True, exist_ok=True)
            atomic_write(paths[turn], partial(_save, table))
        return made
    ends = np.cumsum(counts)
    plain, mirrored = (
        {}
        if tables.get(turn) is None
        else {
            video: tables[turn][end - count : end]  # type: ignore[index]
            for video, end, count in zip(source.videos, ends, counts, strict=True)
        }
        for turn in ("plain", "mirrored")
    )
    return FrameMaps(plain, mirrored)


def _save(table: np.ndarray, file: IO[bytes]) -> None:
    np.save(file, table)


def _read(path: Path, frames: int) -> np.ndarray | None:
    """The table of all frames, or None where there is none or it is damaged: then it is made anew."""
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return table if table.ndim == 4 and len(table) == frames else None


def _key(network: StepNetwork, source: VideoSource, name: str) -> str:
    config = network.config
    about = (
        name,
        source.size,
        source.videos,
        config.stream,
        config.flow_depth,
        config.flow_scale,
        config.normalise,
    )
    digest = hashlib.sha256(repr(about).encode())
    for value in network.backbone.state_dict().values():
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
