"""The parts of ``bench_gpu``: each yields its rows, name and figures, as they come.

Forward passes are set against the fastest matrix product in bfloat16 of the same part.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import bench_flow_subnet, bench_sp_tad, bench_step
from stad_lite import runs
from stad_lite.catalogue import ENTRIES, find
from stad_lite.nets.folding import folded
from stad_lite.nets.i3d import I3D
from stad_lite.schedule import TrainConfig
from stad_lite.training.checkpoint import seed_all
from stad_lite.training.examples import CLASSES, Alone, Noise
from stad_lite.training.loop import fit
from stad_lite.training.profile import Profile, operations, profile, timed
from stad_lite.training.run_folder import read_metrics

Work = Callable[[], Any]


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    matrices: sides of the square matrices
    width: of I3D
    clips: batch, frames, height, width
    train: the same for a training step of I3D alone
    profiles: of the systems
    lesson: profile of whole runs, and steps on the GPU and on the CPU
    steps: of each of the three parts of the run that changes its device
    warm_up, rounds: calls before the times, and calls that are timed
    """

    matrices: tuple[int, ...] = (4096, 8192, 16384)
    width: float = 1.0
    clips: tuple[tuple[int, int, int, int], ...] = ((8, 256, 96, 96),)
    train: tuple[int, int, int, int] = (8, 64, 224, 224)
    profiles: tuple[str, ...] = ("paper", "large")
    lesson: tuple[str, int, int] = ("lesson", 60, 12)
    steps: int = 20
    warm_up: int = 3
    rounds: int = 10


SMALL = Sizes((64, 128), 0.125, ((1, 8, 32, 32),), (1, 16, 64, 64), ("smoke",), ("smoke", 2, 1), 3, 0, 1)
Rows = Iterator[tuple[str, Any]]
TOLERANCE = 0.01
"""Of a loss on the way CPU, GPU, CPU, as a part of the loss of the CPU alone."""


def matrix_products(device: torch.device, sizes: Sizes) -> dict[str, float]:
    """Return the TFLOP/s of square products in bfloat16 by side."""
    found = {}
    for side in sizes.matrices:
        one, two = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
        found[str(side)] = _rate(lambda a=one, b=two: a @ b, 2 * side**3, device, sizes)["TFLOP/s"]
        del one, two
    return found


def _rate(work: Work, flop: int, device: torch.device, sizes: Sizes) -> dict[str, float]:
    """Time a call after some to warm up."""
    for _ in range(sizes.warm_up):
        work()
    timing = timed(work, device, sizes.rounds, seconds=20)
    found = {"ms": timing.median, "ms, fastest": timing.fastest, "ms, slowest": timing.slowest}
    return {
        **{name: round(1e3 * value, 3) for name, value in found.items()},
        "TFLOP/s": _digits(flop / timing.median / 1e12),
    }


def _digits(value: float) -> float:
    return float(f"{value:.4g}")


def in_bfloat16(net: I3D, clips: Tensor) -> tuple[I3D, Tensor]:
    """Return network and clips as the tensor cores want them: bfloat16, channels last."""
    form = torch.channels_last_3d
    return net.bfloat16().to(memory_format=form), clips.bfloat16().contiguous(memory_format=form)


def with_channels(net: I3D, channels: int, width: float) -> I3D:
    """Return the same I3D for more input channels, which count nothing: some kernels want multiples of 4."""
    wide = I3D(channels, width=width).to(next(net.parameters()).device).eval()
    state = net.state_dict()
    first = state["Conv3d_1a_7x7.conv3d.weight"]
    state["Conv3d_1a_7x7.conv3d.weight"] = torch.zeros_like(wide.state_dict()["Conv3d_1a_7x7.conv3d.weight"])
    state["Conv3d_1a_7x7.conv3d.weight"][:, : first.shape[1]] = first
    wide.load_state_dict(state)
    return wide


def compiled(net: I3D, clips: Tensor, mode: str) -> Work:
    """Return the call through torch.compile; on the CPU, where no figure counts, without code generation."""
    if clips.device.type == "cuda":
        call: Any = torch.compile(net, mode=mode)
    else:
        call = torch.compile(net, backend="aot_eager")
    return lambda: call(clips)


