"""What the streams are fed: clips for I3D, or the maps of single frames, computed once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from stad_lite.arrays import check_finite_frames
from stad_lite.data.clips import FrameRun, key_frame
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.pcsc.config import PCSCConfig
from stad_lite.pcsc.cooperation import STREAMS
from stad_lite.pcsc.model import PCSC
from stad_lite.pcsc.trunks import stream_input
from stad_lite.progress import progress
from stad_lite.records import atomic_write

AT_ONCE = 64
"""Frames that pass the small network together."""


Table = Mapping[str, Mapping[str, np.ndarray]]
"""Stream -> video -> (t, c, h, w) float16."""


@dataclass(frozen=True)
class FrameMaps:
    """The maps of all frames of some videos.

    maps: of the frames and of the flow
    mirrored: the same of their mirror images, nothing where they were not asked for
    """

    maps: Table
    mirrored: Table = field(default_factory=dict)

    def clip(self, stream: str, run: FrameRun, mirror: bool = False) -> Tensor:
        """Return the maps (k, c, h, w) of the frames of a clip."""
        table = self.mirrored if mirror else self.maps
        return torch.from_numpy(np.asarray(table[stream][run.video][run.frames]))

    def check(self, video: str) -> None:
        """Refuse a video's maps where they are not finite. raises: NotFiniteError"""
        for stream, table in self.maps.items():
            check_finite_frames(f"the {stream} map", video, range(len(table[video])), table[video])


def read_stream(source: VideoSource, stream: str, video: str, numbers: np.ndarray) -> np.ndarray:
    """Return frames (n, h, w, 3) or flow (n, h, w, 2) of a video.

    raises: FormatError where there are fewer or where they are of another size than the source says
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


def frame_maps(
    network: PCSC, source: VideoSource, videos: Iterable[str] | None = None, mirror: bool = False
) -> FrameMaps:
    """Return the small networks' maps of all frames of all videos.

    videos: only these
    mirror: whether the maps of the mirror images are wanted too
    raises: FormatError for a network without small networks (``trunk="i3d"``)
    """
    if not len(network.backbones):
        raise FormatError("I3D sees whole clips: it has no maps of frames", remedy="give it the clips")
    names = list(source.videos if videos is None else videos)
    found: list[dict[str, dict[str, np.ndarray]]] = [{stream: {} for stream in STREAMS} for _ in range(2)]
    for video in progress(names, desc="features") if len(names) > 1 else names:
        for stream in STREAMS:
            for turned in range(1 + mirror):
                found[turned][stream][video] = _video_maps(network, source, stream, video, bool(turned))
    return FrameMaps(found[0], found[1] if mirror else {})


@torch.no_grad()
def _video_maps(network: PCSC, source: VideoSource, stream: str, video: str, mirror: bool) -> np.ndarray:
    numbers, parts = np.arange(source.num_frames(video)), []
    backbone, device = network.backbones[stream], next(network.parameters()).device
    training = backbone.training
    for some in np.array_split(numbers, -(-len(numbers) // AT_ONCE)):
        values = stream_input(stream, read_stream(source, stream, video, some), network.config)
        (maps,) = backbone.eval()((turned(stream, values) if mirror else values).to(device)).values()
        parts.append(maps.half().cpu().numpy())
    backbone.train(training)
    return np.ascontiguousarray(np.concatenate(parts))  # in the order that files have: sums depend on it


def turned(stream: str, values: Tensor) -> Tensor:
    """Return a network's input (..., channels, h, w) as a mirror shows it; flow along x changes its sign."""
    flipped = values.flip(-1)
    return flipped if stream == "rgb" else flipped * torch.tensor([-1.0, 1.0])[:, None, None]


def kept_maps(
    network: PCSC, source: VideoSource, name: str, folder: str | PathLike[str], mirror: bool = False
) -> FrameMaps:
    """Return ``frame_maps``, from files where the same small networks have seen the same videos before.

    name: says which videos these are; two sources of one name are taken for the same
    folder: of the files, one for each stream and side of the mirror
    """
    tables = [
        {stream: _kept(network, source, stream, name, Path(folder), bool(turned)) for stream in STREAMS}
        for turned in range(1 + mirror)
    ]
    return FrameMaps(tables[0], tables[1] if mirror else {})


def _kept(
    network: PCSC, source: VideoSource, stream: str, name: str, folder: Path, mirror: bool
) -> dict[str, np.ndarray]:
    """The maps of one stream by video; a file that is missing or damaged is made anew."""
    counts = [source.num_frames(video) for video in source.videos]
    path = _file(network, stream, f"{name} {'mirrored' if mirror else ''}", source, folder)
    table = _read(path, sum(counts))
    if table is None:
        shown = progress(source.videos, desc=f"{stream} features")
        table = np.concatenate([_video_maps(network, source, stream, video, mirror) for video in shown])
        atomic_write(path, partial(_save, table))
    return dict(zip(source.videos, _split(table, counts), strict=True))


def _save(table: np.ndarray, file: IO[bytes]) -> None:
    np.save(file, table)


def _file(network: PCSC, stream: str, name: str, source: VideoSource, folder: Path) -> Path:
    digest = hashlib.sha256(f"{name} {source.size} {source.videos}".encode())
    for value in network.backbones[stream].state_dict().values():
        digest.update(value.detach().cpu().numpy().tobytes())
    return folder / f"{stream}-{digest.hexdigest()[:16]}.npy"


def _read(path: Path, frames: int) -> np.ndarray | None:
    """The table of all frames, or None where there is none or it is damaged: then it is made anew."""
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return table if table.ndim == 4 and len(table) == frames else None


def _split(table: np.ndarray, counts: list[int]) -> list[np.ndarray]:
    ends = np.cumsum(counts)
    return [table[end - count : end] for end, count in zip(ends, counts, strict=True)]


def stream_clip(
    source: VideoSource,
    config: PCSCConfig,
    stream: str,
    run: FrameRun,
    maps: FrameMaps | None,
    mirror: bool = False,
) -> Tensor:
    """Return what a stream sees of one clip: maps (k, c, h, w), or for I3D (channels, k, h, w)."""
    if maps is not None:
        return maps.clip(stream, run, mirror)
    values = stream_input(stream, read_stream(source, stream, run.video, run.frames), config)
    return rearrange(turned(stream, values) if mirror else values, "k c h w -> c k h w")


def clips(
    source: VideoSource, config: PCSCConfig, video: str, maps: FrameMaps | None, batch: int
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """Yield the clips around every frame of a video: frame numbers (b,) and what both streams see of them."""
    count = source.num_frames(video)
    for numbers in np.array_split(np.arange(count), -(-count // batch)):
        runs = [key_frame(video, count, int(number), config.frames, config.gap) for number in numbers]
        yield (
            numbers,
            {
                stream: torch.stack([stream_clip(source, config, stream, run, maps).float() for run in runs])
                for stream in STREAMS
            },
        )
