"""The network: its stages, variants, losses, and which parameters learn from what."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError
from stad_lite.pcsc import cooperation, detector
from stad_lite.pcsc.config import PCSCConfig, schedule
from stad_lite.pcsc.cooperation import STREAMS, confident, union
from stad_lite.pcsc.model import PCSC, criterion, decode, outputs_by_stage, region_loss
from stad_lite.pcsc.system import PCSCSystem
from stad_lite.systems.truth import TrueBoxes

SMOKE = PCSCConfig.smoke()
FOUR = replace(SMOKE, stages=4)
CLASSES = ("a", "b", "c")
NEAR = {"rtol": 1e-4, "atol": 1e-4}  # between two ways to add up the same


def maps(batch: int = 2, config: PCSCConfig = SMOKE) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {stream: torch.randn(batch, config.frames, 32, 12, 12) for stream in ("rgb", "flow")}


def batch(size: int = 2) -> dict[str, torch.Tensor]:
    boxes = torch.tensor([[8.0, 8, 24, 30], [0.0, 0, 0, 0]]).expand(size, 2, 4).clone()
    return {**maps(size), "boxes": boxes, "labels": torch.tensor([[1, -1]] * size)}


def loud(network: PCSC) -> PCSC:
    """Give every message something to say."""
    for part in [*(network.image_messages or []), *network.roi_messages.values()]:
        nn.init.normal_(part.restore.weight)
    return network


def test_stages_and_heads():
    network = PCSC(FOUR, 3)
    assert list(network.heads) == ["rgb0", "flow0", "stage1", "stage2", "stage3", "stage4"]
    outputs = network.eval()(**maps())
    assert [(s.number, s.stream) for s in outputs.stages] == [
        (0, "rgb"), (0, "flow"), (1, "rgb"), (2, "flow"), (3, "rgb"), (4, "flow"),
    ]  # fmt: skip
    assert len(outputs_by_stage(outputs, FOUR)) == 5


@pytest.mark.parametrize(
    ("change", "image", "roi"),
    [
        ({}, True, 4),
        ({"messages": "image"}, True, 0),
        ({"messages": "roi"}, False, 4),
        ({"messages": "none"}, False, 0),
        ({"directions": "to_rgb"}, True, 2),
        ({"directions": "to_flow"}, False, 2),
    ],
)
def test_which_messages_a_variant_has(change, image, roi):
    network = PCSC(replace(FOUR, **change), 3)
    assert (network.image_messages is not None) is image
    assert len(network.roi_messages) == roi


@torch.no_grad()
def test_silent_messages_equal_none():
    """A new network's messages are zero: it is the network without feature cooperation."""
    torch.manual_seed(0)
    with_messages = PCSC(FOUR, 3).eval()
    without = PCSC(replace(FOUR, messages="none"), 3).eval()
    without.load_state_dict(with_messages.state_dict(), strict=False)
    for a, b in zip(with_messages(**maps()).stages, without(**maps()).stages, strict=True):
        assert torch.equal(a.found.scores, b.found.scores)


@torch.no_grad()
@pytest.mark.parametrize(
    ("change", "changed", "moved"),
    [
        ({}, "flow", {"rgb0", "flow0", "rgb1", "flow2"}),
        ({}, "rgb", {"rgb0", "rgb1", "flow2"}),
        ({"messages": "none"}, "flow", {"flow0", "rgb1", "flow2"}),
        ({"messages": "none", "proposals": False}, "flow", {"flow0", "flow2"}),
        ({"messages": "none", "proposals": False}, "rgb", {"rgb0", "rgb1"}),
        ({"proposals": False, "messages": "roi"}, "flow", {"flow0", "rgb1", "flow2"}),
        ({"proposals": False, "messages": "image"}, "rgb", {"rgb0", "rgb1"}),
        ({"directions": "to_rgb"}, "rgb", {"rgb0", "rgb1"}),
        ({"directions": "to_rgb"}, "flow", {"rgb0", "flow0", "rgb1", "flow2"}),
        ({"directions": "to_flow"}, "flow", {"flow0", "flow2"}),
        ({"directions": "to_flow"}, "rgb", {"rgb0", "rgb1", "flow2"}),
    ],
)
def test_who_depends_on_which_stream(change, changed, moved):
    """Change one stream's input: exactly the stages that it may reach find something else."""
    torch.manual_seed(0)
    config = replace(SMOKE, confidence=0.0, **change)
    network = loud(PCSC(config, 3)).eval()
    before = network(**maps())
    after = network(**{**maps(), changed: torch.randn(2, config.frames, 32, 12, 12)})
    found = {
        f"{a.stream}{a.number}"
        for a, b in zip(before.stages, after.stages, strict=True)
        if a.found.scores.shape != b.found.scores.shape or not torch.equal(a.found.scores, b.found.scores)
    }
    assert found == moved


