"""Evaluation conventions by name: what differs between the field's evaluators, field by field.

Two tool kits give two numbers for the same detections because they differ in these fields, and in
nothing else. ``Rules()`` is the sound choice; every preset names what it does otherwise, bugs
included. ``differences`` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from stad_lite.errors import StadError

RANGE_50_95 = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Thresholds .5:.05:.95."""

KINDS = {"frame-map": "frames", "video-map": "tubes", "temporal-map": "segments"}
"""What each metric scores."""

CHOICES: dict[str, tuple[str, ...]] = {
    "match": ("best_remaining", "best_of_all"),
    "ap": ("envelope", "trapezoid", "eleven_points", "hundred_one_points"),
    "ties": ("content", "shared", "file", "file_reversed", "curve_reversed", "true_first", "false_first"),
    "frames": ("all", "annotated", "with_truth"),
    "flat_truth": ("dropped", "kept"),
    "flat_predictions": ("dropped", "false"),
    "tube_overlap": ("temporal_times_spatial", "union_mean", "mean_common", "temporal_iou", "volume"),
    "zero_length": ("same_point", "never", "always"),
    "classes_without_truth": ("left_out", "zero"),
    "classes_without_predictions": ("zero", "left_out"),
    "duplicate_truth": ("kept", "dropped"),
    "unknown_videos": ("error", "ignored", "false_positives"),
    "unknown_classes": ("error", "ignored"),
}
"""The values that each field of ``Rules`` with names for values may take."""


@dataclass(frozen=True)
class Rules:
    """How one metric is computed; the defaults are the sound choice.

    pixel: added to every width and height, on the coordinates as they stand in the records; 0 reads
        boxes as half-open (the library's own), 1 as inclusive pixel numbers
    match: a detection tries the truth of highest overlap among those still free
        (``best_remaining``), or among all, and is false when that one is taken (``best_of_all``)
    digits: decimals to which overlaps and thresholds are rounded before they are compared, so that an
        overlap of exactly 1/2 reaches .5 however float arithmetic falls; None: as computed
    strict: the overlap must exceed the threshold instead of reaching it
    ap: area under the precision envelope (all points), trapezoids under the raw curve, or the mean
        envelope at 11 or 101 recalls
    ties: detections of equal score come in the order of their ``content``: video id, frame (or start),
        coordinates; never in the order of the file. ``file`` takes them as they stand there, and
        ``file_reversed`` from the last to the first, as evaluators do that turn a rising sort around (of
        truths that a detection overlaps equally, the last is tried first then); ``curve_reversed`` matches
        as in ``file`` and turns the order around for the curve alone; ``true_first`` and ``false_first``
        are the ends of the range over all orders; ``shared`` lets each of n with k true ones count as
        k / n of a true one
    frames: detections count on ``all`` frames of the videos, on ``annotated`` ones only (those with
        truth of any class, or the record's ``evaluated_frames``), or on those ``with_truth`` of an
        evaluated class
    flat_truth: true boxes without area are ``dropped``, or ``kept`` as truths that nothing reaches
    flat_predictions: predicted boxes without area are ``dropped`` (after ``max_per_frame``) or ``false``
    tube_overlap: a name in ``stad_lite.tubes.OVERLAPS``
    one_frame_overlap: tubes that share a single frame may overlap; False: their overlap is 0
    tube_nms: overlap above which a tube is suppressed by a better one of its class and video, or None
    max_per_frame: detections kept a frame, over all classes, best scores first, or None
    ignored_share: a false segment is not counted when at least this share of it lies in the video's
        ignored spans; None: those spans are disregarded
    zero_length: what the 0 / 0 of two segments without length is: 1 if they are the ``same_point``
        and else 0, 0 (``never``) or a match wherever they lie (``always``)
    classes_without_truth: ``left_out`` of the mean and named, or a ``zero`` in it
    classes_without_predictions: a ``zero`` in the mean, or ``left_out`` (which decides first)
    skipped_classes: never evaluated
    duplicate_truth: truths equal in every number are ``kept`` or ``dropped`` to one
    duplicate_within: seconds by which both ends of true segments may differ to be ``duplicate_truth``
    shortest_truth: true segments shorter than this (seconds), and all without length, are dropped; or None
    unknown_videos: predictions in videos that the truth does not have
    unknown_classes: predictions of classes that the truth does not have
    single_precision: precision and recall in float32, as some evaluators hold them
    single_boxes: boxes of frames in float32, as some evaluators hold them
    written_decimals: decimals to which an evaluator writes predicted boxes (shares of the frame) and scores
        before it reads them again, or None
    recall_epsilon: bug of an evaluator, added to the number of truths
    extent_minus_one: bug of an evaluator: temporal overlap counts last - first frames, not + 1
    detection_shift: bug of an evaluator, added to x, y, width and height of detections only
    classes_by_place: bug of an evaluator: segments of a class without truth count for the class that has
        its place among those with truth
    """

    pixel: float = 0.0
    match: str = "best_remaining"
    digits: int | None = 12
    strict: bool = False
    ap: str = "envelope"
    ties: str = "content"
    frames: str = "all"
    flat_truth: str = "dropped"
    flat_predictions: str = "dropped"
    tube_overlap: str = "temporal_times_spatial"
    one_frame_overlap: bool = True
    tube_nms: float | None = None
    max_per_frame: int | None = None
    ignored_share: float | None = 0.5
    zero_length: str = "same_point"
    classes_without_truth: str = "left_out"
    classes_without_predictions: str = "zero"
    skipped_classes: tuple[str, ...] = ()
    duplicate_truth: str = "kept"
    duplicate_within: float = 0.0
    shortest_truth: float | None = None
    unknown_videos: str = "error"
    unknown_classes: str = "error"
    single_precision: bool = False
    single_boxes: bool = False
    written_decimals: int | None = None
    recall_epsilon: float = 0.0
    extent_minus_one: bool = False
    detection_shift: float = 0.0
    classes_by_place: bool = False

    @property
    def by_content(self) -> bool:
        """Whether what ties is ordered by its content, not by its place in the file."""
        return self.ties not in ("file", "file_reversed", "curve_reversed")

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise StadError(
                    f"{name} is {getattr(self, name)!r}", remedy=f"choose from {', '.join(allowed)}"
                )


