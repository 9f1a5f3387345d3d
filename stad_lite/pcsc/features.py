"""What the streams are fed: clips for I3D, or the maps of single frames, computed once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

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


@dataclass(frozen=True)
class FrameMaps:
    """The maps of all frames of some videos.

    maps: stream -> video -> (t, c, h, w) float16
    """

    maps: Mapping[str, Mapping[str, np.ndarray]]

    def clip(self, stream: str, run: FrameRun) -> Tensor:
        """Return the maps (k, c, h, w) of the frames of a clip."""
        return torch.from_numpy(np.asarray(self.maps[stream][run.video][run.frames]))


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


@torch.no_grad()
def frame_maps(network: PCSC, source: VideoSource, videos: Iterable[str] | None = None) -> FrameMaps:
    """Return the small networks' maps of all frames of all videos.

    videos: only these
    raises: FormatError for a network without small networks (``trunk="i3d"``)
    """
    if not len(network.backbones):
        raise FormatError("I3D sees whole clips: it has no maps of frames", remedy="give it the clips")
    names = list(source.videos if videos is None else videos)
    found: dict[str, dict[str, np.ndarray]] = {stream: {} for stream in STREAMS}
    device = next(network.parameters()).device
    for video in progress(names, desc="features") if len(names) > 1 else names:
        numbers = np.arange(source.num_frames(video))
        for stream in STREAMS:
            parts = [
                _maps(network, stream, read_stream(source, stream, video, some), device)
                for some in np.array_split(numbers, -(-len(numbers) // AT_ONCE))
            ]
            found[stream][video] = np.concatenate(parts)
    return FrameMaps(found)


def _maps(network: PCSC, stream: str, values: np.ndarray, device: torch.device) -> np.ndarray:
    backbone = network.backbones[stream]
    training = backbone.training
    (maps,) = backbone.eval()(stream_input(stream, values, network.config).to(device)).values()
    backbone.train(training)
    return maps.half().cpu().numpy()


def kept_maps(network: PCSC, source: VideoSource, name: str, folder: str | PathLike[str]) -> FrameMaps:
    """Return ``frame_maps``, from a file where the same small networks have seen the same videos before.

    name: says which videos these are; two sources of one name are taken for the same
    folder: of the files, one a stream
    """
    counts = [source.num_frames(video) for video in source.videos]
    found: dict[str, Mapping[str, np.ndarray]] = {}
    missing = []
    for stream in STREAMS:
        table = _read(_file(network, stream, name, source, folder), sum(counts))
        if table is None:
            missing.append(stream)
        else:
            found[stream] = dict(zip(source.videos, _split(table, counts), strict=True))
    if missing:
        made = frame_maps(network, source)
        for stream in missing:
            table = np.concatenate([made.maps[stream][video] for video in source.videos])
            path = _file(network, stream, name, source, folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, partial(_save, table))
            found[stream] = made.maps[stream]
    return FrameMaps(found)


def _save(table: np.ndarray, file: IO[bytes]) -> None:
    np.save(file, table)


def _file(network: PCSC, stream: str, name: str, source: VideoSource, folder: str | PathLike[str]) -> Path:
    digest = hashlib.sha256(f"{name} {source.size} {source.videos}".encode())
    for value in network.backbones[stream].state_dict().values():
        digest.update(value.detach().cpu().numpy().tobytes())
    return Path(folder) / f"{stream}-{digest.hexdigest()[:16]}.npy"


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
    source: VideoSource, config: PCSCConfig, stream: str, run: FrameRun, maps: FrameMaps | None
) -> Tensor:
    """Return what a stream sees of one clip: maps (k, c, h, w), or for I3D (channels, k, h, w)."""
    if maps is not None:
        return maps.clip(stream, run)
    values = stream_input(stream, read_stream(source, stream, run.video, run.frames), config)
    return rearrange(values, "k c h w -> c k h w")


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
                stream: torch.stack([stream_clip(source, config, stream, run, maps) for run in runs]).float()
                for stream in STREAMS
            },
        )
