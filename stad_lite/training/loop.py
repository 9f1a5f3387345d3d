"""The training loop: ``fit`` trains any system on any data set, and goes on where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from stad_lite.data.clips import order
from stad_lite.errors import FormatError, NotFiniteError
from stad_lite.progress import progress
from stad_lite.schedule import TrainConfig, config_hash, learning_rate, plain
from stad_lite.training import checkpoint, distributed, optimisers, run_folder


class System(Protocol):
    """A detector: network (raw outputs), matching and criterion (in ``loss``), decoding (in ``predict``)."""

    network: nn.Module

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Return the weighted terms of the loss; their sum is minimised."""
        ...

    def predict(self, batch: Any) -> list[Any]:
        """Return one prediction an item, in pixels and seconds."""
        ...


@dataclass(frozen=True)
class Run:
    """What ``fit`` returns: the folder, the updates made in all, and from which one this call went on."""

    folder: Path
    steps: int
    resumed_at: int


@dataclass
class _Items:
    """A data set that is asked for (epoch, index): a clip's augmentation changes with the epoch."""

    data: Any

    def __getitem__(self, place: tuple[int, int]) -> Any:
        epoch, index = place
        if hasattr(self.data, "epoch"):
            self.data.epoch = epoch
        return self.data[index]


def places(count: int, config: TrainConfig, step: int) -> list[tuple[int, int]]:
    """Return (epoch, index) of a step's batch: the epochs, each in its own order, follow without a gap.

    >>> [len(set(places(4, TrainConfig(steps=1, batch=2), step))) for step in (0, 1)]
    [2, 2]
    """
    positions = range(step * config.batch, (step + 1) * config.batch)
    return [(at // count, int(_order(count, config.seed, at // count)[at % count])) for at in positions]


_order = lru_cache(maxsize=2)(order)


def _parts(count: int, config: TrainConfig, first: int, total: int) -> Iterator[list[tuple[int, int]]]:
    """Yield this process's parts of all batches to come, ``accumulation`` of them a step."""
    size = config.batch // (config.accumulation * distributed.world())
    for step in range(first, total):
        batch = places(count, config, step)[distributed.rank() :: distributed.world()]
        for at in range(0, len(batch), size):
            yield batch[at : at + size]


def fit(
    system: System,
    data: Any,
    config: TrainConfig,
    run_dir: str | PathLike[str],
    *,
    device: str | None = None,
    workers: int = 0,
    collate: Callable[[list[Any]], Any] = default_collate,
    say: Callable[[str], object] = print,
) -> Run:
    """Train a system; the same call again goes on where it was stopped.

    data: has a length and items; ``epoch`` is set and ``name(index)`` told to the user where it has them.
        An item's random numbers come from seed, epoch and index (as in ``ClipSet``)
    run_dir: the folder of the run, made where it is missing
    device: "cpu" or "cuda"; without it the GPU where there is one
    workers: processes that prepare batches ahead; they change nothing in what is learnt
    collate: makes a batch of a list of items
    say: is told what happens to the run
    raises: FormatError where the folder holds another run, NotFiniteError naming the items of a batch
        whose loss or gradient is not finite, StadError where the disk is full
    """
    run = Path(run_dir)
    with distributed.processes(device) as place:
        alone, count, network = distributed.rank() == 0, distributed.world(), system.network
        if len(data) == 0:
            raise FormatError("the data set is empty", remedy="choose another subset or folder")
        total = config.total_steps(len(data))
        if config.batch % (config.accumulation * count):
            problem = (
                f"a batch of {config.batch} cannot be shared by {count} x {config.accumulation} equal parts"
            )
            raise FormatError(problem, remedy="change batch or the number of processes")

        network.to(place).train()
        optimiser = optimisers.make(network, config)
        if alone:
            run_folder.open_run(run, config, system, data, place, count)
        state = distributed.broadcast(checkpoint.read_newest(run / "checkpoints", say) if alone else None)
        if state is None:
            checkpoint.seed_all(config.seed + distributed.rank())
            # the first checkpoint is written before the first step: a full disk is told at once
            state = _save(run, 0, system, optimiser, config, data)
        first = state["step"]
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        checkpoint.restore_random_states(state["random"][distributed.rank() % len(state["random"])])
        if alone:
            run_folder.cut_metrics(run, first)
            if first:
                word = "is finished" if first >= total else "goes on"
                say(f"{run} {word}: {first} of {total} steps are done")

        loader: Any = DataLoader(
            _Items(data),  # type: ignore[arg-type]
            batch_sampler=_parts(len(data), config, first, total),
            num_workers=workers,
            collate_fn=collate,
            generator=torch.Generator(),  # its own, or making the loader would draw a number of ours
        )
        parts = iter(loader)
        line: dict[str, Any] = {}
        began, steps = time.perf_counter(), range(first, total)
        shown = lambda: f"loss {line['loss']:.4g}" if line else ""  # noqa: E731
        for step in progress(steps, desc=run.name, after=shown) if alone else steps:
            rate = learning_rate(step, total, config)
            optimisers.set_rate(optimiser, rate)
            terms = _step(system, parts, optimiser, config, place, (data, step))

            done = step + 1
            if done % config.log_every == 0 or done == total:
                means = {name: float(distributed.average(value)) for name, value in terms.items()}
                line = {"step": done, "loss": sum(means.values()), "terms": means, "lr": rate}
                line["steps_per_second"] = (done - first) / (time.perf_counter() - began)
                if alone:
                    run_folder.add_metrics(run, line)
            if done % config.checkpoint_every == 0 or done == total:
                _save(run, done, system, optimiser, config, data)
        if alone and (first < total or not (run / "curves.png").exists()):
            run_folder.plot_run(run)
    return Run(run, total, first)


def _step(
    system: System,
    parts: Iterator[Any],
    optimiser: torch.optim.Optimizer,
    config: TrainConfig,
    place: torch.device,
    where: tuple[Any, int],
) -> dict[str, Tensor]:
    """Take one step: gradients of all parts, their mean over the processes, clipping, update."""
    optimiser.zero_grad(set_to_none=True)
    sums: dict[str, Tensor] = {}
    for _ in range(config.accumulation):
        batch = distributed.to(next(parts), place)
        with torch.autocast(place.type, torch.bfloat16, enabled=config.amp):
            terms = system.loss(batch)
        loss = torch.stack([term.float() for term in terms.values()]).sum() / config.accumulation
        if not torch.isfinite(loss):
            raise _not_finite("loss", config, where)
        loss.backward()
        for name, term in terms.items():
            sums[name] = sums.get(name, 0) + term.detach().float() / config.accumulation
    parameters = list(system.network.parameters())
    distributed.average_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm or float("inf"))
    if not torch.isfinite(norm):
        raise _not_finite("gradient", config, where)
    optimiser.step()
    return sums


def _not_finite(what: str, config: TrainConfig, where: tuple[Any, int]) -> NotFiniteError:
    data, step = where
    names = [run_folder.item_name(data, index) for _, index in places(len(data), config, step)]
    return NotFiniteError(
        f"the {what} of step {step + 1} is not finite; its batch is {', '.join(names)}",
        remedy="look at these items, lower the learning rate or set clip_norm; the last checkpoint is whole",
    )


def _save(
    run: Path, step: int, system: System, optimiser: torch.optim.Optimizer, config: TrainConfig, data: Any
) -> dict[str, Any]:
    """Write a checkpoint from the first process; return the state, the same in all processes."""
    seen = step * config.batch
    state = {
        "step": step,
        "data": {"epoch": seen // len(data), "item": seen % len(data)},
        "schedule": {"lr": [group["lr"] for group in optimiser.param_groups]},
        "config": plain(config),
        "hash": config_hash(config),
        "network": system.network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "random": distributed.gather(checkpoint.random_states()),
    }
    if distributed.rank() == 0:
        checkpoint.write(run / "checkpoints", state)
    return state if step else distributed.broadcast(state)
