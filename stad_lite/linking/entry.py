"""One way in for all linkers: a predictions record with frame boxes becomes one with tubes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stad_lite.errors import FormatError, StadError
from stad_lite.linking.build import Linked
from stad_lite.linking.detections import from_rows
from stad_lite.linking.online import OnlineConfig, link_online
from stad_lite.linking.trimming import LabelSmoothing, MedianFilter, Trim
from stad_lite.linking.tubelets import TubeletConfig, link_tubelets
from stad_lite.linking.viterbi import ViterbiConfig, link_viterbi
from stad_lite.progress import progress

if TYPE_CHECKING:
    from stad_lite.records import Predictions, VideoPredictions

Config = OnlineConfig | TubeletConfig | ViterbiConfig

PRESETS: dict[str, dict[str, Callable[[], Config]]] = {
    "online": {"default": OnlineConfig, "road": OnlineConfig.road, "retina3d": OnlineConfig.retina3d},
    "tubelets": {
        "default": TubeletConfig,
        "act": TubeletConfig.act,
        "moc": TubeletConfig.moc,
        "multisports": TubeletConfig.multisports,
    },
    "viterbi": {"default": ViterbiConfig, "yowo": ViterbiConfig.yowo},
}
"""Settings by method and name."""

TRIMS: dict[str, Callable[[], Trim]] = {
    "labels": LabelSmoothing,
    "road": LabelSmoothing.road,
    "median": MedianFilter,
}
"""Trims by name."""

LINKERS: dict[str, tuple[type, Callable[..., Linked]]] = {
    "online": (OnlineConfig, link_online),
    "tubelets": (TubeletConfig, link_tubelets),
    "viterbi": (ViterbiConfig, link_viterbi),
}
"""Method name -> (type of its settings, function)."""


@dataclass(frozen=True)
class LinkResult:
    """What linking a record gave.

    predictions: the record with tubes (``frames`` and ``segments`` as they were; older tubes replaced)
    counts: ``videos``, ``boxes`` read, ``unused`` boxes (in no tube), ``tubes`` written, and by reason
        what was left out: ``short`` paths, ``weak`` and ``suppressed`` tubes, tubes ``trimmed_away``,
        ``short_runs``; and tubes ``kept_whole``
    """

    predictions: Predictions
    counts: dict[str, int]


def link(
    predictions: Predictions,
    method: str = "online",
    config: Config | str | None = None,
    trim: Trim | str | None = None,
) -> Predictions:
    """Link the frame boxes of every video into tubes (``link_counted`` says how many were left out).

    For ``tubelets`` every frame box is a tubelet of one frame; longer ones are linked from arrays with
    ``link_tubelets``.

    method: ``online``, ``tubelets`` or ``viterbi``
    config: settings of that method, the name of a preset (``PRESETS``), or None for the defaults
    trim: a trim, its name (``TRIMS``), or None; runs are scored anew unless ``rescore`` is False
    raises: StadError for an unknown name, FormatError for settings of another method or a video that
        has tubes or segments but no frame boxes
    """
    return link_counted(predictions, method, config, trim).predictions


def link_counted(
    predictions: Predictions,
    method: str = "online",
    config: Config | str | None = None,
    trim: Trim | str | None = None,
) -> LinkResult:
    """Do what ``link`` does and count what was left out."""
    kind, linker = _named(LINKERS, method, "linking method")
    settings = _named(PRESETS[method], config, f"{method} preset")() if isinstance(config, str) else config
    if settings is not None and not isinstance(settings, kind):
        raise FormatError(
            f"{type(settings).__name__} are not the settings of {method}", remedy=f"give {kind.__name__}"
        )
    cutter = _named(TRIMS, trim, "trim")() if isinstance(trim, str) else trim
    videos: dict[str, VideoPredictions] = {}
    counts = {"videos": 0, "boxes": 0, "unused": 0, "tubes": 0}
    for name, video in progress(predictions.videos.items(), len(predictions.videos), f"linking ({method})"):
        try:
            linked = _video(predictions, video, linker, settings, cutter)
        except StadError as error:
            raise error.at(video=name) from None
        videos[name] = replace(video, tubes=linked.tubes)
        _count(counts, video, linked)
    return LinkResult(replace(predictions, videos=videos), counts)


def _named(table: dict[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise StadError(f"no {what} is called {name!r}", remedy=f"choose from {', '.join(table)}")
    return table[name]


def _video(
    predictions: Predictions,
    video: VideoPredictions,
    linker: Callable[..., Linked],
    settings: Config | None,
    trim: Trim | None,
) -> Linked:
    boxes, classes = video.frames, predictions.classes
    if boxes is None:
        if video.tubes or video.segments:
            raise FormatError("there are no frame boxes to link", remedy="give predictions with frames")
        return Linked()
    if boxes.score is None:
        raise FormatError("predicted boxes have no scores", remedy="give every box a score")
    detections = from_rows(boxes.frame, boxes.label, boxes.box, boxes.score, len(classes))
    return linker(detections, settings, classes, trim)


def _count(counts: dict[str, int], video: VideoPredictions, linked: Linked) -> None:
    boxes = 0 if video.frames is None else len(video.frames)
    used = {int(index) for members in linked.members for index in members}
    new = {"videos": 1, "boxes": boxes, "unused": boxes - len(used), "tubes": len(linked.tubes)}
    for reason, number in {**new, **linked.removed}.items():
        counts[reason] = counts.get(reason, 0) + number
