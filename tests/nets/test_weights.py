"""Published layouts, written to files and loaded back; what was left over is said."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from stad_lite.errors import FormatError, MissingFileError, TruncatedFileError, UnsafePickleError
from stad_lite.nets import weights
from stad_lite.nets.flow.flownet import FlowNetS
from stad_lite.nets.flow.flownet2 import FlowNet2
from stad_lite.nets.flow.pwcnet import PWCNet
from stad_lite.nets.flow.spynet import SPyNet
from stad_lite.nets.i3d import END_POINTS, I3D
from stad_lite.nets.vgg import VGG, DilatedVGG, RFBBackbone
from tests.nets import layouts


@pytest.fixture(scope="module")
def published() -> tuple[dict, dict, dict]:
    return layouts.i3d(classes=7)


def on_meta(kind: type, *args, **options) -> torch.nn.Module:
    with torch.device("meta"):
        return kind(*args, **options)


def test_the_three_layouts_of_i3d_are_one_network(published, tmp_path: Path):
    torch_like, port, tensorflow = published
    torch.save(torch_like, tmp_path / "rgb.pt")
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in port.items()}}, tmp_path / "port.pth")
    np.savez(tmp_path / "tf.npz", **{k: v.numpy() for k, v in tensorflow.items()})
    states = []
    for name, layout in (
        ("rgb.pt", "pytorch-i3d"),
        ("port.pth", "tensorflow-port"),
        ("tf.npz", "tensorflow"),
    ):
        net = I3D(num_classes=7)
        report = weights.load(net, weights.read_state(tmp_path / name))
        assert report.layout == layout and not (report.unused or report.missing or report.misfits), name
        states.append(net.state_dict())
    for state in states[1:]:
        for name, value in states[0].items():
            torch.testing.assert_close(state[name], value, rtol=0, atol=0, msg=name)
    assert torch.equal(states[0]["Mixed_5b.b2b.conv3d.weight"], torch_like["Mixed_5b.b2b.conv3d.weight"])
    assert len(torch_like) == 57 * 6 + 2


def test_step_s_numbered_backbone(published):
    """STEP keeps I3D to Mixed_4f as a numbered sequence."""
    numbers = {name.lower(): i for i, name in enumerate(END_POINTS)}
    step = {}
    for key, value in published[1].items():
        layer, _, rest = key.partition(".")
        if layer in numbers and numbers[layer] <= 12:
            step[f"base_model.{numbers[layer]}.{rest}"] = value
    net = I3D(final="Mixed_4f")
    report = weights.load(net, step)
    assert report.layout == "tensorflow-port" and not report.unused
    assert torch.equal(net.Mixed_4f.b3b.conv3d.weight, published[0]["Mixed_4f.b3b.conv3d.weight"])


def test_every_key_that_is_not_used_is_named(published):
    state = {**published[0], "optimiser.step": torch.zeros(1)}
    report = weights.load(on_meta(I3D, final="Mixed_3b"), state)
    kept = {key for key in state if key.startswith(("Conv3d", "Mixed_3b"))}
    assert set(report.unused) == set(state) - kept and len(report.loaded) == len(kept)
    assert "optimiser.step" in str(report) and f"unused: {len(report.unused)}" in str(report)


def test_tensorflow_s_other_variables_are_unused(published):
    tensorflow = {
        "global_step": torch.zeros(1),
        "RGB/inception_i3d/Mixed_3b/Branch_9/Conv3d_0a_1x1/conv_3d/w": torch.zeros(1),
        "RGB/inception_i3d/Conv3d_1a_7x7/conv_3d/w/Momentum": torch.zeros(1),
        **published[2],
    }
    report = weights.load(on_meta(I3D, num_classes=7), tensorflow)
    assert report.layout == "tensorflow" and set(report.unused) == set(list(tensorflow)[:3])


def test_flow_i3d_and_wider_inputs(published):
    flow = layouts.i3d(inputs=2, classes=1)[0]
    assert not weights.load(on_meta(I3D, 2), flow).widened
    net = I3D(5, final="Conv3d_1a_7x7")  # RGB and flow side by side (CFAD's early fusion)
    report = weights.load(net, published[0], behind=True)
    assert report.widened == ("Conv3d_1a_7x7.conv3d.weight: 3 inputs to 5",)
    kernel, wide = published[0]["Conv3d_1a_7x7.conv3d.weight"], net.Conv3d_1a_7x7.conv3d.weight.detach()
    torch.testing.assert_close(wide[:, :3], kernel / 2**0.5)
    torch.testing.assert_close(wide[:, 3:].sum(1), wide[:, :3].sum(1))


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_flow_behind_rgb_has_half_of_a_response_that_keeps_its_size(depth):
    """RGB alike in its channels, flow alike in all of its, both of the same size and independent."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 3, 1, 1, generator=generator)
    rgb, flow = torch.randn(2, 1, 1, 400, 400, generator=generator)
    wide = weights.widen_input(weight, 3 + 2 * depth, behind=True)
    own, other = rgb.expand(1, 3, 400, 400), flow.expand(1, 2 * depth, 400, 400)
    before = torch.nn.functional.conv2d(own, weight).var((0, 2, 3))
    both = torch.nn.functional.conv2d(torch.cat([own, other], 1), wide).var((0, 2, 3))
    torch.testing.assert_close(both, before, rtol=0.02, atol=0)
    alone = torch.nn.functional.conv2d(other, wide[:, 3:]).var((0, 2, 3))
    torch.testing.assert_close(alone, before / 2, rtol=0.02, atol=0)


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 9, 15])
def test_widened_inputs_answer_alike_to_equal_channels(channels):
    weight = torch.randn(4, 3, 3, 3)
    wide = weights.widen_input(weight, channels)
    assert wide.shape == (4, channels, 3, 3)
    torch.testing.assert_close(wide.sum(1), weight.sum(1))


