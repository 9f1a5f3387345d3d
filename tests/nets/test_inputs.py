"""What networks are fed, by the literal rule of each publication."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite.nets.inputs import PIXELS, flow_input, rgb_input

FRAMES = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), dtype=np.uint8)


def test_inputs_are_scaled_and_channels_come_first():
    frames = np.zeros((2, 4, 6, 3), np.uint8)
    frames[..., 1] = 255
    assert rgb_input(frames)[0, :, 0, 0].tolist() == [-1.0, 1.0, -1.0]
    flow = np.zeros((2, 4, 6, 2), np.float16)
    flow[..., 0] = 6
    assert flow_input(flow, 4.0)[1, :, 2, 3].tolist() == [1.5, 0.0]


def test_rgb_as_each_network_was_trained():
    caffe = FRAMES[..., ::-1].astype(np.float32) - (104, 117, 123)
    torchvision = (FRAMES / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    for name, wanted in (("unit", FRAMES / 127.5 - 1), ("bgr", caffe), ("imagenet", torchvision)):
        found = rgb_input(FRAMES, name).numpy().transpose(0, 2, 3, 1)
        np.testing.assert_allclose(found, wanted, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", PIXELS)
def test_flow_of_its_scale_is_as_large_as_rgb(name):
    """Stored as an image (128 for none, 255 for the scale) flow would have passed through the same rule."""
    flow = np.random.default_rng(1).uniform(-4, 4, (2, 3, 4, 2)).astype(np.float32)
    image = np.stack([flow[..., 0] * 127.5 / 4 + 127.5] * 3, -1)
    grey = np.full((2, 3, 4, 3), 127.5)
    stored = (rgb_input(image, name) - rgb_input(grey, name)).mean(1)
    torch.testing.assert_close(flow_input(flow, 4.0, name)[:, 0], stored, rtol=1e-3, atol=1e-4)
    assert torch.equal(flow_input(flow, 1.0, name, cut=True), flow_input(flow.clip(-1, 1), 1.0, name))
    assert PIXELS["unit"].half == 1.0
