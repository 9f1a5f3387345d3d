"""The published data sets: their truth by list, their video files, and what of both is missing.

A list is called train, val or test, as everywhere here, whatever the set calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from stad_lite.data import activitynet13, ava, jhmdb21, thumos14, ucf101_24, ucf_sports
from stad_lite.data.folder import find_videos
from stad_lite.data.location import DATASETS, fetching, find_data, missing_message
from stad_lite.errors import FormatError, MissingFileError, UnknownVideoError
from stad_lite.records import Annotations
from stad_lite.records.exchange.report import Reading

Place = str | PathLike[str]
About = Mapping[str, Mapping[str, Any]]
"""num_frames, fps, width and height of every video file."""


@dataclass(frozen=True)
class Published:
    """How a set is read.

    lists: our word -> the set's own
    judged: the list that judges what is trained on ``train``
    load: (folder, list or "all", number of the split) -> annotations, and what a user should know of them
    names: what a video's file may be called besides its id, its folders included
    whole: whether an id's last part alone names no file
    on_files: truth, files, and the second at which they begin -> truth in the files' frames and pixels
    """

    lists: Mapping[str, str]
    judged: str
    load: Callable[[Path, str, int], Reading[Annotations]]
    names: Callable[[str], tuple[str, ...]] = lambda video: ()
    whole: bool = False
    on_files: Callable[[Annotations, About, float], Annotations] = lambda record, about, start: record


def truth(
    name: str, subset: str = "all", split: int = 1, folder: Place | None = None
) -> Reading[Annotations]:
    """Return the truth of a list of a published set.

    name: in ``SETS``
    subset: a list of the set, or ``all`` that are annotated
    split: of JHMDB-21, 1 to 3
    folder: of the set, where it is not the usual one
    raises: MissingFileError with the line that fetches the set, UnknownVideoError for another list or split,
        and what the loaders raise
    """
    known = SETS[name]
    own = {**known.lists, "all": "all"}
    if subset not in own:
        raise UnknownVideoError(f"{name} has no list {subset!r}", remedy=f"choose from {', '.join(own)}")
    place = Path(folder) if folder is not None else find_data(DATASETS[name][0])
    if place is None:
        raise MissingFileError(missing_message(name))
    try:
        return known.load(place, own[subset], split)
    except MissingFileError as error:
        error.remedy = f"{error.remedy}, or run {fetching(name)}" if error.remedy else f"run {fetching(name)}"
        raise


def video_files(
    name: str, videos: Sequence[str], files: Place = "", folder: Place | None = None
) -> dict[str, Path]:
    """Return the files of those videos that have one.

    files: folder of video files, else ``videos`` in the set's folder, else that folder itself
    folder: of the set, where it is not the usual one
    raises: FormatError where two files could be one video
    """
    place = _videos_folder(name, files, folder)
    if place is None or not place.is_dir():
        return {}
    known = SETS[name]
    found: dict[str, Path] = {}
    spellings = [videos, *zip(*(known.names(video) for video in videos), strict=True)]
    for spelling in spellings:
        ids = dict(zip(spelling, videos, strict=True))
        for word, path in find_videos(place, spelling, missing_ok=True, whole=known.whole).items():
            found.setdefault(ids[word], path)
    return {video: found[video] for video in videos if video in found}


def missing(name: str, subset: str = "all", split: int = 1, files: Place = "", limit: int = 0) -> str:
    """Return one line that says what a use of a list lacks and what fetches it, "" where all is there.

    files: as in ``video_files``
    limit: so many videos are enough; 0 for all
    """
    try:
        videos = list(truth(name, subset, split).record.videos)
    except MissingFileError as error:
        return str(error)
    there = video_files(name, videos, files)
    if len(there) >= min(limit or len(videos), len(videos)):
        return ""
    return str(no_files(name, subset, [video for video in videos if video not in there], len(videos)))


def no_files(name: str, subset: str, gone: Sequence[str], count: int) -> MissingFileError:
    """Return the error that videos have no file: how many of how many, one of them, and what fetches them."""
    of = "" if subset == "all" else f" of {subset}"
    return MissingFileError(
        f"{name} lacks the files of {len(gone)} of {count} videos{of}, such as {gone[0]}",
        remedy=f"run {fetching(name)}, which says how they are had, and put them into its folder videos",
    )


def _videos_folder(name: str, files: Place, folder: Place | None) -> Path | None:
    if files:
        return Path(files)
    place = Path(folder) if folder is not None else find_data(DATASETS[name][0])
    return place / "videos" if place is not None and (place / "videos").is_dir() else place


def _jhmdb21(folder: Path, subset: str, split: int) -> Reading[Annotations]:
    record = jhmdb21.load(folder).record
    if subset != "all":
        record = record.subset(jhmdb21.split(folder, split, subset))
    return Reading(record, [])


def _ucf101_24(folder: Path, subset: str, split: int) -> Reading[Annotations]:
    _only_split(folder, split)
    record = ucf101_24.read_pickle(folder / "pyannot.pkl")
    if subset != "all":
        record = record.subset(ucf101_24.split1(record, folder / "testlist01.txt")[subset == "test"])
    return Reading(record, [])


def _ucf_sports(folder: Path, subset: str, split: int) -> Reading[Annotations]:
    """A list ``split.txt`` in the folder is read, else the split is ours."""
    _only_split(folder, split)
    record, listed = ucf_sports.load(folder).record, folder / "split.txt"
    if subset == "all":
        return Reading(record, [])
    ours = not listed.is_file()
    lists = ucf_sports.our_split(record) if ours else ucf_sports.read_split(listed, record)
    note = "the split is stad_lite thirds, not the papers' (their lists could not be had)"
    return Reading(record.subset(lists[subset == "test"]), [note] if ours else [])


def _thumos14(folder: Path, subset: str, split: int) -> Reading[Annotations]:
    def load(word: str) -> Reading[Annotations]:
        return Reading(thumos14.load(folder, word).record, [])

    return _of_lists(load, subset, ("validation", "test"))


def _activitynet13(folder: Path, subset: str, split: int) -> Reading[Annotations]:
    return _of_lists(lambda word: activitynet13.load(folder, word), subset, ("training", "validation"))


def _ava(folder: Path, subset: str, split: int) -> Reading[Annotations]:
    return _of_lists(lambda word: ava.load(folder, word), subset, ("train", "val"))


def _of_lists(
    load: Callable[[str], Reading[Annotations]], subset: str, annotated: Sequence[str]
) -> Reading[Annotations]:
    """One list, or those that are annotated one after another."""
    readings = [load(word) for word in (annotated if subset == "all" else [subset])]
    first = readings[0].record
    videos = {name: video for one in readings for name, video in one.record.videos.items()}
    if len(videos) < sum(len(one.record.videos) for one in readings):
        raise FormatError(f"a video of {first.dataset} stands in two lists", remedy="open one list alone")
    report = [line for one in readings for line in one.report]
    return Reading(Annotations(first.dataset, first.classes, videos), report)


def _only_split(folder: Path, split: int) -> None:
    if split != 1:
        raise UnknownVideoError(
            f"there is no split {split}", file=folder, remedy="choose train, test or all of split 1"
        )


def _sized(record: Annotations, about: About, start: float) -> Annotations:
    """With the files' frame sizes, which the release does not tell."""
    sizes = {name: {"width": info["width"], "height": info["height"]} for name, info in about.items()}
    return _changed(record, sizes)


