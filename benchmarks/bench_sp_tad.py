"""What SP-TAD's parts cost: matching in a training step, interaction against attention, frames a second.

OMP_NUM_THREADS=1 python -m benchmarks.bench_sp_tad --json benchmarks/results/sp_tad.json

Matching and interaction are ratios of CPU times in one run. Frames a second are end to end from RGB (bytes on
the device to segments in seconds) on a GPU where there is one, in bfloat16, beside a matrix product's rate in
the same run; ``--small`` runs the same code at tiny sizes, whose figures mean nothing.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import cpu_seconds, origin, report, wall_seconds
from stad_lite.nets.folding import folded
from stad_lite.sp_tad import system as pipeline
from stad_lite.sp_tad.config import Backbone, SpTadConfig, schedule
from stad_lite.sp_tad.criterion import make_truth, match
from stad_lite.sp_tad.interaction import GlobalAttention, Levels, SparseInteraction, segment_features
from stad_lite.sp_tad.merging import merged_on
from stad_lite.sp_tad.windows import FoundSegments, Window, timeline
from stad_lite.training import optimisers
from stad_lite.training.profile import hardware, operations, timed

STRIDES = (2, 4, 8, 16)
WARM_UP = 3


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    counts, lengths: proposals and frames of the two curves; each takes the other's ``count``, ``length``
    channels: of the interaction
    batches: windows that go through the network together on the GPU
    side: of the square matrices
    rounds: calls that are timed
    """

    counts: tuple[int, ...] = (50, 100, 200, 400, 800)
    lengths: tuple[int, ...] = (256, 512, 1024, 2048, 4096)
    count: int = 50
    length: int = 256
    channels: int = 256
    batches: tuple[int, ...] = (8, 16, 32)
    side: int = 8192
    rounds: int = 7


SMALL = Sizes((4, 8), (64, 128), 4, 64, 16, (1,), 64, 1)


