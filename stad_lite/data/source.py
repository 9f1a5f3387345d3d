"""Videos with their truth, frames and flow at one size: what a system trains on or predicts for.

``open_source`` makes a source of the synthetic benchmark, a published set, a folder or a single file.
Video files are decoded once, into the cache folder; flow is exact for the synthetic benchmark and
estimated, once as well, for files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np

from stad_lite.arrays import check_finite_frames
from stad_lite.data import decoded, published, synthetic
from stad_lite.data.drawn import Drawn
from stad_lite.data.fitting import FPS, faults, fitted, oddities
from stad_lite.data.flow import ESTIMATORS
from stad_lite.data.folder import OwnVideos, open_own
from stad_lite.data.frame_cache import FORMS
from stad_lite.data.location import SETS, set_name
from stad_lite.errors import FormatError, FrameRangeError, MissingFileError, StadError, UnknownVideoError
from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    VideoAnnotation,
    VideoPredictions,
)
from stad_lite.records.exchange.report import Tally
from stad_lite.settings import Between, Count, OneOf, check

Reading = Callable[[str, np.ndarray], np.ndarray]
"""(video, numbers) -> one entry a number: frames (n, h, w, 3) uint8, or flow (n, h, w, 2) float32."""

LEAVE_OUT = "make it again or leave the video out"

Size = tuple[int, int]


@dataclass(frozen=True)
class VideoSource:
    """Videos at one size.

    annotations: truth with boxes in pixels of ``size``, and every video's ``num_frames``; videos may be
        without tubes
    size: (height, width) of frames and flow
    read_frames, read_flow: read by video and frame numbers; a source without flow gives None
    flow_name: where the flow is from, such as "exact" or "dis"
    notes: what a user should know of it, such as how many videos have no file
    published: (height, width) in which the truth is published, of the videos where it is not ``size``
    read_drawn: frames for pictures, where they can be drawn larger
    raises: FormatError where a video's number of frames is not known
    """

    annotations: Annotations
    size: Size
    read_frames: Reading
    read_flow: Reading | None = None
    flow_name: str = "exact"
    notes: tuple[str, ...] = ()
    published: Mapping[str, Size] = field(default_factory=dict)
    read_drawn: Callable[[str, np.ndarray], Drawn] | None = None

    def __post_init__(self) -> None:
        for name, video in self.annotations.videos.items():
            if video.num_frames is None:
                raise FormatError(
                    "the number of frames is not known", video=name, remedy="give num_frames in the record"
                )

    @property
    def videos(self) -> tuple[str, ...]:
        """The ids of all videos."""
        return tuple(self.annotations.videos)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names; none where there is no truth."""
        return self.annotations.classes

    def num_frames(self, video: str) -> int:
        """Return how many frames a video has. raises: UnknownVideoError"""
        return self._known(video).num_frames or 0

    def fps(self, video: str) -> float:
        """Return a video's frames a second, ``FPS`` where it does not say. raises: UnknownVideoError"""
        return self._known(video).fps or FPS

    def frames(self, video: str, numbers: Iterable[int] | np.ndarray) -> np.ndarray:
        """Return frames.

        numbers: (n,) frame numbers in any order, repeats allowed
        returns: (n, h, w, 3) uint8
        raises: UnknownVideoError, FrameRangeError, NotFiniteError, and what reading the files raises
        """
        wanted = self._inside(video, numbers)
        found = self.read_frames(video, wanted)
        check_finite_frames("the frame", video, wanted, found, remedy=LEAVE_OUT)
        return found

    def drawn(self, video: str, numbers: Iterable[int] | np.ndarray) -> Drawn:
        """Return ``frames`` for pictures: drawn larger where the source can. raises: as ``frames``"""
        if self.read_drawn is None:
            return Drawn(self.frames(video, numbers))
        return self.read_drawn(video, self._inside(video, numbers))

    def flow(self, video: str, numbers: Iterable[int] | np.ndarray) -> np.ndarray:
        """Return the flow from each frame to the next; the last frame repeats the map before it.

        numbers: (n,) frame numbers
        returns: (n, h, w, 2) float32 pixels a frame, right and down; 0 for a video of a single frame
        raises: UnknownVideoError, FrameRangeError, NotFiniteError, FormatError where the source has no flow
        """
        wanted = self._inside(video, numbers)
        if self.read_flow is None:
            raise FormatError("this source has no flow", video=video, remedy="open it with flow")
        if self.num_frames(video) == 1:
            return np.zeros((len(wanted), *self.size, 2), np.float32)
        found = self.read_flow(video, np.minimum(wanted, self.num_frames(video) - 2))
        check_finite_frames("the flow", video, wanted, found, remedy=LEAVE_OUT)
        return found

    def subset(self, videos: Iterable[str]) -> VideoSource:
        """Return the source with these videos only, in this order. raises: UnknownVideoError"""
        names = list(videos)
        for name in names:
            self._known(name)
        return replace(self, annotations=self.annotations.subset(names))

    def check(self, size: Size, flow: bool = False, classes: Sequence[str] | None = None) -> None:
        """Refuse a use that the source does not fit.

        size: (height, width) that a system reads; flow: whether it reads flow; classes: that it was built for
        raises: FormatError, with the name of the data set
        """
        problem, remedy = "", ""
        if tuple(self.size) != tuple(size):
            problem = f"the source has frames of {tuple(self.size)} and the configuration of {tuple(size)}"
            remedy = "open the source at the configuration's size"
        elif flow and self.read_flow is None:
            problem, remedy = "the detector looks at flow but the source has no flow", "open it with flow"
        elif classes is not None and self.classes != tuple(classes):
            problem, remedy = "the source has other classes than the system", "build it for these classes"
        if problem:
            raise FormatError(problem, file=self.annotations.dataset, remedy=remedy)

    def _known(self, video: str) -> VideoAnnotation:
        if video not in self.annotations.videos:
            raise UnknownVideoError("the source has no such video", video=video)
        return self.annotations.videos[video]

    def _inside(self, video: str, numbers: Iterable[int] | np.ndarray) -> np.ndarray:
        count = self.num_frames(video)
        array = numbers if isinstance(numbers, np.ndarray) else np.array(list(numbers))
        wanted = array.astype(np.int64).reshape(-1)
        bad = (wanted < 0) | (wanted >= count)
        if bad.any():
            frame = int(wanted[np.argmax(bad)])
            raise FrameRangeError(f"the video has {count} frames", video=video, frame=frame)
        return wanted


