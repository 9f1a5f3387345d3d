"""What a GPU makes of I3D, of training, of whole detectors, and of a run that goes from CPU to GPU and back.

python -m benchmarks.bench_gpu --json benchmarks/results/gpu.json

Forward passes are set against the fastest matrix product in bfloat16 of the same run. Where there is no GPU
it says so and ends; ``--device cpu --small`` runs the same code at tiny sizes, whose figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import bench_sp_tad, bench_step
from benchmarks.measure import origin, report
from stad_lite.catalogue import ENTRIES, find
from stad_lite.errors import StadError
from stad_lite.nets.i3d import I3D
from stad_lite.schedule import TrainConfig
from stad_lite.training.checkpoint import seed_all
from stad_lite.training.examples import CLASSES, Alone, Noise
from stad_lite.training.loop import fit
from stad_lite.training.profile import Profile, hardware, operations, profile, timed

Work = Callable[[], Any]


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    matrices: sides of the square matrices
    width: of I3D
    clips: batch, frames, height, width
    train: the same for a training step of I3D alone
    profile: of the systems
    steps: of each of the three parts of the run that changes its device
    warm_up, rounds: calls before the times, and calls that are timed
    """

    matrices: tuple[int, ...] = (4096, 8192, 16384)
    width: float = 1.0
    clips: tuple[tuple[int, int, int, int], ...] = ((8, 64, 224, 224), (8, 256, 96, 96))
    train: tuple[int, int, int, int] = (8, 64, 224, 224)
    profile: str = "paper"
    steps: int = 20
    warm_up: int = 3
    rounds: int = 20


SMALL = Sizes((64, 128), 0.125, ((1, 8, 32, 32),), (1, 16, 64, 64), "smoke", 3, 0, 1)
PARTS = ("forward", "training", "detectors", "resumed")
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
        "compiled": lambda: compiled(*in_bfloat16(*copied()), mode="default"),
        "compiled, 4 input channels": lambda: compiled(*in_bfloat16(*copied(4)), mode="default"),
        "compiled, graphs": lambda: compiled(*in_bfloat16(*copied()), mode="reduce-overhead"),
    }


@torch.no_grad()
def forward(device: torch.device, sizes: Sizes, peak: float) -> dict[str, Any]:
    """Return I3D's forward pass on each size, each way, as a share of the matrix product's rate.

    The difference is that of the last maps from float32's, as a part of their norm.
    """
    found: dict[str, Any] = {}
    for count, *axes in sizes.clips:
        seed_all(0)
        net = I3D(width=sizes.width).eval().to(device)
        clips = torch.randn(count, 3, *axes, device=device)
        flop, _ = operations(lambda n=net, c=clips: n(c))
        (truth,) = net(clips).values()
        rows: dict[str, Any] = {"TFLOP": _digits(flop / 1e12)}
        for name, make in ways(net, clips, sizes.width).items():
            rows[name] = _tried(make, flop, device, sizes, truth, peak)
        rows["layers, channels last"] = layers(*in_bfloat16(net, clips), device, sizes)
        found[" x ".join(map(str, (count, 3, *axes)))] = rows
    return found


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


@torch.no_grad()
def layers(net: I3D, clips: Tensor, device: torch.device, sizes: Sizes) -> dict[str, dict[str, float]]:
    """Return time and rate of each layer in turn."""
    found, maps = {}, clips
    for name in net.names:
        layer = net.get_submodule(name)
        flop, _ = operations(lambda m=maps, n=layer: n(m))
        row = _rate(lambda m=maps, n=layer: n(m), flop, device, sizes)
        found[name] = {"ms": row["ms"], "TFLOP/s": row["TFLOP/s"]}
        maps = layer(maps)
    return found


def training(device: torch.device, sizes: Sizes) -> dict[str, Any]:
    """Return the training step of I3D alone and of every system with autocast to bfloat16."""
    count, *axes = sizes.train
    seed_all(0)
    net = I3D(width=sizes.width, norm="batch" if sizes.width == 1 else "group", frozen=True)
    clips = torch.randn(count, 3, *axes).contiguous(memory_format=torch.channels_last_3d)
    alone = Alone(net.to(memory_format=torch.channels_last_3d))
    config = TrainConfig(steps=1, optimiser="sgd", lr=1e-4, amp=True)
    costs = profile(
        alone, (clips,), config,
        items=count, frames=count * axes[0], device=str(device), rounds=sizes.rounds,
    )  # fmt: skip
    found = {f"I3D, {' x '.join(map(str, clips.shape))}": _costs(costs)}
    del alone, net
    for name in ENTRIES:
        try:
            found[f"{name}, {sizes.profile}"] = _system(name, device, sizes)
        except (torch.OutOfMemoryError, StadError) as error:
            found[f"{name}, {sizes.profile}"] = {"not done": " ".join(str(error).split())[:200]}
    return found