def matching(sizes: Sizes, small: bool = False) -> dict[str, Any]:
    """Return the share of the matching, cost and solver, in a training step on cached features.

    Without a backbone the share is at its largest; a window holds as many instances as the fullest of
    THUMOS14, 26, where the size allows it.
    """
    paper = SpTadConfig.paper()
    backbone = Backbone("features", channels=(960, 1664, 2048))
    kinds = {"lesson": (SpTadConfig.lesson(), 16, 5), "paper": (replace(paper, backbone=backbone), 16, 26)}
    if small:
        kinds = {"smoke": (SpTadConfig.smoke(), 2, 3)}
    found = {}
    for name, (config, windows, truths) in kinds.items():
        torch.manual_seed(0)
        system = pipeline.build(config, [f"class {i}" for i in range(20)])
        batch = feature_batch(config, windows, truths)
        optimiser = optimisers.make(system.network, schedule("lesson"))

        def step(system: Any = system, batch: Any = batch, optimiser: Any = optimiser) -> None:
            loss = sum(system.loss(batch).values())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

        step()
        with torch.no_grad():
            outputs = system.network(batch.inputs)
        solve = lambda o=outputs, b=batch, c=config: match(o, b.truth, c)  # noqa: E731
        solve()
        rounds = max(1, sizes.rounds // 2) if name == "paper" else sizes.rounds
        parts = [cpu_seconds(work, rounds) for work in (solve, step)]
        found[name] = {
            "windows": windows, "proposals": config.proposals, "instances a window": truths,
            "matching, ms": round(1e3 * parts[0], 2), "training step, ms": round(1e3 * parts[1], 1),
            "share of the step, %": round(100 * parts[0] / parts[1], 2),
        }  # fmt: skip
    return found


def feature_batch(config: SpTadConfig, windows: int, truths: int) -> pipeline.Batch:
    """Return random features with so many instances in every window."""
    random = torch.Generator().manual_seed(0)
    inputs = {
        str(i): torch.randn(windows, channels, config.window // stride, generator=random)
        for i, (channels, stride) in enumerate(
            zip(config.backbone.channels, config.backbone.strides, strict=True)
        )
    }
    start = torch.rand(windows, truths, generator=random) * 0.9
    spans = torch.stack([start, start + 0.05], -1)
    labels = torch.randint(0, 20, (windows, truths), generator=random)
    return pipeline.Batch(inputs, make_truth(list(spans), list(labels)), [])


def proposals(count: int) -> Tensor:
    """Return (1, count, 2) segments of 2 to 60 % of a window."""
    random = torch.Generator().manual_seed(0)
    length = 0.02 + 0.58 * torch.rand(1, count, generator=random)
    start = torch.rand(1, count, generator=random) * (1 - length)
    return torch.stack([start, start + length], -1)


@torch.no_grad()
def interaction(sizes: Sizes) -> dict[str, Any]:
    """Return CPU ms of one head's interaction, sparse and global, along proposals and along frames."""
    torch.manual_seed(0)
    sparse = SparseInteraction(sizes.channels, 64, bins=16)
    attend = GlobalAttention(sizes.channels, 8, len(STRIDES))

    def both(count: int, length: int) -> list[float]:
        maps = [torch.randn(1, sizes.channels, length // stride) for stride in STRIDES]
        levels, segments = Levels(maps, STRIDES, length), proposals(count)
        features = torch.randn(1, count, sizes.channels)
        works = (
            lambda: sparse(features, segment_features(levels, segments, 5.0, 16)),
            lambda: attend(features, segments, levels),
        )
        for work in works:
            work()
        rows = [[cpu_seconds(work) for work in works] for _ in range(sizes.rounds)]
        return [1e3 * statistics.median(column) for column in zip(*rows, strict=True)]

    curves = {
        "proposals": [both(count, sizes.length) for count in sizes.counts],
        "frames": [both(sizes.count, length) for length in sizes.lengths],
    }
    found: dict[str, Any] = {}
    for axis, places in (("proposals", sizes.counts), ("frames", sizes.lengths)):
        for number, kind in enumerate(("sparse", "global")):
            values = [row[number] for row in curves[axis]]
            found[f"{kind}, by {axis}"] = {
                **{str(place): round(value, 2) for place, value in zip(places, values, strict=True)},
                "power": power(places, values),
                "line": line(places, values),
            }
    return found


def power(places: Sequence[int], values: Sequence[float]) -> float:
    """Return p where the values grow as the places to the power of p (0 constant, 1 linear).

    >>> power([1, 2, 4], [3.0, 6.0, 12.0])
    1.0
    """
    return round(float(np.polyfit(np.log(places), np.log(values), 1)[0]), 2)


def line(places: Sequence[int], values: Sequence[float]) -> dict[str, float]:
    """Return the straight line with the least relative error, and that error's largest size."""
    x, y = np.asarray(places, dtype=float), np.asarray(values, dtype=float)
    table = np.stack([1 / y, x / y], 1)
    (fixed, slope), *_ = np.linalg.lstsq(table, np.ones(len(x)), rcond=None)
    error = np.abs((fixed + slope * x) / y - 1).max()
    return {
        "fixed, ms": round(float(fixed), 2),
        "ms each": float(f"{slope:.3g}"),
        "largest error, %": round(100 * float(error), 1),
    }


class Graphed(nn.Module):
    """A backbone whose calls on inputs of one shape replay a CUDA graph; on the CPU it is called."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self._graph: Any = None

    def forward(self, clips: dict[str, Tensor]) -> list[Tensor]:
        """Return the stages. raises: RuntimeError for clips of another shape than the first call's"""
        first = next(iter(clips.values()))  # bytes that are scaled where the network is are no tensor yet
        if not isinstance(first, Tensor) or first.device.type != "cuda":
            return self.inner(clips)
        if self._graph is None:
            self._record(clips)
        for name, clip in clips.items():
            self._given[name].copy_(clip)
        self._graph.replay()
        return self._found

    def _record(self, clips: dict[str, Tensor]) -> None:
        self._given = {name: clip.clone() for name, clip in clips.items()}
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.inner(self._given)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._found = self.inner(self._given)


WAYS = ("autocast", "folded", "folded, CUDA graph", "compiled", "compiled, graphs")
"""How the backbone is called: weights cast at every call; cast once and its norms folded in, plainly or
replayed; compiled."""


class EndToEnd:
    """Bytes of windows on the device to segments in seconds: the whole of inference from RGB.

    config: reads RGB alone
    device: on "cuda" the network runs in bfloat16, the backbone with channels last
    way: one of ``WAYS``; on the CPU nothing is replayed and no code is generated
    """

    def __init__(
        self, config: SpTadConfig, device: torch.device, classes: int = 20, way: str = "autocast"
    ) -> None:
        self.config, self.device, self.way = config, device, way
        self.system = pipeline.build(config, [f"class {i}" for i in range(classes)])
        network = self.system.network.eval().to(device)
        if device.type == "cuda":
            network.backbone.to(memory_format=torch.channels_last_3d)
            if way != "autocast":
                network.backbone.bfloat16()
        if way.startswith("folded"):
            network.add_module("backbone", folded(network.backbone, 4))
            if device.type == "cuda":
                network.backbone.to(memory_format=torch.channels_last_3d)
        if way == "folded, CUDA graph":
            network.add_module("backbone", Graphed(network.backbone))
        elif way.startswith("compiled"):
            mode = "reduce-overhead" if way.endswith("graphs") else "default"
            options = {"mode": mode} if device.type == "cuda" else {"backend": "aot_eager"}
            network.add_module("backbone", torch.compile(network.backbone, **options))
        self.line = timeline("video", num_frames=10 * config.window, fps=10.0)

    @torch.no_grad()
    def found(self, frames: Tensor) -> list[FoundSegments]:
        """Return what the network finds in windows that follow one another.

        frames: (b, 3, t, h, w) uint8
        """
        windows = [
            Window("video", i * self.config.test_stride, self.config.window) for i in range(len(frames))
        ]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            batch = pipeline.Batch({"rgb": self.clips(frames)}, make_truth([], []), windows)
            return self.system.predict(batch)

    def clips(self, frames: Tensor) -> Tensor:
        """Return windows of bytes as the backbone takes them, in [-1, 1]."""
        return frames.to(torch.bfloat16 if self.device.type == "cuda" else torch.float32) / 127.5 - 1

    @torch.no_grad()
    def stages(self, frames: Tensor) -> list[Tensor]:
        """Return the backbone's stages alone."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            return list(self.system.network.backbone({"rgb": self.clips(frames)}))

    def __call__(self, frames: Tensor) -> Any:
        """Return the segments of a video that holds these windows."""
        return merged_on(self.device, {"video": self.found(frames)}, {"video": self.line}, self.system)


def end_to_end(sizes: Sizes, device: torch.device, small: bool = False) -> dict[str, Any]:
    """Return frames a second and TFLOP/s of the published network on RGB, and the matrix product's."""
    return dict(rows(sizes, device, small))


def rows(sizes: Sizes, device: torch.device, small: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield the figures of ``end_to_end`` as they come.

    Wall time. Goal on an H200: 100,000 frames a second.
    """
    config = SpTadConfig.paper()
    config = replace(config, backbone=replace(config.backbone, streams=("rgb",)))
    if small:
        tiny = Backbone("i3d", ("rgb",), width=0.0625, norm="group", crop=(32, 32))
        config = SpTadConfig.smoke(tiny)
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    one = torch.randn(sizes.side, sizes.side, device=device).to(kind)
    product = lambda: one @ one  # noqa: E731
    product()
    peak = 2 * sizes.side**3 / timed(product, device, sizes.rounds).median / 1e12
    yield "matrix product, TFLOP/s", float(f"{peak:.4g}")
    for count in sizes.batches:
        shape = (count, 3, config.window, *config.backbone.crop)
        frames = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
        if device.type == "cuda":
            frames = frames.contiguous(memory_format=torch.channels_last_3d)
        flop, _ = operations(partial(EndToEnd(config, device).found, frames))
        for way in WAYS:
            yield f"{count} windows, {way}", _way(config, device, way, frames, sizes, flop, peak)


def _way(
    config: SpTadConfig, device: torch.device, way: str, frames: Tensor, sizes: Sizes, flop: int, peak: float
) -> dict[str, Any] | str:
    """Time one way of calling the backbone; what it cannot do on this machine is told, not hidden."""
    count = len(frames)
    try:
        run = EndToEnd(config, device, way=way)
        assert isinstance(run.system.network.backbone, nn.Module)
        for _ in range(WARM_UP if device.type == "cuda" else 1):
            run(frames)
        whole = wall_seconds(partial(run, frames), device, sizes.rounds)
        inside = wall_seconds(partial(run.stages, frames), device, sizes.rounds)
        merging = whole - wall_seconds(partial(run.found, frames), device, sizes.rounds)
    except (RuntimeError, NotImplementedError) as error:
        return f"not done: {' '.join(str(error).split())[:200]}"
    finally:
        torch.compiler.reset()
    rate = flop / whole / 1e12
    return {
        "ms": round(1e3 * whole, 2),
        "frames a second": round(count * config.window / whole),
        "frames of video a second, windows overlapping": round(count * config.test_stride / whole),
        "share of the backbone, %": round(100 * inside / whole, 1),
        "share of the suppression, %": round(100 * max(0.0, merging) / whole, 1),
        "TFLOP/s": float(f"{rate:.4g}"),
        "share of the matrix product": float(f"{rate / peak:.4g}"),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print, and write the figures where a path is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="for frames a second; the GPU if there is one"
    )
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the code")
    parser.add_argument("--only", choices=("matching", "interaction", "end_to_end"), help="one part")
    parser.add_argument("--commit", default="", help="where git cannot tell it")
    parser.add_argument("--json", default="", help="file to write")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    device = torch.device(chosen.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    sizes, command = SMALL if chosen.small else Sizes(), "python -m benchmarks.bench_sp_tad"
    figures: dict[str, Any] = {**origin(command, hardware(device), chosen.commit), "torch": torch.__version__}
    if chosen.only in (None, "matching"):
        figures["matching"] = matching(sizes, chosen.small)
    if chosen.only in (None, "interaction"):
        figures["interaction of one head, CPU ms"] = interaction(sizes)
    if chosen.only == "end_to_end" or (chosen.only is None and (chosen.small or device.type == "cuda")):
        figures["end to end from RGB"] = end_to_end(sizes, device, chosen.small)
    elif chosen.only is None:
        figures["end to end from RGB"] = "not measured: there is no GPU here"
    report(figures, chosen.json)


if __name__ == "__main__":
    main()
