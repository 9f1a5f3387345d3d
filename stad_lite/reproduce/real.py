"""What notebooks of reproductions need beside sources and runs: two parts, trained systems, figures.

    parts = train_and_test(DataConfig("jhmdb21", limit=100))
    assert not missing(parts)
    train, test = open_parts(parts, config.size)
    system = fit_step(config, train, plan, "runs/one")
    figures = step_figures([system], test)

A run's folder goes on where it was stopped. All figures are percent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from stad_lite import runs
from stad_lite.cfad import system as cfad
from stad_lite.cfad.config import CfadConfig
from stad_lite.cfad.system import CfadSystem
from stad_lite.data import published
from stad_lite.data.location import SETS
from stad_lite.data.source import DataConfig, VideoSource
from stad_lite.errors import FormatError
from stad_lite.flow_subnet import system as flow_subnet
from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.flow_subnet.system import FlowSubnetSystem
from stad_lite.metrics import evaluate
from stad_lite.nets import published as trunks
from stad_lite.nets import weights as files
from stad_lite.pcsc import actionness
from stad_lite.pcsc import stages as pcsc_stages
from stad_lite.pcsc import system as pcsc
from stad_lite.pcsc.config import PCSCConfig
from stad_lite.pcsc.system import PCSCSystem
from stad_lite.pcsc.trunks import I3DTrunk
from stad_lite.records import Annotations, Predictions, VideoPredictions
from stad_lite.reproduce.experiments.cfad import error_shares, tube_scores
from stad_lite.schedule import TrainConfig
from stad_lite.step import system as step
from stad_lite.step.classify import Classification
from stad_lite.step.config import StepConfig
from stad_lite.step.fusion import look_together
from stad_lite.step.model import decode
from stad_lite.step.tubes import assemble
from stad_lite.systems.detect import dialled
from stad_lite.systems.maps import frame_maps
from stad_lite.training.loop import fit
from stad_lite.tubes import Tube

OWN = ("train", "test")
"""The two folders within a folder of one's own, each as ``data.folder`` tells."""
RANGE = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
"""The thresholds of COCO's metric."""
TUBE_LEVELS = (0.05, 0.1, 0.2, 0.5, 0.75)
NO_WEIGHTS = trunks.Weights()

Place = str | PathLike[str]
Parts = tuple[DataConfig, DataConfig]
"""What is trained on and what judges."""


def train_and_test(data: DataConfig, test_limit: int = 0) -> Parts:
    """Return a data set's two parts.

    data: its name; a folder holds the folders ``OWN``
    test_limit: only so many videos that judge; 0 for all
    """
    if data.known is None:
        train, test = (replace(data, name=str(Path(data.name) / part), subset="all") for part in OWN)
    else:
        judged = published.SETS[data.known].judged if data.known in published.SETS else "test"
        train, test = (replace(data, name=data.known, subset=part) for part in ("train", judged))
    return train, replace(test, limit=test_limit)


def by_split(dials: Any) -> dict[int, Parts]:
    """Return a data set's two parts by split, as a chapter's parameters ask for them.

    dials: ``data``, ``videos``, ``splits`` ("1,2,3", read of JHMDB-21 alone), ``limit``, ``test_limit``, and
        ``flow`` where the chapter has it
    """
    splits = [int(word) for word in dials.splits.split(",")]
    flow = getattr(dials, "flow", DataConfig.flow)
    data = DataConfig(dials.data, limit=dials.limit, flow=flow, files=dials.videos)
    kept = splits if data.known == "jhmdb21" else splits[:1]
    return {number: train_and_test(replace(data, split=number), dials.test_limit) for number in kept}


def over_splits(
    files: Mapping[int, Parts], figures: Callable[[Parts], Mapping[str, float]]
) -> dict[str, float]:
    """Return means over splits, of the figures that all of them have."""
    found = [figures(parts) for parts in files.values()]
    shared = [name for name in found[0] if all(name in row for row in found)]
    return {name: fmean(row[name] for row in found) for name in shared}


def missing(*splits: Parts) -> str:
    """Return one line that says what a run lacks and what fetches it, "" where all is there."""
    parts = [part for split in splits for part in split]
    found = dict.fromkeys(filter(None, (part.missing() for part in parts)))
    if found and parts[0].known is None:
        folder = Path(parts[0].name).parent
        gone = [name for name in OWN if not (folder / name).is_dir()]
        known = f"{', '.join(SETS)} or a folder with the folders {' and '.join(OWN)}"
        return f"{folder} lacks {' and '.join(gone)}: give {known}"
    return "; ".join(found)


def open_parts(
    parts: Parts, size: tuple[int, int], cache_dir: Place | None = None
) -> tuple[VideoSource, VideoSource]:
    """Return what is trained on and what judges.

    size: (height, width) of the frames
    raises: what ``DataConfig.open`` raises
    """
    train, test = (part.open(size, cache_dir) for part in parts)
    return train, test


