"""What the geometry of numpy and torch shares, and numbers settled by kind."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from stad_lite import arrays
from stad_lite.errors import FormatError


def test_namespace_follows_the_arrays() -> None:
    assert arrays.namespace(np.zeros(1), [1.0]) is np
    assert arrays.namespace(torch.zeros(1)) is torch


def test_geometry_does_not_import_torch() -> None:
    code = (
        "import sys, numpy as np; from stad_lite import boxes, segments, tubes, records, unpickle, progress;"
        "boxes.iou(np.zeros(4), np.zeros(4)); boxes.nms(np.zeros((2, 4)), np.zeros(2), .5);"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'scipy', 'matplotlib', 'tqdm')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_ratio_of_nothing_is_nothing() -> None:
    top, bottom = [0.0, 1.0, 3.0], [0.0, 0.0, 4.0]
    assert arrays.ratio(np.array(top), np.array(bottom)).tolist() == [0, 0, 0.75]
    assert arrays.ratio(torch.tensor(top), torch.tensor(bottom)).tolist() == [0, 0, 0.75]


def test_same_looks_into_arrays() -> None:
    assert arrays.same(None, None) and arrays.same((1, "a"), (1, "a"))
    assert not arrays.same(np.arange(2), None) and not arrays.same(None, np.arange(2))
    assert not arrays.same(np.arange(2), np.arange(3))


@pytest.mark.parametrize("value", [True, np.True_, "1", b"1", None, [1], 1 + 2j])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(FormatError, match=r"fps is .*fps is a number"):
        arrays.number(value, "fps")
    with pytest.raises(FormatError, match=r"start is .*whole number"):
        arrays.whole(value, "start")


@pytest.mark.parametrize("value", [1.5, float("nan"), float("inf")])
def test_what_is_not_whole(value: float) -> None:
    with pytest.raises(FormatError, match="whole number"):
        arrays.whole(value, "start")
    with pytest.raises(FormatError, match="whole numbers"):
        arrays.whole_column([1.0, value], "frame")


@pytest.mark.parametrize("values", [[[1, 2]], [[1], [2, 3]], ["a"], [True], [None], 3, [{}]])
def test_what_is_no_column(values: object) -> None:
    with pytest.raises(FormatError, match="list of numbers"):
        arrays.column(values, "scores")
    with pytest.raises(FormatError, match="list of whole numbers"):
        arrays.whole_column(values, "frame")


def test_columns_settle_their_type() -> None:
    assert arrays.whole_column(np.array([1, 2], np.uint8), "frame").dtype == np.int64
    assert arrays.whole_column([], "frame").dtype == np.int64
    assert arrays.column([1, 2], "scores").dtype == np.float64
    assert arrays.whole_column([2**62 + 1], "person").tolist() == [2**62 + 1]
    with pytest.raises(FormatError):
        arrays.whole_column(np.array([2**63], np.uint64), "person")  # int64 cannot hold it
