"""From boxes on frames to tubes: online, tubelet and Viterbi linking, and trimming in time."""

from stad_lite.linking.build import Linked
from stad_lite.linking.detections import Detections, from_rows, from_scores
from stad_lite.linking.entry import PRESETS, TRIMS, LinkResult, link, link_counted
from stad_lite.linking.online import OnlineConfig, OnlineLinker, link_online
from stad_lite.linking.trimming import (
    LabelSmoothing,
    MedianFilter,
    Trimmed,
    median_scores,
    smooth_labels,
    trim_tubes,
)
from stad_lite.linking.tubelets import TubeletConfig, Tubelets, link_tubelets
from stad_lite.linking.viterbi import ViterbiConfig, best_path, link_viterbi

__all__ = [
    "Detections",
    "LabelSmoothing",
    "LinkResult",
    "Linked",
    "MedianFilter",
    "OnlineConfig",
    "OnlineLinker",
    "PRESETS",
    "TRIMS",
    "Trimmed",
    "TubeletConfig",
    "Tubelets",
    "ViterbiConfig",
    "best_path",
    "from_rows",
    "from_scores",
    "link",
    "link_counted",
    "link_online",
    "link_tubelets",
    "link_viterbi",
    "median_scores",
    "smooth_labels",
    "trim_tubes",
]
