"""The training loop: ``fit`` trains any system on any data set, and goes on where it was stopped."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from stad_lite.data import workers as processes
from stad_lite.data.clips import order
from stad_lite.errors import FormatError, NotFiniteError
from stad_lite.nets.layers import values_to_norm
from stad_lite.progress import progress
from stad_lite.schedule import TrainConfig, config_hash, learning_rate, plain
from stad_lite.training import checkpoint, distributed, optimisers, run_folder
from stad_lite.training.counts import losses_of


class System(Protocol):
    """A detector: network (raw outputs), matching and criterion (in ``loss``), decoding (in ``predict``)."""

    @property
    def network(self) -> nn.Module:
        """What is trained."""
        ...

    @property
    def config(self) -> Any:
        """What it was built from; a run keeps it and goes on with no other."""
        ...

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Return the weighted terms of the loss; their sum is minimised."""
        ...

    def predict(self, batch: Any) -> list[Any]:
        """Return one prediction an item, in pixels and seconds."""
        ...


class TrainingData(Protocol):
    """What is trained on (``systems.items.Items``): an item is given by seed, epoch and index alone.

    seed, epoch: the loop sets the epoch
    """

    seed: int
    epoch: int

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...

    def name(self, index: int) -> str:
        """Return what a user calls an item."""
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

    data: TrainingData

    def __getitem__(self, place: tuple[int, int]) -> Any:
        epoch, index = place
        self.data.epoch = epoch
        return self.data[index]


@dataclass
class _Training:
    """One call of ``fit``: what it trains, on what, where, and how far."""

    system: System
    data: TrainingData
    config: TrainConfig
    run: Path
    place: torch.device
    optimiser: torch.optim.Optimizer
    total: int
    first: int = 0


def fit(
    system: System,
    data: TrainingData,
    config: TrainConfig,
    run_dir: str | PathLike[str],
    *,
    device: str | None = None,
    workers: int = 0,
    collate: Callable[[list[Any]], Any] = default_collate,
    say: Callable[[str], object] = print,
    watch: Callable[[dict[str, Any]], object] | None = None,
) -> Run:
    """Train a system; the same call again goes on where it was stopped.

    run_dir: the folder of the run, made where it is missing
    device: "cpu", "cuda" or "cuda:1"; without it the GPU where there is one
    workers: processes that prepare batches ahead; they change nothing in what is learnt. They are new
        interpreters: a script that asks for them guards its own run with ``if __name__ == "__main__"``
    collate: makes a batch of a list of items; with workers a module's own function, and no lambda
    say: is told what happens to the run
    watch: is told each line of the metrics when it is measured
    raises: FormatError where the folder holds another run, or a batch norm sees a single value;
        NotFiniteError naming the items of a batch whose loss or gradient is not finite; StadError where the
        disk is full
    """
    check_workers(workers)
    with distributed.processes(device) as place, run_folder.alone(Path(run_dir) / "checkpoints"):
        total = _total(config, data)
        system.network.to(place).train()
        optimiser = optimisers.make(system.network, config)
        training = _Training(system, data, config, Path(run_dir), place, optimiser, total)
        _begin_or_resume(training, say)
        batches = _batches(training, workers, collate)
        line: dict[str, Any] = {}
        began, steps = time.perf_counter(), range(training.first, total)
        for step in _shown(steps, training, line):
            rate = learning_rate(step, total, config)
            optimisers.set_rate(optimiser, rate)
            terms = _step(training, batches, step)
            done = step + 1
            if done % config.log_every == 0 or done == total:
                speed = (done - training.first) / (time.perf_counter() - began)
                line.update(_measure(training, done, terms, rate, speed))
                if watch is not None:
                    watch(line)
            if done % config.checkpoint_every == 0 or done == total:
                _save(training, done)
        if distributed.rank() == 0 and (steps or not (training.run / "curves.png").exists()):
            run_folder.plot_run(training.run)
    return Run(training.run, total, training.first)


def fit_unkept(
    system: System,
    data: TrainingData,
    config: TrainConfig,
    device: str | None = None,
    collate: Callable[[list[Any]], Any] = default_collate,
) -> None:
    """Train a system as ``fit`` does, keep no run and say nothing; raises as it does."""
    with tempfile.TemporaryDirectory() as folder:
        fit(system, data, config, folder, device=device, collate=collate, say=lambda line: None)


