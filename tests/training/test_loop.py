"""The loop: it learns, repeats itself, survives kills, damage and a full disk, and says what happened."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stad_lite.errors import FormatError, NotFiniteError, StadError
from stad_lite.schedule import TrainConfig
from stad_lite.training import checkpoint, loop, run_folder
from stad_lite.training.loop import fit, places
from tests.training.tiny import CONFIG, Points, Tiny

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def silent(_: str) -> None:
    pass


def last(run: Path) -> dict:
    return torch.load(run / "checkpoints" / "last.pt", weights_only=True)


def assert_identical(one: object, other: object) -> None:
    """Bit for bit, through dictionaries and lists."""
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor) and torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict) and one.keys() == other.keys()
        for key in one:
            assert_identical(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert isinstance(other, (list, tuple)) and len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_identical(a, b)
    else:
        assert one == other


def test_each_measured_line_is_told(tmp_path):
    told: list[dict] = []
    watch = lambda line: told.append({**line})  # noqa: E731
    fit(Tiny(), Points(), CONFIG, tmp_path, device="cpu", say=silent, watch=watch)
    assert told == run_folder.read_metrics(tmp_path) and [line["step"] for line in told[-2:]] == [39, 40]


def measured(run: Path) -> list[dict]:
    lines = run_folder.read_metrics(run)
    return [{k: v for k, v in line.items() if k != "steps_per_second"} for line in lines]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stopped."""
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("straight") / "run"
    fit(Tiny(), Points(), CONFIG, run, device="cpu", say=silent)
    return run


def test_it_learns(tmp_path):
    fit(Tiny(0), Points(), replace(CONFIG, steps=300, lr=0.03, checkpoint_every=300), tmp_path, say=silent)
    losses = [line["loss"] for line in run_folder.read_metrics(tmp_path)]
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])


def test_two_runs_with_one_seed(straight, tmp_path):
    fit(Tiny(), Points(), CONFIG, tmp_path, device="cpu", say=silent)
    assert_identical(last(tmp_path), last(straight))
    assert measured(tmp_path) == measured(straight)


