"""STEP and PCSC on real video from a few parameters: what is missing, the two sources, training, figures.

    videos = Videos("jhmdb21", limit=100)
    assert not missing(videos)
    train, test = open_videos(videos, config.size)
    system = fit_step(config, train, plan, "runs/one")
    figures = step_figures([system], test)

A run's folder goes on where it was stopped. All figures are percent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stad_lite.data import ava, jhmdb21, ucf101_24
from stad_lite.data.decoded import Store
from stad_lite.data.folder import find_videos
from stad_lite.data.location import DATASETS, find_data, have_data, missing_message
from stad_lite.data.source import FPS, VideoSource, files_source, open_source
from stad_lite.errors import FormatError, MissingFileError
from stad_lite.metrics import evaluate
from stad_lite.nets import weights as published
from stad_lite.pcsc import actionness
from stad_lite.pcsc import stages as pcsc_stages
from stad_lite.pcsc import system as pcsc
from stad_lite.pcsc.config import PCSCConfig
from stad_lite.pcsc.system import PCSCSystem
from stad_lite.pcsc.trunks import I3DTrunk
from stad_lite.records import Annotations, FrameBoxes, Predictions, VideoAnnotation, VideoPredictions
from stad_lite.schedule import TrainConfig
from stad_lite.settings import changed
from stad_lite.step import system as step
from stad_lite.step.classify import Classification
from stad_lite.step.config import StepConfig
from stad_lite.step.fusion import look_together
from stad_lite.step.tubes import assemble
from stad_lite.systems.maps import frame_maps
from stad_lite.training.loop import fit
from stad_lite.tubes import Tube

PARTS = {"jhmdb21": ("train", "test"), "ucf101-24": ("train", "test"), "ava": ("train", "val")}
"""Published set -> what is trained on and what judges."""
OWN = ("train", "test")
"""The two folders within a folder of one's own, each as ``data.folder`` tells."""
RANGE = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
"""The thresholds of COCO's metric."""
TUBE_LEVELS = (0.05, 0.1, 0.2, 0.5, 0.75)

Place = str | PathLike[str]


@dataclass(frozen=True)
class Videos:
    """Which real videos are trained on and judged.

    data: a name in ``PARTS``, or a folder that holds the folders ``OWN``
    files: folder of a published set's video files, the set's own folder where not given
    split: of JHMDB-21, 1 to 3
    limit, test_limit: only so many videos, spread evenly over the list; 0 for all
    flow: estimator, a name in ``data.flow.ESTIMATORS``
    start: second of a film of AVA at which its file begins
    """

    data: str
    files: str = ""
    split: int = 1
    limit: int = 0
    test_limit: int = 0
    flow: str = "dis"
    start: float = 900.0

    @property
    def limits(self) -> tuple[int, int]:
        """How many videos of either part; 0 for all."""
        return self.limit, self.test_limit


def missing(videos: Videos) -> str:
    """Return one line that says what a run lacks and what fetches it, "" where all is there."""
    if videos.data not in PARTS:
        gone = [name for name in OWN if not (Path(videos.data) / name).is_dir()]
        known = f"{', '.join(PARTS)} or a folder with the folders {' and '.join(OWN)}"
        return f"{videos.data} lacks {' and '.join(gone)}: give {known}" if gone else ""
    if not have_data(videos.data):
        return missing_message(videos.data)
    lacks = []
    for part, limit in zip(PARTS[videos.data], videos.limits, strict=True):
        try:
            names = list(annotated(videos, part).videos)
        except MissingFileError as error:
            lacks.append(f"{part}: {error.problem}")
            continue
        there = find_files(videos, names)
        if len(there) < min(limit or len(names), len(names)):
            first = next(name for name in names if name not in there)
            lacks.append(f"{len(names) - len(there)} of {len(names)} videos of {part}, such as {first}")
    script = f"python data_scripts/{DATASETS[videos.data][0]}.py download"
    told = f"run {script}, which says how they are had, or take fewer by limit and test_limit"
    return f"{videos.data} lacks {'; '.join(lacks)}: {told}" if lacks else ""


