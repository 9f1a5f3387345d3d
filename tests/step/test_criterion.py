"""Losses: Eq. 2 and 3 by hand, what is trained when, and bad truths."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from stad_lite import boxes as box_ops
from stad_lite.errors import FormatError
from stad_lite.step import criterion
from stad_lite.step.criterion import box_losses, class_loss, inferred, input_overlaps, losses, step_losses
from stad_lite.step.head import Raw
from stad_lite.step.model import centre, extend
from stad_lite.step.sampling import Samples, assign, draw
from tests.step.cases import batch, system, tiny


def test_classification_is_cross_entropy_with_the_background_last():
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0.0, 1, 0], [0, 0, 0], [1, 0, 0]])
    chance = logits.softmax(1)
    wanted = -(chance[0, 1].log() + chance[1, 3].log() + chance[2, 0].log()) / 3
    torch.testing.assert_close(class_loss(logits, labels, tiny()), wanted)


def test_the_codes_classification_is_binary_for_every_class():
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[1.0, 1, 0], [0, 0, 0]])
    chance = logits.sigmoid()
    wanted = -torch.where(labels > 0, chance.log(), (1 - chance).log()).mean()
    torch.testing.assert_close(class_loss(logits, labels, tiny(classification="bce")), wanted)
    assert class_loss(logits[:0], labels[:0], tiny()) == 0


def test_box_loss_by_hand():
    """Smooth L1 of the four offsets of the own class's regression, 0 where the truth has no box."""
    generator = torch.Generator().manual_seed(0)
    anchors = torch.tensor([[[0.0, 0, 10, 10]] * 2])
    truth = torch.tensor([[[1.0, 2, 12, 9], [0, 0, 0, 0]]])
    offsets = torch.randn(1, 2, 3, 4, generator=generator)
    labels = torch.tensor([[0.0, 0, 1]])
    found = box_losses(offsets, anchors, truth, torch.tensor([[True, False]]), labels)
    wanted = [0.0] * 4
    target = box_ops.encode(truth[0, 0], anchors[0, 0])
    for i in range(4):
        error = abs(offsets[0, 0, 2, i] - target[i]).item()
        wanted[i] = 0.5 * error**2 if error < 1 else error - 0.5
    assert found[0, 0].item() == pytest.approx(sum(wanted))
    several = box_losses(offsets, anchors, truth, torch.tensor([[True, False]]), torch.tensor([[1.0, 0, 1]]))
    first = box_losses(offsets, anchors, truth, torch.tensor([[True, False]]), torch.tensor([[1.0, 0, 0]]))
    torch.testing.assert_close(several[0, 0], (found[0, 0] + first[0, 0]) / 2)


def raw_at(boxes, anchors, classes=3):
    """Raw outputs whose regressions decode to given boxes, for all classes."""
    offsets = box_ops.encode(boxes, anchors)[:, :, None].expand(-1, -1, classes, -1)
    return offsets


def test_step_losses_are_zero_for_perfect_boxes_and_weighted_otherwise():
    config = tiny(box_weight=5.0, neighbour_weight=2.0)
    one = batch(config, items=1, truths=2)
    samples = Samples(
        torch.tensor([0, 0, 0]), torch.tensor([0, 1, 2]), torch.tensor([1, -1, 0]), torch.ones(3) > 0
    )
    length = 6
    truth = centre(one["truth"], length)[0][[1, 0, 0]]
    tubelets = truth + torch.tensor([-1.0, -2, 2, 1])
    outer = one["truth"][0][[1, 0, 0]]
    perfect = Raw(
        torch.zeros(3, 4),
        raw_at(truth, tubelets),
        raw_at(outer[:, :6], tubelets),
        raw_at(outer[:, 12:], tubelets),
    )
    terms = step_losses(perfect, tubelets, samples, one, config)
    assert terms["box"].item() == pytest.approx(0, abs=1e-10)
    assert terms["near"].item() == pytest.approx(0, abs=1e-10)
    assert terms["class"].item() == pytest.approx(torch.tensor(4.0).log().item())
    off = perfect._replace(offsets=perfect.offsets + 0.1)
    found = step_losses(off, tubelets, samples, one, config)
    assert found["box"].item() == pytest.approx(5.0 * 4 * 0.5 * 0.1**2, rel=1e-4)
    assert found["near"].item() == pytest.approx(0, abs=1e-10)
    off = perfect._replace(after=perfect.after + 0.1)
    found = step_losses(off, tubelets, samples, one, config)
    assert found["box"].item() == pytest.approx(0, abs=1e-10)
    assert found["near"].item() == pytest.approx(2.0 * 4 * 0.5 * 0.1**2 / 2, rel=1e-4)