def test_another_seed_is_another_run(straight, tmp_path):
    fit(Tiny(), Points(), replace(CONFIG, seed=1), tmp_path, device="cpu", say=silent)
    assert not torch.equal(last(tmp_path)["network"]["0.weight"], last(straight)["network"]["0.weight"])


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks")
def test_killed_twenty_times(straight, tmp_path):
    command = [sys.executable, "-m", "tests.training.tiny", "killed", str(tmp_path / "run"), "20", "3"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 15  # most kills hit a process that was still at work
    assert_identical(last(tmp_path / "run"), last(straight))
    assert measured(tmp_path / "run") == measured(straight)


def stopped(run: Path, step: int, config: TrainConfig = CONFIG) -> None:
    """Make a run that was stopped in the step after ``step``."""

    class Stopping(Tiny):
        calls = 0

        def loss(self, batch):
            self.calls += 1
            if self.calls > step:
                raise KeyboardInterrupt
            return super().loss(batch)

    with pytest.raises(KeyboardInterrupt):
        fit(Stopping(), Points(), config, run, device="cpu", say=silent)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint(straight, tmp_path, damage):
    stopped(tmp_path, 17)
    path = tmp_path / "checkpoints" / "last.pt"
    content = path.read_bytes()
    middle = content.index(last(tmp_path)["network"]["0.weight"].numpy().tobytes())
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes({"cut": content[: len(content) // 2], "flipped": flipped, "empty": b""}[damage])
    told: list[str] = []
    result = fit(Tiny(seed=5), Points(), CONFIG, tmp_path, device="cpu", say=told.append)
    assert result.resumed_at == 16
    assert "last.pt" in told[0] and "cut off or damaged" in told[0] and "the one before" in told[0]
    assert_identical(last(tmp_path), last(straight))


def test_no_whole_checkpoint_is_left(tmp_path):
    stopped(tmp_path, 3)
    for path in (tmp_path / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StadError, match="delete the folder"):
        fit(Tiny(), Points(), CONFIG, tmp_path, say=silent)


def test_killed_between_the_two_renames(straight, tmp_path):
    stopped(tmp_path, 9)
    folder = tmp_path / "checkpoints"
    os.replace(folder / "last.pt", folder / "previous.pt")
    (folder / ".fresh.pt.abc.part").write_bytes(b"half")
    assert fit(Tiny(seed=5), Points(), CONFIG, tmp_path, device="cpu", say=silent).resumed_at == 9
    assert not list(folder.glob(".*"))
    assert_identical(last(tmp_path), last(straight))


def test_a_full_disk(straight, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    stopped(tmp_path, 7)
    kept = (tmp_path / "checkpoints" / "last.pt").read_bytes()
    with monkeypatch.context() as patch, pytest.raises(StadError) as caught:
        patch.setattr(os, "fsync", full)
        checkpoint.write(tmp_path / "checkpoints", last(tmp_path))
    assert "No space left" in str(caught.value) and "make room" in str(caught.value)
    assert (tmp_path / "checkpoints" / "last.pt").read_bytes() == kept
    assert not list((tmp_path / "checkpoints").glob(".*"))
    fit(Tiny(seed=5), Points(), CONFIG, tmp_path, device="cpu", say=silent)
    assert_identical(last(tmp_path), last(straight))


def test_a_full_disk_is_told_before_the_first_step(tmp_path, monkeypatch):
    def full(folder, fill):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "atomic_write", full)
    monkeypatch.setattr(Tiny, "loss", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(StadError, match="No space left"):
        fit(Tiny(), Points(), CONFIG, tmp_path, say=silent)


def test_a_loss_that_is_not_finite(tmp_path):
    with pytest.raises(NotFiniteError, match="video_06") as caught:
        fit(Tiny(), Points(spoilt=6), CONFIG, tmp_path, say=silent)
    step = last(tmp_path)["step"]
    named = {f"video_{index:02d}" for _, index in places(10, CONFIG, step)}
    assert all(name in str(caught.value) for name in named) and f"step {step + 1}" in str(caught.value)
    assert all(torch.isfinite(value).all() for value in last(tmp_path)["network"].values())


def test_a_loss_that_refuses_its_batch_is_told_with_its_items(tmp_path):
    """As where a matching meets predictions that are not finite."""

    class Refusing(Tiny):
        def loss(self, batch):
            raise NotFiniteError("an overlap is not finite", remedy="look for NaN among the boxes")

    with pytest.raises(NotFiniteError, match=r"step 1 is not finite .an overlap is not finite.") as caught:
        fit(Refusing(), Points(), CONFIG, tmp_path, device="cpu", say=silent)
    named = {f"video_{index:02d}" for _, index in places(10, CONFIG, 0)}
    assert all(name in str(caught.value) for name in named)


def test_a_finished_run_says_so(straight):
    before = (straight / "checkpoints" / "last.pt").read_bytes()
    told: list[str] = []
    result = fit(Tiny(), Points(), CONFIG, straight, device="cpu", say=told.append)
    assert "is finished: 40 of 40 steps" in told[0] and result.resumed_at == 40
    assert (straight / "checkpoints" / "last.pt").read_bytes() == before


def test_the_folder_of_another_run(straight):
    with pytest.raises(FormatError, match=r"train\.lr"):
        fit(Tiny(), Points(), replace(CONFIG, lr=1.0), straight, say=silent)
    with pytest.raises(FormatError, match=r"data\.items"):
        fit(Tiny(), Points(count=9), CONFIG, straight, say=silent)


def test_what_the_folder_holds(straight):
    config = json.loads((straight / "config.json").read_text("utf-8"))
    about = json.loads((straight / "run.json").read_text("utf-8"))
    assert config["train"]["lr"] == 0.01 and len(config["hash"]) == 16 and config["data"]["items"] == 10
    assert about["versions"]["torch"] == torch.__version__ and about["seed"] == 0
    assert about["device"] == "cpu" and about["processes"] == 1
    assert (straight / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [line["step"] for line in run_folder.read_metrics(straight)] == [*range(3, 40, 3), 40]
    assert last(straight)["data"] == {"epoch": 16, "item": 0}


def test_accumulation_takes_the_same_steps(tmp_path):
    whole, parts = Tiny(0), Tiny(0)
    fit(whole, Points(), CONFIG, tmp_path / "whole", device="cpu", say=silent)
    fit(parts, Points(), replace(CONFIG, accumulation=2), tmp_path / "parts", device="cpu", say=silent)
    for one, other in zip(whole.network.parameters(), parts.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.processes
def test_workers_change_nothing(straight, tmp_path):
    fit(Tiny(), Points(), CONFIG, tmp_path, device="cpu", workers=2, say=silent)
    assert_identical(last(tmp_path), last(straight))


def test_bfloat16_runs(tmp_path):
    seen = []

    class Watched(Tiny):
        def loss(self, batch):
            seen.append(self.network(batch[0]).dtype)
            return super().loss(batch)

    fit(Watched(), Points(), replace(CONFIG, steps=2, amp=True), tmp_path, device="cpu", say=silent)
    assert set(seen) == {torch.bfloat16}
    assert last(tmp_path)["network"]["0.weight"].dtype == torch.float32


def test_clipping_bounds_the_step(tmp_path):
    config = TrainConfig(steps=1, batch=4, optimiser="sgd", lr=1.0, weight_decay=0, clip_norm=0.01)
    system = Tiny()
    before = [parameter.detach().clone() for parameter in system.network.parameters()]
    fit(system, Points(), config, tmp_path, device="cpu", say=silent)
    after = [parameter.detach() for parameter in system.network.parameters()]
    moved = torch.stack([(a - b).square().sum() for a, b in zip(before, after, strict=True)]).sum().sqrt()
    assert float(moved) == pytest.approx(0.01, rel=1e-3)


def test_every_epoch_sees_every_item_once():
    config = TrainConfig(epochs=3, batch=4)
    total = config.total_steps(10)
    seen = [place for step in range(total) for place in places(10, config, step)]
    assert total == 8
    for epoch in range(3):
        assert sorted(index for e, index in seen if e == epoch) == list(range(10))


def test_the_last_step_has_no_spare_loss(monkeypatch):
    parts = list(loop._parts(10, CONFIG, 38, 40))
    assert [place for part in parts for place in part] == places(10, CONFIG, 38) + places(10, CONFIG, 39)


def test_an_empty_data_set(tmp_path):
    with pytest.raises(FormatError, match="empty"):
        fit(Tiny(), Points(count=0), CONFIG, tmp_path, say=silent)
