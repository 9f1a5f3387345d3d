"""Warping and resizing of flow, by displacements whose result is known."""

from __future__ import annotations

import pytest
import torch

from stad_lite.nets.flow.warping import resize_flow, resize_to_multiple, warp


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (2, 0), (0, -1), (-3, 2)])
def test_whole_displacements_shift_the_map(dx, dy):
    maps = torch.rand(2, 3, 6, 8, dtype=torch.float64)
    flow = torch.tensor([dx, dy], dtype=torch.float64).view(1, 2, 1, 1).expand(2, 2, 6, 8)
    wanted, border = torch.zeros_like(maps), torch.zeros_like(maps)
    for y in range(6):
        for x in range(8):
            border[:, :, y, x] = maps[:, :, min(max(y + dy, 0), 5), min(max(x + dx, 0), 7)]
            if 0 <= y + dy < 6 and 0 <= x + dx < 8:
                wanted[:, :, y, x] = maps[:, :, y + dy, x + dx]
    torch.testing.assert_close(warp(maps, flow), wanted)
    torch.testing.assert_close(warp(maps, flow, "border"), border)


@pytest.mark.parametrize("outside", ["zeros", "border"])
def test_any_displacement_weighs_the_four_cells_around(outside):
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(1, 2, 5, 6, dtype=torch.float64, generator=generator)
    flow = torch.rand(1, 2, 5, 6, dtype=torch.float64, generator=generator) * 8 - 4
    got = warp(maps, flow, outside)
    for y in range(5):
        for x in range(6):
            to_x, to_y = x + float(flow[0, 0, y, x]), y + float(flow[0, 1, y, x])
            wanted = torch.zeros(2, dtype=torch.float64)
            for cell_y in range(-9, 15):
                for cell_x in range(-10, 16):
                    share = max(0.0, 1 - abs(to_x - cell_x)) * max(0.0, 1 - abs(to_y - cell_y))
                    inside = 0 <= cell_x < 6 and 0 <= cell_y < 5
                    if share and (inside or outside == "border"):
                        wanted += share * maps[0, :, min(max(cell_y, 0), 4), min(max(cell_x, 0), 5)]
            torch.testing.assert_close(got[0, :, y, x], wanted)


def test_half_displacements_are_means_and_have_gradients():
    maps = torch.rand(1, 1, 1, 5, dtype=torch.float64)
    flow = torch.zeros(1, 2, 1, 5, dtype=torch.float64)
    flow[:, 0] = 0.5
    torch.testing.assert_close(warp(maps, flow)[..., :4], (maps[..., :4] + maps[..., 1:]) / 2)
    flow = (torch.rand(1, 2, 4, 5, dtype=torch.float64) * 0.5 + 0.1).requires_grad_()
    maps = torch.rand(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(warp, (maps, flow))


def test_resized_flow_points_to_the_same_content():
    flow = torch.randn(1, 2, 4, 6)
    up = resize_flow(flow, 8, 18)
    torch.testing.assert_close(
        up.mean((2, 3)), flow.mean((2, 3)) * torch.tensor([[3.0, 2.0]]), atol=0.3, rtol=0.3
    )
    constant = torch.tensor([1.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 4, 6)
    wanted = torch.tensor([3.0, -4.0]).view(1, 2, 1, 1).expand(1, 2, 8, 18)
    torch.testing.assert_close(resize_flow(constant, 8, 18), wanted)


def test_sides_are_rounded_up():
    assert resize_to_multiple(torch.zeros(1, 3, 300, 320), 64).shape == (1, 3, 320, 320)
    images = torch.rand(1, 3, 64, 128)
    assert resize_to_multiple(images, 64) is images