def _system(name: str, device: torch.device, sizes: Sizes) -> dict[str, Any]:
    entry = ENTRIES[name]
    config, train = entry.config(sizes.profile), entry.schedule(sizes.profile)
    items = train.batch if device.type == "cuda" else 1
    seed_all(0)
    noise, system = Noise(tuple(config.size)), entry.rebuild(config, CLASSES)
    batch, frames = noise.batch(entry.training_set(system, noise.source()), entry.collate, items)
    train = TrainConfig(steps=1, optimiser=train.optimiser, lr=1e-5, lr_factors=train.lr_factors, amp=True)
    found = profile(system, batch, train, items=items, frames=frames, device=str(device), rounds=sizes.rounds)
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


def detectors(device: torch.device, small: bool) -> dict[str, Any]:
    """Return frames a second of whole detectors at their papers' settings, from bytes on the device.

    STEP's paper tells 21 frames a second; our goal for SP-TAD on an H200 is 100,000.
    """
    sp_tad, step = (
        (bench_sp_tad.SMALL, bench_step.SMALL) if small else (bench_sp_tad.Sizes(), bench_step.Sizes())
    )
    return {
        "SP-TAD, RGB to segments": bench_sp_tad.end_to_end(sp_tad, device, small),
        "STEP, RGB and flow to boxes": bench_step.end_to_end(step, device, small),
    }


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


def resumed(device: torch.device, sizes: Sizes) -> dict[str, Any]:
    """Return how far the losses of a run CPU, GPU, CPU are from those of the CPU alone."""
    with tempfile.TemporaryDirectory() as folder:
        alone = losses(["cpu"] * 3, sizes.steps, Path(folder, "alone"))
        changed = losses(["cpu", str(device), "cpu"], sizes.steps, Path(folder, "changed"))
    apart = [abs(one - other) / abs(one) for one, other in zip(alone, changed, strict=True)]
    return {
        "steps on each": sizes.steps,
        "loss, first and last": [_digits(alone[0]), _digits(alone[-1])],
        "largest difference on the way": {
            name: _digits(max(apart[part * sizes.steps : (part + 1) * sizes.steps]))
            for part, name in enumerate(("CPU", str(device), "CPU again"))
        },
        "tolerance": TOLERANCE,
        "within": max(apart) <= TOLERANCE,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; 1 where the run that changes its device leaves the tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="", help="file to write")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that all of it runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="default: all")
    parser.add_argument("--commit", default="", help="where git cannot tell it")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU here: nothing is measured (--device cpu --small runs the code at tiny sizes).")
        return 0
    device, sizes = torch.device(options.device), SMALL if options.small else Sizes()
    torch.backends.cudnn.benchmark = True
    if options.device == "cpu":
        torch.set_num_threads(1)
    words = ["python -m benchmarks.bench_gpu", *(sys.argv[1:] if arguments is None else arguments)]
    figures: dict[str, Any] = origin(" ".join(words), hardware(device), options.commit)
    figures |= {"torch": torch.__version__, "CUDA": torch.version.cuda}
    chosen = options.only or PARTS
    if "forward" in chosen:
        products = matrix_products(device, sizes)
        figures["matrix products in bfloat16, TFLOP/s by side"] = products
        figures["I3D forward"] = forward(device, sizes, max(products.values()))
    if "training" in chosen:
        figures["training with autocast"] = training(device, sizes)
    if "detectors" in chosen:
        figures["whole detectors"] = detectors(device, options.small)
    if "resumed" in chosen:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = False, False
        figures["a run that changes its device"] = resumed(device, sizes)
    report(figures, options.json)
    return 0 if figures.get("a run that changes its device", {}).get("within", True) else 1


if __name__ == "__main__":
    sys.exit(main())