def check_workers(workers: int) -> None:
    """Refuse a number of processes that cannot be. raises: FormatError"""
    if not 0 <= workers <= 1024:
        raise FormatError(f"workers is {workers}", remedy="give a whole number from 0 to 1024")


def usual_workers(data: TrainingData) -> int:
    """Return how many processes prepare batches where nothing else is said (``data.workers.usual_workers``).

    None for items without pixels: what is kept in memory is read as fast, and each worker would copy it.
    """
    return processes.usual_workers(distributed.world()) if _holds_bytes(data[0]) else 0


def _holds_bytes(item: Any) -> bool:
    if isinstance(item, Tensor):
        return item.dtype == torch.uint8
    parts = item.values() if isinstance(item, dict) else item if isinstance(item, (list, tuple)) else ()
    return any(_holds_bytes(part) for part in parts)


def _total(config: TrainConfig, data: TrainingData) -> int:
    """The updates of the whole run, after a look at what could not be trained at all."""
    if len(data) == 0:
        raise FormatError("the data set is empty", remedy="choose another subset or folder")
    count = distributed.world()
    if config.batch % (config.accumulation * count):
        problem = f"a batch of {config.batch} cannot be shared by {count} x {config.accumulation} equal parts"
        raise FormatError(problem, remedy="change batch or the number of processes")
    return config.total_steps(len(data))


def _begin_or_resume(training: _Training, say: Callable[[str], object]) -> None:
    """Open the folder; take network, optimiser, random states and step from its newest checkpoint."""
    run, config = training.run, training.config

    def newest() -> dict[str, Any] | None:
        count = distributed.world()
        run_folder.open_run(run, config, training.system, training.data, training.place, count)
        return checkpoint.read_newest(run / "checkpoints", say)

    state = distributed.from_first(newest)
    if state is None:
        # a seed for each process: alike, all would drop the same units and draw the same proposals
        checkpoint.seed_all(config.seed + distributed.rank())
        # the first checkpoint is written before the first step: a full disk is told at once
        state = _save(training, 0)
    try:
        training.first = state["step"]
        training.system.network.load_state_dict(state["network"])
        training.optimiser.load_state_dict(state["optimiser"])
        # more processes than before share the states that there are
        checkpoint.restore_random_states(state["random"][distributed.rank() % len(state["random"])])
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        problem = f"the checkpoint is of another network or kind ({str(error).splitlines()[0][:200]})"
        remedy = "choose another folder, or delete this one to start afresh"
        raise FormatError(problem, file=run / "checkpoints", remedy=remedy) from None
    if distributed.rank() == 0:
        # lines after the checkpoint will be measured again
        run_folder.cut_metrics(run, training.first)
        if training.first:
            word = "is finished" if training.first >= training.total else "goes on"
            say(f"{run} {word}: {training.first} of {training.total} steps are done")


def _shown(steps: range, training: _Training, line: dict[str, Any]) -> Iterable[int]:
    """The steps, with a bar in the first process that tells the last measured loss."""
    if distributed.rank() > 0:
        return steps
    after = lambda: f"loss {line['loss']:.4g}" if line else ""  # noqa: E731
    return progress(steps, desc=training.run.name, after=after)