def test_perfect_neighbours_cost_nothing_where_the_clips_differ():
    """At the second of three steps a proposal has 18 frames: each neighbour counts from its own side's."""
    config = tiny(clips=(1, 3, 5), thresholds=(0.2, 0.35, 0.5))
    one = batch(config, items=1, truths=1)
    samples = Samples(torch.tensor([0]), torch.tensor([0]), torch.tensor([0]), torch.tensor([True]))
    truth = one["truth"][0]
    tubelets = truth[:, 6:24] + torch.tensor([-1.0, -2, 2, 1])
    perfect = Raw(
        torch.zeros(1, 4),
        raw_at(truth[:, 6:24], tubelets),
        raw_at(truth[:, :6], tubelets[:, :6]),
        raw_at(truth[:, 24:], tubelets[:, 12:]),
    )
    terms = step_losses(perfect, tubelets, samples, one, config)
    assert terms["box"].item() == pytest.approx(0, abs=1e-10)
    assert terms["near"].item() == pytest.approx(0, abs=1e-10)
    # only the centre clip's boxes are the first term's: the others are neighbours (Sec. 3.3)
    off = perfect.offsets.clone()
    off[:, :6] += 0.1
    terms = step_losses(perfect._replace(offsets=off), tubelets, samples, one, config)
    assert terms["box"].item() == pytest.approx(0, abs=1e-10) and terms["near"] > 0


def test_frames_without_a_box_do_not_count():
    config = tiny()
    one = batch(config, items=1, truths=1)
    one["present"][:, :, 8:] = False
    one["truth"][:, :, 8:] = -1e3
    samples = Samples(torch.tensor([0]), torch.tensor([0]), torch.tensor([0]), torch.tensor([True]))
    tubelets = centre(one["truth"], 6)[0].clone()
    tubelets[:, 2:] = tubelets[:, :1]
    offsets = torch.full((1, 6, 3, 4), 0.3, requires_grad=True)
    terms = step_losses(Raw(torch.zeros(1, 4), offsets, None, None), tubelets, samples, one, config)
    terms["box"].backward()
    assert torch.isfinite(terms["box"]) and (offsets.grad[:, 2:] == 0).all()


@pytest.mark.parametrize("kind", ["extrapolation", "anticipation", "copy"])
def test_terms_of_all_steps(kind):
    one = system(clips=(1, 3), extension=kind)
    terms = one.loss(batch(one.config))
    near = {"near_1"} if kind == "anticipation" else set()
    assert set(terms) == {"class_1", "box_1", "class_2", "box_2", "near_2"} | near
    assert all(torch.isfinite(value) for value in terms.values())


@pytest.mark.parametrize("settings", [{"extension": "extrapolation"}, {}, {"head": "conv3d"}], ids=str)
def test_one_pass_learns_what_two_passes_learn(settings, monkeypatch):
    one = system(**{"clips": (1, 3), "frozen": False, **settings})
    shown, found = batch(one.config), []
    for together in (True, False):
        monkeypatch.setattr(criterion, "one_pass", lambda config, answer=together: answer)
        torch.manual_seed(3)
        one.network.zero_grad(set_to_none=True)
        terms = one.loss(shown)
        sum(terms.values()).backward()
        found.append(
            {**terms, **{n: p.grad for n, p in one.network.named_parameters() if p.grad is not None}}
        )
    assert one.network.training and found[0].keys() == found[1].keys()
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-3, atol=1e-5)


def test_two_passes_where_dropout_or_the_numbers_ask_for_them():
    assert criterion.one_pass(tiny())
    assert not criterion.one_pass(tiny(dropout=0.3))
    assert not criterion.one_pass(tiny(cuboids="grid34"))
    assert not criterion.one_pass(tiny(positives=3))
    mixed = tiny(head="mixed", backbone="i3d", clip=12)
    assert criterion.one_pass(mixed)
    assert not criterion.one_pass(replace(mixed, frozen_norms=False))


def test_the_inference_pass_is_in_evaluation_mode():
    one = system(clips=(1, 3), dropout=0.5)
    network = one.network.train()
    maps = one.maps(batch(one.config)).detach()
    proposals = network.propose(maps, None, 0)
    found = inferred(network, maps, proposals, None, 0)
    assert network.training and network.heads[0].training
    wanted = network.eval()(maps)[0]
    torch.testing.assert_close(found.scores, wanted.scores)
    torch.testing.assert_close(network.propose(maps, found, 1), extend(wanted, one.config))


def test_the_first_step_samples_by_overlap_and_the_next_by_score(monkeypatch):
    one, asked = system(clips=(1, 1)), []

    def note(assignment, scores, *numbers):
        asked.append(scores.clone())
        return draw(assignment, scores, *numbers)

    monkeypatch.setattr(criterion, "draw", note)
    shown = batch(one.config)
    maps = one.maps(shown)
    losses(one.network, maps, shown)
    answers = one.network.eval()(maps)
    torch.testing.assert_close(asked[0], input_overlaps(answers[0].proposals, shown, one.config).amax(2))
    torch.testing.assert_close(asked[1], answers[0].scores.amax(-1))


