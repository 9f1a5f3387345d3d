"""What the real annotations alone can say: figures that need no model.

They bound a perfect model: how good the best polynomial of an order is (CFAD Fig. 4a), how many key
timestamps the greedy labelling really asks for (CFAD Eq. 5), and how far a straight line foretells a
tube (STEP Eq. 4).
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite.cfad.labeller import label_tubes
from stad_lite.cfad.trajectory import fit_overlap
from stad_lite.data import ucf101_24
from stad_lite.errors import MissingFileError
from stad_lite.progress import progress
from stad_lite.reproduce.drift import extension_figures

ORDERS = tuple(range(9))
EPSILON, COUNT = 0.8, 16


def ucf101_24_oracles(data: str | PathLike[str]) -> dict[str, Any]:
    """Return the figures of the real UCF101-24 tubes.

    data: folder with ``pyannot.pkl`` and ``testlist01.txt`` as published
    returns: counts; ``polynomial_mean_iou`` by order (mean over tubes of the mean box IoU of the
        least-squares polynomial); ``greedy`` with, for either interpolation, the mean number of
        keys, the share of label 1 among all distinct stamps, the share of tubes that never exceed
        epsilon, and the mean IoU reached; ``extension`` as in ``drift.extension_figures``
    raises: MissingFileError and what ``ucf101_24.read_pickle`` raises
    Source: CFAD Eq. 1, 4 and 5, epsilon = .8 and N = 16 as in Sec. 4.1; STEP Eq. 4.
    """
    folder = Path(data)
    for name in ("pyannot.pkl", "testlist01.txt"):
        if not (folder / name).is_file():
            raise MissingFileError(
                f"there is no {name} in this folder",
                file=folder,
                remedy="get it with python data_scripts/ucf101_24.py download",
            )
    annotations = ucf101_24.read_pickle(folder / "pyannot.pkl")
    train, test = ucf101_24.split1(annotations, folder / "testlist01.txt")
    tubes, seen, unseen = (
        [tube.boxes for name in names for tube in annotations.videos[name].tubes or ()]
        for names in (annotations.videos, train, test)
    )
    kinds = progress(("spline", "linear"), desc="key timestamps")
    return {
        "dataset": annotations.dataset,
        "videos": len(annotations.videos),
        "tubes": len(tubes),
        "boxes": sum(len(tube) for tube in tubes),
        "split1": {"train_videos": len(train), "test_videos": len(test)},
        "polynomial_mean_iou": {str(order): value for order, value in fitted(tubes).items()},
        "greedy": {"epsilon": EPSILON, "n": COUNT} | {kind: greedy_figures(tubes, kind) for kind in kinds},
        "extension": extension_figures(tubes, seen, unseen),
    }


def fitted(tubes: list[np.ndarray]) -> dict[int, float]:
    """Return, by order, the mean over tubes of the mean box IoU of the least-squares polynomial."""
    return {order: float(fit_overlap(tubes, order).mean()) for order in progress(ORDERS, desc="polynomials")}


def greedy_figures(tubes: list[np.ndarray], kind: str) -> dict[str, float]:
    """Return what greedy labelling needs and reaches with an interpolation, as in ``ucf101_24_oracles``."""
    labels = label_tubes(tubes, COUNT, EPSILON, kind)
    return {
        "mean_keys": float(labels.counts.mean()),
        "share_of_labels": float(labels.counts.sum() / labels.stamps.sum()),
        "share_never_reaching": float((labels.overlap <= EPSILON).mean()),
        "mean_iou": float(labels.overlap.mean()),
    }


ORACLES = {"ucf101-24": ucf101_24_oracles}
"""Data set name -> function from its folder to its figures."""
