"""The coarse module: sampling, branches, their sum, what each cell can see."""

import numpy as np
import pytest
import torch

from stad_lite.cfad.coarse import CoarseModule, SpaceTimeConv, sample_features, sample_times
from tests.cfad.cases import tiny


def module(**settings) -> CoarseModule:
    torch.manual_seed(0)
    found = CoarseModule(tiny(**settings), 8, classes=3).eval()
    for head in found.heads.values():
        torch.nn.init.normal_(head.everywhere.out.weight, std=0.5)
    for conv in (found.classify, found.shape):
        torch.nn.init.normal_(conv.weight, std=0.5)
    return found


@pytest.mark.parametrize("stride", [1, 8])
def test_samples_are_interpolated_between_the_middles_of_steps(stride):
    steps, random = 6, np.random.default_rng(0)
    maps = random.normal(size=(2, 3, steps, 1, 1))
    times = sample_times(torch.tensor([[0.0, 6.0 * stride], [stride, 3.0 * stride], [4.0, 5.0]]), 5)
    found = sample_features(torch.as_tensor(maps).float(), torch.tensor([0, 1, 1]), times, stride)
    middles = np.arange(steps) * stride + (stride - 1) / 2
    for row, item in enumerate((0, 1, 1)):
        for channel in range(3):
            wanted = np.interp(times[row], middles, maps[item, channel, :, 0, 0])
            np.testing.assert_allclose(found[row, channel, :, 0, 0], wanted, atol=1e-5)


def test_times_begin_and_end_with_the_span():
    times = sample_times(torch.tensor([[3.0, 14.0], [7.0, 8.0]]), 6)
    assert times[0].tolist() == [3, 5, 7, 9, 11, 13] and times[1].tolist() == [7] * 6


def test_only_the_difference_branch_is_blind_to_what_stands_still():
    features, still = torch.randn(2, 8, 5, 4, 4), torch.randn(2, 8, 1, 4, 4)
    for branches, blind in (("difference", True), ("direct", False), ("both", False)):
        one = module(branches=branches)
        before, after = one(features), one(features + still)
        same = torch.allclose(before.logits, after.logits, atol=1e-3)
        same &= torch.allclose(before.theta, after.theta, atol=1e-3)
        assert same is blind, branches


def test_both_branches_are_averaged_over_time_and_added():
    one, features = module(), torch.randn(2, 8, 5, 4, 4)
    direct = one.heads["direct"](features).mean(2)
    change = one.heads["difference"](features[:, :, 1:] - features[:, :, :-1]).mean(2)
    torch.testing.assert_close(one.pooled(features), direct + change)


def test_a_cell_sees_beyond_its_convolutions():
    one = module(branches="direct", pool=1)
    one.heads["direct"].convs[0].norm = torch.nn.Identity()  # it sees everything too
    features = torch.randn(1, 8, 5, 9, 9, requires_grad=True)
    one.pooled(features)[0, :, 0, 0].sum().backward()
    assert features.grad[0, :, :, -1, -1].abs().sum() > 0  # the non-local block
    torch.nn.init.zeros_(one.heads["direct"].everywhere.out.weight)
    features.grad = None
    one.pooled(features)[0, :, 0, 0].sum().backward()
    assert features.grad[0, :, :, -1, -1].abs().sum() == 0  # and nothing else


def test_outputs_stand_in_the_order_of_the_anchors():
    one, features = module(order=2), torch.randn(1, 8, 5, 3, 4)
    maps, found = one.pooled(features), one(features)
    assert found.logits.shape == (1, 3 * 4 * 6, 4) and found.theta.shape == (1, 3 * 4 * 6, 3, 4)
    row, column, size = 2, 1, 5
    place = (row * 4 + column) * 6 + size
    raw = one.classify(maps)[0, size * 4 : size * 4 + 4, row, column]
    torch.testing.assert_close(found.logits[0, place], raw)
    raw = one.shape(maps)[0, size * 12 : size * 12 + 12, row, column]
    torch.testing.assert_close(found.theta[0, place], raw.reshape(3, 4))


def test_a_factorised_convolution_is_one_in_space_then_one_in_time():
    torch.manual_seed(0)
    conv = SpaceTimeConv(3, 8, factorised=True)
    maps = torch.randn(2, 3, 5, 6, 7)
    whole = torch.nn.functional.conv3d(maps, conv.space.weight[:, :, None], padding=(0, 1, 1))
    whole = torch.nn.functional.conv3d(whole, conv.time.weight[..., None], padding=(1, 0, 0))
    torch.testing.assert_close(conv(maps), torch.relu(conv.norm(whole)))
    assert SpaceTimeConv(3, 8, factorised=False, stride=2)(maps).shape == (2, 8, 5, 3, 4)


def test_silence_is_background_and_a_shortcut_lets_features_by():
    one = CoarseModule(tiny(), 16, classes=3)
    chances = torch.nn.functional.conv2d(torch.zeros(1, 16, 1, 1), one.classify.weight, one.classify.bias)
    assert (chances.reshape(6, 4).argmax(1) == 3).all()
    torch.manual_seed(0)
    maps, past = torch.randn(2, 8, 5, 6, 7), SpaceTimeConv(8, 8, shortcut=True)
    torch.testing.assert_close(past(maps), maps + torch.relu(past.norm(past.convolved(maps))))
    assert SpaceTimeConv(8, 16, shortcut=True)(maps).shape == (
        2,
        16,
        5,
        6,
        7,
    )  # channels differ: there is none
