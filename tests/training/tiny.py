"""A detector of a few numbers, and processes that train it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stad_lite.errors import StadError
from stad_lite.schedule import TrainConfig
from stad_lite.training.checkpoint import seed_all
from stad_lite.training.distributed import first_alone, from_first, gather, rank
from stad_lite.training.loop import fit

CONFIG = TrainConfig(steps=40, batch=4, lr=0.01, warm_up=5, clip_norm=1.0, checkpoint_every=1, log_every=3)


class Points:
    """Ten inputs with noise that changes with the epoch."""

    def __init__(self, spoilt: int | None = None, count: int = 10) -> None:
        self.seed, self.epoch, self.spoilt, self.count = 0, 0, spoilt, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        x = torch.from_numpy(np.random.default_rng([index, self.epoch]).normal(size=3)).float()
        y = x.sum().reshape(1) * (float("nan") if index == self.spoilt else 1)
        return x, y

    def name(self, index: int) -> str:
        return f"video_{index:02d}"


class Tiny:
    """Two layers; with dropout the steps depend on the random state too."""

    config = "tiny"

    def __init__(self, dropout: float = 0.3, seed: int = 0) -> None:
        seed_all(seed)
        self.network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 1))

    def loss(self, batch: Any) -> dict[str, Tensor]:
        x, y = batch
        y_hat = self.network(x)
        return {"square": (y_hat - y).square().mean(), "size": 0.1 * y_hat.abs().mean()}

    def predict(self, batch: Any) -> list[float]:
        return [float(value) for value in self.network(batch[0])[:, 0]]


class Told(Tiny):
    """Writes a byte to a pipe at every step, so that another process can count them."""

    def __init__(self, pipe: int) -> None:
        super().__init__()
        self.pipe = pipe

    def loss(self, batch: Any) -> dict[str, Tensor]:
        os.write(self.pipe, b".")
        return super().loss(batch)


Told.__name__ = "Tiny"  # the run folder names the system


def killed_again_and_again(run: Path, kills: int, seed: int) -> None:
    """Train in forks of this process, each killed by SIGKILL after a random number of steps; then to the end.

    Prints the number of kills that hit a running fork.
    """
    generator, hits = np.random.default_rng(seed), 0
    for attempt in range(kills + 1):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                fit(Told(writing), Points(), CONFIG, run, say=lambda _: None)
            except BaseException as error:  # a fork must not go on in the parent's code
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        os.close(writing)
        if attempt < kills:
            for _ in range(int(generator.integers(1, 4))):
                os.read(reading, 1)
            # up to one step's time more, so that kills fall into writing as well
            if generator.random() < 0.5:
                select_for(float(generator.uniform(0, 0.01)))
            os.kill(child, 9)
        _, status = os.waitpid(child, 0)
        os.close(reading)
        if os.WIFSIGNALED(status):
            hits += 1
        elif os.WEXITSTATUS(status):
            raise SystemExit("a fork failed")
    print(hits)


def select_for(seconds: float) -> None:
    """Wait."""
    import time

    time.sleep(seconds)


def refused(call: Any) -> str:
    """What a process says when the first one fails."""

    def fails() -> None:
        raise StadError("the disk is gone", file="a.txt", remedy="find it") if rank() == 0 else KeyError

    try:
        call(fails)
    except StadError as error:
        return str(error)
    return ""


def together(folder: Path) -> None:
    """Train under torchrun; the second writes what came out."""
    system = Tiny(dropout=0.0, seed=rank())
    mine = int(os.environ["RANK"])
    fit(system, Points(), CONFIG, folder / "run", device="cpu", say=lambda _: None)
    refusals = [refused(from_first), refused(first_alone)]
    found = {"refusals": refusals, "ranks": gather(mine)}
    if mine == 1:  # the second has the whole list as well
        (folder / "found.json").write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "killed":
        killed_again_and_again(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        together(Path(sys.argv[2]))