@dataclass(frozen=True)
class Convention:
    """An evaluator's rules, metric by metric.

    name: what ``evaluate`` is asked for
    source: where the rules come from
    frames, tubes, segments: rules of frame-, video- and temporal-mAP; None where the evaluator has none
    default_iou: thresholds of each metric when none are given
    """

    name: str
    source: str
    frames: Rules | None = None
    tubes: Rules | None = None
    segments: Rules | None = None
    default_iou: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def rules(self, kind: str) -> Rules:
        """Return the rules for ``frames``, ``tubes`` or ``segments``.

        raises: StadError where the evaluator has no such metric
        """
        found = getattr(self, kind)
        if found is None:
            having = [name for name, kind in KINDS.items() if getattr(self, kind) is not None]
            raise StadError(
                f"convention {self.name!r} has no rules for {kind}",
                remedy=f"it covers {', '.join(having)}; use another convention, such as 'sound'",
            )
        return found

    def thresholds(self, metric: str) -> tuple[float, ...]:
        """Return the overlap thresholds used when none are given."""
        return tuple(self.default_iou.get(metric, DEFAULT_IOU[metric]))


DEFAULT_IOU: dict[str, tuple[float, ...]] = {
    "frame-map": (0.5,),
    "video-map": (0.2, 0.5, 0.75),
    "temporal-map": RANGE_50_95,
    "errors": (0.5,),
}
"""Thresholds of each metric when neither the caller nor the convention names any."""

MULTISPORTS_SKIPPED = (
    "aerobic kick jump",
    "aerobic off axis jump",
    "aerobic butterfly jump",
    "aerobic balance turn",
    "basketball save",
    "basketball jump ball",
)
"""Classes that the MultiSports evaluator passes over by name."""

_FIELD: dict[str, Any] = {"ties": "file", "digits": None}
_LISTED: dict[str, Any] = {**_FIELD, "unknown_videos": "ignored", "unknown_classes": "ignored"}
_ACT: dict[str, Any] = {
    "pixel": 1.0,
    "ap": "trapezoid",
    "single_precision": True,
    "classes_without_truth": "zero",
    **_LISTED,
}
_ANET: dict[str, Any] = {"ignored_share": None, "zero_length": "always"}
_AVA: dict[str, Any] = {**_LISTED, "match": "best_of_all", "ties": "curve_reversed", "flat_truth": "kept"}
_REPAIRED: dict[str, Any] = {
    "digits": None,
    "ties": "file_reversed",
    "ignored_share": None,
    "zero_length": "never",
    "duplicate_truth": "dropped",
    "duplicate_within": 1e-3,
    "unknown_videos": "false_positives",
    "unknown_classes": "ignored",
}
_THUMOS_IOU = {"temporal-map": (0.3, 0.4, 0.5, 0.6, 0.7)}

