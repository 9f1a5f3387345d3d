"""Classification pre-training on the true boxes, before detection is learnt (STEP Sec. 4.1, AVA).

pretraining = Classification(system)
fit(pretraining, training_set(system, source), schedule("paper_ava"), run_dir, collate=collate)
pretraining.hand_over()
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stad_lite.errors import FormatError
from stad_lite.step.criterion import class_loss
from stad_lite.step.model import chances
from stad_lite.step.system import StepSystem


def filled(truth: Tensor, present: Tensor) -> Tensor:
    """Return true boxes on every place: where an actor has none, the nearest one's (of two the earlier).

    truth: (n, t, 4); present: (n, t) bool, at least one True each
    returns: (n, t, 4)

    >>> boxes = torch.arange(4.0)[None, :, None].expand(1, 4, 4)
    >>> filled(boxes, torch.tensor([[False, True, False, True]]))[0, :, 0]
    tensor([1., 1., 1., 3.])
    """
    places = torch.arange(truth.shape[1], device=truth.device)
    distance = (places[:, None] - places).abs().expand(len(truth), -1, -1)
    nearest = distance.masked_fill(~present[:, None], 2 * len(places)).argmin(2)
    return truth.gather(1, nearest[..., None].expand_as(truth))


class Classification:
    """Backbone and one global branch as a classifier of true boxes, for the training loop.

    It trains the last step's head, which sees the most clips; ``hand_over`` gives what it has learnt to all
    steps.
    Source: STEP Sec. 4.1; the authors' code leaves out the classifier layer as well.
    """

    def __init__(self, system: StepSystem) -> None:
        self.system, self.network = system, system.network
        self.config, self.classes = system.config, system.classes

    def logits(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the logits (n, outputs) and labels (n, classes) of the n actors that count in a batch."""
        item, actor = batch["valid"].nonzero(as_tuple=True)
        boxes = filled(batch["truth"][item, actor], batch["present"][item, actor])
        raw = self.network.raw(self.system.maps(batch), boxes, item, self.config.steps - 1)
        return raw.logits, batch["labels"][item, actor]

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the classification loss over the actors of a batch."""
        logits, labels = self.logits(batch)
        return {"class": class_loss(logits, labels, self.config)}

    @torch.no_grad()
    def predict(self, batch: dict[str, Tensor]) -> list[Tensor]:
        """Return, for every clip, the scores (g, classes) of its actors; zeros where one does not count."""
        self.network.eval()
        scores = batch["labels"] * 0
        scores[batch["valid"]] = chances(self.logits(batch)[0], self.config)
        return list(scores)

    def hand_over(self) -> None:
        """Copy the global branch to the heads of all steps; classifiers and local branches start anew.

        raises: FormatError where the heads differ
        """
        branches: list[Any] = [head.branches for head in self.network.heads]
        last = branches[-1]
        learnt = {
            name: value
            for name, value in last.state_dict().items()
            if not name.startswith(("classify", "local", "joined"))
        }
        for branch in branches:
            _, unknown = branch.load_state_dict(learnt, strict=False)
            if unknown:
                raise FormatError("the heads of the steps differ", remedy="build them alike")
        torch.nn.init.xavier_normal_(last.classify.weight)
        torch.nn.init.zeros_(last.classify.bias)
