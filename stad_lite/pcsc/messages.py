"""Messages between streams: what one stream's features add to the other's (PCSC Eq. 1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from stad_lite.errors import FormatError


class Message(nn.Module):
    """The mapping f of Eq. 1: two 1 x 1 convolutions with a ReLU between them, the first of which narrows.

    The second starts at zero, so that a new network is the one without messages. The paper states neither
    how far the channels are reduced nor whether a second ReLU follows; four times and none are our choice.

    channels: of the features, in and out
    reduction: by how much the first convolution divides them
    raises: FormatError for a reduction that leaves no channel
    Source: PCSC Sec. 3.3.

    >>> import torch
    >>> Message(64)(torch.ones(2, 64, 4, 4)).abs().sum().item()
    0.0
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        if not 1 <= reduction <= channels:
            raise FormatError(
                f"{channels} channels cannot be reduced {reduction} times", remedy=f"give 1 to {channels}"
            )
        self.reduce = nn.Conv2d(channels, channels // reduction, 1)
        self.restore = nn.Conv2d(channels // reduction, channels, 1)
        nn.init.kaiming_normal_(self.reduce.weight, nonlinearity="relu")
        for name, parameter in self.named_parameters():
            if name != "reduce.weight":
                nn.init.zeros_(parameter)

    def forward(self, helper: Tensor) -> Tensor:
        """Return the message (b, channels, h, w) that features (b, channels, h, w) send."""
        return self.restore(F.relu(self.reduce(helper)))


def receive(own: Tensor, helper: Tensor, message: nn.Module | None) -> Tensor:
    """Return a stream's features with the other stream's message added; without one, as they are.

    own, helper: (b, channels, h, w) of the stream that is helped and of the one that helps
    raises: FormatError where the two differ in shape: the streams saw clips of different lengths or sizes
    Source: PCSC Eq. 1.
    """
    if own.shape != helper.shape:
        raise FormatError(
            f"features {tuple(own.shape)} cannot receive a message of {tuple(helper.shape)}",
            remedy="give both streams the same frames at the same size",
        )
    return own if message is None else own + message(helper)


def receive_levels(
    own: Sequence[Tensor], helper: Sequence[Tensor], messages: Iterable[nn.Module] | None
) -> list[Tensor]:
    """Return the bottom-up maps of a stream, each with the message of the same level added.

    own, helper: C2 to C5, one (b, channels, h, w) a level
    messages: one a level, or None for no messages
    Source: PCSC Sec. 3.3 (image level: before the top-down path).
    """
    if messages is None:
        return list(own)
    return [receive(a, b, message) for a, b, message in zip(own, helper, messages, strict=True)]