def places(count: int, config: TrainConfig, step: int) -> list[tuple[int, int]]:
    """Return (epoch, index) of a step's batch: the epochs, each in its own order, follow without a gap.

    >>> [len(set(places(4, TrainConfig(steps=1, batch=2), step))) for step in (0, 1)]
    [2, 2]
    """
    positions = range(step * config.batch, (step + 1) * config.batch)
    return [(at // count, int(_order(count, config.seed, at // count)[at % count])) for at in positions]


# two: a batch may begin in one epoch and end in the next
_order = lru_cache(maxsize=2)(order)


def _parts(count: int, config: TrainConfig, first: int, total: int) -> Iterator[list[tuple[int, int]]]:
    """Yield this process's parts of all batches to come, ``accumulation`` of them a step."""
    size = config.batch // (config.accumulation * distributed.world())
    for step in range(first, total):
        # shares of one common order: a run on many processes sees the batches of a run on one
        batch = places(count, config, step)[distributed.rank() :: distributed.world()]
        for at in range(0, len(batch), size):
            yield batch[at : at + size]


def _batches(training: _Training, workers: int, collate: Callable[[list[Any]], Any]) -> Iterator[Any]:
    """Yield the parts of all batches to come, each loaded and collated."""
    data, config = training.data, training.config
    if workers:
        processes.short_sockets()
    loader: Any = DataLoader(
        _Items(data),  # type: ignore[arg-type]
        batch_sampler=_parts(len(data), config, training.first, training.total),
        num_workers=workers,
        collate_fn=collate,
        multiprocessing_context=distributed.START if workers else None,
        generator=torch.Generator(),  # its own, or making the loader would draw a number of ours
    )
    return iter(loader)


def _step(training: _Training, batches: Iterator[Any], step: int) -> dict[str, Tensor]:
    """Take one step: gradients of all parts, their mean over the processes, clipping, update."""
    config, system, place = training.config, training.system, training.place
    training.optimiser.zero_grad(set_to_none=True)
    sums: dict[str, Tensor] = {}

    def terms_of(part: Any) -> dict[str, Tensor]:
        try:
            with values_to_norm(), torch.autocast(place.type, torch.bfloat16, enabled=config.amp):
                return system.loss(distributed.to(part, place))
        except NotFiniteError as error:
            raise _not_finite("loss", training, step, f" ({error.problem})") from error

    parts = [next(batches) for _ in range(config.accumulation)]
    for terms in losses_of(parts, terms_of, system.network, place):
        # in float32: in bfloat16 a small term beside a large one would be rounded away
        loss = torch.stack([term.float() for term in terms.values()]).sum() / config.accumulation
        if not torch.isfinite(loss):
            raise _not_finite("loss", training, step)
        loss.backward()
        for name, term in terms.items():
            sums[name] = sums.get(name, 0) + term.detach().float() / config.accumulation
    parameters = list(system.network.parameters())
    # before clipping: the norm that counts is the whole batch's, the same in all processes
    distributed.average_gradients(parameters)
    # asked for without clipping too: it tells whether any gradient is not finite
    norm = torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm or float("inf"))
    # before the update: weights and checkpoints stay what they were
    if not torch.isfinite(norm):
        raise _not_finite("gradient", training, step)
    training.optimiser.step()
    return sums


def _not_finite(what: str, training: _Training, step: int, why: str = "") -> NotFiniteError:
    data = training.data
    names = [data.name(index) for _, index in places(len(data), training.config, step)]
    return NotFiniteError(
        f"the {what} of step {step + 1} is not finite{why}; its batch is {', '.join(names)}",
        remedy="look at these items, lower the learning rate or set clip_norm; the last checkpoint is whole",
    )


def _measure(
    training: _Training, done: int, terms: dict[str, Tensor], rate: float, speed: float
) -> dict[str, Any]:
    """Append a line to the metrics, from the first process; return it."""
    means = {name: float(distributed.average(value)) for name, value in terms.items()}
    line = {"step": done, "loss": sum(means.values()), "terms": means, "lr": rate, "steps_per_second": speed}
    if distributed.rank() == 0:
        run_folder.add_metrics(training.run, line)
    return line


def _save(training: _Training, step: int) -> dict[str, Any]:
    """Write a checkpoint from the first process; return the state, the same in all processes."""
    config, count = training.config, len(training.data)
    seen = step * config.batch
    state = {
        "step": step,
        "data": {"epoch": seen // count, "item": seen % count},
        "schedule": {"lr": [group["lr"] for group in training.optimiser.param_groups]},
        "config": plain(config),
        "hash": config_hash(config),
        "network": training.system.network.state_dict(),
        "optimiser": training.optimiser.state_dict(),
        "random": distributed.gather(checkpoint.random_states()),
    }
    if distributed.rank() == 0:
        checkpoint.write(training.run / "checkpoints", state)
    return state if step else distributed.broadcast(state)
