"""``stad-lite profile`` for every system and some networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from stad_lite.catalogue import ENTRIES
from stad_lite.cli import main


@pytest.mark.parametrize("name", ENTRIES)
def test_every_system_has_a_profile(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["profile", name, "--profile", "smoke", "--device", "cpu", "--rounds", "1", "--batch", "2"]
    assert main([*words, "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["profile"], told["items"]) == (name, "smoke", 2)
    assert 0 < told["trainable"] <= told["total"]
    assert sum(part["parameters"] for part in told["parts"].values()) <= told["total"]
    assert 0 < told["predict"]["flop"] < told["step"]["flop"]
    assert told["predict"]["timing"]["clock"] == "CPU" and told["threads"] == 1
    per = told["per_second"]
    count = told["frames"] if per["of"] == "frames" else told["items"]
    assert per["predict"] == count / told["predict"]["timing"]["median"]


def test_a_table_and_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "costs.json"
    words = ["profile", "pwc-net", "--profile", "smoke", "--device", "cpu", "--rounds", "2", "--amp"]
    assert main([*words, "--json", str(path)]) == 0
    lines, told = capsys.readouterr().out.splitlines(), json.loads(path.read_text("utf-8"))
    assert lines[0] == "pwc-net, profile smoke: 1 item (1 frame)"
    assert lines[1].endswith("1 thread, bfloat16") and told["amp"]
    assert f"{told['total'] / 1e6:.3f} M parameters" in lines[2]
    (row,) = (line.split() for line in lines if line.startswith("prediction"))
    assert float(row[1]) == round(told["predict"]["flop"] / 1e9, 3)
    parts = lines[lines.index(next(line for line in lines if line.startswith("part"))) + 1 : -3]
    assert len(parts) == 13 and parts[-1].split()[1] == "others"
    counts = [int(line.split()[-2].replace(",", "")) for line in parts]
    assert sum(counts) == told["total"]


def test_what_cannot_be_profiled(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(*words: str) -> str:
        assert main(["profile", *words]) == 2
        return capsys.readouterr().err

    assert "baseline" in refusal("alexnet") and "i3d" in refusal("alexnet")
    assert "0 items" in refusal("i3d", "--profile", "smoke", "--batch", "0")
    assert "0 rounds" in refusal("vgg16", "--profile", "smoke", "--rounds", "0", "--device", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no GPU" in refusal("i3d", "--device", "cuda")
