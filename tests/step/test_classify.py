"""Classification pre-training: true boxes, one head that learns, and what it hands over."""

import torch

from stad_lite.step.classify import Classification, filled
from stad_lite.step.criterion import class_loss
from tests.step.cases import batch, system

SETTINGS = {"clips": (1, 3), "extension": "anticipation"}


def test_boxes_fill_up_from_the_nearest_frame():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(5, 7, 4, generator=generator)
    present = torch.rand(5, 7, generator=generator) < 0.4
    present[:, 3] = True
    found = filled(truth, present)
    for n in range(5):
        for t in range(7):
            best = min((k for k in range(7) if present[n, k]), key=lambda k: (abs(k - t), k))
            torch.testing.assert_close(found[n, t], truth[n, best])


def test_the_loss_is_that_of_true_boxes():
    one = system(**SETTINGS)
    shown = batch(one.config)
    shown["valid"][0, 1] = False
    pretraining = Classification(one)
    raw = one.network.raw(
        one.maps(shown),
        torch.stack([shown["truth"][0, 0], shown["truth"][1, 0], shown["truth"][1, 1]]),
        torch.tensor([0, 1, 1]),
        1,
    )
    labels = torch.stack([shown["labels"][0, 0], shown["labels"][1, 0], shown["labels"][1, 1]])
    torch.testing.assert_close(pretraining.loss(shown)["class"], class_loss(raw.logits, labels, one.config))
    scores = pretraining.predict(shown)
    assert scores[0].shape == (2, 3) and (scores[0][1] == 0).all() and (scores[1] > 0).all()


def test_it_learns_and_hands_over_the_global_branch_alone():
    for kind, settings in (("vector", {}), ("conv3d", {}), ("mixed", {"width": 32})):
        one = system(head=kind, **SETTINGS, **settings)
        shown = batch(one.config)
        pretraining = Classification(one)
        optimiser = torch.optim.Adam(one.network.parameters(), 3e-3)
        first = last = None
        for _ in range(8):
            loss = pretraining.loss(shown)["class"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            first, last = first or loss.item(), loss.item()
        assert last < first
        before = [{k: v.clone() for k, v in head.state_dict().items()} for head in one.network.heads]
        pretraining.hand_over()
        after = [head.state_dict() for head in one.network.heads]
        for name, value in after[0].items():
            if name not in after[1]:
                continue  # only the first head anticipates
            kept = name.removeprefix("branches.").startswith(("classify", "local", "joined", "location"))
            if kept and "classify" not in name:
                torch.testing.assert_close(value, before[0][name])
            elif not kept:
                torch.testing.assert_close(value, after[1][name])
                torch.testing.assert_close(value, before[1][name])
        weight = "branches.classify.weight"
        assert not torch.equal(after[1][weight], before[1][weight])
        assert all(torch.isfinite(v) for v in one.loss(shown).values())