def test_each_step_has_its_own_threshold(monkeypatch):
    """Sec. 3.4: the overlap that makes a positive grows over the steps."""
    one, asked = system(clips=(1, 1, 1), thresholds=(0.2, 0.35, 0.5)), []

    def note(overlaps, valid, threshold, rule):
        asked.append(threshold)
        return assign(overlaps, valid, threshold, rule)

    monkeypatch.setattr(criterion, "assign", note)
    one.loss(batch(one.config))
    assert asked == [0.2, 0.35, 0.5]


def test_steps_learn_alone_or_together():
    one = system(clips=(1, 3), frozen=False)
    shown = batch(one.config)
    for step, names in ((0, {"class_1", "box_1", "near_1"}), (1, {"class_2", "box_2", "near_2"})):
        one.network.train_only(step)
        one.network.zero_grad(set_to_none=True)
        terms = one.loss(shown)
        assert set(terms) == names
        sum(terms.values()).backward()
        touched = {
            name.split(".")[1]
            for name, p in one.network.heads.named_parameters(prefix="heads")
            if p.grad is not None
        }
        assert touched == {str(step)}
        assert (next(one.network.backbone.parameters()).grad is not None) is (step == 0)
    one.network.train_only(None)
    assert set(one.loss(shown)) == {"class_1", "box_1", "near_1", "class_2", "box_2", "near_2"}


def test_no_gradient_flows_from_a_step_to_the_one_before():
    one = system(clips=(1, 1))
    terms = one.loss(batch(one.config))
    (terms["class_2"] + terms["box_2"]).backward()
    assert all(p.grad is None for p in one.network.heads[0].parameters())


def test_a_clip_without_truth_teaches_background_alone():
    one = system(clips=(1, 1))
    shown = batch(one.config)
    shown["valid"][:] = False
    terms = one.loss(shown)
    assert terms["box_1"] == 0 and terms["box_2"] == 0
    assert torch.isfinite(terms["class_1"]) and terms["class_1"] > 0
    empty = {name: value[:, :0] if name != "frames" else value for name, value in shown.items()}
    assert torch.isfinite(sum(one.loss(empty).values()))


def test_more_truths_than_proposals_and_samples():
    one = system(clips=(1, 1), cuboids="grid5")
    terms = one.loss(batch(one.config, truths=9))
    assert all(torch.isfinite(value) for value in terms.values())


def test_boxes_that_leave_the_frame():
    one = system(clips=(1, 3))
    shown = batch(one.config)
    shown["truth"] = shown["truth"] + torch.tensor([-30.0, 25, -30, 25])
    terms = one.loss(shown)
    assert all(torch.isfinite(value) for value in terms.values()) and terms["box_1"] > 0


def test_a_few_updates_lower_the_loss():
    one = system(clips=(1, 3), width=32, hidden=32)
    shown = batch(one.config, items=2)
    shown["maps"] = one.maps(shown)
    optimiser = torch.optim.AdamW(one.network.heads.parameters(), 3e-3)
    torch.manual_seed(0)
    first = last = 0.0
    for step in range(40):
        total = sum(one.loss(shown).values())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        first, last = (total.item(), last) if step == 0 else (first, total.item())
    assert last < 0.6 * first


def test_overlaps_are_told_on_the_centre_clip():
    config = tiny(clips=(1, 3))
    shown = batch(config, items=1, truths=1)
    proposals = shown["truth"].clone()
    proposals[:, :, :6] = proposals[:, :, 12:] = 0
    assert input_overlaps(proposals, shown, config).item() == pytest.approx(1)
    shown["valid"][:] = False
    assert input_overlaps(proposals, shown, config).item() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: {**b, "truth": b["truth"][:, :, 1:]}, "clips of 6"),
        (lambda b: {**b, "labels": b["labels"][:, :1]}, "number"),
        (lambda b: {**b, "labels": b["labels"] * 0 + 1}, "several labels"),
    ],
)
def test_truths_that_do_not_fit_are_refused(change, message):
    one = system()
    with pytest.raises(FormatError, match=message):
        one.loss(change(batch(one.config)))


def test_several_labels_are_fine_for_independent_classes():
    one = system(classification="bce", regression="agnostic")
    shown = batch(one.config)
    shown["labels"][:] = 1
    assert all(torch.isfinite(value) for value in losses(one.network, one.maps(shown), shown).values())


def test_cross_entropy_reference():
    """The background's index is the number of classes."""
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        class_loss(logits, torch.zeros(4, 3), tiny()), F.cross_entropy(logits, torch.full((4,), 3))
    )
