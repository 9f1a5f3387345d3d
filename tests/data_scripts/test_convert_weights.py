"""The converter: published files in, one file of ours out, and a report."""

from __future__ import annotations

from pathlib import Path

import convert_weights
import pytest
import torch

from stad_lite.nets.flow.spynet import SPyNet
from stad_lite.nets.i3d import I3D
from stad_lite.nets.weights import load, read_state
from tests.nets import layouts


def test_an_i3d_is_converted_with_its_classifier(tmp_path: Path, capsys: pytest.CaptureFixture):
    torch.save(layouts.i3d(inputs=2, classes=5)[1] | {"extra": torch.zeros(1)}, tmp_path / "port.pth")
    out = tmp_path / "made" / "i3d.pt"
    assert convert_weights.main(["i3d-flow", str(tmp_path / "port.pth"), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "tensorflow-port" in printed and "unused: 1\n  extra" in printed
    net = I3D(2, num_classes=5)
    assert not load(net, read_state(out)).unused


def test_spynet_s_five_files_become_one(stad_data: Path, tmp_path: Path):
    folder = stad_data / "weights" / "spynet"
    if not folder.is_dir():
        pytest.skip("no SPyNet weights here")
    assert convert_weights.main(["spynet", str(folder), "--out", str(tmp_path / "spynet.pt")]) == 0
    report = load(SPyNet(), read_state(tmp_path / "spynet.pt"))
    assert len(report.loaded) == 50 and not report.unused


def test_what_does_not_fit_is_said_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture):
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "vgg.pth")
    out = tmp_path / "vgg.pt"
    assert convert_weights.main(["vgg16", str(tmp_path / "vgg.pth"), "--out", str(out)]) == 2
    assert "features.0.bias is missing" in capsys.readouterr().err and not out.exists()
    assert convert_weights.main(["vgg16", str(tmp_path / "none.pth"), "--out", str(out)]) == 2
    with pytest.raises(SystemExit):
        convert_weights.main(["resnet", "x", "--out", str(out)])