def test_wrong_shapes_and_missing_tensors_are_refused_before_anything_changes(published):
    net = I3D(width=0.25, final="Mixed_3b")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(
        FormatError, match=r"Conv3d_1a_7x7.*\(64, 3, 7, 7, 7\) in the file, \(16, 3, 7, 7, 7\) here.*more"
    ):
        weights.load(net, published[0])
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    part = {key: value for key, value in published[0].items() if not key.startswith("Mixed_3b.b1a")}
    with pytest.raises(FormatError, match=r"Mixed_3b\.b1a\.conv3d\.weight is missing"):
        weights.load(on_meta(I3D, final="Mixed_3b"), part)
    with pytest.raises(FormatError, match="pytorch-i3d, tensorflow-port, tensorflow"):
        weights.load(net, part, layout="caffe")


def test_vgg16_of_torchvision(tmp_path: Path):
    torch.save(layouts.vgg16(classifier=False), tmp_path / "vgg16.pth")
    state = weights.read_state(tmp_path / "vgg16.pth")
    net = VGG()
    report = weights.load(net, {**state, "classifier.6.bias": torch.zeros(1000)})
    assert report.unused == ("classifier.6.bias",) and len(report.loaded) == 26
    assert torch.equal(net.features[28].weight, state["features.28.weight"])
    stacked = VGG(15, depth=(1,))
    weights.load(stacked, state)
    torch.testing.assert_close(stacked.features[0].weight[:, 12:], state["features.0.weight"] / 5)


def test_reduced_fc_weights():
    state = layouts.reduced_fc()
    net = DilatedVGG()
    report = weights.load(net, state)
    assert report.layout == "reduced-fc" and not (report.unused or report.missing)
    assert torch.equal(net[33].weight, state["33.weight"])
    report = weights.load(on_meta(RFBBackbone), state, strict=False)
    assert report.layout == "reduced-fc" and len(report.loaded) == 30 and not report.unused
    assert all(not name.startswith("base.") for name in report.missing)


def test_fully_connected_layers_are_thinned_out():
    """Unit 4 i of fc6 becomes unit i of conv6; of its 7 x 7 places rows and columns 0, 3, 6 stay."""
    state = layouts.vgg16()
    net = DilatedVGG()
    report = weights.load(net, state)
    assert report.layout == "torchvision" and report.unused == ("classifier.6.bias",)
    places = torch.arange(25088.0).reshape(512, 7, 7)[:, ::3, ::3]
    torch.testing.assert_close(net[31].weight[5].detach(), places + 20 / 8192)
    assert torch.equal(net[31].bias, torch.arange(0, 4096.0, 4))
    assert torch.equal(net[33].weight[9, :, 0, 0], torch.arange(0, 4096.0, 4))


PYTORCH_PWC = ("One", "Two", "Thr", "Fou", "Fiv", "Six")
"""How sniklaus/pytorch-pwc fc21888 numbers levels and layers (run.py)."""


