"""The two-branch head: shapes, what each branch can see, the scene beside it."""

import pytest
import torch
import torch.nn.functional as F

from stad_lite.step.head import TwoBranchHead, pool_regions, whole_frame
from tests.step.cases import tiny

KINDS = {
    "vector": {"head": "vector"},
    "conv3d": {"head": "conv3d"},
    "mixed": {"head": "mixed", "width": 32},
}
NEAR = {"rtol": 1e-4, "atol": 1e-4}
"""Between two ways to add up the same."""


def make(seed: int = 0, anticipates: bool = True, **settings) -> TwoBranchHead:
    torch.manual_seed(seed)
    head = TwoBranchHead(tiny(**settings), channels=8, stride=4, classes=3, anticipates=anticipates)
    with torch.no_grad():
        head.location.weight.normal_(std=0.1)
    return head.eval()


def inputs(tubelets: int = 4, length: int = 18, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, length, 8, 12, 12, generator=generator)
    corner = torch.rand(tubelets, length, 2, generator=generator) * 20
    boxes = torch.cat([corner, corner + 8 + torch.rand(tubelets, length, 2, generator=generator) * 18], -1)
    return maps, boxes, torch.arange(tubelets) % 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("settings", "outputs", "regressions"),
    [
        ({}, 4, 3),
        ({"regression": "agnostic"}, 4, 1),
        ({"classification": "bce"}, 3, 3),
        ({"context": False}, 4, 3),
        ({"roi": "max"}, 4, 3),
        ({"roi": "legacy"}, 4, 3),
    ],
)
def test_shapes(kind, settings, outputs, regressions):
    raw = make(**KINDS[kind], **settings)(*inputs())
    assert raw.logits.shape == (4, outputs)
    assert raw.offsets.shape == (4, 18, regressions, 4)
    assert raw.before.shape == raw.after.shape == (4, 6, regressions, 4)
    without = make(anticipates=False, **KINDS[kind], **settings)(*inputs())
    assert without.before is None and without.after is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_tubelet_does_not_depend_on_the_others(kind):
    head, (maps, boxes, item) = make(**KINDS[kind]), inputs()
    together = head(maps, boxes, item)
    order = torch.tensor([3, 0, 2])
    apart = head(maps, boxes[order], item[order])
    for ours, theirs in zip(apart, together, strict=True):
        torch.testing.assert_close(ours, theirs[order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_box_is_cut_from_its_own_frame_and_clip(kind):
    """A change of one clip's frames must not reach the tubelets of the other."""
    head, (maps, boxes, item) = make(**KINDS[kind]), inputs()
    changed = maps.clone()
    changed[1] += 1
    before, after = head(maps, boxes, item), head(changed, boxes, item)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a[item == 0], b[item == 0])
        assert not torch.allclose(a[item == 1], b[item == 1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_scene_reaches_the_classes_only_with_context(kind):
    """What lies outside all boxes matters with context alone."""
    for context in (True, False):
        head = make(context=context, **KINDS[kind])
        maps, _, item = inputs()
        boxes = torch.tensor([4.0, 4.0, 20.0, 20.0]).expand(4, 18, 4)
        changed = maps.clone()
        changed[..., 8:, 8:] += 2
        before, after = (head(m, boxes, item).logits for m in (maps, changed))
        assert torch.allclose(before, after) is not context


@pytest.mark.parametrize("kind", KINDS)
def test_the_local_branch_knows_the_whole_tubelet_and_its_own_frame(kind):
    """A change of the last frame reaches the first frame's box through the global feature."""
    head, (maps, boxes, item) = make(context=False, **KINDS[kind]), inputs(length=6)
    # the global feature of I3D's blocks is a frame's: it sees two frames on either side
    seen = 3 if kind == "mixed" else 0
    changed = maps.clone()
    changed[:, -1] += 3
    before, after = (head(m, boxes, item).offsets for m in (maps, changed))
    assert not torch.allclose(before[:, seen], after[:, seen])
    moved = (before - after).abs().flatten(2).mean((0, 2))
    assert moved[-1] == moved.max()


def seen_by(head: TwoBranchHead, maps, boxes, item):
    """Return what the branches are fed: regions, and the scene of each tubelet's clip."""
    return (
        pool_regions(maps, boxes, item, 4, head.config),
        whole_frame(maps, 4, head.config)[item],
    )


def test_the_branches_of_three_dimensional_convolutions_layer_by_layer():
    """STEP Fig. 3 and Sec. 4.1: three convolutions on region and scene, the maximum over time, two heads."""
    head, given = make(head="conv3d"), inputs(length=6)
    part, (regions, scene), raw = head.branches, seen_by(head, *given), head(*given)
    hidden = torch.cat([regions, scene], 2).transpose(1, 2)
    assert len(part.convs) == 3
    for layer in part.convs:
        hidden = F.relu(F.conv3d(hidden, layer.weight, layer.bias, padding=1))
    whole = F.relu(part.narrow(hidden.max(2).values))
    torch.testing.assert_close(raw.logits, part.classify(whole.flatten(1)), **NEAR)
    for t in range(6):
        local = part.local(torch.cat([regions[:, t], whole], 1)[:, None])[:, 0]
        torch.testing.assert_close(raw.offsets[:, t].flatten(1), head.location(local), **NEAR)


def test_the_branches_of_vectors_layer_by_layer():
    """The same on one vector a frame, with two convolutions over time."""
    head, given = make(), inputs(length=6)
    part, (regions, scene), raw = head.branches, seen_by(head, *given), head(*given)
    flat = regions.flatten(2)
    hidden = F.relu(part.embed(flat) + part.scene(scene.flatten(2))).transpose(1, 2)
    assert len(part.temporal) == 2
    for layer in part.temporal:
        hidden = F.relu(F.conv1d(hidden, layer.weight, layer.bias, padding=1))
    whole = hidden.max(2).values
    torch.testing.assert_close(raw.logits, part.classify(whole), **NEAR)
    for t in range(6):
        local = F.relu(part.local_2(F.relu(part.local(flat[:, t]) + part.joined(whole))))
        torch.testing.assert_close(raw.offsets[:, t].flatten(1), head.location(local), **NEAR)


def test_the_branches_of_i3ds_blocks_layer_by_layer():
    """STEP Sec. 4.1 (AVA): blocks on regions and on the whole map, logits averaged over time."""
    head, given = make(**KINDS["mixed"]), inputs(length=6)
    part, (regions, _), raw = head.branches, seen_by(head, *given), head(*given)
    maps, _, item = given
    whole = part.narrow(part.region(regions.transpose(1, 2))).transpose(1, 2)
    halved = F.max_pool2d(maps.flatten(0, 1), 3, 2, 1).unflatten(0, maps.shape[:2])
    scene = part.scene(halved.transpose(1, 2)).mean((3, 4)).transpose(1, 2)[item]
    logits = part.classify(torch.cat([whole.flatten(2), scene], 2)).mean(1)
    torch.testing.assert_close(raw.logits, logits, **NEAR)
    for t in range(6):
        local = part.local(torch.cat([regions[:, t], whole[:, t]], 1)[:, None])[:, 0]
        torch.testing.assert_close(raw.offsets[:, t].flatten(1), head.location(local), **NEAR)


@pytest.mark.parametrize("kind", KINDS)
def test_each_neighbour_is_told_from_the_features_of_its_own_side(kind):
    """STEP Eq. 5: L_-1 = f(x) + f_-1(x) with x of the first clip, L_+1 with x of the last."""
    head, given, local = make(**KINDS[kind]), inputs(), []
    for layer in (head.before, head.after):
        torch.nn.init.normal_(layer.weight, std=0.1)
    head.branches.register_forward_hook(lambda _, __, told: local.append(told[1]))
    raw = head(*given)
    for found, layer, clip in (
        (raw.before, head.before, local[0][:, :6]),
        (raw.after, head.after, local[0][:, 12:]),
    ):
        torch.testing.assert_close(found.flatten(2), head.location(clip) + layer(clip), **NEAR)


def test_anticipation_starts_from_the_outermost_clips():
    """With f = 0, L_-1 and L_+1 of Eq. 5 are L of the first and the last clip."""
    head = make()
    for layer in (head.before, head.after):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    raw = head(*inputs())
    torch.testing.assert_close(raw.before, raw.offsets[:, :6])
    torch.testing.assert_close(raw.after, raw.offsets[:, -6:])


def test_regions_are_those_of_single_frames():
    config = tiny(roi_size=3)
    maps, boxes, item = inputs(tubelets=3, length=5)
    together = pool_regions(maps, boxes, item, 4, config)
    for n in range(3):
        for t in range(5):
            alone = pool_regions(
                maps[item[n], t][None, None], boxes[n, t][None, None], torch.tensor([0]), 4, config
            )
            torch.testing.assert_close(together[n, t], alone[0, 0])


def test_the_whole_frame_is_one_region():
    maps = torch.rand(2, 3, 8, 12, 10)
    config = tiny(roi_size=2, head="conv3d")
    found = whole_frame(maps, 4, config)
    assert found.shape == (2, 3, 8, 2, 2)
    constant = whole_frame(torch.full_like(maps, 0.5), 4, config)
    torch.testing.assert_close(constant, torch.full_like(constant, 0.5))
