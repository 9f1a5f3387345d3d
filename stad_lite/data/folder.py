"""A folder of one's own videos and a record file: a data set like the others.

The folder holds ``annotations.json`` (or ``.json.gz``, ``.npz``) and, at any depth, one video file
for every video id: ``run/clip1`` is ``run/clip1.mp4``, or any ``clip1.mp4`` where that is the only
one and no other id's. What the scripts of ``data_scripts/`` convert to is such a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from stad_lite.data.clips import VideoReader
from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.progress import progress
from stad_lite.records import Annotations, VideoAnnotation, read_annotations
from stad_lite.records.exchange.report import Tally
from stad_lite.records.files import VIDEO_ENDINGS, without_ending

RECORDS = ("annotations.json", "annotations.json.gz", "annotations.npz")


_NO_VIDEOS = """txt md rst json gz npz npy csv tsv xml yaml yml toml html pdf py ipynb sh log pkl mat pt
pth tar zip 7z jpg jpeg png bmp tif tiff webp svg mp3 wav m4a flac aac srt vtt ass pbtxt ini db"""
NO_VIDEOS = tuple(f".{ending}" for ending in _NO_VIDEOS.split())
"""Endings of what lies beside videos and is none."""


@dataclass(frozen=True)
class VideoFolder:
    """Annotations and the files that they speak of.

    annotations: the record
    files: video id -> path, for every video of the record
    notes: what is worth knowing of the files, where they were looked at
    """

    annotations: Annotations
    files: dict[str, Path]
    notes: tuple[str, ...] = ()

    def reader(self, size: tuple[int, int] | None = None) -> VideoReader:
        """Return a reader of frames by video id, scaled to (height, width) while decoding."""
        return VideoReader(self.files, size)


def open_folder(folder: str | PathLike[str]) -> VideoFolder:
    """Return the annotations and the video files of a folder; nothing is decoded yet.

    raises: MissingFileError where the record or a video is not there, FormatError where two files
        could be one video, and what reading the record raises
    """
    folder = Path(folder)
    record = find_record(folder)
    if record is None:
        raise MissingFileError(f"the folder holds none of {', '.join(RECORDS)}", file=folder)
    annotations = read_annotations(record)
    return VideoFolder(annotations, find_videos(folder, annotations.videos))


def find_record(folder: Path) -> Path | None:
    """Return the record of a folder, None where it has none. raises: FormatError where it has two"""
    found = [folder / name for name in RECORDS if (folder / name).is_file()]
    if len(found) > 1:
        both = " and ".join(path.name for path in found)
        raise FormatError(f"the folder holds {both}", file=folder, remedy="keep the one that counts")
    return found[0] if found else None


def find_videos(
    folder: Path, videos: Iterable[str], missing_ok: bool = False, whole: bool = False
) -> dict[str, Path]:
    """Return the file of every video id, no file for two of them.

    The file at the id's own place comes first, then one whose path ends in it, then one of that name alone.
    missing_ok: leave out the videos that have no file
    whole: a file must bear the whole id, its folders too (``Run-Side/001``: others end in 001 as well)
    raises: MissingFileError and FormatError with the video
    """
    by_name: dict[str, list[Path]] = {}
    for path in _video_files(folder):
        for name in (path.name, path.stem):
            by_name.setdefault(name, []).append(path)
    names = list(videos)
    ranked = {name: _by_rank(folder, name, by_name.get(name.rsplit("/", 1)[-1], ()), whole) for name in names}
    exact = {paths[0][0]: name for name, paths in ranked.items() if paths[0]}
    found: dict[str, Path] = {}
    owner: dict[Path, str] = {}
    for name, ranks in ranked.items():
        free = ([path for path in paths if exact.get(path, name) == name] for paths in ranks)
        best = next((paths for paths in free if paths), [])
        if not best and missing_ok:
            continue
        path = found[name] = _one(folder, name, best)
        if owner.setdefault(path, name) != name:
            problem = f"its only file is also that of {owner[path]}"
            raise FormatError(problem, file=path, video=name, remedy=f"name the file of each, as {name}.mp4")
    return found


def _by_rank(folder: Path, name: str, paths: Iterable[Path], whole: bool) -> list[list[Path]]:
    """The files that an id may mean, the surest first; more than one in a rank is one too many."""
    ranks: list[list[Path]] = [[], [], [], []]
    for path in paths:
        place = path.relative_to(folder)
        spellings = (place.as_posix(), place.with_suffix("").as_posix())
        if name in spellings:
            ranks[0].append(path)
        elif any(f"/{spelling}".endswith(f"/{name}") for spelling in spellings):
            ranks[1].append(path)
        elif path.resolve().with_suffix("").as_posix().endswith(f"/{name}"):
            ranks[2].append(path)
        elif not whole:
            ranks[3].append(path)
    return ranks


def list_videos(folder: str | PathLike[str]) -> dict[str, Path]:
    """Return all video files of a folder by id: the path below the folder without its ending.

    raises: FormatError where two files differ in their ending only
    """
    folder = Path(folder)
    files: dict[str, Path] = {}
    for path in _video_files(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        files[name] = _one(folder, name, [path, *([files[name]] if name in files else [])])
    return files


def other_files(folder: str | PathLike[str]) -> list[str]:
    """Return the names of a folder's files that may be videos for all that their endings say."""
    kinds = {*VIDEO_ENDINGS, *NO_VIDEOS}
    files = (path for path in _files(Path(folder)) if path.suffix.lower() not in kinds)
    return [path.relative_to(folder).as_posix() for path in files]


