"""A folder of one's own videos and a record file: a data set like the others.

The folder holds ``annotations.json`` (or ``.json.gz``, ``.npz``) and, at any depth, one video file
for every video id: ``run/clip1`` is ``run/clip1.mp4``, or any ``clip1.mp4`` where that is the only
one. What the scripts of ``data_scripts/`` convert to is such a folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from stad_lite.data.clips import VideoReader
from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.progress import progress
from stad_lite.records import Annotations, VideoAnnotation, read_annotations

RECORDS = ("annotations.json", "annotations.json.gz", "annotations.npz")
ENDINGS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg")


@dataclass(frozen=True)
class VideoFolder:
    """Annotations and the files that they speak of.

    annotations: the record
    files: video id -> path, for every video of the record
    """

    annotations: Annotations
    files: dict[str, Path]

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


def check_folder(folder: str | PathLike[str]) -> VideoFolder:
    """Open a folder and decode every video once, to see that it is what the record says.

    raises: what ``open_folder`` and ``video.probe`` raise; FormatError for another frame size;
        FrameRangeError, with tube and frame, for a tube that reaches past the frames that decode
    """
    from stad_lite.data.video import probe, trim_tubes

    opened = open_folder(folder)
    for name, path in progress(opened.files.items(), len(opened.files), "decoding"):
        video = opened.annotations.videos[name]
        try:
            info = probe(path)
            _compare(video, info.width, info.height)
            trim_tubes(video.tubes or (), info.num_frames, video=name)
        except StadError as error:
            raise error.at(file=path, video=name) from None
    return opened


def _compare(video: VideoAnnotation, width: int, height: int) -> None:
    if video.width and video.height and (video.width, video.height) != (width, height):
        raise FormatError(
            f"the frames are {width} x {height}, the boxes were made on {video.width} x {video.height}",
            remedy="scale the boxes, or the video",
        )
