"""Frames and flow by video and number: decoded once and kept on disk, or kept in memory.

``Store`` keeps each video file's frames at one size as a small frame cache of its own, named by the
file's place, length and time of change, so that a changed file is decoded again; the flow lies beside.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite.data import flow as flow_maps
from stad_lite.data import video as video_files
from stad_lite.data.drawn import Drawn
from stad_lite.data.frame_cache import FORMAT, FORMS, FrameCache, build_cache, open_cache
from stad_lite.data.synthetic import SyntheticDataset, cache_folder
from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.progress import progress
from stad_lite.records import atomic_write

KEPT = 512 * 2**20
"""Bytes of clips that stay in memory."""


class Clips:
    """Frames and exact flow of rendered clips; the last ones stay in memory."""

    def __init__(self, clips: SyntheticDataset, kept: int = KEPT) -> None:
        settings = clips.settings
        self.clips, self.index = clips, {name: number for number, name in enumerate(clips.ids)}
        size = settings.frames * settings.height * settings.width * (3 + 4 * settings.flow)
        self.room = max(1, kept // size)
        self._held: OrderedDict[str, tuple[np.ndarray, np.ndarray | None]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": OrderedDict()}  # another process reads for itself

    def frames(self, video: str, numbers: np.ndarray) -> np.ndarray:
        """Return (n, h, w, 3) uint8."""
        return self._clip(video)[0][numbers]

    def drawn(self, video: str, numbers: np.ndarray) -> Drawn:
        """Return frames for pictures, of scenes drawn larger."""
        return self.clips[self.index[video]].drawn(numbers)

    def flow(self, video: str, numbers: np.ndarray) -> np.ndarray:
        """Return (n, h, w, 2) float32 pixels a frame."""
        flow = self._clip(video)[1]
        if flow is None:
            raise FormatError("the clips were rendered without flow", remedy="give settings with flow=True")
        return flow[numbers].astype(np.float32)

    def _clip(self, video: str) -> tuple[np.ndarray, np.ndarray | None]:
        if video not in self._held:
            clip = self.clips[self.index[video]]
            self._held[video] = (clip.frames, clip.flow)
            if len(self._held) > self.room:
                self._held.popitem(last=False)
        self._held.move_to_end(video)
        return self._held[video]


class Store:
    """Decoded video files in the cache folder.

    cache_dir: instead of ``cache_folder()``
    size: (height, width) of the frames, None for the first file's own
    form: ``jpg`` or ``npz``
    estimator: of the flow, a name in ``flow.ESTIMATORS``
    raises: StadError for another form or estimator
    """

    def __init__(
        self,
        cache_dir: str | PathLike[str] | None = None,
        size: tuple[int, int] | None = None,
        form: str = "jpg",
        estimator: str = "dis",
    ) -> None:
        for what, value, known in (
            ("form of cache", form, FORMS),
            ("flow estimator", estimator, flow_maps.ESTIMATORS),
        ):
            if value not in known:
                raise StadError(f"no {what} is called {value!r}", remedy=f"choose from {', '.join(known)}")
        self.folder = Path(cache_dir) if cache_dir is not None else cache_folder()
        self.size, self.form, self.estimator = size, form, estimator
        self.files: dict[str, Path] = {}
        self._caches: dict[str, FrameCache] = {}

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of all frames. raises: FormatError before a video is added"""
        if self.size is None:
            raise FormatError("there is no video", remedy="give at least one")
        return self.size

    def add(self, files: Mapping[str, str | PathLike[str]]) -> None:
        """Decode the files that are not in the store yet.

        raises: MissingFileError, FormatError, TruncatedFileError, each with file and video
        """
        for name, place in progress(files.items(), len(files), "decoding"):
            path = Path(place)
            try:
                self._caches[name] = self._decoded(path)
            except StadError as error:
                raise error.at(file=path, video=name) from None
            self.files[name] = path

    def _decoded(self, path: Path) -> FrameCache:
        if not path.is_file():
            raise MissingFileError("there is no such video", remedy="check the path")
        if self.size is None:
            info = video_files.probe(path)
            self.size = (info.height, info.width)
        stat = path.stat()
        told = [str(path.resolve()), stat.st_size, stat.st_mtime_ns, self.size, self.form]
        told += [video_files.decoder_name(), FORMAT]
        key = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
        folder = self.folder / "frames" / f"{path.stem[:40]}-{key}"
        if (folder / "manifest.json").is_file():
            cache = open_cache(folder)
            if "video" in cache.manifest["videos"]:
                return cache
        return build_cache({"video": path}, folder, self.size, self.form)

    def about(self, video: str) -> dict[str, Any]:
        """Return num_frames, fps, times, width and height of the file, as it decodes."""
        return dict(self._caches[video].manifest["videos"]["video"])

    def frames(self, video: str, numbers: np.ndarray) -> np.ndarray:
        """Return (n, h, w, 3) uint8."""
        return self._caches[video].read("video", numbers)

    def flow(self, video: str, numbers: np.ndarray) -> np.ndarray:
        """Return (n, h, w, 2) float32 pixels a frame; a video's flow is estimated when first asked for.

        raises: MissingExtraError where the estimator's package is not installed
        """
        cache = self._caches[video]
        path = cache.folder / f"flow_{self.estimator}.npy"
        if not path.is_file():
            maps = flow_maps.of_clip(cache.read("video"), flow_maps.ESTIMATORS[self.estimator](), False)
            atomic_write(path, lambda stream: np.save(stream, maps.astype(np.float16)))
        try:
            kept = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            problem = f"the flow in the cache is damaged ({error})"
            raise FormatError(problem, file=path, video=video, remedy="delete the file") from None
        return np.asarray(kept[numbers], np.float32)
