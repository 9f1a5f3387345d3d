"""Metrics of spatio-temporal and temporal detection, each under a named convention.

``evaluate`` scores a predictions record against an annotations record; ``CONVENTIONS`` holds the
rules of each evaluator by name, ``Rules`` what they can differ in.
"""

from stad_lite.metrics.conventions import CONVENTIONS, Convention, Rules, convention, differences
from stad_lite.metrics.evaluate import METRICS, evaluate, thresholds
from stad_lite.metrics.result import Result

__all__ = [
    "CONVENTIONS",
    "METRICS",
    "Convention",
    "Result",
    "Rules",
    "convention",
    "differences",
    "evaluate",
    "thresholds",
]
