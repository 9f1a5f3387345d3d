"""Decoded frames kept in a folder, with a manifest of what decoded them.

Different decoders and sizes give different pixels and so different scores; the manifest says which
they were, and a cache is never silently mixed. Frames are JPEG files (small, a little lossy) or one
.npz a video (exact).
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite import packed
from stad_lite.data import video as video_files
from stad_lite.errors import (
    FormatError,
    FrameRangeError,
    MissingFileError,
    TruncatedFileError,
    UnknownVideoError,
)
from stad_lite.progress import progress
from stad_lite.records import atomic_write
from stad_lite.records.files import safe_name

FORMAT = "stad-lite/frames/2"
FORMS = ("jpg", "npz")


@dataclass(frozen=True)
class FrameCache:
    """Frames in a folder.

    folder: holds ``manifest.json`` and, per video, ``<id>/<frame>.jpg`` or ``<id>.npz``
    manifest: format, form, decoder, size, and per video what ``video.probe`` says
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def videos(self) -> tuple[str, ...]:
        """The ids of all videos, in the manifest's order."""
        return tuple(self.manifest["videos"])

    def num_frames(self, video: str) -> int:
        """Return how many frames a video has. raises: UnknownVideoError"""
        if video not in self.manifest["videos"]:
            raise UnknownVideoError(
                "the cache does not hold this video", file=self.folder, video=video, remedy="build it with it"
            )
        return int(self.manifest["videos"][video]["num_frames"])

    def read(self, video: str, frames: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Return frames of a video: (n, h, w, 3) uint8 RGB.

        frames: (n,) frame numbers from 0, None for all
        raises: UnknownVideoError, FrameRangeError, MissingFileError, TruncatedFileError
        """
        count = self.num_frames(video)
        wanted = np.arange(count) if frames is None else np.asarray(frames, dtype=np.int64)
        bad = (wanted < 0) | (wanted >= count)
        if bad.any():
            frame = int(wanted[np.argmax(bad)])
            raise FrameRangeError(f"the video has {count} frames", file=self.folder, video=video, frame=frame)
        try:
            if self.manifest["form"] == "npz":
                path = self.folder / f"{safe_name(video, folders=True)}.npz"
                return packed.arrays(path)["frames"][wanted]
            images = {int(number): self._jpeg(video, int(number)) for number in np.unique(wanted)}
            return np.stack([images[int(number)] for number in wanted])
        except FileNotFoundError as error:
            raise MissingFileError(
                "a cached frame is gone", file=error.filename, video=video, remedy="build the cache again"
            ) from None

    def _jpeg(self, video: str, frame: int) -> np.ndarray:
        path = self.folder / safe_name(video, folders=True) / f"{frame:06d}.jpg"
        image = decode_jpeg(path.read_bytes())
        if image is None:
            raise TruncatedFileError("the picture is damaged", file=path, remedy="build the cache again")
        return image


def open_cache(folder: str | PathLike[str]) -> FrameCache:
    """Return the cache that lies in a folder. raises: MissingFileError, FormatError"""
    path = Path(folder) / "manifest.json"
    if not path.is_file():
        raise MissingFileError("no frame cache is here", file=path, remedy="build it first")
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise FormatError("the manifest is not JSON", file=path, remedy="build the cache again") from None
    if (
        not isinstance(manifest, dict)
        or manifest.get("format") != FORMAT
        or manifest.get("form") not in FORMS
    ):
        raise FormatError(f"the manifest is not {FORMAT}", file=path, remedy="build the cache again")
    return FrameCache(Path(folder), manifest)


def build_cache(
    videos: Mapping[str, str | PathLike[str]],
    folder: str | PathLike[str],
    size: video_files.Size = None,
    form: str = "jpg",
    quality: int = 3,
) -> FrameCache:
    """Decode videos into a folder and return the cache; videos that are there already are kept.

    videos: id -> file; an id may hold slashes
    size: (height, width) of the frames, None for the source's own
    form: ``jpg`` or ``npz``
    quality: of JPEG, 1 (best) to 31
    raises: FormatError where the folder holds a cache made otherwise, and what ``video.probe`` raises
    """
    if form not in FORMS:
        raise FormatError(f"no form of cache is called {form!r}", remedy=f"choose from {', '.join(FORMS)}")
    folder = Path(folder)
    maker: dict[str, Any] = {"format": FORMAT, "form": form, "decoder": video_files.decoder_name()}
    maker |= {"size": list(size) if size else None, "quality": quality if form == "jpg" else None}
    known = _known(folder, maker)
    for name, path in progress(videos.items(), total=len(videos), desc="decoding"):
        if name not in known:
            known[name] = _decode_one(name, Path(path), folder, size, form, quality)
            _write_manifest(folder, maker, known)
    _write_manifest(folder, maker, known)
    return open_cache(folder)


def _known(folder: Path, maker: dict[str, Any]) -> dict[str, Any]:
    if not (folder / "manifest.json").exists():
        return {}
    manifest = open_cache(folder).manifest
    for key, value in maker.items():
        if manifest.get(key) != value:
            raise FormatError(
                f"the cache was made with {key} {manifest.get(key)}, not {value}",
                file=folder / "manifest.json", remedy="use another folder, or delete this one",
            )  # fmt: skip
    return dict(manifest["videos"])


def _write_manifest(folder: Path, maker: dict[str, Any], known: dict[str, Any]) -> None:
    text = json.dumps({**maker, "videos": known}, indent=1)
    atomic_write(folder / "manifest.json", lambda stream: stream.write(text.encode("utf-8")))


def _decode_one(
    name: str, path: Path, folder: Path, size: video_files.Size, form: str, quality: int
) -> dict[str, Any]:
    """Write one video's frames, whole or not at all; the manifest's entry."""
    info, name = video_files.probe(path), safe_name(name, folders=True)
    if form == "npz":
        frames = video_files.read(path, size=size)
        atomic_write(folder / f"{name}.npz", lambda stream: np.savez(stream, frames=frames))
    else:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        parts = Path(tempfile.mkdtemp(dir=target.parent, suffix=".part"))
        try:
            number = 0
            for batch in video_files.batches(path, 16, size):
                for image in batch:
                    (parts / f"{number:06d}.jpg").write_bytes(encode_jpeg(image, quality))
                    number += 1
            parts.chmod(0o755)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(parts, target)
        finally:
            shutil.rmtree(parts, ignore_errors=True)
    told = ("num_frames", "fps", "width", "height", "times", "stated", "damaged", "codec")
    return {**{key: getattr(info, key) for key in told}, "file": path.name}


def encode_jpeg(image: np.ndarray, quality: int = 3) -> bytes:
    """Return a picture (h, w, 3) uint8 RGB as a JPEG file with full colour resolution."""
    av = video_files.load_av()
    codec = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width = image.shape[:2]
    codec.pix_fmt, codec.time_base = "yuvj444p", Fraction(1, 25)
    codec.options = {"qmin": str(quality), "qmax": str(quality), "flags": "+bitexact"}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


def decode_jpeg(data: bytes) -> np.ndarray | None:
    """Return the picture that a JPEG file holds: (h, w, 3) uint8 RGB; None where it is damaged."""
    av = video_files.load_av()
    if data[-2:] != b"\xff\xd9":  # the end marker: the decoder would fill what is cut off
        return None
    try:
        with av.open(io.BytesIO(data), format="jpeg_pipe") as container:
            frame = next(container.decode(video=0))
    except (av.error.FFmpegError, StopIteration):
        return None
    return frame.to_ndarray(format="rgb24")
