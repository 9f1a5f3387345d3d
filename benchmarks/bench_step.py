"""What STEP costs: by steps, with and without extension, by proposals; a step at the paper's sizes.

OMP_NUM_THREADS=1 python -m benchmarks.bench_step --json benchmarks/results/step.json

CPU times, random weights; ratios within one run. In the curves a frame passes the backbone once and its maps
serve every clip that sees it, so the backbone counts the frames of one clip; at the paper's sizes it counts
all that the last step sees. ``--small`` runs the same code at tiny sizes, whose figures mean nothing.
Without ``--only`` the curves are measured, and on a GPU the whole way from frames to boxes; ``--only paper``
and ``--only paper_ava`` take minutes and up to 12 GB. A part that is measured anew leaves the file's others.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.full_size import cut, once
from benchmarks.measure import compare_parts, origin, report_parts, wall_seconds
from stad_lite.data.synthetic import CLASSES as SYNTHETIC
from stad_lite.step import system as pipeline
from stad_lite.step.config import StepConfig, schedule
from stad_lite.step.model import decode, dense, found_by
from stad_lite.step.system import StepSystem
from stad_lite.systems.detect import BATCH
from stad_lite.training.examples import CLASSES, Noise
from stad_lite.training.profile import hardware, operations

TITLES = {
    "steps": "one clip by steps, CPU",
    "proposals": "one clip by proposals, CPU",
    "paper": "UCF101-24's sizes, one clip, CPU",
    "paper_ava": "AVA's sizes, one clip, CPU",
    "end_to_end": "frames to boxes",
}
PARTS = tuple(TITLES)
THRESHOLDS = (0.2, 0.35, 0.5, 0.5)
CUBOIDS = ("grid5", "grid11", "grid34")
AVA_CLASSES = 60


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    profile: of the curves
    steps: S_max of the first curve
    cuboids: of the second
    clips: that go through the heads together
    papers: the profiles that take one step
    frames: of the video that is looked at end to end
    strides: frames from one of its clips to the next
    rounds: calls that are timed
    """

    profile: str = "lesson"
    steps: tuple[int, ...] = (1, 2, 3, 4)
    cuboids: tuple[str, ...] = CUBOIDS
    clips: int = 16
    papers: tuple[str, ...] = ("paper", "paper_ava")
    frames: int = 96
    strides: tuple[int, ...] = (1, 6)
    rounds: int = 9


SMALL = Sizes("smoke", (1, 3), ("grid5", "grid11"), 2, ("smoke", "smoke"), 14, (2, 6), 1)


def build(config: StepConfig, classes: Sequence[str]) -> StepSystem:
    """Return the system with random weights, ready to predict."""
    torch.manual_seed(0)
    system = StepSystem(replace(config, pretrained=""), classes)
    system.network.eval()
    return system


def with_steps(config: StepConfig, steps: int, extended: bool) -> StepConfig:
    """Return a configuration of so many steps, each but the first a clip longer on either side, or none.

    >>> with_steps(StepConfig.lesson(), 3, extended=True).clips
    (1, 3, 5)
    """
    clips = tuple(1 + 2 * step * extended for step in range(steps))
    return replace(config, clips=clips, thresholds=THRESHOLDS[:steps])


def parts_of(config: StepConfig, sizes: Sizes) -> dict[str, Callable[[], Any]]:
    """Return the calls that make a prediction, with the synthetic benchmark's classes."""
    system = build(config, SYNTHETIC)
    network, length = system.network, config.clips[-1] * config.boxes
    frames = torch.randn(sizes.clips, config.clip, config.channels, *config.size)
    with torch.no_grad():
        one = network.features(frames)
        maps = one.repeat(1, config.clips[-1], 1, 1, 1)
        assert maps.shape[1] == length
        answer = network(maps)[-1]
    seen = dense(answer, config)
    return {
        "backbone": torch.no_grad()(lambda: network.features(frames)),
        "heads": torch.no_grad()(lambda: network(maps)),
        "decoding": lambda: decode(seen, config),
    }


def rows(configs: dict[str, StepConfig], sizes: Sizes) -> dict[str, Any]:
    """Return, for each configuration, CPU ms of the parts for one clip, and frames of video a CPU second."""
    parts = {name: parts_of(config, sizes) for name, config in configs.items()}
    found, seconds = compare_parts(parts, "backbone", sizes.clips, sizes.rounds)
    first = next(iter(seconds.values()))["heads"]
    for name, config in configs.items():
        found[name] |= {
            "heads, times the first row's": round(seconds[name]["heads"] / first, 2),
            "frames a second": round(config.clip / sum(seconds[name].values()), 1),
        }
    return found


def steps(sizes: Sizes) -> dict[str, Any]:
    """Return the cost by the number of steps without and with temporal extension (STEP Fig. 6a).

    One step extends nothing: its two rows are of the same work, and differ by the noise of the run.
    """
    base = getattr(StepConfig, sizes.profile)()
    configs = {
        f"{number} steps, {'extended' if extended else 'one clip'}": with_steps(base, number, extended)
        for extended in (False, True)
        for number in sizes.steps
    }
    return rows(configs, sizes)


def proposals(sizes: Sizes) -> dict[str, Any]:
    """Return the cost by the number of initial proposals, three steps without extension (STEP Fig. 6b)."""
    base = with_steps(getattr(StepConfig, sizes.profile)(), 3, extended=False)
    configs = {name: replace(base, cuboids=name) for name in sizes.cuboids}
    return rows(configs, sizes)


