"""The fast way of prediction answers as the plain one, which stands behind it, and gives the network back.

There is no GPU in these tests: the device is named, and the tensors stay on the CPU.
"""

from __future__ import annotations

import pytest
import torch

from stad_lite.errors import NotFiniteError
from stad_lite.nets.folding import FlatPool
from stad_lite.nets.i3d import I3D
from stad_lite.systems.quick import quick, quickly

GPU = torch.device("cuda")


class Small(torch.nn.Module):
    """A network with a backbone, as a system has it."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = I3D(width=0.125, final="Mixed_3b")


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return Small().eval()


@pytest.mark.filterwarnings("ignore:User provided device_type")
def test_folded_inside_and_itself_again(network: torch.nn.Module) -> None:
    clips, own = torch.randn(1, 3, 6, 32, 32), network.backbone
    with torch.no_grad():
        (expected,) = own(clips).values()
        with quick(network, GPU):
            parts = list(network.backbone.modules())
            (found,) = network.backbone(clips).values()
    assert network.backbone is own and any(isinstance(part, FlatPool) for part in parts)
    assert not any(isinstance(part, torch.nn.BatchNorm3d) for part in parts)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    kernel = next(part for part in parts if isinstance(part, torch.nn.Conv3d) and part.kernel_size[0] == 3)
    assert kernel.weight.is_contiguous(memory_format=torch.channels_last_3d)


def test_on_the_cpu_nothing_changes(network: torch.nn.Module) -> None:
    own = network.backbone

    def work() -> bool:
        return network.backbone is own and not torch.is_autocast_enabled("cpu")

    assert quickly(network, torch.device("cpu"), work)


@pytest.mark.filterwarnings("ignore:User provided device_type")
def test_what_half_precision_cannot_hold_is_done_plainly(network: torch.nn.Module) -> None:
    own, told = network.backbone, []

    def work() -> str:
        if network.backbone is not own:
            raise NotFiniteError("what the network says is not finite")
        return "done"

    assert quickly(network, GPU, work, told.append) == "done"
    assert network.backbone is own and "not finite" in told[0]


@pytest.mark.filterwarnings("ignore:User provided device_type")
def test_what_the_gpu_refuses_is_done_plainly(network: torch.nn.Module) -> None:
    own, told = network.backbone, []

    def work() -> str:
        if network.backbone is not own:
            raise RuntimeError("no kernel")
        return "done"

    assert quickly(network, GPU, work, told.append) == "done"
    assert told == ["plain prediction, since the fast one failed: no kernel"]
    assert network.backbone is own
