"""Sets of clips: rendered once, kept in a folder, loaded one at a time."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

import numpy as np

from stad_lite import packed
from stad_lite.data.synthetic.render import Clip, render
from stad_lite.data.synthetic.scene import build_scene
from stad_lite.data.synthetic.settings import CLASSES, SEEDS_PER_SPLIT, SPLITS, Settings
from stad_lite.data.workers import cores
from stad_lite.errors import MissingFileError, StadError
from stad_lite.progress import progress
from stad_lite.records import Annotations

MANY = 64
"""Clips from which on processes of their own are worth their start."""


@dataclass(frozen=True)
class SyntheticDataset(Sequence[Clip]):
    """Clips of one split, read from the cache when asked for.

    settings: of every clip
    split: train, val or test
    seeds: of the clips, all in the split's own range
    folder: where the rendered clips lie
    """

    settings: Settings
    split: str
    seeds: tuple[int, ...]
    folder: Path = field(repr=False)

    def __len__(self) -> int:
        return len(self.seeds)

    @overload
    def __getitem__(self, index: int) -> Clip: ...

    @overload
    def __getitem__(self, index: slice) -> SyntheticDataset: ...

    def __getitem__(self, index: int | slice) -> Clip | SyntheticDataset:
        """Return one clip, or the set of some. raises: IndexError beyond the last one"""
        if isinstance(index, slice):
            return replace(self, seeds=self.seeds[index])
        return load_or_render(self.settings, self.seeds[index], self.folder)

    def __iter__(self) -> Iterator[Clip]:
        return (self[i] for i in range(len(self)))

    @property
    def ids(self) -> tuple[str, ...]:
        """The clips' names in the annotations: split and seed."""
        return tuple(video_id(self.split, seed) for seed in self.seeds)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names."""
        return CLASSES

    def annotations(self) -> Annotations:
        """Return the truth of all clips, without reading or rendering a frame."""
        return _annotations(self.settings, self.split, self.seeds)


def video_id(split: str, seed: int) -> str:
    """Return the name of a clip in the annotations.

    >>> video_id("val", 1_000_003)
    'val/1000003'
    """
    return f"{split}/{seed:07d}"


def split_seeds(split: str, clips: int | Iterable[int]) -> tuple[int, ...]:
    """Return the seeds of a split's clips; no two splits share one.

    clips: how many, or the numbers of the clips within the split
    raises: StadError on an unknown split and on numbers outside of it

    >>> split_seeds("val", 3)
    (1000000, 1000001, 1000002)
    """
    if split not in SPLITS:
        raise StadError(f"no split is called {split!r}", remedy=f"choose from {', '.join(SPLITS)}")
    remedy = f"a split has {SEEDS_PER_SPLIT} clips, numbered from 0"
    if isinstance(clips, int):
        if not 0 <= clips <= SEEDS_PER_SPLIT:
            raise StadError(f"{clips} clips are wanted of the split {split}", remedy=remedy)
        clips = range(clips)
    numbers = [int(clip) for clip in clips]
    for number in numbers:
        if not 0 <= number < SEEDS_PER_SPLIT:
            raise StadError(f"clip {number} is not in the split {split}", remedy=remedy)
    return tuple(SPLITS[split] + number for number in numbers)


def annotate(settings: Settings, clips: int | Iterable[int], split: str = "train") -> Annotations:
    """Return the truth of a split's clips without rendering them: about a millisecond a clip.

    clips: how many, or the numbers of the clips within the split
    raises: StadError

    >>> annotate(Settings.smoke(), 2, "val").classes[0]
    'warm-wave'
    """
    return _annotations(settings, split, split_seeds(split, clips))


def _annotations(settings: Settings, split: str, seeds: Sequence[int]) -> Annotations:
    videos = {video_id(split, seed): build_scene(settings, seed).annotation() for seed in seeds}
    return Annotations("synthetic", CLASSES, videos)


def cache_folder() -> Path:
    """Return where clips are kept: $STAD_CACHE, else the platform's folder for caches."""
    if os.environ.get("STAD_CACHE"):
        return Path(os.environ["STAD_CACHE"]).expanduser()
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "stad_lite"


def dataset(
    settings: Settings,
    clips: int | Iterable[int],
    split: str = "train",
    cache_dir: str | os.PathLike[str] | None = None,
) -> SyntheticDataset:
    """Render the clips that are not in the cache yet and return the set.

    clips: how many, or the numbers of the clips within the split
    split: train, val or test
    cache_dir: instead of ``cache_folder()``
    raises: StadError
    """
    seeds = split_seeds(split, clips)
    folder = Path(cache_dir) if cache_dir is not None else cache_folder()
    folder = folder / "synthetic" / settings.key
    missing = [seed for seed in seeds if not _file(folder, seed).exists()]
    done = _rendered(settings, missing, folder, cores() if len(missing) >= MANY else 1)
    for _ in progress(done, len(missing), f"rendering {split}"):
        pass
    return SyntheticDataset(settings, split, seeds, folder)


def _rendered(settings: Settings, seeds: Sequence[int], folder: Path, jobs: int) -> Iterable[object]:
    """Render clips into a folder, each when it is asked for or by processes ahead (joblib, where it is)."""
    if jobs > 1:
        try:
            from joblib import Parallel, delayed
        except ImportError:
            jobs = 1
        else:
            calls = (delayed(_render)(settings, seed, folder) for seed in seeds)
            done: Iterable[object] = Parallel(n_jobs=jobs, return_as="generator")(calls)
            return done
    return (_render(settings, seed, folder) for seed in seeds)


def _render(settings: Settings, seed: int, folder: Path) -> Path:
    return save(render(settings, seed), folder)


def _file(folder: Path, seed: int) -> Path:
    return folder / f"{seed:07d}.npz"


def save(clip: Clip, folder: Path) -> Path:
    """Write frames and flow; the file is whole or not there. returns: its path"""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"frames": clip.frames}
    if clip.flow is not None:
        arrays["flow"] = clip.flow
    handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        os.replace(name, _file(folder, clip.seed))
    except BaseException:
        os.unlink(name)
        raise
    return _file(folder, clip.seed)


def load_or_render(settings: Settings, seed: int, folder: Path) -> Clip:
    """Return a clip from its file; one that is missing or damaged is rendered again and kept."""
    path = _file(folder, seed)
    try:
        frames, flow = _read(path, settings)
    except MissingFileError:
        pass
    except (ValueError, KeyError) as error:
        warnings.warn(f"{path} is damaged ({error}) and is rendered again", stacklevel=3)
    else:
        scene = build_scene(settings, seed)
        return Clip(settings, seed, frames, flow, scene.tubes(), scene.presence())
    clip = render(settings, seed)
    save(clip, folder)
    return clip


def _read(path: Path, settings: Settings) -> tuple[np.ndarray, np.ndarray | None]:
    shape = (settings.frames, settings.height, settings.width)
    file = packed.arrays(path)
    frames, flow = file["frames"], file["flow"] if settings.flow else None
    if frames.shape != (*shape, 3) or frames.dtype != np.uint8:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}")
    if flow is not None and (flow.shape != (*shape, 2) or flow.dtype != np.float16):
        raise ValueError(f"flow is {flow.dtype} {flow.shape}")
    return frames, flow
