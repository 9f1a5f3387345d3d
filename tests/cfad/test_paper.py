"""``paper()`` beside the paper's printed numbers, field by field, and one step of it at full size."""

import re
import time
from dataclasses import fields, replace

import pytest
import torch

from stad_lite.cfad import config as settings
from stad_lite.cfad.config import CfadConfig, schedule
from stad_lite.cfad.system import CfadSystem
from stad_lite.training import optimisers
from tests.cfad.cases import batch, moving, truth

PRINTED = {
    "backbone": ("i3d", "Sec. 4.1, to mixed_5b"),
    "stream": ("rgb", "Sec. 4.2"),
    "frozen": (False, "Sec. 4.1, end to end"),
    "length": (96, "Sec. 4.1, T of UCF101-24"),
    "samples": (16, "Sec. 4.1, N of UCF101-24"),
    "trimmed": (False, "Sec. 3.1, temporal proposals"),
    "clock": ("tube", "Eq. 4"),
    "branches": ("both", "Sec. 3.2"),
    "order": (4, "Table 1, the best on UCF101-24"),
    "anchors": (6, "Sec. 4.1"),
    "segment": (6, "Sec. 4.1, K"),
    "position": (0, "Sec. 3.2, the first segment"),
    "epsilon": (0.8, "Sec. 4.1"),
    "selection": ("learned", "Sec. 3.3"),
    "sigma": (0.8, "Table 1, the best"),
    "through": ("all", "Sec. 3.3, over refined and unrefined boxes"),
    "interpolation": ("spline", "Sec. 3.3"),
    "tube_nms": (0.2, "Sec. 4.1"),
    "most": (3, "Sec. 4.1"),
    "class_weight": (1.0, "Eq. 2"),
    "tube_weight": (1.0, "Eq. 2"),
}
OURS = {
    *("flow_scale", "pretrained", "frozen_norms", "size", "span_lengths", "span_width", "span_positive"),
    *("span_negative", "span_sampled", "span_nms", "span_score", "spans", "train_spans", "span_match"),
    *("proposal_epochs", "width", "convolutions", "shortcut", "pool", "factorised", "positive", "negative"),
    *("best_anchor", "sampled", "alpha", "refined", "box_positive", "box_negative", "box_score"),
    *("min_score", "considered", "suppression", "most_in", "span_weight", "key_weight", "box_weight"),
}
JHMDB = {"length": 32, "samples": 6, "order": 2, "trimmed": True}
UCF_SPORTS = {**JHMDB, "samples": 8}
SAID = ("ours", "not in the paper", "does not say", "either way", "sweeps", "where it names them")
"""How the docstrings say that a number is not the paper's."""


@pytest.mark.parametrize("field", PRINTED)
def test_paper_is_what_is_printed(field):
    value, place = PRINTED[field]
    assert getattr(CfadConfig.paper(), field) == value, place


def told() -> dict[str, str]:
    """What the docstrings of the groups say of each field, with what a group says of all of its own."""
    found = {}
    for group in (one for one in CfadConfig.__mro__ if one.__module__ == settings.__name__):
        head, *entries = re.split(r"\n\n?    (?=[a-z_, ]+: )", group.__doc__ or "")
        for entry in entries:
            names, _, text = entry.partition(":")
            common = " ".join(head.split()) if "all numbers" in head or "names them" in head else ""
            found |= {name.strip(): " ".join(text.split()) + common for name in names.split(",")}
    return found


def test_every_other_number_is_said_to_be_ours():
    names = {field.name for field in fields(CfadConfig)}
    assert not set(PRINTED) & OURS and set(PRINTED) | OURS == names
    known = told()
    assert names <= set(known)
    silent = {name for name in OURS if not any(word in known[name] for word in SAID)}
    assert not silent


def test_the_schedule_is_sgd_with_a_batch_of_eight():
    plan = schedule("paper")
    assert (plan.optimiser, plan.batch) == ("sgd", 8)  # Sec. 4.1; of length and rate nothing is printed
    assert CfadConfig.paper().proposal_epochs > 0  # the temporal proposals are trained first


@pytest.mark.parametrize("changes", [JHMDB, UCF_SPORTS], ids=["jhmdb21", "ucfsports"])
def test_the_trimmed_sets_differ_as_the_docstring_says(changes):
    config = replace(CfadConfig.paper(), **changes)
    assert config.length // config.time_stride == 4  # steps of the features, fewer than N samples
    assert "length 32, samples 6 and 8, order 2, trimmed" in " ".join(CfadConfig.paper.__doc__.split())


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, JHMDB], ids=["ucf101-24", "jhmdb21"])
def test_paper_trains_one_step_and_infers(changes):
    torch.manual_seed(0)
    began, config = time.process_time(), replace(CfadConfig.paper(), **changes)
    system = CfadSystem(config, tuple(f"class {i}" for i in range(24)))
    start, length = (0, config.length) if config.trimmed else (20, 50)
    tube = (start, moving(0, length, 1.0, corner=40.0, side=60.0))
    shown = batch(config, [truth([tube], config, [5])])
    del shown["maps"]
    shown["frames"] = torch.rand(1, config.length, 3, *config.size) * 2 - 1
    optimiser = optimisers.make(system.network, schedule("paper"))
    optimisers.set_rate(optimiser, 1e-3)
    before = {name: value.clone() for name, value in system.network.named_parameters()}
    terms = system.loss(shown)
    sum(terms.values()).backward()
    optimiser.step()
    trained = time.process_time()
    assert all(torch.isfinite(value) for value in terms.values())
    after = dict(system.network.named_parameters())
    assert all(torch.isfinite(value).all() for value in after.values())
    moved = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    # a trimmed video is its own proposal
    assert moved == {"backbone", "coarse", "refine", *(() if config.trimmed else ("proposals",))}
    count = 3 * config.length
    (tubes,) = system.predict({"frames": shown["frames"], "count": torch.tensor([count])})
    seen = time.process_time()
    assert tubes and all(0 <= tube.start < tube.end <= count for tube in tubes)
    print(f"training step {trained - began:.0f} CPU-s, inference {seen - trained:.0f} CPU-s")