SOME = torch.tensor([[2.0, 4, 20, 30], [10.0, 8, 46, 40], [0.0, 0, 14, 12]])


@torch.no_grad()
def test_the_image_message_goes_to_rgb_before_the_pyramid():
    """Sec. 3.3: C_l of RGB receives at every level, then its top-down path follows; flow's stays."""
    network, seen = loud(PCSC(SMOKE, 3)).eval(), maps()
    rgb, flow = (network.trunks[stream](seen[stream]) for stream in STREAMS)
    helped = [a + f(b) for a, b, f in zip(rgb, flow, network.image_messages, strict=True)]
    levels = network.features(**seen)
    for stream, bottom_up in (("rgb", helped), ("flow", flow)):
        for found, wanted in zip(levels[stream], network.pyramids[stream](bottom_up), strict=True):
            torch.testing.assert_close(found, wanted, **NEAR)


@torch.no_grad()
def test_a_stage_adds_the_helpers_message_to_its_own_regions():
    """Eq. 1 on what is cut from both pyramids; stage 0 is alone, and actionness reads the latest heads."""
    network, item = loud(PCSC(FOUR, 3)).eval(), torch.tensor([0, 1, 1])
    levels = network.features(**maps())
    cut = (SOME, item, FOUR.roi, FOUR.canonical, FOUR.samples)
    rgb, flow = (detector.pool(levels[stream], network.strides, *cut) for stream in STREAMS)
    told = network.roi_messages
    for stream, name, wanted in (
        ("rgb", "rgb0", rgb),
        ("flow", "flow0", flow),
        ("rgb", "stage3", rgb + told["stage3"](flow)),
        ("flow", "stage4", flow + told["stage4"](rgb)),
    ):
        torch.testing.assert_close(network.region_features(levels, SOME, item, stream, name), wanted, **NEAR)
    last = [
        network.heads["stage3"].hidden(rgb + told["stage3"](flow)),
        network.heads["stage4"].hidden(flow + told["stage4"](rgb)),
    ]
    torch.testing.assert_close(network.describe(levels, SOME, item), torch.cat(last, 1), **NEAR)


@torch.no_grad()
def test_a_stages_proposals_are_both_streams_boxes_the_helpers_thinned_more():
    """Sec. 3.2: P_t is B_(t-2) of the stream and B_(t-1) of the other, under a lower threshold."""
    torch.manual_seed(0)
    config = replace(FOUR, confidence=0.0, own_nms=0.7, other_nms=0.1)
    stages = PCSC(config, 3).eval()(**maps()).stages
    found = {(stage.stream, stage.number): stage for stage in stages}
    for number, own, other in ((1, ("rgb", 0), ("flow", 0)), (4, ("flow", 2), ("rgb", 3))):
        parts = [
            confident(found[key].found, 0.0, threshold, config.stage_keep)
            for key, threshold in ((own, 0.7), (other, 0.1))
        ]
        both = found[own[0], number].proposals
        for row in range(2):
            wanted = torch.cat([part.boxes[row][part.valid[row]] for part in parts])
            torch.testing.assert_close(both.boxes[row][both.valid[row]], wanted)