def graphed(net: I3D, clips: Tensor) -> Work:
    """Return the replay of a CUDA graph of the plain call; on the CPU, where there are none, the call."""
    if clips.device.type != "cuda":
        return lambda: net(clips)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            net(clips)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = net(clips)

    def replay() -> Any:
        graph.replay()
        return found

    return replay


def ways(net: I3D, clips: Tensor, width: float) -> dict[str, Callable[[], Work]]:
    """Return makers of the calls that are compared, by name; each takes its own network."""

    def copied(channels: int = 3) -> tuple[I3D, Tensor]:
        given = torch.nn.functional.pad(clips, (0, 0, 0, 0, 0, 0, 0, channels - clips.shape[1]))
        return with_channels(net, channels, width), given

    def plain(one: I3D, given: Tensor) -> Work:
        return lambda: one(given)

    return {
        "float32 (TF32)": lambda: plain(*copied()),
        "bfloat16": lambda: plain(copied()[0].bfloat16(), clips.bfloat16()),
        "channels last": lambda: plain(*in_bfloat16(*copied())),
        "4 input channels": lambda: plain(*in_bfloat16(*copied(4))),
        "8 input channels": lambda: plain(*in_bfloat16(*copied(8))),
        "CUDA graph": lambda: graphed(*in_bfloat16(*copied())),
        "folded, 4 input channels": lambda: plain(*_folded(net, clips)),
        "folded, CUDA graph": lambda: graphed(*_folded(net, clips)),
        "compiled": lambda: compiled(*in_bfloat16(*copied()), mode="default"),
        "compiled, 4 input channels": lambda: compiled(*in_bfloat16(*copied(4)), mode="default"),
        "compiled, graphs": lambda: compiled(*in_bfloat16(*copied()), mode="reduce-overhead"),
    }


def _folded(net: I3D, clips: Tensor) -> tuple[I3D, Tensor]:
    """Return the network with its norms folded in, and clips, as ``in_bfloat16``."""
    quick: Any = folded(net, 4)
    return in_bfloat16(quick, clips)


def products(device: torch.device, sizes: Sizes) -> Rows:
    """Yield the TFLOP/s of matrix products by side, and the rate of a copy in GB/s."""
    yield "TFLOP/s by side", matrix_products(device, sizes)
    one = torch.zeros(sizes.matrices[-1] ** 2, device=device)
    other = torch.empty_like(one)
    taken = timed(lambda: other.copy_(one), device, sizes.rounds).median
    yield "copy, GB/s", _digits(2 * one.numel() * 4 / taken / 1e9)


@torch.no_grad()
def forward(device: torch.device, sizes: Sizes) -> Rows:
    """Yield I3D's forward pass on each size, each way, as a share of the matrix product's rate.

    The difference is that of the last maps from float32's, as a part of their norm.
    """
    peak = max(matrix_products(device, replace(sizes, matrices=sizes.matrices[-2:])).values())
    for count, *axes in sizes.clips:
        seed_all(0)
        net = I3D(width=sizes.width).eval().to(device)
        clips = torch.randn(count, 3, *axes, device=device)
        flop, _ = operations(lambda n=net, c=clips: n(c))
        (truth,) = net(clips).values()
        shape = " x ".join(map(str, (count, 3, *axes)))
        yield f"{shape}, TFLOP", _digits(flop / 1e12)
        for name, make in ways(net, clips, sizes.width).items():
            yield f"{shape}, {name}", _tried(make, flop, device, sizes, truth, peak)


def _tried(
    make: Callable[[], Work], flop: int, device: torch.device, sizes: Sizes, truth: Tensor, peak: float
) -> dict[str, Any] | str:
    """Time one way; what it cannot do on this machine is told, not hidden."""
    try:
        work = make()
        row: dict[str, Any] = _rate(work, flop, device, sizes)
        (maps,) = work().values()
    except (RuntimeError, NotImplementedError) as error:
        return f"not done: {' '.join(str(error).split())[:200]}"
    finally:
        torch.compiler.reset()
    row["share of the matrix product"] = _digits(row["TFLOP/s"] / peak)
    row["difference"] = _digits(float((maps.float() - truth).norm() / truth.norm()))
    return row