def _files(folder: Path) -> list[Path]:
    """All files that are not hidden, as what desktops put beside each file is."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]


def _video_files(folder: Path) -> list[Path]:
    return [path for path in _files(folder) if without_ending(path.name) != path.name]


def _one(folder: Path, name: str, found: list[Path]) -> Path:
    if not found:
        raise MissingFileError(
            "there is no file of this video", file=folder, video=name, remedy=f"name it {name}.mp4"
        )
    if len(found) > 1:
        both = " and ".join(path.relative_to(folder).as_posix() for path in found[:2])
        raise FormatError(f"the video could be {both}", file=folder, video=name, remedy="keep one of them")
    return found[0]


class OwnVideos(NamedTuple):
    """Videos of one's own.

    annotations: their truth, of each nothing where there is no record
    files: video id -> path
    notes: what was left out
    """

    annotations: Annotations
    files: dict[str, Path]
    notes: list[str]


def open_own(path: Path) -> OwnVideos:
    """Return a folder with a record, a folder of videos, or one video; the last two have no truth.

    raises: MissingFileError, FormatError, and what reading the record raises
    """
    notes = Tally()
    if path.is_file():
        files = {path.stem: path}
    elif record := find_record(path):
        annotations = read_annotations(record)
        files = find_videos(path, annotations.videos)
        for other in sorted({*_video_files(path)} - {*files.values()}):
            notes.note("videos that the record does not name, left out", other.relative_to(path).as_posix())
        return OwnVideos(annotations, files, notes.sentences())
    else:
        files = list_videos(path)
        for name in other_files(path):
            notes.note("files whose ending is no video's, left out", name)
    if not files:
        remedy = "put videos into it (.mp4, .avi, .mkv, ...), or give another folder"
        raise MissingFileError("the folder holds no video", file=path, remedy=remedy)
    unknown = dict.fromkeys(files, VideoAnnotation())
    return OwnVideos(Annotations(path.stem, (), unknown), files, notes.sentences())


def check_folder(
    folder: str | PathLike[str], say: Callable[[str], object] = lambda line: None
) -> VideoFolder:
    """Open a folder and decode every video once, to see that it is what the record says.

    say: is told all that is wrong where it is more than one thing
    returns: the folder, with notes of what is worth knowing
    raises: what ``open_folder`` raises; the first thing wrong, with its place: what ``video.probe`` raises,
        FormatError for another size, rate, length or number of frames, for boxes that look like shares of the
        frame and for damaged frames, FrameRangeError for what reaches past the frames that decode
    """
    opened, tally = open_folder(folder), Tally()
    wrong: list[StadError] = []
    for name, path in progress(opened.files.items(), len(opened.files), "decoding"):
        wrong += [error.at(file=path, video=name) for error in _wrong(opened, name, path, tally)]
    if len(wrong) > 1:
        for error in wrong:
            say(str(error))
    if wrong:
        raise wrong[0]
    return replace(opened, notes=tuple(tally.sentences()))


def _wrong(opened: VideoFolder, name: str, path: Path, tally: Tally) -> list[StadError]:
    from stad_lite.data import fitting
    from stad_lite.data.video import probe

    try:
        info = probe(path)
    except StadError as error:
        return [error]
    about = asdict(info)
    for oddity in fitting.oddities(about):
        tally.note(oddity, name)
    found = fitting.faults(opened.annotations.videos[name], about, info.file_end)
    return [*found, *fitting.damaged(info.damaged)]