CONVENTIONS: dict[str, Convention] = {
    "sound": Convention("sound", "the library's own", Rules(), Rules(), Rules()),
    "act": Convention(
        "act",
        "vkalogeiton/caffe, branch act-detector: frameAP and videoAP (Kalogeiton et al.)",
        frames=Rules(**_ACT),
        tubes=Rules(**_ACT, tube_nms=0.3),
    ),
    "road": Convention(
        "road",
        "gurkirt/realtime-action-detection: utils/evaluation.py and get_PR_curve.m (Singh et al.)",
        frames=Rules(frames="annotated", classes_without_truth="zero", **_LISTED),
        tubes=Rules(
            strict=True,
            one_frame_overlap=False,
            detection_shift=1.0,
            classes_without_truth="zero",
            **_LISTED,
        ),
    ),
    "road_all_frames": Convention(
        "road_all_frames",
        "gurkirt/realtime-action-detection: test-ucf24.py, which asks for all frames (Singh et al.)",
        frames=Rules(classes_without_truth="zero", **_LISTED),
    ),
    "3d-retinanet": Convention(
        "3d-retinanet",
        "gurkirt/3D-RetinaNet: modules/evaluation.py (Singh et al.)",
        frames=Rules(**{**_ACT, "pixel": 0.0}),
        tubes=Rules(**_ACT),
    ),
    "yowo": Convention(
        "yowo",
        "wei-tim/YOWO: evaluation_ucf24_jhmdb (Padilla) and core/eval_results.py (Koepueklue et al.)",
        frames=Rules(pixel=1.0, match="best_of_all", frames="annotated", **_LISTED),
        tubes=Rules(
            pixel=1.0,
            recall_epsilon=1e-5,
            single_precision=True,
            one_frame_overlap=False,
            tube_nms=0.3,
            classes_without_truth="zero",
            **_LISTED,
        ),
    ),
    "multisports": Convention(
        "multisports",
        "open-mmlab/mmaction2: multisports_utils.py (Li et al.)",
        frames=Rules(match="best_of_all", skipped_classes=MULTISPORTS_SKIPPED, **_LISTED),
        tubes=Rules(
            match="best_of_all",
            extent_minus_one=True,
            skipped_classes=MULTISPORTS_SKIPPED,
            **_LISTED,
        ),
    ),
    "ava": Convention(
        "ava",
        "activitynet/ActivityNet: get_ava_performance.py (Gu et al.)",
        frames=Rules(frames="annotated", max_per_frame=50, **_AVA),
    ),
    "ava_mmaction2": Convention(
        "ava_mmaction2",
        "open-mmlab/mmaction2: ava_metric.py and ava_utils.py, which write four decimals first",
        frames=Rules(
            frames="with_truth",
            classes_without_predictions="left_out",
            flat_predictions="false",
            single_boxes=True,
            written_decimals=4,
            **_AVA,
        ),
    ),
    "activitynet": Convention(
        "activitynet",
        "activitynet/ActivityNet: eval_detection.py (Caba Heilbron et al.)",
        segments=Rules(**_ANET, digits=None, ties="file_reversed", unknown_videos="false_positives"),
        default_iou={"temporal-map": RANGE_50_95},
    ),
    "thumos14": Convention(
        "thumos14",
        "the ActivityNet evaluator as temporal detectors use it on THUMOS14 (AFSD, OpenTAD)",
        segments=Rules(**_ANET, **_LISTED),
        default_iou=_THUMOS_IOU,
    ),
    "opentad": Convention(
        "opentad",
        "sming256/OpenTAD: evaluations/mAP.py, after remove_duplicate_annotations (Liu et al.)",
        segments=Rules(shortest_truth=0.0, **_REPAIRED),
        default_iou=_THUMOS_IOU,
    ),
    "actionformer": Convention(
        "actionformer",
        "happyharrycn/actionformer_release: libs/utils/metrics.py, ANETdetection (Zhang et al.)",
        segments=Rules(shortest_truth=1e-3, classes_by_place=True, **_REPAIRED),
        default_iou=_THUMOS_IOU,
    ),
}
"""Every convention by name."""


def get_convention(name: str | Convention | Rules) -> Convention:
    """Return the convention of that name; a ``Rules`` becomes a convention called ``custom``.

    raises: StadError for an unknown name

    >>> get_convention("act").rules("frames").pixel
    1.0
    """
    if isinstance(name, Convention):
        return name
    if isinstance(name, Rules):
        return Convention("custom", "given by the caller", name, name, name)
    if name not in CONVENTIONS:
        raise StadError(f"no convention is called {name!r}", remedy=f"choose from {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def differences(rules: Rules, other: Rules | None = None) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two sets of rules differ: {field: (rules, other)}; other: sound.

    >>> differences(Rules(pixel=1.0, strict=True))
    {'pixel': (1.0, 0.0), 'strict': (True, False)}
    """
    other = Rules() if other is None else other
    pairs = {f.name: (getattr(rules, f.name), getattr(other, f.name)) for f in fields(Rules)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