def scaled(video: VideoAnnotation, size: Size) -> VideoAnnotation:
    """Return a video's truth with its boxes in pixels of another frame size.

    raises: FormatError where there are boxes and no width and height
    """
    height, width = size
    if not video.width or not video.height:
        if video.tubes or video.frames:
            raise FormatError("there are boxes but no width and height", remedy="give the frame's size")
        return replace(video, width=width, height=height)
    return stretched(replace(video, width=width, height=height), (video.height, video.width), size)


def as_published(predictions: Predictions, source: VideoSource) -> Predictions:
    """Return predictions made on a source with their boxes in the pixels of the published truth.

    Where there is no truth these are the video file's own pixels.
    """
    videos = {
        name: stretched(video, source.size, source.published.get(name, source.size))
        for name, video in predictions.videos.items()
    }
    return replace(predictions, videos=videos)


Boxed = TypeVar("Boxed", VideoAnnotation, VideoPredictions)


def stretched(video: Boxed, before: Size, after: Size) -> Boxed:
    """The record of one video with its boxes on frames of another size."""
    if before == after:
        return video
    factor = np.array([after[1] / before[1], after[0] / before[0]] * 2)
    tubes = video.tubes and tuple(replace(tube, boxes=tube.boxes * factor) for tube in video.tubes)
    boxes: FrameBoxes | None = video.frames and replace(video.frames, box=video.frames.box * factor)
    return replace(video, tubes=tubes, frames=boxes)