@torch.no_grad()
def test_the_output_of_a_stage_joins_those_before():
    """Sec. 4.3, and the class of a box is its own stage's."""
    network = PCSC(FOUR, 3).eval()
    outputs = network(**maps())
    for number, output in enumerate(outputs_by_stage(outputs, FOUR)):
        found = [stage.found for stage in outputs.stages if stage.number in range(number + 1)]
        for ours, wanted in zip(output, union(found, FOUR.min_score, FOUR.nms, FOUR.keep), strict=True):
            assert torch.equal(ours, wanted)


def test_the_rpns_loss_by_hand():
    """Sec. 3.5: objectness of all that is drawn (here all), offsets of what overlaps by more than half."""
    generator = torch.Generator().manual_seed(0)
    true = torch.tensor([[[0.0, 0, 10, 10]]])
    anchors = torch.tensor([[0.0, 0, 10, 5.1], [0.0, 0, 10, 5], [30.0, 30, 40, 40], [0.0, 0, 12, 10]])
    scores = torch.randn(1, 4, generator=generator)
    offsets = torch.randn(1, 4, 4, generator=generator)
    config = replace(SMOKE, rpn_batch=64)
    classes, boxes = region_loss(scores, offsets, anchors, TrueBoxes(true, torch.tensor([[2]])), config)
    chance = scores[0].sigmoid()
    wanted = -(chance[0].log() + (1 - chance[1]).log() + (1 - chance[2]).log() + chance[3].log()) / 4
    torch.testing.assert_close(classes, wanted, **NEAR)
    apart = (offsets[0, [0, 3]] - box_ops.encode(true[0], anchors[[0, 3]])).abs()
    each = torch.where(apart < 1 / 9, 4.5 * apart**2, apart - 1 / 18)
    torch.testing.assert_close(boxes, each.sum() / 4, **NEAR)


def test_the_losses_are_those_of_all_stages():
    """Sec. 3.1: stage 0 of both streams, then one a stage, class and box together."""
    torch.manual_seed(0)
    network, data = loud(PCSC(FOUR, 3)), batch()
    truth = TrueBoxes(data["boxes"], data["labels"])
    outputs = network(data["rgb"], data["flow"], truth)
    terms = criterion(outputs, truth, FOUR)
    wanted = dict.fromkeys(["stage0", "stage1", "stage2", "stage3", "stage4"], 0.0)
    for stage in outputs.stages:
        loss = detector.head_loss(stage.logits, stage.offsets, stage.proposals, stage.targets)
        wanted[f"stage{stage.number}"] += sum(float(part.detach()) for part in loss)
    assert {name: float(terms[name].detach()) for name in wanted} == pytest.approx(wanted)


def test_losses_reach_every_part_but_frozen_ones_and_actionness():
    system = PCSCSystem(SMOKE, CLASSES)
    loud(system.network)
    terms = system.loss(batch())
    assert set(terms) == {"rpn", "stage0", "stage1", "stage2"}
    sum(terms.values()).backward()
    silent = {name.split(".")[0] for name, p in system.network.named_parameters() if p.grad is None}
    assert silent == {"backbones", "actionness"}


def test_proposals_carry_no_gradient():
    system = PCSCSystem(replace(SMOKE, messages="none"), CLASSES)
    terms = system.loss(batch())
    terms["stage1"].backward()  # RGB's second head: its boxes come from both streams, its features from RGB
    names = {name for name, p in system.network.named_parameters() if p.grad is not None and p.grad.any()}
    assert {".".join(name.split(".")[:2]) for name in names} == {"trunks.rgb", "pyramids.rgb", "heads.stage1"}


