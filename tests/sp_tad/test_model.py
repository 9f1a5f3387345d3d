"""The network: published sizes, parameters by name, where it begins."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from stad_lite.errors import FormatError
from stad_lite.sp_tad.backbone import TAPS
from stad_lite.sp_tad.config import Backbone, SpTadConfig, schedule
from stad_lite.sp_tad.criterion import make_truth, set_loss
from stad_lite.sp_tad.interaction import Levels, to_segments
from stad_lite.sp_tad.model import SpTad, initial_segments
from tests.sp_tad.small import SMOKE, frames_config, random_inputs

I3D_STREAM = 12_697_264 - 400 * 1025
"""Parameters of an I3D on RGB: the published 12,697,264 without the classifier of Kinetics-400."""
NEAR = {"rtol": 1e-4, "atol": 1e-4}
"""Between two ways to add up the same."""


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    "change",
    [
        {}, {"pyramid": "single"}, {"pyramid": "high"}, {"interaction": "global"},
        {"clip_head": False}, {"heads": 6},
    ],
)  # fmt: skip
def test_every_variant_gives_all_heads(change):
    config = replace(SMOKE, **change)
    out = SpTad(config, 3)(random_inputs())
    assert out.logits.shape == (config.heads, 2, 8, 3) and out.segments.shape == (config.heads, 2, 8, 2)
    assert (out.clip is None) == (not config.clip_head)
    truth = make_truth([torch.tensor([[0.1, 0.4]])] * 2, [torch.tensor([1])] * 2)
    loss = sum(set_loss(out, truth, config).values())
    loss.backward()
    assert torch.isfinite(loss)


def test_bfloat16_comes_near_float32():
    torch.manual_seed(0)
    config = replace(SMOKE, initial="grid")
    network, inputs = SpTad(config, 3), random_inputs()
    truth = make_truth([torch.tensor([[0.1, 0.4]])] * 2, [torch.tensor([1])] * 2)
    with torch.autocast("cpu", torch.bfloat16):
        terms = set_loss(network(inputs), truth, config)
    sum(terms.values()).backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())
    for name, term in set_loss(network(inputs), truth, config).items():
        torch.testing.assert_close(terms[name].float(), term, rtol=0.05, atol=0.02)


def test_parts_go_by_name_and_all_learn():
    torch.manual_seed(0)
    network = SpTad(frames_config(initial="grid"), 2)
    names = {name.split(".")[0] for name, _ in network.named_parameters()}
    assert names == {"backbone", "pyramid", "proposals", "heads", "clip_head"}
    clips = {"rgb": torch.rand(1, 3, 64, 24, 24) * 2 - 1, "flow": torch.rand(1, 2, 64, 24, 24) * 2 - 1}
    truth = make_truth([torch.tensor([[0.1, 0.4]])], [torch.tensor([1])])
    sum(set_loss(network(clips), truth, network.config).values()).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_scores_begin_at_the_prior_and_proposals_where_they_are_put():
    torch.manual_seed(0)
    network = SpTad(replace(SMOKE, initial="whole"), 3)
    assert network.heads[0].classes.bias.sigmoid().tolist() == pytest.approx([0.01] * 3, rel=1e-4)
    assert network.proposals["segments"].unique(dim=0).tolist() == [[0.5, 1.0]]
    grid = initial_segments("grid", 12)
    ends = torch.stack([grid[:, 0] - grid[:, 1] / 2, grid[:, 0] + grid[:, 1] / 2], 1)
    assert ends.min() == 0 and ends.max() <= 1
    for number in (1, 2, 4):  # each length tiles the window
        tiles = ends[grid[:, 1] == 1 / number]
        assert tiles[:, 0].tolist() == [i / number for i in range(number)]
    drawn = initial_segments("random", 50)
    assert drawn.shape == (50, 2) and (drawn[:, 1] > 0).all() and drawn.std(0).min() > 0.05


def test_stacked_heads_start_from_the_segments_before_without_their_gradient():
    torch.manual_seed(0)
    network = SpTad(SMOKE, 3)
    out = network(random_inputs())
    out.segments[1].sum().backward()
    last = [p.grad for p in network.heads[0].deltas.parameters()]
    assert all(grad is None or not grad.any() for grad in last)


def test_every_head_starts_from_what_the_one_before_found():
    """SP-TAD Sec. 3.1.3, iterative refinement: segments and features go on from head to head."""
    torch.manual_seed(0)
    network, inputs = SpTad(replace(SMOKE, heads=3, initial="grid"), 3), random_inputs()
    for head in network.heads:
        torch.nn.init.normal_(head.deltas.weight, std=0.5)
    out = network(inputs)
    pyramid = network.pyramid
    levels = Levels(pyramid(network.backbone(inputs)), pyramid.strides, SMOKE.window)
    segments = to_segments(network.proposals["segments"]).expand(2, -1, -1)
    features = network.proposals["features"].expand(2, -1, -1)
    for number, head in enumerate(network.heads):
        logits, segments, features = head(levels, segments, features)
        torch.testing.assert_close(out.logits[number], logits, **NEAR)
        torch.testing.assert_close(out.segments[number], segments, **NEAR)


def test_the_clip_head_is_one_layer_on_the_mean_of_every_stage():
    network, inputs = SpTad(SMOKE, 3), random_inputs()
    means = torch.cat([inputs[str(number)].mean(2) for number in range(3)], 1)
    torch.testing.assert_close(network(inputs).clip, network.clip_head.classes(means), **NEAR)


def test_stages_are_both_streams_pooled_over_space_and_side_by_side():
    """SP-TAD Sec. 3.1.1 and 3.1.2, level by level."""
    torch.manual_seed(0)
    backbone = SpTad(frames_config("i3d"), 2).backbone.eval()
    clips = {name: torch.rand(1, c, 16, 32, 32) for name, c in (("rgb", 3), ("flow", 2))}
    found = backbone(clips)
    alone = [net(clips[stream], TAPS) for stream, net in backbone.streams.items()]
    for stage, tap in zip(found, ("Mixed_3c", "Mixed_4f", "Mixed_5c"), strict=True):
        wanted = torch.cat([maps[tap].mean((3, 4)) for maps in alone], 1)
        torch.testing.assert_close(stage, wanted, **NEAR)


@pytest.mark.parametrize(
    ("kind", "streams"), [("i3d", ("rgb", "flow")), ("i3d", ("rgb",)), ("light", ("flow",))]
)
def test_stages_of_frames_have_their_strides(kind, streams):
    config = frames_config(kind, streams)
    network = SpTad(config, 2)
    sizes = {"rgb": 3, "flow": 2}
    clips = {name: torch.zeros(1, sizes[name], 64, 24, 24) for name in streams}
    stages = network.backbone(clips)
    assert [stage.shape[2] for stage in stages] == [32, 16, 8]
    assert tuple(stage.shape[1] for stage in stages) == network.backbone.channels


@pytest.mark.parametrize(
    ("dataset", "classes", "window", "proposals"), [("thumos14", 20, 256, 50), ("activitynet", 200, 768, 100)]
)
def test_published_sizes(dataset, classes, window, proposals):
    """SP-TAD Sec. 3.1 and 4.1; the parameter count is recorded here."""
    config = SpTadConfig.paper(dataset)
    with torch.device("meta"):
        network = SpTad(config, classes)
    assert (config.window, config.proposals, config.heads, config.eta) == (window, proposals, 4, 5)
    assert config.backbone.crop == (96, 96) and config.channels == 256
    assert network.backbone.channels == (960, 1664, 2048) and network.pyramid.strides == (2, 4, 8, 16)
    parts = {name: parameters(part) for name, part in network.named_children()}
    flow = I3D_STREAM - 64 * 7 * 7 * 7  # one input channel less
    assert parts["backbone"] == I3D_STREAM + flow
    lateral = (960 + 1664 + 2048) * 256 + 3 * 256
    assert parts["pyramid"] == lateral + 3 * (256 * 256 * 3 + 256)
    assert parts["clip_head"] == 4672 * classes + classes
    assert parts["proposals"] == proposals * 258
    dynamic = 256 * 32768 + 32768 + 16 * 256 * 256 + 256 + 2 * (64 + 256 + 256)
    attention = 4 * (256 * 256 + 256)
    feed = 2 * 256 * 2048 + 2048 + 256
    towers = 2 * (256 * 256 + 256) + 256 * classes + classes + 256 * 2 + 2
    assert parts["heads"] == 4 * (dynamic + attention + feed + 3 * 512 + towers)
    assert sum(parts.values()) == {"thumos14": 70_143_056, "activitynet": 71_182_136}[dataset]


def test_published_schedule():
    paper = schedule("paper")
    assert (paper.optimiser, paper.lr, paper.weight_decay, paper.batch, paper.epochs) == (
        "adamw", 1e-4, 1e-4, 16, 16,
    )  # fmt: skip
    assert paper.drops == (12 / 16,) and paper.drop == 0.1 and paper.schedule == "step"


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "classes"), [("thumos14", 20), ("activitynet", 200)])
def test_published_sizes_take_a_step(dataset, classes):
    """One training and one inference step from frames: minutes on a CPU.

    70,143,056 parameters for THUMOS14 and 71,182,136 for ActivityNet-1.3. I3D's layers are computed again
    in the backward pass, which changes no figure: 768 frames would else take 30 GB.
    """
    torch.manual_seed(0)
    config = SpTadConfig.paper(dataset)
    network = SpTad(config, classes)
    assert parameters(network) == {"thumos14": 70_143_056, "activitynet": 71_182_136}[dataset]
    length, began = config.window, time.process_time()
    for stream in network.backbone.streams.values():
        for name in stream.names:
            layer = stream.get_submodule(name)
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    clips = {
        "rgb": torch.rand(1, 3, length, 96, 96) * 2 - 1,
        "flow": torch.rand(1, 2, length, 96, 96) * 2 - 1,
    }
    truth = make_truth([torch.tensor([[0.1, 0.4], [0.5, 0.55]])], [torch.tensor([1, 3])])
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-4)
    loss = sum(set_loss(network(clips), truth, config).values())
    loss.backward()
    optimiser.step()
    trained = time.process_time()
    assert torch.isfinite(loss) and all(torch.isfinite(p).all() for p in network.parameters())
    network.eval()
    with torch.no_grad():
        out = network(clips)
    seen = time.process_time()
    print(f"{dataset}: training step {trained - began:.0f} CPU-s, inference {seen - trained:.0f} CPU-s")
    assert out.logits.shape == (4, 1, config.proposals, classes) and torch.isfinite(out.segments).all()


def test_a_step_at_the_published_width_on_a_short_window():
    """The whole of ``paper()`` on 16 frames of 32 x 32: what CI can afford."""
    torch.manual_seed(0)
    config = replace(SpTadConfig.paper(), window=16, test_stride=16, backbone=Backbone(crop=(32, 32)))
    network = SpTad(config, 20)
    clips = {"rgb": torch.rand(1, 3, 16, 32, 32) * 2 - 1, "flow": torch.rand(1, 2, 16, 32, 32) * 2 - 1}
    truth = make_truth([torch.tensor([[0.1, 0.4]])], [torch.tensor([1])])
    loss = sum(set_loss(network(clips), truth, config).values())
    loss.backward()
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"pyramid": "deep"}, "pyramid"), ({"interaction": "dense"}, "interaction"),
        ({"initial": "here"}, "initial"),
        ({"heads": 0}, "heads"), ({"window": 60}, "window is 60"), ({"test_stride": 65}, "no gap"),
        ({"attention": 3}, "channels is .* and attention is 3"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(change, word):
    with pytest.raises(FormatError, match=word):
        replace(SMOKE, **change)


@pytest.mark.parametrize(
    "options", [{"kind": "c3d"}, {"streams": ("depth",)}, {"strides": (2, 4, 4)}, {"kind": "features"}]
)
def test_backbones_that_cannot_be_are_refused(options):
    with pytest.raises(FormatError):
        Backbone(**options)
    with pytest.raises(FormatError, match="no settings"):
        SpTadConfig.paper("ava")