def annotated(videos: Videos, part: str) -> Annotations:
    """Return the published truth of a part; for AVA in shares of the frame and seconds of the film.

    raises: MissingFileError, and what the loaders raise
    """
    folder = find_data(DATASETS[videos.data][0])
    if folder is None:
        raise MissingFileError(missing_message(videos.data))
    if videos.data == "jhmdb21":
        return jhmdb21.load(folder).record.subset(jhmdb21.split(folder, videos.split, part))
    if videos.data == "ucf101-24":
        truth = ucf101_24.read_pickle(folder / "pyannot.pkl")
        return truth.subset(ucf101_24.split1(truth, folder / "testlist01.txt")[part == "test"])
    return ava.load(folder, part).record


def find_files(videos: Videos, names: Iterable[str]) -> dict[str, Path]:
    """Return the files of those videos that have one, below ``files`` or the set's own folder."""
    folder = Path(videos.files) if videos.files else find_data(DATASETS[videos.data][0])
    if folder is None or not folder.is_dir():
        return {}
    if not videos.files and (folder / "videos").is_dir():
        folder = folder / "videos"
    return find_videos(folder, names, missing_ok=True)


def open_videos(
    videos: Videos, size: tuple[int, int], cache_dir: Place | None = None
) -> tuple[VideoSource, VideoSource]:
    """Return what is trained on and what judges, decoded into the cache folder.

    size: (height, width) of the frames
    raises: MissingFileError where no video has a file, and what reading raises
    """
    parts = PARTS.get(videos.data, OWN)
    train, test = (
        _open(videos, part, limit, size, cache_dir) for part, limit in zip(parts, videos.limits, strict=True)
    )
    return train, test


