"""How a chapter begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from stad_lite.plots import style
from stad_lite.reproduce.parameters import read_parameters
from stad_lite.reproduce.results import Results


def begin(chapter: str, namespace: Mapping[str, Any], **ranges: tuple[float, float]) -> tuple[Any, Results]:
    """Return a chapter's checked parameters and its empty results, and set the style of its figures.

    torch keeps to one thread: small networks gain nothing by more, and sums do not hang on their number.

    chapter: as ``step/extrapolation``
    namespace, ranges: as in ``parameters.read_parameters``, whose errors it raises
    """
    style.use()
    torch.set_num_threads(1)
    parameters = read_parameters(namespace, **ranges)
    return parameters, Results(chapter, parameters.profile)
