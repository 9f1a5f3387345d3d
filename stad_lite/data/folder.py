"""A folder of one's own videos and a record file: a data set like the others.

The folder holds ``annotations.json`` (or ``.json.gz``, ``.npz``) and, at any depth, one video file
for every video id: ``run/clip1`` is ``run/clip1.mp4``, or any ``clip1.mp4`` where that is the only
one. What the scripts of ``data_scripts/`` convert to is such a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path

from stad_lite.data.clips import VideoReader
from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.progress import progress
from stad_lite.records import Annotations, read_annotations
from stad_lite.records.exchange.report import Tally

RECORDS = ("annotations.json", "annotations.json.gz", "annotations.npz")
ENDINGS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg")


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
    record = next((folder / name for name in RECORDS if (folder / name).is_file()), None)
    if record is None:
        raise MissingFileError(f"the folder holds none of {', '.join(RECORDS)}", file=folder)
    annotations = read_annotations(record)
    return VideoFolder(annotations, find_videos(folder, annotations.videos))


def find_videos(
    folder: Path, videos: Iterable[str], missing_ok: bool = False, whole: bool = False
) -> dict[str, Path]:
    """Return the file of every video id.

    missing_ok: leave out the videos that have no file
    whole: a file must bear the whole id, its folders too (``Run-Side/001``: others end in 001 as well)
    raises: MissingFileError and FormatError with the video
    """
    by_name: dict[str, list[Path]] = {}
    for path in _video_files(folder):
        by_name.setdefault(path.stem, []).append(path)
    found = {name: by_name.get(Path(name).name, []) for name in videos}
    if whole:
        found = {name: [path for path in paths if _bears(path, name)] for name, paths in found.items()}
    return {name: _one(folder, name, paths) for name, paths in found.items() if paths or not missing_ok}


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


def _video_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in ENDINGS and path.is_file()]


def _one(folder: Path, name: str, found: list[Path]) -> Path:
    found = [path for path in found if _bears(path, name)] or found
    if not found:
        raise MissingFileError(
            "there is no file of this video", file=folder, video=name, remedy=f"name it {name}.mp4"
        )
    if len(found) > 1:
        both = " and ".join(path.relative_to(folder).as_posix() for path in found[:2])
        raise FormatError(f"the video could be {both}", file=folder, video=name, remedy="keep one of them")
    return found[0]


def _bears(path: Path, name: str) -> bool:
    return f"/{path.with_suffix('').as_posix()}".endswith(f"/{name}")


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
