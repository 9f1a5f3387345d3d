"""On which device a backbone is pretrained: the one that its system will be on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stad_lite import runs
from stad_lite.baselines import pretraining
from stad_lite.catalogue import ENTRIES, Entry
from stad_lite.flow_subnet import pretraining as flow_pretraining
from stad_lite.schedule import TrainConfig

GPU = torch.device("cuda")
PRETRAINS = [name for name, entry in ENTRIES.items() if entry.pretrains]


class Told(Exception):
    """Ends a run once it has said what was to be seen."""


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[torch.device | None]:
    """Where backbones are trained; none is."""
    monkeypatch.setenv("STAD_CACHE", str(tmp_path))
    places: list[torch.device | None] = []

    def train(config, schedule, frames, device=None):
        places.append(device)
        streams = tuple(frames)
        modality = next(name for name, seen in pretraining.SEEN.items() if seen == streams)
        return pretraining._backbone(modality, config).state_dict()

    monkeypatch.setattr(pretraining, "read_clips", lambda settings, numbers, streams, cache: tuple(streams))
    monkeypatch.setattr(pretraining, "train", train)
    monkeypatch.setattr(flow_pretraining, "dataset", lambda *clips: ())
    monkeypatch.setattr(flow_pretraining, "pairs_of", lambda clips: clips)
    monkeypatch.setattr(
        flow_pretraining, "train", lambda net, pairs, plan, size, device: places.append(device)
    )
    return places


def test_these_systems_pretrain() -> None:
    assert PRETRAINS == ["step", "pcsc", "cfad", "flow_subnet"]


@pytest.mark.parametrize("name", PRETRAINS)
def test_a_system_hands_its_device_on(name: str, trained: list) -> None:
    entry = ENTRIES[name]
    config = entry.config("lesson")
    entry.build(config, ["run", "jump"], GPU)
    assert config.pretrained and set(trained) == {GPU}
    assert len(trained) == (2 if name in ("pcsc", "flow_subnet") else 1)


def test_what_a_gpu_made_is_kept_apart(trained: list, tmp_path: Path) -> None:
    for device in (GPU, GPU, None, GPU):
        pretraining.pretrained("rgb", "smoke", device=device)
    assert trained == [GPU, None]  # what the CPU has made serves all, and repeats bit by bit
    names = sorted(path.name for path in tmp_path.rglob("*.pt"))
    assert len(names) == 2 and names[0].endswith("-cuda.pt")


@pytest.mark.parametrize("name", PRETRAINS)
def test_a_run_tells_its_device(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Entry.build

    def build(self, config, classes, *place):
        if config.pretrained:
            raise Told(*place)
        return plain(self, config, classes)  # weights that will be overwritten

    monkeypatch.setenv("STAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Entry, "build", build)
    with pytest.raises(Told) as told:
        runs.train(runs.make_spec(name, "lesson", {"data.clips": "1"}), tmp_path / "run", device="cpu")
    assert told.value.args == (torch.device("cpu"),)


def test_all_that_is_trained_on_crosses_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames cross as bytes; the device here is the CPU, told."""
    known = pretraining.Frames(
        {"rgb": torch.zeros(2, 3, 16, 16, 3, dtype=torch.uint8)},
        pretraining.Actors(
            torch.tensor([2.0, 2, 12, 12]).expand(2, 1, 3, 4),
            torch.ones(2, 1, 3) > 0,
            torch.zeros(2, 1).long(),
        ),
    )
    crossed: list[torch.dtype] = []
    to = torch.Tensor.to

    def seen(self, *given, **named):
        if given == (torch.device("cpu"),):
            crossed.append(self.dtype)
        return to(self, *given, **named)

    monkeypatch.setattr(torch.Tensor, "to", seen)
    config = pretraining.DenseConfig(modality="rgb", channels=(8, 8, 8), hidden=8)
    pretraining.train(config, TrainConfig(steps=1, batch=2), known, torch.device("cpu"))
    batch = [kind for kind in crossed if kind in (torch.uint8, torch.bool, torch.long)]
    assert batch == [torch.uint8, torch.bool, torch.bool, torch.long]
