"""``train --weights``: published files on the command line of every system that has a network for them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from stad_lite import runs
from stad_lite.catalogue import ENTRIES, PROFILES
from stad_lite.cli import main
from stad_lite.nets import weights
from stad_lite.nets.i3d import I3D
from stad_lite.nets.vgg import VGG
from tests.nets import layouts

BIG = {
    "step-i3d": (
        "step",
        {"backbone": "i3d", "clip": "8", "clips": "1,1", "frozen": "false", "pretrained": ""},
        ("rgb",),
    ),
    "step-vgg": (
        "step", {"backbone": "vgg16", "frozen": "false", "pretrained": "", "normalise": "bgr"}, ("rgb",),
    ),
    "step-early": (
        "step",
        {"backbone": "vgg16", "frozen": "false", "pretrained": "", "normalise": "bgr", "stream": "early"},
        ("rgb",),
    ),
    "sp_tad": (
        "sp_tad",
        {"backbone.kind": "i3d", "backbone.norm": "batch", "backbone.crop": "32,32", "window": "32",
         "test_stride": "16", "backbone.flow_reach": "20"},
        ("rgb", "flow"),
    ),
    "pcsc": (
        "pcsc",
        {"trunk": "i3d", "norm": "batch", "frozen": "true", "scales": "8,16,24,32", "flow_scale": "20"},
        ("rgb", "flow"),
    ),
    "cfad": ("cfad", {"backbone": "i3d", "frozen": "false", "size": "64,64"}, ("rgb",)),
}  # fmt: skip
"""Case -> system, settings that give its smoke profile a network of published size, its files."""


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(runs, "_finish", lambda *_: None)  # it needs tubes, and nothing is learned here
        yield


def quiet(state: dict) -> dict:
    """Kernels of a published layout about zero and no larger than a ReLU network bears."""
    return {
        name: (value - value.mean()) / value.std() * (2 / value[0].numel()) ** 0.5
        if value.ndim > 3 and "batch_norm" not in name
        else value
        for name, value in state.items()
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user has it: I3D of both streams in two layouts, VGG16 in another."""
    folder = tmp_path_factory.mktemp("weights")
    (folder / "i3d").mkdir()
    torch.save(quiet(layouts.i3d(classes=3)[0]), folder / "i3d" / "rgb_imagenet.pt")
    torch.save(quiet(layouts.i3d(inputs=2, classes=3, seed=1)[1]), folder / "i3d" / "flow.pth")
    torch.save(quiet(layouts.vgg16(classifier=False)), folder / "vgg16.pth")
    return folder


def line(case: str, out: Path, *more: str) -> list[str]:
    system, settings, _ = BIG[case]
    texts = {f"model.{key}": text for key, text in settings.items()}
    texts |= {"train.steps": "1", "train.batch": "2", "train.lr": "1e-12", "data.clips": "1"}
    texts["train.lr_factors"] = ""  # PCSC's is for the networks that these take the place of
    words = ["train", system, "--profile", "smoke", "--out", str(out), "--device", "cpu", *more]
    return [*words, *(word for pair in texts.items() for word in ("--set", "=".join(pair)))]


def named(case: str, files: Path) -> list[str]:
    i3d = {"rgb": files / "i3d" / "rgb_imagenet.pt", "flow": files / "i3d" / "flow.pth"}
    wanted = {"rgb": files / "vgg16.pth"} if BIG[case][1].get("backbone") == "vgg16" else i3d
    return [f"{stream}={wanted[stream]}" for stream in BIG[case][2]]


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "Traceback" not in told
    return told