@dataclass(frozen=True)
class DataConfig:
    """Which videos; their size is the detector's business.

    name, subset, split, flow, form, files, start: as in ``open_source``
    clips: how many of the synthetic benchmark
    limit: only so many videos of files, spread evenly over their list; 0 for all
    settings: of the synthetic benchmark
    raises: FormatError
    """

    name: str = "synthetic"
    subset: Annotated[str, OneOf(("train", "val", "test", "all"))] = "train"
    split: Annotated[int, Between(1, 3)] = 1
    clips: Annotated[int, Between(1, synthetic.SEEDS_PER_SPLIT)] = 256
    limit: Count = 0
    flow: Annotated[str, OneOf(ESTIMATORS)] = "dis"
    form: Annotated[str, OneOf(FORMS)] = "jpg"
    settings: synthetic.Settings = field(default_factory=synthetic.Settings.lesson)
    files: str = ""
    start: float = 900.0

    @property
    def known(self) -> str | None:
        """The name in ``SETS``, None for a path."""
        return set_name(self.name)

    def missing(self) -> str:
        """Return one line that says what is not there and what fetches it, "" where all is."""
        if self.known == "synthetic":
            return ""
        if self.known:
            return published.missing(self.known, self.subset, self.split, self.files, self.limit)
        return "" if Path(self.name).exists() else str(_no_path(Path(self.name)))

    def __post_init__(self) -> None:
        check(self)
        if not self.name:
            raise FormatError("name is ''", remedy=f"give a folder, a video file or one of {', '.join(SETS)}")

    def open(self, size: Size | None, cache_dir: str | PathLike[str] | None = None) -> VideoSource:
        """Return the source. raises: StadError and its kinds (``open_source``)"""
        clips = self.clips if self.known == "synthetic" else self.limit or None
        names = ("split", "settings", "flow", "form", "files", "start")
        how = {name: getattr(self, name) for name in names}
        return open_source(self.name, self.subset, size, clips=clips, cache_dir=cache_dir, **how)


def open_source(
    name: str | PathLike[str],
    subset: str = "all",
    size: Size | None = None,
    *,
    split: int = 1,
    clips: int | Iterable[int] | None = None,
    settings: synthetic.Settings | None = None,
    flow: str = "dis",
    form: str = "jpg",
    data: str | PathLike[str] | None = None,
    files: str | PathLike[str] = "",
    start: float = 900.0,
    cache_dir: str | PathLike[str] | None = None,
) -> VideoSource:
    """Return a source by name, or of a folder or a video file.

    name: one of ``SETS``, a folder of videos (with or without a record file), or a video file
    subset: train, val or test, where the set has such a list; ``all``
    size: (height, width) of frames and boxes; without it the synthetic settings' or the first file's own
    split: of JHMDB-21, 1 to 3
    clips: of the synthetic benchmark: how many or which (64 without it); of files: so many, spread evenly
        over their list, or which; all without it
    settings: of the synthetic benchmark, ``Settings.lesson()`` without it
    flow: estimator for files, a name in ``flow.ESTIMATORS``
    form: of the decoded frames in the cache, ``jpg`` (small) or ``npz`` (exact)
    data: folder of the published set, where it is not the usual one
    files: folder of a published set's video files, where they do not lie in its own
    start: second of a film of AVA at which its file begins
    cache_dir: instead of the usual cache folder
    raises: StadError and its kinds, naming what is missing
    """
    known = set_name(name)
    if known == "synthetic":
        chosen = settings or synthetic.Settings.lesson()
        if size is not None and size != (chosen.height, chosen.width):
            chosen = replace(chosen, height=size[0], width=size[1])
        part = "train" if subset == "all" else subset
        return synthetic_source(chosen, 64 if clips is None else clips, part, cache_dir)
    store = decoded.Store(cache_dir, size, form, flow)
    if known is None:
        annotations, found, notes = _own(Path(name), subset)
        source = files_source(annotations, _some(found, clips), store)
        return replace(source, notes=(*notes, *source.notes))
    annotations, notes = published.truth(known, subset, split, data)
    found = published.video_files(known, list(annotations.videos), files, data)
    if not found:
        raise published.no_files(known, subset, list(annotations.videos), len(annotations.videos))
    chosen_files = _some(found, clips)
    store.add(chosen_files)
    about = {video: store.about(video) for video in chosen_files}
    if left := len(annotations.videos) - len(found):
        notes = [*notes, f"{left} of {len(annotations.videos)} videos have no file and are left out"]
    on_files = published.SETS[known].on_files(annotations, about, start)
    source = files_source(on_files, chosen_files, store, whole=False)
    return replace(source, notes=(*notes, *source.notes))


