"""Costs against counts by hand, a clock that is told, and memory that is known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stad_lite.errors import FormatError
from stad_lite.nets.i3d import I3D
from stad_lite.schedule import TrainConfig
from stad_lite.training import profile as module
from stad_lite.training.examples import ACTION, FRAMES, NETWORKS, Noise
from stad_lite.training.profile import operations, parameters, profile, timed
from tests.training.tiny import Tiny

CPU = torch.device("cpu")


def test_operations_of_layers_by_hand():
    image = torch.ones(2, 3, 8, 8)
    conv = 2 * (2 * 5 * 4 * 4) * (3 * 3 * 3)
    assert operations(lambda: F.conv2d(image, torch.ones(5, 3, 3, 3), stride=2, padding=1))[0] == conv
    line = nn.Linear(7, 4)
    given = torch.ones(6, 7)
    assert operations(lambda: line(given))[0] == 2 * 6 * 7 * 4
    # gradients of the weight alone: the input asks for none
    assert operations(lambda: line(given).sum().backward())[0] == 2 * (2 * 6 * 7 * 4)


def test_attention_is_counted_on_every_path():
    """torch's own table has no attention of the CPU, and its fused multi-head attention hides all."""
    query, key = torch.randn(1, 2, 10, 8), torch.randn(1, 2, 6, 8)
    once = 2 * (2 * 10 * 6 * 8)  # scores, or sums of values: both heads, a multiply-add is two
    assert operations(lambda: F.scaled_dot_product_attention(query, key, key))[0] == 2 * once
    wanted = query.clone().requires_grad_()
    back = operations(lambda: F.scaled_dot_product_attention(wanted, key, key).sum().backward())[0]
    assert back == 2 * once + 5 * once  # scores again, and gradients of values, weights, keys and queries
    attention = nn.MultiheadAttention(16, 2, batch_first=True).eval()
    x = torch.randn(1, 10, 16)
    by_hand = 2 * 10 * 16 * (3 * 16 + 16) + 2 * (2 * 2 * 10 * 10 * 8)
    with torch.no_grad():
        for weights in (False, True):
            assert operations(lambda w=weights: attention(x, x, x, need_weights=w))[0] == by_hand
    assert torch.backends.mha.get_fastpath_enabled()


class Parts(nn.Module):
    """A head that is called whole and in part, and a list that is never called itself."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))
        self.many = nn.ModuleList([nn.Linear(2, 2, bias=False) for _ in range(2)])
        self.idle = nn.Linear(5, 5)
        self.free = nn.Parameter(torch.ones(2, 7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.head(x) + self.head[1](self.head[0](x))
        for layer in self.many:
            out = layer(out)
        return out @ self.free


def test_operations_inside_parts():
    net = Parts()
    total, parts = operations(lambda: net(torch.ones(1, 4)), net)
    head, many = 2 * 2 * (4 * 3 + 3 * 2), 2 * 2 * (2 * 2)
    assert parts == {"head": head, "many": many}
    assert total == head + many + 2 * 2 * 7
    assert not net.head._forward_hooks and not net.head._forward_pre_hooks


def test_views_of_parameters_without_gradient():
    """Passed to a module, they stop torch's tracker of modules (learnable proposals do that)."""
    table, line = nn.Parameter(torch.ones(3, 4)), nn.Linear(4, 2)
    with torch.no_grad():
        assert operations(lambda: line(table.expand(2, 3, 4)))[0] == 2 * 6 * 4 * 2


def test_i3d_at_sp_tad_s_size():
    """12.29 M parameters, and 163 GFLOP for 256 x 96 x 96, most of it in the first layer."""
    with torch.device("meta"), torch.no_grad():
        net = I3D().eval()
        total, parts = operations(lambda: net(torch.empty(1, 3, 256, 96, 96)), net)
    assert round(parameters(net)[0] / 1e6, 2) == 12.29
    assert round(total / 1e9) == 163 and sum(parts.values()) == total
    assert parts["Conv3d_1a_7x7"] == 2 * 128 * 48 * 48 * 64 * 3 * 7**3


def test_times_are_medians_within_the_limit(monkeypatch: pytest.MonkeyPatch):
    lasts, now = iter([3.0, 1.0, 8.0, 2.0, 5.0, 9.0]), [0.0]
    monkeypatch.setattr(module.time, "process_time", lambda: now[0])

    def work() -> None:
        now[0] += next(lasts)

    found = timed(work, CPU, rounds=3, seconds=100)
    assert (found.median, found.fastest, found.slowest, found.rounds, found.clock) == (3, 1, 8, 3, "CPU")
    assert timed(work, CPU, rounds=9, seconds=6).rounds == 2  # 2 and 5: then six seconds are over
    with pytest.raises(FormatError, match="0 rounds"):
        timed(work, CPU, rounds=0)


