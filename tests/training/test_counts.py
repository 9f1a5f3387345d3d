"""Counts over the parts that one process takes one after another."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stad_lite.training.counts import losses_of, normaliser

CPU = torch.device("cpu")


@pytest.mark.parametrize("counts", [(1, 7), (0, 3), (0, 0)])
def test_the_mean_of_the_parts_is_the_whole(counts):
    weight = torch.tensor(2.0, requires_grad=True)

    def loss(part: int) -> Tensor:
        return weight * (part + 1) / normaliser(torch.tensor(part))

    terms = list(losses_of(counts, loss, nn.Identity(), CPU))
    whole = 2 * sum(part + 1 for part in counts) / max(1, sum(counts))
    assert float(sum(terms).detach()) / len(counts) == pytest.approx(whole)
    assert all(term.requires_grad for term in terms)


def test_counting_leaves_no_trace():
    """The counts of drawn things are those of the pass that learns, and norms see each part once."""
    drawn: list[int] = []

    def loss(part: Tensor) -> Tensor:
        network(part)
        drawn.append(int((torch.rand(1000) < 0.5).sum()))
        return normaliser(torch.tensor(drawn[-1]))

    network, parts = nn.BatchNorm1d(2), torch.randn(3, 4, 2)
    torch.manual_seed(0)
    found = [float(value) for value in losses_of(list(parts), loss, network, CPU)]
    assert drawn[:3] == drawn[3:] and len(set(drawn)) > 1
    assert found == pytest.approx([sum(drawn[:3]) / 3] * 3)
    assert int(network.num_batches_tracked) == 3


def test_a_loss_without_counts_is_not_run_twice():
    seen: list[int] = []
    list(losses_of([0, 1, 2, 3], seen.append, nn.Identity(), CPU))
    assert seen == [0, 0, 1, 2, 3]
    seen.clear()
    list(losses_of([0], seen.append, nn.Identity(), CPU))
    assert seen == [0]
