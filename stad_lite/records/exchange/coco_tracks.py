"""COCO-style tracks: one JSON file with ``videos``, ``categories`` and boxes that name their track.

Two layouts are read. In the first (TAO 1.0, MMTracking's CocoVID) ``images`` have ``video_id`` and
``frame_index`` (or ``frame_id``), and ``annotations`` have ``image_id``, ``category_id``, ``bbox`` (x, y,
width, height) and ``track_id`` (or ``instance_id``). In the second (YouTube-VIS 2019) each annotation is a
track with ``bboxes``, a box or null for each of the video's ``file_names``. Frames count from 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from stad_lite.errors import FormatError, StadError, UnknownLabelError, UnknownVideoError
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.exchange.text import read_json, write_text
from stad_lite.records.exchange.tracks import (
    Key,
    corners,
    entries,
    following,
    number,
    of_track,
    table,
    tubes_with_gaps,
    whole,
)
from stad_lite.records.types import Annotations, VideoAnnotation

Tracks = dict[Any, list[Key]]


def read_ground_truth(path: str | PathLike[str], dataset: str = "coco-tracks") -> Reading[Annotations]:
    """Return the tracks of a file.

    A track is linear between two images of its video that follow each other in the file and both show it; it
    ends on the last image before one that does not.
    raises: MissingFileError, FormatError, UnknownVideoError, UnknownLabelError and what ``Tube`` raises, with
        file, video, track and frame
    """
    tally = Tally()
    try:
        document = table(read_json(path), "the file")
        labels = {
            _id(entry): str(_need(entry, "name")) for entry in _objects(document, "categories", required=True)
        }
        videos = {_id(entry): entry for entry in _objects(document, "videos", required=True)}
        names = {key: _name(entry) for key, entry in videos.items()}
        if len(set(names.values())) != len(names):
            raise FormatError("two videos have one name", remedy="rename one")
        images = {_id(entry): entry for entry in _objects(document, "images")}
        tracks, looked = _tracks(document, labels, videos, images, tally)
        found = {}
        for key, entry in videos.items():
            try:
                frames, size = looked.get(key, set()), _sizes(images.values(), key)
                found[names[key]] = _video(entry, tracks.get(key, {}), frames, size)
            except StadError as error:
                raise error.at(video=names[key]) from None
        classes = tuple(dict.fromkeys(labels.values()))
        return Reading(Annotations(dataset, classes, found), tally.sentences())
    except StadError as error:
        raise error.at(file=path) from None


def _objects(document: Mapping[str, Any], key: str, required: bool = False) -> list[Mapping[str, Any]]:
    if required and key not in document:
        raise FormatError(f"there are no {key}", remedy="expected videos, categories, images, annotations")
    return [table(entry, f"an entry of {key}") for entry in entries(document.get(key) or [], key)]


def _need(entry: Mapping[str, Any], *keys: str) -> Any:
    for key in keys:
        if entry.get(key) is not None:
            return entry[key]
    raise FormatError(f"{' or '.join(keys)} is missing", remedy="add it")


def _id(entry: Mapping[str, Any], *keys: str) -> int | str:
    """A number or a word that names something."""
    value = _need(entry, *(keys or ("id",)))
    if not isinstance(value, (int, str)):
        raise FormatError(f"an id is {str(value)[:60]!r}", remedy="ids are numbers or words")
    return value


def _name(video: Mapping[str, Any]) -> str:
    if "name" in video or "file_name" in video:
        return str(_need(video, "name", "file_name"))
    files = entries(_need(video, "file_names"), "file_names")
    return str(files[0]).rpartition("/")[0] if files else str(_id(video))


def _tracks(
    document: Mapping[str, Any],
    labels: Mapping[Any, str],
    videos: Mapping[Any, Any],
    images: Mapping[Any, Mapping[str, Any]],
    tally: Tally,
) -> tuple[dict[Any, Tracks], dict[Any, set[int]]]:
    """Video -> track -> keyframes, and video -> the frames that were looked at."""
    tracks: dict[Any, Tracks] = {}
    looked: dict[Any, set[int]] = {}
    places = {}
    for key, image in images.items():
        video = _known(_id(image, "video_id"), videos, "image", key)
        places[key] = video, whole(_need(image, "frame_index", "frame_id"), "frame_index")
        looked.setdefault(video, set()).add(places[key][1])
    for entry in _objects(document, "annotations", required=True):
        if entry.get("iscrowd"):
            tally.note("annotations of crowds, left out")
            continue
        label = labels.get(_id(entry, "category_id"))
        if label is None:
            problem = f"category {entry['category_id']!r} is not among the categories"
            raise UnknownLabelError(problem, remedy="add it or correct it")
        if "bboxes" in entry:
            video = _known(_id(entry, "video_id"), videos, "annotation", entry.get("id"))
            boxes = entries(entry["bboxes"], "bboxes")
            looked.setdefault(video, set()).update(range(len(boxes)))
            keys = [Key(f, corners(box, f), label) for f, box in enumerate(boxes) if box is not None]
            tracks.setdefault(video, {}).setdefault(_id(entry), []).extend(keys)
            continue
        image_id = _id(entry, "image_id")
        if image_id not in places:
            problem = f"an annotation is on image {image_id!r}, which is not there"
            raise FormatError(problem, remedy="add it to images")
        video, frame = places[image_id]
        track = _id(entry, "track_id", "instance_id")
        with of_track(track):
            key = Key(frame, corners(_need(entry, "bbox"), frame), label)
        tracks.setdefault(video, {}).setdefault(track, []).append(key)
    return tracks, looked


def _known(video: Any, videos: Mapping[Any, Any], what: str, name: Any) -> Any:
    if video not in videos:
        raise UnknownVideoError(f"{what} {name!r} is of video {video!r}, which is not there")
    return video


def _sizes(images: Iterable[Mapping[str, Any]], video: Any) -> Mapping[str, Any]:
    """The first image of a video, for its size."""
    return next((image for image in images if image.get("video_id") == video), {})


def _video(
    entry: Mapping[str, Any], tracks: Tracks, looked: set[int], image: Mapping[str, Any]
) -> VideoAnnotation:
    tubes = tubes_with_gaps(tracks, following(looked))
    about: dict[str, Any] = {
        key: whole(value, key, 1)
        for key in ("width", "height")
        if (value := entry.get(key, image.get(key))) is not None
    }
    length = entry.get("num_frames", entry.get("length"))
    about |= {} if length is None else {"num_frames": whole(length, "length", 1)}
    about |= {} if entry.get("fps") is None else {"fps": number(entry["fps"], "fps")}
    return VideoAnnotation(**about, tubes=tuple(tubes))


def write_ground_truth(annotations: Annotations, path: str | PathLike[str]) -> Path:
    """Write tubes in the first layout, with an image for every frame.

    Boxes on single frames, segments and times have no place here.
    raises: FormatError for a video whose number of frames is not known
    """
    number_of = {name: i + 1 for i, name in enumerate(annotations.classes)}
    videos: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    tracks: list[dict[str, Any]] = []
    for video_id, (name, video) in enumerate(annotations.videos.items(), 1):
        if video.num_frames is None:
            raise FormatError("its number of frames is not known", video=name, remedy="give num_frames")
        about = {"width": video.width, "height": video.height, "fps": video.fps, "length": video.num_frames}
        about = {key: value for key, value in about.items() if value is not None}
        videos.append({"id": video_id, "name": name, **about})
        first = len(images) + 1
        for frame in range(video.num_frames):
            images.append({"id": first + frame, "video_id": video_id, "frame_index": frame})
        for tube in video.tubes or ():
            tracks.append({"id": len(tracks) + 1, "video_id": video_id, "category_id": number_of[tube.label]})
            for frame, (x1, y1, x2, y2) in zip(tube.frames.tolist(), tube.boxes.tolist(), strict=True):
                about = {"image_id": first + frame, "track_id": len(tracks), "iscrowd": 0}
                where = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
                of = {"video_id": video_id, "category_id": number_of[tube.label]}
                boxes.append({"id": len(boxes) + 1, **about, **of, **where})
    categories = [{"id": number, "name": name} for name, number in number_of.items()]
    document = {
        "videos": videos, "categories": categories, "images": images, "tracks": tracks, "annotations": boxes,
    }  # fmt: skip
    return write_text(path, json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
