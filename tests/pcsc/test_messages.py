"""Messages: additive, shape-preserving, silent at zero."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stad_lite.errors import FormatError
from stad_lite.pcsc.messages import Message, receive, receive_levels


def loud(channels: int, reduction: int = 4) -> Message:
    """Return a message whose last convolution is not zero."""
    message = Message(channels, reduction)
    nn.init.normal_(message.restore.weight)
    nn.init.normal_(message.restore.bias)
    return message


def test_a_zero_message_leaves_the_features_as_they_are():
    own, helper = torch.randn(2, 8, 5, 6), torch.randn(2, 8, 5, 6)
    assert torch.equal(receive(own, helper, Message(8)), own)
    assert torch.equal(receive(own, helper, None), own)
    assert not torch.equal(receive(own, helper, loud(8)), own)


def test_the_message_is_the_formula():
    """f(x) = W2 relu(W1 x + b1) + b2 at every place, whatever the neighbours are."""
    torch.manual_seed(0)
    message, own, helper = loud(8, 2), torch.randn(1, 8, 3, 4), torch.randn(1, 8, 3, 4)
    w1, b1 = message.reduce.weight[:, :, 0, 0], message.reduce.bias
    w2, b2 = message.restore.weight[:, :, 0, 0], message.restore.bias
    found = receive(own, helper, message)
    for y in range(3):
        for x in range(4):
            expected = own[0, :, y, x] + w2 @ (w1 @ helper[0, :, y, x] + b1).clamp(min=0) + b2
            torch.testing.assert_close(found[0, :, y, x], expected)


def test_it_depends_on_the_helper_and_adds_to_the_own_features():
    message, a, b, helper = loud(8), torch.randn(1, 8, 2, 2), torch.randn(1, 8, 2, 2), torch.randn(1, 8, 2, 2)
    torch.testing.assert_close(receive(a, helper, message) - a, receive(b, helper, message) - b)


@pytest.mark.parametrize(("channels", "reduction"), [(64, 4), (30, 4), (8, 1), (5, 5)])
def test_parameters(channels, reduction):
    """Reduce and restore: far fewer than one convolution from all channels to all channels."""
    narrow = channels // reduction
    count = sum(p.numel() for p in Message(channels, reduction).parameters())
    assert count == 2 * channels * narrow + narrow + channels


def test_a_silent_message_can_learn():
    message, helper = Message(4), torch.randn(3, 4, 2, 2)
    receive(torch.zeros_like(helper), helper, message).sum().backward()
    assert message.restore.weight.grad.abs().sum() > 0


def test_levels():
    own = [torch.randn(1, c, 4, 4) for c in (4, 8)]
    helper = [torch.randn(1, c, 4, 4) for c in (4, 8)]
    sent = nn.ModuleList([loud(4), loud(8)])
    for found, a, b, message in zip(receive_levels(own, helper, sent), own, helper, sent, strict=True):
        assert torch.equal(found, receive(a, b, message))
    assert all(torch.equal(a, b) for a, b in zip(receive_levels(own, helper, None), own, strict=True))


def test_bad_input():
    with pytest.raises(FormatError, match="cannot receive a message"):
        receive(torch.zeros(1, 8, 4, 4), torch.zeros(1, 8, 4, 5), None)
    for reduction in (0, 9):
        with pytest.raises(FormatError, match="cannot be reduced"):
            Message(8, reduction)