def alone(device: torch.device, sizes: Sizes) -> Rows:
    """Yield the training step of I3D alone, with autocast to bfloat16."""
    count, *axes = sizes.train
    seed_all(0)
    net = I3D(width=sizes.width, norm="batch" if sizes.width == 1 else "group", frozen=True)
    clips = torch.randn(count, 3, *axes).contiguous(memory_format=torch.channels_last_3d)
    one = Alone(net.to(memory_format=torch.channels_last_3d))
    config = TrainConfig(steps=1, optimiser="sgd", lr=1e-4, amp=True)
    costs = profile(
        one, (clips,), config,
        items=count, frames=count * axes[0], device=str(device), rounds=sizes.rounds,
    )  # fmt: skip
    yield " x ".join(map(str, clips.shape)), _costs(costs)


def system(name: str, device: torch.device, sizes: Sizes) -> Rows:
    """Yield a system's prediction and training step with autocast to bfloat16, at each of its profiles."""
    for size in sizes.profiles:
        yield size, _system(name, size, device, sizes)


def _system(name: str, size: str, device: torch.device, sizes: Sizes) -> dict[str, Any]:
    entry = ENTRIES[name]
    config, train = entry.config(size), entry.schedule(size)
    items = train.batch if device.type == "cuda" else 1
    seed_all(0)
    noise, built = Noise(tuple(config.size)), entry.rebuild(config, CLASSES)
    batch, frames = noise.batch(entry.training_set(built, noise.source()), entry.collate, items)
    train = TrainConfig(steps=1, optimiser=train.optimiser, lr=1e-5, lr_factors=train.lr_factors, amp=True)
    found = profile(built, batch, train, items=items, frames=frames, device=str(device), rounds=sizes.rounds)
    return _costs(found)


def _costs(found: Profile) -> dict[str, Any]:
    rows: dict[str, Any] = {"items": found.items, "frames": found.frames}
    for name, cost in (("prediction", found.predict), ("training step", found.step)):
        rows[name] = {
            "ms": round(1e3 * cost.timing.median, 2),
            "TFLOP/s": _digits(cost.flop / cost.timing.median / 1e12),
            f"{'frames' if found.frames else 'items'} a second": _digits(found.rate(cost)),
            "memory, MiB": None if cost.memory is None else round(cost.memory / 2**20, 1),
        }
    return rows


def sp_tad(device: torch.device, sizes: Sizes) -> Rows:
    """Yield SP-TAD's frames a second from bytes of RGB on the device to segments, each way."""
    small = sizes is SMALL
    yield from bench_sp_tad.rows(bench_sp_tad.SMALL if small else bench_sp_tad.Sizes(), device, small)


def step(device: torch.device, sizes: Sizes) -> Rows:
    """Yield STEP's frames a second from bytes of RGB and flow on the device to boxes."""
    small = sizes is SMALL
    given = bench_step.SMALL if small else bench_step.Sizes()
    for stride in given.strides:
        found = bench_step.end_to_end(replace(given, strides=(stride,)), device, small)
        yield f"a clip every {stride} frames", found[f"a clip every {stride} frames"]


def flow_subnet(device: torch.device, sizes: Sizes) -> Rows:
    """Yield the flow subnet's frames a second, one at a time, linked."""
    system = bench_flow_subnet.build("smoke" if sizes is SMALL else "paper", CLASSES)
    system.network.to(device)
    frames = bench_flow_subnet.noise(4 if sizes is SMALL else 128, system.config.size)
    bench_flow_subnet.streamed(system, frames[:4])
    began = time.perf_counter()
    bench_flow_subnet.streamed(system, frames)
    yield "a frame at a time", {"frames a second": len(frames) / (time.perf_counter() - began)}