def _timed(record: Annotations, about: About, start: float) -> Annotations:
    """With the files' own frames: the truth is in seconds, and files are often at another rate."""
    unknown = {"num_frames": None, "fps": None, "width": None, "height": None}
    return _changed(record, dict.fromkeys(about, unknown))


def _changed(record: Annotations, fields: Mapping[str, Mapping[str, Any]]) -> Annotations:
    videos = {name: replace(record.videos[name], **own) for name, own in fields.items()}
    return Annotations(record.dataset, record.classes, videos)


_TWO = {"train": "train", "test": "test"}

SETS = {
    "ucf101-24": Published(_TWO, "test", _ucf101_24),
    "jhmdb21": Published(_TWO, "test", _jhmdb21),
    "ucf-sports": Published(
        _TWO,
        "test",
        _ucf_sports,
        names=lambda video: (video.replace("/", "_"),),
        whole=True,
        on_files=_sized,
    ),
    "ava": Published({name: name for name in ("train", "val", "test")}, "val", _ava, on_files=ava.on_files),
    "thumos14": Published({"train": "validation", "test": "test"}, "test", _thumos14, on_files=_timed),
    "activitynet13": Published(
        {"train": "training", "val": "validation", "test": "testing"},
        "val",
        _activitynet13,
        names=lambda video: (f"v_{video}",),
        on_files=_timed,
    ),
}
"""Name -> how it is read; the names are those of ``location.DATASETS``."""