@pytest.mark.parametrize("prefix", ["module", "net"])
def test_both_publications_of_pwc_net(prefix):
    """Its names, level by level in the order in which run.py makes the layers, with our shapes."""
    net = on_meta(PWCNet)
    ours = {}
    for number, level in enumerate(PYTORCH_PWC, start=1):
        names = ("aa", "a", "b") if number == 6 else ("a", "aa", "b")
        ours |= {f"Extractor.{prefix}{level}.{2 * i}": f"conv{number}{n}.0" for i, n in enumerate(names)}
        if number == 1:
            continue
        layers = {f"{level}.{prefix}{PYTORCH_PWC[i]}.0": f"conv{number}_{i}.0" for i in range(5)}
        ours |= {**layers, f"{level}.{prefix}Six.0": f"predict_flow{number}"}
        if number < 6:
            ours[f"{level}.{prefix}Upflow"] = f"deconv{number + 1}"
            ours[f"{level}.{prefix}Upfeat"] = f"upfeat{number + 1}"
    ours |= {f"Refiner.{prefix}Main.{2 * i}": f"dc_conv{i + 1}.0" for i in range(6)}
    ours[f"Refiner.{prefix}Main.12"] = "dc_conv7"
    state = {
        f"{prefix}{theirs}.{part}": torch.empty_like(net.state_dict()[f"{name}.{part}"])
        for theirs, name in ours.items()
        for part in ("weight", "bias")
    }
    report = weights.compare(net, {**state, f"{prefix}Other.{prefix}Main.0.weight": torch.zeros(1)})
    assert report.layout == "pytorch-pwc" and not (report.missing or report.misfits)
    assert report.unused == (f"{prefix}Other.{prefix}Main.0.weight",)
    layout = weights.find_layout(net, state)
    for theirs, name in ours.items():
        assert layout.key(f"{prefix}{theirs}.weight") == f"{name}.weight"
    assert layout.key("conv1a.0.weight") is None


def test_our_own_files_load_back():
    """What a network saves is the first layout of its kind; keys of a head beside it stay unused."""
    nets = (RFBBackbone(width=0.125, depth=2), PWCNet(depth=3, width=0.125), SPyNet(depth=2, width=0.25))
    for net in (*nets, FlowNetS(depth=3, width=0.125), FlowNet2(depth=3, width=0.125, reach=2)):
        state = {name: value + 1 for name, value in net.state_dict().items()}
        report = weights.load(net, {**state, "loc.0.weight": torch.zeros(1)})
        assert report.unused == ("loc.0.weight",)
        assert report.layout in ("rfb-net", "pwc-net", "spynet", "flownet2")
        assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


class Runs:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_files_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"w": torch.zeros(1)}, "extra": Runs()}, "new.pt")
    torch.save({"w": torch.zeros(1), "extra": Runs()}, "old.pt", _use_new_zipfile_serialization=False)
    Path("plain.pth").write_bytes(pickle.dumps(Runs(), protocol=2))
    for name in ("new.pt", "old.pt", "plain.pth"):
        with pytest.raises(UnsafePickleError, match=rf"{name}.*mkdir"):
            weights.read_state(name)
    assert not Path("ran").exists()


def test_damaged_missing_and_empty_files(tmp_path: Path):
    good = tmp_path / "good.pt"
    torch.save({"w": torch.randn(100)}, good)
    cut = tmp_path / "cut.pt"
    cut.write_bytes(good.read_bytes()[:600])
    with pytest.raises(TruncatedFileError, match=r"cut\.pt"):
        weights.read_state(cut)
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(TruncatedFileError, match="copy the file again"):
        weights.read_state(tmp_path / "cut.npz")
    with pytest.raises(MissingFileError, match=r"none\.pt"):
        weights.read_state(tmp_path / "none.pt")
    for old in (False, True):
        torch.save({"w": torch.randn(20)}, good, _use_new_zipfile_serialization=not old)
        whole = good.read_bytes()
        for end in range(1, len(whole) - 1, 7):
            cut.write_bytes(whole[:end])
            with pytest.raises((TruncatedFileError, UnsafePickleError), match=r"cut\.pt"):
                weights.read_state(cut)
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(FormatError, match="no tensors"):
        weights.read_state(tmp_path / "empty.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(FormatError, match="no tensors"):
        weights.read_state(tmp_path / "list.pt")