def synthetic_source(
    settings: synthetic.Settings,
    clips: int | Iterable[int],
    split: str = "train",
    cache_dir: str | PathLike[str] | None = None,
) -> VideoSource:
    """Return clips of the synthetic benchmark as a source, with exact flow.

    clips: how many, or the numbers of the clips within the split
    split: train, val or test
    raises: StadError
    """
    rendered = synthetic.dataset(settings, clips, split, cache_dir)
    reader = decoded.Clips(rendered)
    return VideoSource(
        rendered.annotations(),
        (settings.height, settings.width),
        reader.frames,
        reader.flow if settings.flow else None,
        read_drawn=reader.drawn,
    )


def files_source(
    annotations: Annotations, files: dict[str, Path], store: decoded.Store, whole: bool = True
) -> VideoSource:
    """Return video files as a source; they are decoded here, unless the store holds them already.

    annotations: holds every video of ``files``; what files do not decode is cut off its tubes (one box)
    store: decodes, estimates flow, and keeps both
    whole: all frames of a file, where its record says fewer
    raises: FrameRangeError where a tube reaches beyond its video, and what reading the files raises
    """
    store.add(files)
    known = annotations.videos
    tally = Tally()
    videos = {name: _settled(name, known[name], store, whole, tally) for name in files}
    truth = Annotations(annotations.dataset, annotations.classes, videos)
    published = {name: _published_size(known[name], store.about(name)) for name in files}
    notes = tuple(tally.sentences())
    return VideoSource(truth, store.frame_size, store.frames, store.flow, store.estimator, notes, published)


def _published_size(video: VideoAnnotation, found: Mapping[str, int]) -> Size:
    return (video.height or found["height"], video.width or found["width"])


def _settled(
    name: str, video: VideoAnnotation, store: decoded.Store, whole: bool, tally: Tally
) -> VideoAnnotation:
    """The truth in the source's pixels, with the frames that decode and their times."""
    found = store.about(name)
    for oddity in oddities(found):
        tally.note(oddity, name)
    tally.note("frames that the decoder marks as damaged", name, len(found.get("damaged") or ()))
    if whole and next(faults(video, found), None) is not None:
        tally.note(
            "videos that are not what the record says (stad-lite check names it); the file counts", name
        )
    try:
        return scaled(fitted(video, found, whole), store.frame_size)
    except StadError as error:
        raise error.at(file=store.files[name], video=name) from None


def _some(files: dict[str, Path], clips: int | Iterable[int] | None) -> dict[str, Path]:
    names = list(files)
    if isinstance(clips, int):
        clips = [place * len(names) // clips for place in range(clips)] if clips < len(names) else None
    return files if clips is None else {names[number]: files[names[number]] for number in clips}


def _own(path: Path, subset: str) -> OwnVideos:
    if subset != "all":
        raise UnknownVideoError(
            f"a folder or a file has no list {subset!r}", file=path, remedy="make a folder of each"
        )
    if not path.exists():
        raise _no_path(path)
    return open_own(path)


def _no_path(path: Path) -> MissingFileError:
    remedy = f"give a folder, a video file or one of {', '.join(SETS)}"
    return MissingFileError("there is no such file, folder or data set", file=path, remedy=remedy)
