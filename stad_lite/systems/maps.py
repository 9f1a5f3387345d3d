"""Maps of single frames from networks that do not learn: computed once, for all items that see a frame."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from stad_lite.arrays import check_finite_frames
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.progress import progress
from stad_lite.records import atomic_write
from stad_lite.systems.detect import evaluated, even_parts
from stad_lite.training import checkpoint, distributed

AT_ONCE = 64
"""Frames that pass a network together."""

Table = Mapping[str, Mapping[str, np.ndarray]]
"""Stream -> video -> (t, c, h, w) float16."""


class SeesFrames(Protocol):
    """A system that looks at frames one by one before it looks at them together."""

    @property
    def streams(self) -> Sequence[str]:
        """The streams whose frames pass a network of their own; none where networks see whole clips."""
        ...

    def backbone(self, stream: str) -> nn.Module:
        """Return the network of a stream: (n, channels, h, w) -> one map (n, c, h', w') in a dictionary."""
        ...

    def seen(self, source: VideoSource, stream: str, video: str, numbers: np.ndarray, mirror: bool) -> Any:
        """Return frames (n,) of a video as they are stored, to be shown by a mirror where asked."""
        ...

    def fed(self, seen: Any, stream: str) -> Tensor:
        """Return what the network is fed of them: (n, channels, h, w)."""
        ...


@dataclass(frozen=True)
class FrameMaps:
    """The maps of all frames of some videos.

    maps: of the frames
    mirrored: the same of their mirror images, nothing where they were not asked for
    """

    maps: Table
    mirrored: Table = field(default_factory=dict)

    def clip(self, stream: str, video: str, numbers: np.ndarray, mirror: bool = False) -> Tensor:
        """Return the maps (n, c, h, w) float16 of frames of a video."""
        return torch.from_numpy(np.asarray((self.mirrored if mirror else self.maps)[stream][video][numbers]))

    def check(self, video: str) -> None:
        """Refuse a video's maps where they are not finite. raises: NotFiniteError"""
        for stream, table in self.maps.items():
            check_finite_frames(f"the {stream} map", video, range(len(table[video])), table[video])


def can_mirror(maps: FrameMaps | None) -> bool:
    """Tell whether items may be mirrored: frames always, maps where those of the mirror images are there."""
    return maps is None or bool(maps.mirrored)


def frame_maps(
    system: SeesFrames, source: VideoSource, videos: Iterable[str] | None = None, mirror: bool = False
) -> FrameMaps:
    """Return the maps of all frames of all videos.

    videos: only these
    mirror: whether the maps of the mirror images are wanted too
    raises: FormatError for a system that sees whole clips
    """
    _check(system)
    names = list(source.videos if videos is None else videos)
    found: list[dict[str, dict[str, np.ndarray]]] = [{s: {} for s in system.streams} for _ in range(2)]
    for video in progress(names, desc="features") if len(names) > 1 else names:
        for stream in system.streams:
            for turned in range(1 + mirror):
                found[turned][stream][video] = video_maps(system, source, stream, video, bool(turned))
    return FrameMaps(found[0], found[1] if mirror else {})


def maps_of(system: SeesFrames, source: VideoSource, video: str, maps: FrameMaps | None) -> FrameMaps | None:
    """Return the maps of a video: those that are there, else new ones; None for networks that see clips.

    raises: NotFiniteError
    """
    known = frame_maps(system, source, [video]) if maps is None and system.streams else maps
    if known is not None:
        known.check(video)
    return known


@torch.no_grad()
def video_maps(
    system: SeesFrames, source: VideoSource, stream: str, video: str, mirror: bool = False
) -> np.ndarray:
    """Return one stream's maps (t, c, h, w) float16 of all frames of a video."""
    parts = []
    with evaluated(system.backbone(stream)) as (backbone, device):
        for numbers in even_parts(source.num_frames(video), AT_ONCE):
            seen = distributed.to(system.seen(source, stream, video, numbers, mirror), device)
            (maps,) = backbone(system.fed(seen, stream)).values()
            parts.append(maps.half().cpu().numpy())
    return np.ascontiguousarray(np.concatenate(parts))  # in the order that files have: sums depend on it


def kept_maps(
    system: SeesFrames,
    source: VideoSource,
    folder: str | PathLike[str],
    name: str = "",
    mirror: bool = False,
) -> FrameMaps:
    """Return ``frame_maps``, from files where the same networks have seen the same videos before.

    folder: of the files, one for each stream and side of the mirror
    name: says which videos these are; two sources of one name are taken for the same
    """
    _check(system)
    tables = [
        {stream: _kept(system, source, stream, name, Path(folder), bool(turned)) for stream in system.streams}
        for turned in range(1 + mirror)
    ]
    return FrameMaps(tables[0], tables[1] if mirror else {})


def _check(system: SeesFrames) -> None:
    if not system.streams:
        raise FormatError("I3D sees whole clips: it has no maps of frames", remedy="give it the frames")


def _kept(
    system: SeesFrames, source: VideoSource, stream: str, name: str, folder: Path, mirror: bool
) -> dict[str, np.ndarray]:
    """The maps of one stream by video; a file that is missing or damaged is made anew."""
    counts = [source.num_frames(video) for video in source.videos]
    device = next(system.backbone(stream).parameters()).device
    path = folder / f"{stream}-{_key(system, source, stream, name, mirror)}.npy"
    path = checkpoint.place_of(path, device)
    table = _read(path, sum(counts))
    if table is None:
        shown = progress(source.videos, desc=f"{stream} features")
        table = np.concatenate([video_maps(system, source, stream, video, mirror) for video in shown])
        atomic_write(path, partial(_save, table))
    ends = np.cumsum(counts)
    parts = zip(source.videos, ends, counts, strict=True)
    return {video: table[end - count : end] for video, end, count in parts}


def _save(table: np.ndarray, file: IO[bytes]) -> None:
    np.save(file, table)


def _read(path: Path, frames: int) -> np.ndarray | None:
    """The table of all frames, or None where there is none or it is damaged: then it is made anew."""
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return table if table.ndim == 4 and len(table) == frames else None


def _key(system: SeesFrames, source: VideoSource, stream: str, name: str, mirror: bool) -> str:
    """Tells networks, videos and the way that frames are fed apart, the last by a frame as it is fed."""
    digest = hashlib.sha256(f"{name} {source.size} {source.videos} {mirror}".encode())
    for video in source.videos[:1]:
        inputs = system.fed(system.seen(source, stream, video, np.arange(1), mirror), stream)
        digest.update(inputs.numpy().tobytes())
    for value in system.backbone(stream).state_dict().values():
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
