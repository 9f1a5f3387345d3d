"""From annotations and the clips at hand to a folder that the library trains and tests on.

``OUT/annotations.json.gz`` is a record; ``OUT/videos/<id>.<extension>`` are the clips, linked or
copied; ``OUT/clips.json`` says of each its file, frames, size, rate, bytes and checksum. The record is
written last and whole, so a folder that has one is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from download import sha256_of

from stad_lite import records
from stad_lite.data import video as video_files
from stad_lite.errors import FormatError, MissingFileError, StadError, UnknownLabelError
from stad_lite.progress import progress
from stad_lite.records import Annotations, FrameBoxes, VideoAnnotation
from stad_lite.records.exchange.report import Tally
from stad_lite.records.files import below

FORMAT = "stad-lite/clips/1"
SHORT = 1
"""Frames that a clip may lack at its end: 20 of UCF101's Surfing clips lack one."""


@dataclass(frozen=True)
class Plan:
    """How to convert.

    out: the folder to write
    classes: keep these only, None for all
    clips: ``link``, ``copy``, or ``index`` (name the clip where it lies)
    keep_all: keep annotated videos that have no clip
    guessed_sizes: frame sizes of the annotations are guesses, so boxes are not scaled
    """

    out: Path
    classes: tuple[str, ...] | None = None
    clips: str = "link"
    keep_all: bool = False
    guessed_sizes: bool = False


def convert(annotations: Annotations, clips: Mapping[str, Path], plan: Plan) -> list[str]:
    """Write the folder; return sentences about what was odd, and the counts as the last one.

    raises: UnknownLabelError for classes that the set has not, and what ``video.probe`` raises
    """
    tally = Tally()
    annotations = with_classes(annotations, plan.classes)
    if clips and not plan.keep_all:
        bare = [name for name in annotations.videos if name not in clips]
        tally.note("annotated videos without a clip, left out (--all keeps them)", "", len(bare))
        annotations = annotations.subset([name for name in annotations.videos if name in clips])
    if not clips:
        tally.note(
            "annotated videos without a clip, kept: there is no clip at all", "", len(annotations.videos)
        )
    videos: dict[str, VideoAnnotation] = {}
    index: dict[str, Any] = {}
    for name in annotations.videos:
        below(plan.out, name)  # a name that leads elsewhere is refused before anything is written
    (plan.out / "annotations.json.gz").unlink(missing_ok=True)
    before = _files_of(plan.out)
    for name, video in progress(annotations.videos.items(), total=len(annotations.videos), desc="clips"):
        if name not in clips:
            videos[name] = video
            continue
        info = video_files.probe(clips[name])
        videos[name] = fitted(video, info, name, tally, plan.guessed_sizes)
        index[name] = _indexed(clips[name], info, _place(clips[name], name, plan))
    content = json.dumps({"format": FORMAT, "videos": index}, indent=1, ensure_ascii=False)
    records.atomic_write(plan.out / "clips.json", lambda stream: stream.write(content.encode()))
    sources = {_place_of(clip) for clip in clips.values()}
    for file in before - _files_of(plan.out):
        if _place_of(below(plan.out, file)) not in sources:
            (plan.out / file).unlink(missing_ok=True)
    record = Annotations(annotations.dataset, annotations.classes, videos)
    records.write(record, plan.out / "annotations.json.gz")
    return [*tally.sentences(), counts(record)]


def with_classes(annotations: Annotations, classes: tuple[str, ...] | None) -> Annotations:
    """Return the videos that show one of the classes, and of them these classes only, in the set's order.

    raises: UnknownLabelError
    """
    if classes is None:
        return annotations
    for name in classes:
        if name not in annotations.classes:
            known = ", ".join(annotations.classes[:5])
            raise UnknownLabelError(f"{name!r} is not a class of the set", remedy=f"it has {known} ...")
    classes = tuple(name for name in annotations.classes if name in classes)
    kept = {}
    for video_id, video in annotations.videos.items():
        part = _of_classes(video, annotations.classes, classes)
        if part.tubes or part.segments or (part.frames is not None and len(part.frames)):
            kept[video_id] = part
    return Annotations(annotations.dataset, classes, kept)


def fitted(
    video: VideoAnnotation, info: video_files.VideoInfo, name: str, tally: Tally, guessed: bool = False
) -> VideoAnnotation:
    """Return the annotation as the decoded clip shows it: its size, its rate, its frames.

    guessed: the annotation's size is a guess; boxes keep their numbers
    raises: FrameRangeError where tubes reach more than a frame beyond the clip
    """
    scale = np.ones(4)
    if video.width and video.height and not guessed:
        scale = np.array([info.width / video.width, info.height / video.height] * 2)
    if video.width not in (None, 1) and not np.allclose(scale, 1):
        tally.note("clips of another size than the annotations', their boxes scaled", name)
    tubes, frames = video.tubes, video.frames
    if tubes is not None:
        tubes, dropped = video_files.trim_tubes(tubes, info.num_frames, SHORT, name)
        tally.note("boxes on frames that do not decode, dropped", name, dropped)
        tubes = tuple(replace(tube, boxes=tube.boxes * scale) for tube in tubes)
    if frames is not None:
        frames = FrameBoxes(frames.frame, frames.label, frames.box * scale, frames.score, frames.person)
    changed = replace(video, width=info.width, height=info.height, tubes=tubes, frames=frames)
    if frames is not None:  # key frames count seconds of the film, not its frames
        return changed
    if video.num_frames is not None and video.num_frames != info.num_frames:
        tally.note("clips whose frames are not the number that the annotations say", name)
    fps = info.fps or video.fps
    times = None if info.times is None else np.array(info.times)
    duration = info.end or (info.num_frames / fps if fps else video.duration)
    return replace(changed, num_frames=info.num_frames, fps=fps, duration=duration, times=times)