def lesson(name: str, device: torch.device, sizes: Sizes) -> Rows:
    """Yield the steps a second of a run of the command line on the device and on one core of the CPU.

    The seconds hold what comes before the steps too: clips, and on the device a backbone's pretraining, which
    the CPU does without here.
    """
    size, *steps = sizes.lesson
    rates = []
    for place, count in ((device.type, steps[0]), ("cpu", steps[1])):
        torch.set_num_threads(1)
        texts = {"train.steps": str(count), "train.log_every": str(count), "data.clips": "8"}
        if rates and hasattr(ENTRIES[name].config(size), "pretrained"):
            texts["model.pretrained"] = ""
        with tempfile.TemporaryDirectory() as folder:
            spec = runs.make_spec(name, size, {**texts, "train.amp": str(place == "cuda").lower()})
            began = time.perf_counter()
            runs.train(spec, folder, device=place, cache_dir=Path(folder), say=lambda _: None)
            seconds = _digits(time.perf_counter() - began)
            rates.append(read_metrics(Path(folder))[-1]["steps_per_second"])
        figures = {"steps a second": _digits(rates[-1]), "steps": count, "seconds in all": seconds}
        yield f"{size}, on one core" if len(rates) > 1 else size, figures
    yield "times the CPU", _digits(rates[0] / rates[1])


class _Stopped(Exception):
    """Ends a call of ``fit`` as a user's interrupt does."""


@dataclass
class _Until:
    """A system that stops before a step."""

    system: Any
    left: int

    def __post_init__(self) -> None:
        self.network, self.config = self.system.network, self.system.config

    def loss(self, batch: Any) -> dict[str, Tensor]:
        if self.left == 0:
            raise _Stopped
        self.left -= 1
        found: dict[str, Tensor] = self.system.loss(batch)
        return found

    def predict(self, batch: Any) -> list[Any]:
        return list(self.system.predict(batch))


def losses(devices: Sequence[str], steps: int, run: Path) -> list[float]:
    """Return the losses of one run of a small detector that is stopped and goes on on the next device.

    devices: one for each ``steps`` steps
    """
    entry = find("baseline")
    config = entry.config("smoke")
    source = entry.data("smoke").open(tuple(config.size))
    train = TrainConfig(steps=steps * len(devices), batch=4, checkpoint_every=steps, log_every=1)
    for device in devices:
        seed_all(0)
        system = _Until(entry.build(config, source.classes), steps)
        data = entry.training_set(system.system, source)
        try:
            fit(system, data, train, run, device=device, collate=entry.collate, say=lambda _: None)
        except _Stopped:
            continue
    lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    return [float(json.loads(line)["loss"]) for line in lines]


def resumed(device: torch.device, sizes: Sizes) -> Rows:
    """Yield how far the losses of a run CPU, GPU, CPU are from those of the CPU alone."""
    with tempfile.TemporaryDirectory() as folder:
        unchanged = losses(["cpu"] * 3, sizes.steps, Path(folder, "alone"))
        changed = losses(["cpu", str(device), "cpu"], sizes.steps, Path(folder, "changed"))
    apart = [abs(one - other) / abs(one) for one, other in zip(unchanged, changed, strict=True)]
    yield (
        "losses",
        {
            "steps on each": sizes.steps,
            "loss, first and last": [_digits(unchanged[0]), _digits(unchanged[-1])],
            "largest difference on the way": {
                name: _digits(max(apart[part * sizes.steps : (part + 1) * sizes.steps]))
                for part, name in enumerate(("CPU", str(device), "CPU again"))
            },
            "tolerance": TOLERANCE,
            "within": max(apart) <= TOLERANCE,
        },
    )


PARTS: dict[str, tuple[Callable[[torch.device, Sizes], Rows], int]] = {
    "products": (products, 40),
    "sp_tad": (sp_tad, 90),
    "step": (step, 60),
    "flow_subnet": (flow_subnet, 45),
    **{f"system {name}": (partial(system, name), 45) for name in ENTRIES},
    **{f"run {name}": (partial(lesson, name), 60) for name in ENTRIES},
    "forward": (forward, 75),
    "alone": (alone, 40),
    "resumed": (resumed, 40),
}
"""Name -> what yields the rows of a part, and after how many seconds it is stopped."""