def paper(profile: str, classes: int = len(CLASSES)) -> dict[str, Any]:
    """Return parameters, time and memory of one prediction and one training step on one clip of noise."""
    config = getattr(StepConfig, profile)()
    names = [*CLASSES, *(f"action {i}" for i in range(len(CLASSES) + 1, classes + 1))]
    system = build(config, names)
    source = Noise(tuple(config.size)).source()
    source = replace(source, annotations=replace(source.annotations, classes=tuple(names)))
    data = pipeline.training_set(system, source)
    batch = pipeline.collate([data[len(data) // 2]])
    frames = config.clips[-1] * config.clip
    return {"frames": frames, "classes": classes} | once(
        system, batch, schedule(profile), cut(system.network, ["backbone"])
    )


class EndToEnd:
    """Bytes of a video on the device to boxes of every clip: the whole of inference but linking.

    device: on "cuda" in bfloat16, with channels last in a 2-D backbone
    """

    def __init__(self, config: StepConfig, device: torch.device, stride: int, classes: int = 24) -> None:
        self.config, self.device, self.stride = config, device, stride
        self.system = build(config, [f"class {i}" for i in range(classes)])
        self.network = self.system.network.to(device)
        if device.type == "cuda":
            self.network.backbone.to(memory_format=torch.channels_last)

    def backbone(self, frames: Tensor) -> Tensor:
        """Return the maps (t, c, h, w) of frames (t, channels, h, w) uint8."""
        found = [self.network.features((some.float() / 127.5 - 1)[None])[0] for some in frames.split(32)]
        return torch.cat(found)

    def heads(self, maps: Tensor) -> list[Any]:
        """Return what the last step says of all clips, a batch of clips at a time."""
        clip, reach = self.config.clip, self.config.reach
        starts = torch.arange(0, len(maps) - clip + 1, self.stride)
        places = torch.arange(-reach * clip, (reach + 1) * clip)
        numbers = (starts[:, None] + places).clamp(0, len(maps) - 1).to(maps.device)
        return [self.network(maps[some])[-1] for some in numbers.split(BATCH)]

    def decoding(self, answers: Sequence[Any]) -> list[Any]:
        """Return the detections of every clip."""
        return [found for answer in answers for found in found_by(answer, self.config)]

    @torch.no_grad()
    def run(self, part: str, given: Any) -> Any:
        """Run one part, or ``whole`` from the frames on."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            if part == "whole":
                return self.decoding(self.heads(self.backbone(given)))
            return getattr(self, part)(given)


def end_to_end(sizes: Sizes, device: torch.device, small: bool = False) -> dict[str, Any]:
    """Return frames a second of early fusion with 11 proposals and 3 steps, and where the time goes.

    The paper: 21 frames a second on a GPU of its time (STEP Sec. 4.3).
    """
    base = StepConfig.smoke() if small else StepConfig.paper()
    config = replace(base, stream="early")
    shape = (sizes.frames, config.channels, *config.size)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    found: dict[str, Any] = {"frames": sizes.frames, "size": list(config.size), "channels": config.channels}
    for stride in sizes.strides:
        run = EndToEnd(config, device, stride)
        maps = run.run("backbone", frames)
        answers = run.run("heads", maps)
        given = {"whole": frames, "backbone": frames, "heads": maps, "decoding": answers}
        flop, _ = operations(partial(run.run, "whole", frames))
        taken = {
            part: wall_seconds(partial(run.run, part, one), device, sizes.rounds)
            for part, one in given.items()
        }
        found[f"a clip every {stride} frames"] = {
            "frames a second": float(f"{sizes.frames / taken['whole']:.4g}"),
            "GFLOP a frame": float(f"{flop / sizes.frames / 1e9:.4g}"),
            "TFLOP/s": float(f"{flop / taken['whole'] / 1e12:.4g}"),
            **{f"{part}, ms": round(1e3 * seconds, 2) for part, seconds in taken.items()},
            "share of the backbone, %": round(100 * taken["backbone"] / taken["whole"], 1),
        }
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print, and write the figures where a path is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the code")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some parts")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="for end_to_end; the GPU if there is one")
    parser.add_argument("--commit", default="", help="where git cannot tell it")
    parser.add_argument("--json", default="", help="file to write")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    device = torch.device(chosen.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    sizes = SMALL if chosen.small else Sizes()
    usual = ["steps", "proposals", *(["end_to_end"] if device.type == "cuda" else [])]
    parts: dict[str, Any] = {}
    for part in chosen.only or (PARTS if chosen.small else usual):
        place = hardware(device if part == "end_to_end" else torch.device("cpu"))
        about = origin(f"python -m benchmarks.bench_step --only {part}", place, chosen.commit)
        parts[TITLES[part]] = {**about, "torch": torch.__version__, "figures": measured(part, sizes, device)}
    report_parts(parts, chosen.json)


def measured(part: str, sizes: Sizes, device: torch.device) -> dict[str, Any]:
    """Return the figures of one part."""
    if part == "end_to_end":
        return end_to_end(sizes, device, small=sizes is SMALL)
    if part in ("paper", "paper_ava"):
        ava = part == "paper_ava"
        return paper(sizes.papers[ava], AVA_CLASSES if ava else len(CLASSES))
    return steps(sizes) if part == "steps" else proposals(sizes)


if __name__ == "__main__":
    main()
