"""Metrics of spatio-temporal and temporal detection, each under a named convention.

``evaluate`` scores a predictions record against an annotations record; ``CONVENTIONS`` holds the
rules of each evaluator by name, ``Rules`` what they can differ in.
"""

from stad_lite.metrics.conventions import CONVENTIONS, Convention, Rules, differences, get_convention
from stad_lite.metrics.errors import Errors, find_errors, gains
from stad_lite.metrics.evaluate import METRICS, evaluate
from stad_lite.metrics.intervals import Interval, bootstrap, paired_difference
from stad_lite.metrics.matching import thresholds
from stad_lite.metrics.overlap import Recall, recall_curve
from stad_lite.metrics.result import Result

__all__ = [
    "CONVENTIONS",
    "METRICS",
    "Convention",
    "Errors",
    "Interval",
    "Recall",
    "Result",
    "Rules",
    "bootstrap",
    "get_convention",
    "differences",
    "evaluate",
    "find_errors",
    "gains",
    "paired_difference",
    "recall_curve",
    "thresholds",
]