def _open(
    videos: Videos, part: str, limit: int, size: tuple[int, int], cache_dir: Place | None
) -> VideoSource:
    if videos.data not in PARTS:
        place = Path(videos.data) / part
        return open_source(place, size=size, clips=limit or None, flow=videos.flow, cache_dir=cache_dir)
    truth = annotated(videos, part)
    found = find_files(videos, truth.videos)
    if not found:
        raise MissingFileError(missing(videos))
    names = list(found)
    count = min(limit or len(names), len(names))
    files = {name: found[name] for name in (names[i * len(names) // count] for i in range(count))}
    store = Store(cache_dir, size, "jpg", videos.flow)
    if videos.data == "ava":
        store.add(files)
        truth = on_files(truth, {name: store.about(name) for name in files}, videos.start)
    return files_source(truth, files, store)


def on_files(truth: Annotations, about: Mapping[str, Mapping[str, Any]], start: float) -> Annotations:
    """Return AVA's truth in pixels and frame numbers of its files; key frames beyond a file are left out.

    truth: boxes as shares of the frame, seconds of the film as frame numbers
    about: num_frames, fps, width and height of every file
    start: second of the film at which the files begin
    """
    return Annotations(
        truth.dataset,
        truth.classes,
        {name: _on_file(truth.videos[name], info, start) for name, info in about.items()},
    )


def _on_file(video: VideoAnnotation, info: Mapping[str, Any], start: float) -> VideoAnnotation:
    fps, count = info["fps"] or FPS, info["num_frames"]

    def number(seconds: np.ndarray | None) -> np.ndarray:
        return np.rint((np.asarray(seconds) - start) * fps).astype(np.int64)

    assert video.frames is not None
    keys, frame = number(video.evaluated_frames), number(video.frames.frame)
    kept = (frame >= 0) & (frame < count)
    person = video.frames.person
    boxes = FrameBoxes(
        frame[kept],
        video.frames.label[kept],
        video.frames.box[kept] * np.tile([info["width"], info["height"]], 2),
        person=None if person is None else person[kept],
    )
    return VideoAnnotation(
        count,
        info["width"],
        info["height"],
        fps,
        frames=boxes,
        evaluated_frames=keys[(keys >= 0) & (keys < count)],
    )


def with_words(config: Any, plan: TrainConfig, words: str) -> tuple[Any, TrainConfig]:
    """Return settings changed by words, as ``stad-lite train --set`` takes them.

    words: ``model.KEY=VALUE`` and ``train.KEY=VALUE``, with blanks between them
    raises: FormatError for an unknown key or a word that is no such pair

    >>> from stad_lite.step.config import schedule
    >>> with_words(StepConfig.lesson(), schedule("lesson"), "model.clip=4 train.epochs=2")[1].steps
    0
    """
    texts: dict[str, dict[str, str]] = {"model": {}, "train": {}}
    for word in words.split():
        key, _, value = word.partition("=")
        part, _, rest = key.partition(".")
        if part not in texts or not rest or not value:
            raise FormatError(f"{word!r} is no setting", remedy="write model.KEY=VALUE or train.KEY=VALUE")
        texts[part][rest] = value
    for given, other in (("steps", "epochs"), ("epochs", "steps")):
        if given in texts["train"]:
            texts["train"].setdefault(other, "0")
    return changed(config, texts["model"], "model"), changed(plan, texts["train"], "train")


def step_configs(base: StepConfig, change: Mapping[str, Any]) -> tuple[tuple[StepConfig, ...], str, bool]:
    """Return what a variant of STEP trains and how that is joined.

    change: settings that differ from the base; ``fusion`` (streams), ``rule`` and ``training`` besides, as in
        ``reproduce.experiments.step.VARIANTS``
    returns: one configuration a detector, the rule of fusion, whether the steps are trained one by one
    """
    own = dict(change)
    streams, rule = own.pop("fusion", ()), own.pop("rule", "union")
    stepwise = own.pop("training", "joint") == "stepwise"
    config = replace(base, **own)
    return tuple(replace(config, stream=stream) for stream in streams) or (config,), rule, stepwise


def fit_step(
    config: StepConfig,
    source: VideoSource,
    plan: TrainConfig,
    folder: Place,
    *,
    weights: str = "",
    stepwise: bool = False,
    classify: bool = False,
) -> step.StepSystem:
    """Train STEP on a source; the same call again goes on where it was stopped.

    plan: its ``seed`` is also that of the first weights
    weights: published ones of the backbone, "" for none
    stepwise: each step is trained alone, after the ones before it
    classify: the true boxes are classified first (STEP Sec. 4.1, AVA)
    """
    torch.manual_seed(plan.seed)
    system = step.build(config, source.classes)
    if weights:
        published.load(system.network.backbone, published.read_state(weights))
    data = step.training_set(system, source)
    data.seed = plan.seed
    if classify:
        before = Classification(system)
        fit(before, data, plan, Path(folder) / "classify", collate=step.collate, say=_silent)
        before.hand_over()
    for number in range(config.steps) if stepwise else (None,):
        system.network.train_only(number)
        place = Path(folder) if number is None else Path(folder) / f"step{number + 1}"
        fit(system, data, plan, place, collate=step.collate, say=_silent)
    system.network.train_only(None)
    return system


def step_figures(
    systems: Sequence[step.StepSystem], test: VideoSource, rule: str = "union", convention: str = "sound"
) -> dict[str, float]:
    """Return the figures of a detector, or of several that are joined.

    returns: ``step1``, ..., frame-mAP@.5 were that step the last one; ``frame_map`` of the last; and where
        the truth has tubes ``video_map_5`` to ``video_map_75`` and ``video_map``, the mean over .5:.05:.95
    """
    looks = list(look_together(systems, test, None, rule))
    figures: dict[str, float] = {}
    for number in range(systems[0].config.steps):
        shown = ((video, runs, steps[number]) for video, runs, steps in looks)
        found = assemble(systems[0].config, systems[0].classes, test, shown)
        result = evaluate(test.annotations, found, "frame-map", 0.5, convention, source="frames")
        figures[f"step{number + 1}"] = figures["frame_map"] = result.iou[0.5]
    if has_tubes(test):
        figures |= tube_figures(test.annotations, found, "video_map", convention)
    return figures


def fit_pcsc(
    config: PCSCConfig,
    source: VideoSource,
    plan: TrainConfig,
    folder: Place,
    weights: Mapping[str, str] | None = None,
) -> PCSCSystem:
    """Train PCSC on a source, and for untrimmed videos its actionness; the same call again goes on.

    plan: its ``seed`` is also that of the first weights
    weights: stream -> published ones of its I3D
    raises: FormatError for weights where the trunk is no I3D
    """
    torch.manual_seed(plan.seed)
    system = pcsc.build(config, source.classes)
    for stream, path in (weights or {}).items():
        trunk = system.network.trunks[stream]
        if not isinstance(trunk, I3DTrunk):
            raise FormatError("published weights are those of I3D", remedy="choose trunk=i3d, or no weights")
        published.load(trunk.net, published.read_state(path))
    maps = frame_maps(system, source, mirror=True) if system.streams else None
    data = pcsc.training_set(system, source, maps)
    data.seed = plan.seed
    fit(system, data, plan, folder, collate=pcsc.collate, say=_silent)
    torch.manual_seed(plan.seed)
    pcsc_stages.finish(system, source, maps, plan.seed)
    return system


def pcsc_figures(system: PCSCSystem, test: VideoSource, convention: str = "sound") -> dict[str, float]:
    """Return the figures of a trained PCSC.

    returns: ``stage0``, ..., frame-mAP@.5 after each stage; ``frame_map`` of the last; ``tubes_20`` and so on
        video-mAP without trimming, ``tubes`` the mean over .5:.05:.95; where actionness has been trained,
        ``refined_20`` and so on of the trimmed tubes
    """
    stages: list[dict[str, VideoPredictions]] = [{} for _ in range(system.config.stages + 1)]
    tubes: dict[str, dict[str, Sequence[Tube]]] = {"tubes": {}, "refined": {}}
    trimmed = bool(system.network.actionness.trained.any())
    for video, seen in pcsc_stages.look(system, test):
        for place, rows in zip(stages, seen.stages, strict=True):
            place[video] = VideoPredictions(frames=rows)
        linked = pcsc_stages.tubes_of(seen.stages[-1], system.config, system.classes)
        tubes["tubes"][video] = linked.tubes
        if trimmed:
            along = pcsc_stages.along(system, seen, linked)
            tubes["refined"][video] = actionness.refine(linked.tubes, along, system.config.trim).tubes
    truth, figures = test.annotations, {}
    for number, found in enumerate(stages):
        result = evaluate(truth, Predictions(system.classes, found), "frame-map", 0.5, convention)
        figures[f"stage{number}"] = figures["frame_map"] = result.iou[0.5]
    for name, by_video in tubes.items():
        if by_video and has_tubes(test):
            answers = {video: VideoPredictions(tubes=tuple(some)) for video, some in by_video.items()}
            figures |= tube_figures(truth, Predictions(system.classes, answers), name, convention)
    return figures


def has_tubes(source: VideoSource) -> bool:
    """Tell whether the truth of a source has tubes, not boxes on single frames alone."""
    return any(video.tubes for video in source.annotations.videos.values())


def tube_figures(truth: Annotations, found: Predictions, name: str, convention: str) -> dict[str, float]:
    """Return video-mAP as ``name``_5, _10, _20, _50 and _75, and the mean over .5:.05:.95 as ``name``."""
    levels = tuple(sorted({*TUBE_LEVELS, *RANGE}))
    result = evaluate(truth, found, "video-map", levels, convention)
    figures = {f"{name}_{round(100 * level)}": result.iou[level] for level in TUBE_LEVELS}
    return {**figures, name: sum(result.iou[level] for level in RANGE) / len(RANGE)}


def _silent(line: str) -> None:
    """Say nothing."""