@pytest.mark.parametrize("case", BIG)
def test_a_run_begins_with_its_files_and_needs_them_no_more(case, files, tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    assert main(line(case, run, "--weights", *named(case, files))) == 0
    told = capsys.readouterr().out
    assert all(f"{stream}: " in told and "from layout" in told for stream in BIG[case][2])
    monkeypatch.setattr(weights, "read_state", lambda path: pytest.fail(f"{path} was read again"))
    system, spec = runs.load(run, device="cpu")
    assert [f"{s}={getattr(spec.weights, s)}" for s in BIG[case][2]] == named(case, files)
    monkeypatch.undo()
    for stream, trunk in spec.entry.trunks(system).items():
        path = getattr(spec.weights, stream)
        for net in trunk.nets:
            fresh = type(net)(net.features[0].in_channels) if isinstance(net, VGG) else I3D(
                {"rgb": 3, "flow": 2}[stream], final=net.names[-1]
            )  # fmt: skip
            weights.load(fresh, weights.read_state(path), behind=trunk.behind)
            for name, value in fresh.state_dict().items():
                found = net.state_dict()[name]
                torch.testing.assert_close(found, value, rtol=0, atol=1e-9, msg=name)


def test_a_folder_is_searched_by_the_data_s_name_first(files, tmp_path):
    own = tmp_path / "weights" / "synthetic"
    own.mkdir(parents=True)
    changed = {k: v + 1 if k.endswith("bn.bias") else v for k, v in weights.read_state(
        files / "i3d" / "rgb_imagenet.pt").items()}  # fmt: skip
    torch.save(changed, own / "rgb.pt")
    shutil.copy(files / "i3d" / "rgb_imagenet.pt", own.parent / "rgb.pt")
    assert main(line("step-i3d", tmp_path / "run", "--weights", str(own.parent))) == 0
    system, _ = runs.load(tmp_path / "run", device="cpu")
    bias = system.network.backbone.Conv3d_1a_7x7.bn.bias
    assert torch.equal(bias, changed["Conv3d_1a_7x7.bn.bias"])


def test_the_heads_of_ava_begin_with_i3d_s_last_blocks(files, tmp_path):
    words = line("step-i3d", tmp_path / "run", "--weights", *named("step-i3d", files))
    words += ["--set", "model.head=mixed", "--set", "model.width=1024", "--set", "model.thresholds=0.2"]
    assert main([*words, "--set", "model.clips=1"]) == 0
    system, _ = runs.load(tmp_path / "run", device="cpu")
    state = weights.read_state(files / "i3d" / "rgb_imagenet.pt")
    for part in (system.network.heads[0].branches.region, system.network.heads[0].branches.scene):
        assert torch.equal(part.Mixed_5c.b2b.bn.bias, state["Mixed_5c.b2b.bn.bias"])


def test_what_does_not_fit_is_refused_by_name_before_anything_is_written(files, tmp_path, capsys):
    run, i3d = tmp_path / "run", files / "i3d"
    rgb, flow = f"rgb={i3d / 'rgb_imagenet.pt'}", f"flow={i3d / 'flow.pth'}"

    def told(case: str, *words: str) -> str:
        return refusal(capsys, *line(case, run, "--weights", *words))

    assert "none.pt: the weights are not there" in told("step-i3d", "rgb=none.pt")
    state = weights.read_state(i3d / "rgb_imagenet.pt")
    del state["Mixed_3b.b1a.bn.bias"]
    torch.save(state, tmp_path / "part.pt")
    assert "Mixed_3b.b1a.bn.bias is missing" in told("step-i3d", f"rgb={tmp_path / 'part.pt'}")
    torch.save(state | {"Mixed_3b.b1a.bn.bias": torch.zeros(7)}, tmp_path / "odd.pt")
    wrong = told("sp_tad", f"rgb={tmp_path / 'odd.pt'}", flow)
    assert "odd.pt: " in wrong and "Mixed_3b.b1a.bn.bias is (7,) in the file, (96,) here" in wrong
    assert "Conv3d_1a_7x7.conv3d.weight is missing" in told("step-i3d", f"rgb={files / 'vgg16.pth'}")
    for case in ("sp_tad", "pcsc"):
        assert "no weights of the stream flow; fetch i3d-flow" in told(case, rgb)
    assert "no network of this system takes weights of flow" in told("step-i3d", rgb, flow)
    assert "no setting weights.sound; known are weights.rgb" in told("step-i3d", "sound=x.pt")
    assert "of which stream?" in told("step-i3d", str(files / "vgg16.pth"))
    assert f"{files}: no weights of the stream rgb" in told("step-i3d", str(files))
    words = line("step-vgg", run, "--weights", f"rgb={files / 'vgg16.pth'}")
    assert "trained on pixels imagenet or bgr (layout torchvision) and is fed unit" in refusal(
        capsys, *words, "--set", "model.normalise=unit"
    )
    assert "set the scale of the flow to 20" in refusal(
        capsys, *line("pcsc", run, "--weights", rgb, flow), "--set", "model.flow_scale=4"
    )
    (tmp_path / "both").mkdir()
    for name in ("rgb.pt", "rgb_other.pth"):
        (tmp_path / "both" / name).write_bytes(b"")
    assert "rgb.pt, rgb_other.pth are all of rgb" in told("step-i3d", str(tmp_path / "both"))
    assert not run.exists()


@pytest.mark.parametrize("case", ["step-i3d", "sp_tad", "pcsc", "cfad"])
def test_frozen_norms_without_weights_are_refused_and_trained_with_none(case, tmp_path, capsys):
    told = refusal(capsys, *line(case, tmp_path / "run"))
    assert "no weights of the stream rgb; fetch i3d-rgb" in told and "--weights none" in told
    assert "registry.toml" in told and not (tmp_path / "run").exists()
    assert main(line(case, tmp_path / "run", "--weights", "none")) == 0
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)["network"]
    means = [value for name, value in state.items() if name.endswith("bn.running_mean")]
    assert means and all(bool((value != 0).any()) for value in means)
    assert json.loads((tmp_path / "run" / "system.json").read_text("utf-8"))["weights"]["random"] is True
    told = refusal(capsys, *line(case, tmp_path / "run", "--set", "weights.rgb=x.pt"))
    assert "had another" in told and "weights.random" in told and "weights.rgb" in told


@pytest.mark.parametrize("name", ENTRIES)
def test_paper_asks_for_weights_and_takes_none(name, tmp_path, capsys):
    words = ["train", name, "--profile", "paper", "--data", "nowhere", "--out", str(tmp_path / "run")]
    told = refusal(capsys, *words)
    assert "no weights of the stream rgb; fetch " in told and "--weights none" in told
    both = refusal(capsys, *words, "--weights", "none", "--set", "weights.rgb=x.pt")
    assert "weights are named, and none are wanted" in both
    spec = runs.make_spec(name, "paper", {"weights.random": "true"})
    assert runs._published(spec) == {}
    with torch.device("meta"):
        network = spec.entry.rebuild(spec.model, ("one",)).network.train()
    assert all(m.training for m in network.modules() if "BatchNorm" in type(m).__name__)
    for profile in PROFILES[:2]:
        assert runs._published(runs.make_spec(name, profile, {})) == {}
    assert not (tmp_path / "run").exists()