def with_words(config: Any, plan: TrainConfig, words: str) -> tuple[Any, TrainConfig]:
    """Return settings changed by words, as ``stad-lite train --set`` takes them.

    words: ``model.KEY=VALUE`` and ``train.KEY=VALUE``, with blanks between them
    raises: FormatError for an unknown key or a word that is no such pair

    >>> from stad_lite.step.config import schedule
    >>> with_words(StepConfig.lesson(), schedule("lesson"), "model.clip=4 train.epochs=2")[1].steps
    0
    """
    texts = runs.pairs(words.split())
    if wrong := [key for key in texts if key.startswith("data.")]:
        raise FormatError(f"{wrong[0]} is set by a parameter here", remedy="write model.KEY or train.KEY")
    spec = runs.with_texts(runs.Spec("", "", config, plan, DataConfig()), texts)
    return spec.model, spec.train


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
        files.load(system.network.backbone, files.read_state(weights))
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
        config = systems[0].config
        shown = ((video, runs, decode(steps[number], config)) for video, runs, steps in looks)
        found = assemble(config, systems[0].classes, test, shown)
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
        files.load(trunk.net, files.read_state(path))
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
    truth = test.annotations
    figures: dict[str, float] = {}
    for number, found in enumerate(stages):
        result = evaluate(truth, Predictions(system.classes, found), "frame-map", 0.5, convention)
        figures[f"stage{number}"] = figures["frame_map"] = result.iou[0.5]
    for name, by_video in tubes.items():
        if by_video and has_tubes(test):
            answers = {video: VideoPredictions(tubes=tuple(some)) for video, some in by_video.items()}
            figures |= tube_figures(truth, Predictions(system.classes, answers), name, convention)
    return figures


def fit_cfad(
    config: CfadConfig, source: VideoSource, plan: TrainConfig, folder: Place, weights: str = ""
) -> CfadSystem:
    """Train CFAD on a source; the same call again goes on where it was stopped.

    plan: its ``seed`` is also that of the first weights
    weights: published ones of I3D on RGB, "" for none
    raises: FormatError for weights that do not fit the backbone
    """
    system: CfadSystem = _trained(cfad, config, source, plan, folder, trunks.Weights(rgb=weights))
    return system


def cfad_figures(
    system: CfadSystem,
    test: VideoSource,
    dials: Mapping[str, Mapping[str, Any]] | None = None,
    convention: str = "sound",
) -> dict[str, float]:
    """Return the figures of a trained CFAD, named as in ``reproduce.experiments.cfad``.

    dials: settings of inference, by the name that stands before their figures, beside the system's own
    returns: ``map_20``, ``map_30``, ``map_50``, ``map_75`` and ``map_all`` (the mean over .5:.05:.95),
        ``mabo``, ``frame_map`` at .5, and the kinds of error at .5 as shares of all true tubes
    """
    truth = test.annotations
    figures: dict[str, float] = {}
    maps = frame_maps(system, test) if system.streams else None
    for name, settings in {"": {}, **(dials or {})}.items():
        found = cfad.detect(dialled(system, **settings), test, maps)
        own = tube_scores(truth, found, convention, (0.2, 0.3, 0.5, 0.75))
        own["frame_map"] = evaluate(truth, found, "frame-map", 0.5, convention, source="frames").iou[0.5]
        own |= error_shares(truth, found)
        figures |= {f"{name}{figure}": value for figure, value in own.items()}
    return figures


def fit_flow_subnet(
    config: FlowSubnetConfig,
    source: VideoSource,
    plan: TrainConfig,
    folder: Place,
    weights: trunks.Weights = NO_WEIGHTS,
) -> FlowSubnetSystem:
    """Train the flow subnet on a source; the same call again goes on where it was stopped.

    plan: its ``seed`` is also that of the first weights
    weights: published ones of VGG16 (``rgb``) and of the flow network (``flow``)
    raises: FormatError for weights that do not fit, or where the flow is given and the source has none
    """
    system: FlowSubnetSystem = _trained(flow_subnet, config, source, plan, folder, weights)
    return system


def flow_subnet_figures(
    system: FlowSubnetSystem, test: VideoSource, convention: str = "sound"
) -> dict[str, float]:
    """Return the figures of a trained flow subnet, named as in ``reproduce.experiments.flow_subnet``.

    returns: ``frame_map`` at .5; where the truth has tubes ``video_map_5`` to ``video_map_75`` of those that
        are linked online, and ``video_map``, the mean over .5:.05:.95
    """
    truth, found = test.annotations, flow_subnet.detect(system, test)
    frames = evaluate(truth, found, "frame-map", 0.5, convention, source="frames")
    tubes = tube_figures(truth, found, "video_map", convention) if has_tubes(test) else {}
    return {"frame_map": frames.iou[0.5], **tubes}


def has_tubes(source: VideoSource) -> bool:
    """Tell whether the truth of a source has tubes, not boxes on single frames alone."""
    return any(video.tubes for video in source.annotations.videos.values())


def tube_figures(truth: Annotations, found: Predictions, name: str, convention: str) -> dict[str, float]:
    """Return video-mAP as ``name``_5, _10, _20, _50 and _75, and the mean over .5:.05:.95 as ``name``."""
    levels = tuple(sorted({*TUBE_LEVELS, *RANGE}))
    result = evaluate(truth, found, "video-map", levels, convention)
    figures = {f"{name}_{round(100 * level)}": result.iou[level] for level in TUBE_LEVELS}
    return {**figures, name: sum(result.iou[level] for level in RANGE) / len(RANGE)}


def _trained(
    paper: Any, config: Any, source: VideoSource, plan: TrainConfig, folder: Place, weights: trunks.Weights
) -> Any:
    """Build the system of a paper's module ``system``, fill it where weights are named, and train it."""
    torch.manual_seed(plan.seed)
    system = paper.build(config, source.classes)
    if weights != NO_WEIGHTS:
        streams = paper.trunks(system)
        trunks.fill(streams, trunks.read(system.network, streams, weights))
    data = paper.training_set(system, source)
    data.seed = plan.seed
    fit(system, data, plan, folder, collate=paper.collate, say=_silent)
    return system


def _silent(line: str) -> None:
    """Say nothing."""
