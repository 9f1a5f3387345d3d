"""Backbone, default boxes, detection convolutions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stad_lite.anchors import RFB300, default_boxes
from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.flow_subnet.detector import DetectionHead, SmallBackbone, backbone_of
from stad_lite.flow_subnet.layout import box_layout
from tests.flow_subnet.cases import config

TABLE = (
    # cells a side, boxes a cell, pixels a step, square sides
    (38, 6, 8, 30, (30 * 60) ** 0.5),
    (19, 6, 16, 60, (60 * 111) ** 0.5),
    (10, 6, 32, 111, (111 * 162) ** 0.5),
    (5, 6, 64, 162, (162 * 213) ** 0.5),
    (3, 4, 100, 213, (213 * 264) ** 0.5),
    (1, 4, 300, 264, (264 * 315) ** 0.5),
)
"""RFB Net's table for 300 pixels."""


def test_the_papers_default_boxes_by_table():
    layout = box_layout(FlowSubnetConfig.paper())
    assert layout == RFB300
    boxes = default_boxes(layout)
    assert len(boxes) == sum(cells**2 * count for cells, count, *_ in TABLE) == 11_620
    first = 0
    for cells, count, step, small, large in TABLE:
        of_level = boxes[first : first + cells**2 * count].reshape(cells, cells, count, 4)
        first += cells**2 * count
        middle = of_level[cells // 2, cells // 2]
        centre = np.minimum((cells // 2 + 0.5) * step, 300)
        sides = middle[:, 2:] - middle[:, :2]
        np.testing.assert_allclose((middle[:, :2] + middle[:, 2:]) / 2, centre)
        np.testing.assert_allclose(sides[0], small)
        np.testing.assert_allclose(sides[1], min(large, 300))
        ratios = (2, 1 / 2, 3, 1 / 3)[: count - 2]
        np.testing.assert_allclose(sides[2:, 0] / sides[2:, 1], ratios, rtol=0.3)  # cut at the frame's side
    assert (boxes[:, 2:] - boxes[:, :2]).max() <= 300


@pytest.mark.parametrize(("side", "levels"), [(48, 3), (50, 3), (64, 4), (30, 2), (61, 3)])
def test_small_maps_are_as_long_as_the_layout_says(side, levels):
    shares = tuple(0.2 + 0.1 * n for n in range(levels + 1))
    settings = config(size=(side, side), levels=levels, box_shares=shares)
    maps = SmallBackbone(16, levels)(torch.zeros(1, 3, side, side))
    assert tuple(level.shape[2] for level in maps) == settings.map_sides
    assert tuple(level.shape[1] for level in maps) == SmallBackbone(16, levels).channels


@pytest.mark.parametrize(("side", "levels"), [(300, 6), (96, 4), (101, 3), (320, 6), (512, 6)])
def test_rfb_maps_are_as_long_as_the_layout_says(side, levels):
    shares = tuple(0.1 + 0.1 * n for n in range(levels + 1))
    sizes = {"backbone": "rfb", "width": 1 / 16, "size": (side, side), "levels": levels, "box_shares": shares}
    settings = config(**sizes)
    with torch.device("meta"):
        maps = backbone_of(settings)(torch.zeros(1, 3, side, side))
    assert tuple(level.shape[2] for level in maps) == settings.map_sides


def test_the_papers_maps_have_the_papers_channels():
    with torch.device("meta"):
        backbone = backbone_of(FlowSubnetConfig.paper()).eval()
        maps = backbone(torch.zeros(1, 3, 300, 300))
    assert [level.shape[1] for level in maps] == [512, 1024, 512, 256, 256, 256]
    assert backbone.channels == (512, 1024, 512, 256, 256, 256)


def test_the_heads_rows_stand_in_the_order_of_the_default_boxes():
    """A cell's outputs are those of its own boxes: level by level, row by row, a cell's boxes together."""
    settings = config(size=(32, 32))
    boxes = torch.as_tensor(default_boxes(box_layout(settings)))
    head = DetectionHead((2, 2, 2), (6, 6, 6), classes=1)
    for conv in [*head.scores, *head.offsets]:
        torch.nn.init.zeros_(conv.weight)
    maps = []
    for cells in settings.map_sides:
        grid = torch.stack(torch.meshgrid(torch.arange(cells), torch.arange(cells), indexing="xy")).float()
        maps.append((grid[None] + 0.5) * 32 / cells)  # x and y of each cell's centre
    with torch.no_grad():
        for conv in head.offsets:
            for place in range(6):  # each box says its centre
                conv.weight[4 * place, 0, 1, 1] = conv.weight[4 * place + 1, 1, 1, 1] = 1
        scores, offsets = head(maps, maps)
    assert scores.shape == (1, len(boxes), 2) and offsets.shape == (1, len(boxes), 4)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    torch.testing.assert_close(offsets[0, :, :2], centres.float())


def test_smaller_frames_have_smaller_boxes():
    half = replace(FlowSubnetConfig.smoke(), pretrained="", size=(24, 24))
    whole = default_boxes(box_layout(FlowSubnetConfig.smoke()))
    assert len(default_boxes(box_layout(half))) < len(whole)
    assert default_boxes(box_layout(half)).max() <= whole.max()