def counts(record: Annotations) -> str:
    """Return the counts of a record: videos, frames, tubes, boxes, segments, as far as there are any."""
    videos = record.videos.values()
    numbers = {
        "frames": sum(video.num_frames or 0 for video in videos),
        "tubes": sum(len(video.tubes or ()) for video in videos),
        "boxes": sum(len(video.frames) for video in videos if video.frames is not None)
        + sum(len(tube) for video in videos for tube in video.tubes or ()),
        "segments": sum(len(video.segments or ()) for video in videos),
    }
    return " ".join([f"{len(record.videos)} videos", *(f"{n} {what}" for what, n in numbers.items() if n)])


def verify_converted(folder: Path) -> str:
    """Compare a converted folder with its own index; return its counts.

    raises: StadError with the first difference
    """
    record = records.read_annotations(folder / "annotations.json.gz")
    try:
        index = json.loads((folder / "clips.json").read_text("utf-8"))
        if index["format"] != FORMAT:
            raise FormatError(f"the index is {index['format']}, not {FORMAT}", file=folder / "clips.json")
        entries = index["videos"].items()
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        if isinstance(error, StadError):
            raise
        raise FormatError(f"the index is damaged ({error!r})", file=folder / "clips.json") from None
    for name, entry in entries:
        path = folder / entry["file"]
        if not path.is_file():
            raise MissingFileError("the clip is gone", file=path, video=name)
        if (path.stat().st_size, sha256_of(path)) != (entry["bytes"], entry["sha256"]):
            raise FormatError("the clip is another file than the index says", file=path, video=name)
        if name not in record.videos:
            raise FormatError("the clip has no annotation", file=path, video=name)
    return counts(record)


def _files_of(out: Path) -> set[str]:
    """The clips that the index of a folder says it holds itself."""
    try:
        entries = json.loads((out / "clips.json").read_text("utf-8"))["videos"].values()
        files = {entry["file"] for entry in entries if entry["file"].startswith("videos/")}
        return {file for file in files if below(out, file)}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return set()


def _of_classes(
    video: VideoAnnotation, all_classes: tuple[str, ...], classes: tuple[str, ...]
) -> VideoAnnotation:
    tubes, segments, frames = video.tubes, video.segments, video.frames
    if tubes is not None:
        tubes = tuple(tube for tube in tubes if tube.label in classes)
    if segments is not None:
        segments = tuple(segment for segment in segments if segment.label in classes)
    if frames is not None:
        place = np.array([classes.index(name) if name in classes else -1 for name in all_classes])
        label = place[frames.label]
        keep = label >= 0
        person = None if frames.person is None else frames.person[keep]
        frames = FrameBoxes(frames.frame[keep], label[keep], frames.box[keep], person=person)
    return replace(video, tubes=tubes, segments=segments, frames=frames)


def _place(clip: Path, name: str, plan: Plan) -> str:
    """Put the clip where the folder wants it; return its path as the index names it."""
    if plan.clips == "index":
        return os.path.abspath(clip)
    target = below(plan.out / "videos", name, clip.suffix.lower())
    same = target.exists() and not target.is_symlink() and target.samefile(clip)
    if same or _place_of(target) == _place_of(clip):  # it lies where it should, and is no link of ours
        return os.path.abspath(clip)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not target.is_symlink() and sha256_of(target) != sha256_of(clip):
        raise FormatError("another file is in the clip's place", file=target, remedy="move it away")
    if plan.clips == "copy":
        with clip.open("rb") as source:
            records.atomic_write(target, lambda stream: shutil.copyfileobj(source, stream))
    else:
        target.unlink(missing_ok=True)
        try:
            target.symlink_to(clip.resolve())
        except OSError as error:  # Windows lets only some users make links
            problem = f"no link can be made here ({error.strerror or error})"
            raise StadError(problem, file=target, remedy="give --clips copy or --clips index") from None
    return target.relative_to(plan.out).as_posix()


def _place_of(path: Path) -> tuple[str, str]:
    """Where a file or link itself lies, whatever way leads there."""
    return os.path.realpath(path.parent), path.name


def _indexed(clip: Path, info: video_files.VideoInfo, file: str) -> dict[str, Any]:
    return {
        "file": file,
        "num_frames": info.num_frames,
        "width": info.width,
        "height": info.height,
        "fps": info.fps,
        "bytes": clip.stat().st_size,
        "sha256": sha256_of(clip),
        "decoder": info.decoder,
    }