def test_training_makes_the_loss_fall():
    torch.manual_seed(0)
    system, data = PCSCSystem(SMOKE, CLASSES), batch(4)
    optimiser, losses = torch.optim.Adam(system.network.parameters(), 3e-3), []
    for _ in range(50):
        loss = torch.stack(list(system.loss(data).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2
    system.network.eval()
    with torch.no_grad():
        found = system.predict(data)
    top = found[0].scores.argmax()
    assert found[0].labels[top] == 1


@torch.no_grad()
def test_frames_do_not_depend_on_the_batch():
    torch.manual_seed(0)
    system = PCSCSystem(SMOKE, CLASSES)
    system.network.eval()
    data = maps(3)
    together = system.predict(data)
    alone = [system.predict({name: value[[i]] for name, value in data.items()})[0] for i in range(3)]
    for a, b in zip(together, alone, strict=True):
        assert a.boxes == pytest.approx(b.boxes, abs=1e-3)
        assert a.scores == pytest.approx(b.scores, abs=1e-5)


@torch.no_grad()
def test_a_stream_without_proposals():
    """Nothing is confident enough: later stages find nothing, and the output is that of stage 0."""
    config = replace(SMOKE, confidence=1.0)
    system = PCSCSystem(config, CLASSES)
    outputs = system.network.eval()(**maps())
    assert not any(bool(stage.found.valid.any()) for stage in outputs.stages if stage.number)
    first, *_, last = (decode(output) for output in outputs_by_stage(outputs, config))
    assert all((a.scores == b.scores).all() for a, b in zip(first, last, strict=True))


def silence(monkeypatch, stream: str) -> None:
    """Let a stream's RPN propose nothing."""
    plain = PCSC.propose

    def propose(self, levels):
        anchors, rpn, first = plain(self, levels)
        none = first[stream]._replace(valid=torch.zeros_like(first[stream].valid))
        return anchors, rpn, {**first, stream: none}

    monkeypatch.setattr(PCSC, "propose", propose)


@torch.no_grad()
@pytest.mark.parametrize("stream", STREAMS)
def test_one_stream_without_proposals(monkeypatch, stream):
    """It is helped by the other stream's boxes, and does not disturb them."""
    torch.manual_seed(0)
    config = replace(SMOKE, messages="none", confidence=0.0)
    network = PCSC(config, 3).eval()
    alone = PCSC(replace(config, proposals=False), 3).eval()
    alone.load_state_dict(network.state_dict())
    silence(monkeypatch, stream)
    found, own = ({(s.stream, s.number): s for s in one(**maps()).stages} for one in (network, alone))
    assert not found[stream, 0].found.valid.any()
    helped = found["rgb", 1] if stream == "rgb" else found["flow", 2]
    giver = found["flow", 0] if stream == "rgb" else found["rgb", 1]
    sent = confident(giver.found, 0.0, config.other_nms, config.stage_keep)
    assert sent.valid.any()
    assert torch.equal(helped.proposals.boxes[helped.proposals.valid], sent.boxes[sent.valid])
    if stream == "flow":  # nothing came to RGB from flow
        torch.testing.assert_close(
            found["rgb", 1].found.scores[found["rgb", 1].found.valid],
            own["rgb", 1].found.scores[own["rgb", 1].found.valid],
            atol=1e-4,
            rtol=0,
        )
    assert all(torch.isfinite(stage.found.scores).all() for stage in found.values())


@pytest.mark.parametrize("stream", STREAMS)
def test_training_with_one_stream_without_proposals(monkeypatch, stream):
    silence(monkeypatch, stream)
    system = PCSCSystem(SMOKE, CLASSES)
    terms = system.loss({**batch(), "labels": torch.full((2, 2), -1)})
    total = torch.stack(list(terms.values())).sum()
    total.backward()
    assert torch.isfinite(total)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in system.network.parameters())


def test_training_goes_on_without_proposals(monkeypatch):
    monkeypatch.setattr(cooperation, "least_sure", lambda *_: 1.0)
    system = PCSCSystem(SMOKE, CLASSES)
    terms = system.loss({**batch(), "labels": torch.full((2, 2), -1)})
    assert terms["stage1"].item() == 0 and torch.isfinite(torch.stack(list(terms.values()))).all()


def test_bad_input():
    network, data = PCSC(SMOKE, 3), maps()
    with pytest.raises(FormatError, match="do not belong together"):
        network(data["rgb"], data["flow"][:, :-1])
    with pytest.raises(FormatError, match="do not belong together"):
        network(data["rgb"], data["flow"][..., :-1])
    with pytest.raises(FormatError, match="give the maps of 5 frames"):
        network(data["rgb"][:, :-1], data["flow"][:, :-1])
    with pytest.raises(FormatError, match="no targets"):
        truth = TrueBoxes(torch.zeros(2, 1, 4), torch.zeros(2, 1, dtype=torch.long))
        criterion(network(**data), truth, SMOKE)
    with pytest.raises(FormatError, match="no classes"):
        PCSCSystem(SMOKE, ())


def small_i3d() -> PCSCConfig:
    return replace(
        PCSCConfig.paper(), size=(64, 64), frames=4, width=0.125, channels=16, hidden=16, frozen=False,
        norm="group", head_batch=16, rpn_before=(50, 50), rpn_after=(20, 10), stage_keep=6,
    )  # fmt: skip


def test_i3d_trains_a_step():
    """The paper's network in everything but width and size."""
    torch.manual_seed(0)
    config = small_i3d()
    system = PCSCSystem(config, CLASSES)
    data = batch()
    data |= {"rgb": torch.randn(2, 3, 4, 64, 64), "flow": torch.randn(2, 2, 4, 64, 64)}
    torch.stack(list(system.loss(data).values())).sum().backward()
    assert all(p.grad is not None for p in system.network.trunks.parameters())
    levels = system.network.features(data["rgb"], data["flow"])["rgb"]
    assert [tuple(level.shape[1:]) for level in levels] == [(16, n, n) for n in (16, 8, 4, 2)]


def meta_network(config: PCSCConfig) -> PCSC:
    with torch.device("meta"):
        return PCSC(config, 24)


def test_the_papers_parameters():
    """Counted, not measured: two I3D, two pyramids and RPNs, six heads, the messages."""
    network = meta_network(PCSCConfig.paper())
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    i3d = 12_287_264 - 3 * 64 * 343 + 64 * 343 * 3  # RGB without its classifier
    assert sum(p.numel() for p in network.trunks["rgb"].parameters()) == i3d
    assert count["trunks"] == 2 * i3d - 64 * 343
    assert count["image_messages"] == sum(2 * c * (c // 4) + c // 4 + c for c in (192, 480, 832, 1024))
    assert count["roi_messages"] == 4 * (2 * 256 * 64 + 64 + 256)
    one_head = (256 * 49 + 1) * 1024 + 1025 * 1024 + 1025 * (25 + 96)
    assert count["heads"] == 6 * one_head
    without = meta_network(replace(PCSCConfig.paper(), messages="none"))
    total, bare = (sum(p.numel() for p in one.parameters()) for one in (network, without))
    assert total - bare == count["image_messages"] + count["roi_messages"]
    assert total == 117_064_420 and f"{total:,} parameters" in PCSCConfig.paper.__doc__


@pytest.mark.slow
def test_paper_trains_one_step():
    torch.manual_seed(0)
    config = PCSCConfig.paper()
    system = PCSCSystem(config, tuple(f"class {i}" for i in range(24)))
    height, width = config.size
    data = {
        "rgb": torch.rand(1, 3, config.frames, height, width) * 2 - 1,
        "flow": torch.rand(1, 2, config.frames, height, width) * 2 - 1,
        "boxes": torch.tensor([[[100.0, 60, 220, 300]]]),
        "labels": torch.tensor([[5]]),
    }
    optimiser = torch.optim.SGD(system.network.parameters(), schedule("paper").lr, 0.9)
    loss = torch.stack(list(system.loss(data).values())).sum()
    loss.backward()
    optimiser.step()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p).all() for p in system.network.parameters())