MEASURE = """
import torch
from stad_lite.training.profile import peak_memory

def work():
    torch.ones(48 * 2**18)  # 48 MiB, freed at once
    torch.ones(16 * 2**18)

for _ in range(2):  # what was freed is asked for again
    print(peak_memory(work, torch.device("cpu")))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory needs Linux's /proc")
def test_memory_is_the_peak_of_the_call():
    # in a process of its own: among the holes that other tests leave in the heap, malloc keeps what is freed
    command = [sys.executable, "-c", MEASURE]
    lines = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    found = [int(line) / 2**20 for line in lines.split()]
    assert len(found) == 2 and all(44 < mib < 60 for mib in found)


def test_a_system_s_profile():
    system = Tiny(dropout=0.0)
    system.network[0].bias.requires_grad_(False)
    before = system.network[3].weight.detach().clone()
    batch = torch.ones(6, 3), torch.ones(6, 1)
    config = TrainConfig(steps=1, lr_factors=(("3.bias", 0.0),))
    found = profile(system, batch, config, items=6, frames=12, rounds=2)
    assert (found.total, found.trainable) == (3 * 8 + 8 + 8 + 1, 3 * 8 + 8)
    assert found.predict.flop == 2 * 6 * (3 * 8 + 8)
    assert found.step.flop == found.predict.flop + 2 * 6 * (3 * 8 + 8 + 8)  # and back to the hidden layer
    assert found.parts["0"] == (32, 2 * 6 * 24) and found.parts["1"] == (0, 0)
    assert found.rate(found.step) == 12 / found.step.timing.median
    assert found.step.timing.rounds == 2 and not torch.equal(system.network[3].weight, before)


def test_a_profile_in_bfloat16():
    seen = []
    system = Tiny(dropout=0.0)
    system.network[0].register_forward_hook(lambda _, inputs, out: seen.append(out.dtype))
    batch = torch.ones(6, 3), torch.ones(6, 1)
    assert profile(system, batch, TrainConfig(steps=1, amp=True), rounds=1).amp
    assert set(seen) == {torch.bfloat16}
    assert system.network[0].weight.dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_profile_on_the_gpu():
    batch = torch.ones(6, 3), torch.ones(6, 1)
    found = profile(Tiny(dropout=0.0), batch, TrainConfig(steps=1), device="cuda", rounds=2)
    assert found.predict.timing.clock == "GPU" and found.predict.memory >= 4 * 41
    assert found.predict.flop == 2 * 6 * (3 * 8 + 8)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_alone(name):
    system, batch, frames = NETWORKS[name].example("smoke", 2)
    found = profile(system, batch, TrainConfig(steps=1), items=2, frames=frames, rounds=1)
    assert frames == (32 if name.startswith("i3d") else 2)
    assert sum(flop for _, flop in found.parts.values()) == found.predict.flop > 0
    assert 2 < found.step.flop / found.predict.flop < 3.01
    with pytest.raises(FormatError, match="smoke"):
        NETWORKS[name].example("huge", 1)


def test_noise_is_the_same_again_and_counted():
    first, second = Noise((6, 8)), Noise((6, 8))
    source = first.source()
    assert (source.frames("noise", [7, 2, 7]) == second.source().frames("noise", [7, 2, 7])).all()
    frames = source.frames("noise", [7, 2, 7])
    assert (frames[0] == frames[2]).all() and (frames[0] != frames[1]).any()
    assert abs(source.flow("noise", [3])).max() < 4
    assert first.frames == 6 and first.flow == {3}
    tubes = source.annotations.videos["noise"].tubes
    assert [(t.start, t.end) for t in tubes] == [(n, n + ACTION) for n in range(0, FRAMES, ACTION)]


class Reads:
    """Two items: four frames, or the flow of three."""

    def __init__(self, noise: Noise) -> None:
        self.source = noise.source()
        self.source.frames("noise", range(99))  # for the whole set, as cached maps do: not counted

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        if index == 0:
            self.source.flow("noise", [1, 2, 3, 1])
        else:
            self.source.frames("noise", [1, 2, 3, 1])
        return index


def test_a_batch_tells_its_frames():
    noise = Noise((6, 8))
    data = Reads(noise)
    assert noise.batch(data, list, 1) == ([0], 3)
    assert noise.batch(data, list, 3) == ([0, 1, 0], 4)
    with pytest.raises(FormatError, match="0 items"):
        noise.batch(data, list, 0)
