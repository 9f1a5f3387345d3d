"""Train a system in minutes on a GPU, watch it, and keep what it reached: the chapters' cells "On a GPU".

    python -m stad_lite.reproduce.on_a_gpu cfad --out book/results/gpu

trains the profile ``large`` of a system on synthetic clips as the command ``train`` does, looks at clips of
``test``, and writes the figures with hardware, date, command and commit. Where there is no GPU the kept
figures are shown. ``--device cpu --profile smoke`` runs the same in seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from stad_lite import runs
from stad_lite.catalogue import ALL_PROFILES, ENTRIES
from stad_lite.data.location import set_name
from stad_lite.data.source import DataConfig, VideoSource
from stad_lite.errors import FormatError, StadError
from stad_lite.metrics import evaluate
from stad_lite.plots.watching import Point, Screen, curve, found_segments, found_tubes
from stad_lite.records import Predictions, atomic_write
from stad_lite.records.exchange.text import read_json
from stad_lite.reproduce.origin import origin
from stad_lite.reproduce.program import program
from stad_lite.settings import from_plain
from stad_lite.systems.truth import segment_truth
from stad_lite.training.examples import CLASSES, Noise
from stad_lite.training.profile import hardware
from stad_lite.training.run_folder import read_metrics

FORMAT = "stad-lite/gpu/1"
KEPT = Path(__file__).resolve().parents[2] / "book" / "results" / "gpu"
POINTS = 60
"""Of a kept curve."""
SCORES = {
    "frames": ("frame-map", (0.5,)),
    "tubes": ("video-map", (0.2, 0.5)),
    "segments": ("temporal-map", (0.3, 0.5, 0.7)),
}
"""What a system finds -> how good it is: a metric, and the overlaps that it is told at."""


@dataclass(frozen=True)
class Reached:
    """What a training reached, and on what.

    hardware, date, command, commit, torch: where the figures are from
    steps: of the training
    seconds: from clips that may have to be rendered to the figures
    per_second, unit: frames, or steps where items hold maps that were computed before
    memory: most bytes that tensors held on a GPU, None on the CPU
    figures: metric and overlap -> percent, None where no class has a truth
    curve: step, loss, ``per_second`` so far
    """

    system: str
    profile: str
    data: str
    hardware: str
    date: str
    command: str
    commit: str
    torch: str
    steps: int
    seconds: float
    per_second: float
    unit: str
    memory: int | None
    figures: dict[str, float | None]
    curve: tuple[Point, ...]

    def told(self) -> str:
        """Return it as lines of text."""
        memory = "" if self.memory is None else f", {self.memory / 2**20:,.0f} MiB"
        figures = {name: "-" if value is None else f"{value:.1f}" for name, value in self.figures.items()}
        speed = f"{self.per_second:,.0f} {self.unit} a second"
        return "\n".join(
            [
                f"{self.system}, profile {self.profile}, {self.data}, on {self.hardware}",
                f"({self.date}, commit {self.commit}: {self.command})",
                f"{self.steps:,} steps, {speed}; {self.seconds:,.0f} s in all{memory}",
                ", ".join(f"{name} {value}" for name, value in figures.items()),
            ]
        )

    def write(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False) + "\n"
        atomic_write(path, lambda stream: stream.write(text.encode()))


def read(path: Path) -> Reached:
    """Return what a file keeps. raises: MissingFileError, FormatError, TruncatedFileError"""
    told = read_json(path)
    if not isinstance(told, dict) or told.pop("format", None) != FORMAT:
        raise FormatError(f"not what a training reached ({FORMAT})", file=path)
    try:
        missing = [one.name for one in fields(Reached) if one.name not in told]
        if missing:
            raise FormatError(f"there is no {', '.join(missing)}")
        found: Reached = from_plain(Reached, told, "results")
        return found
    except StadError as error:
        raise error.at(file=path) from None


def train_and_show(
    name: str,
    data: str = "synthetic",
    profile: str = "large",
    device: str | None = None,
    out: str | PathLike[str] | None = None,
    *,
    run: str | PathLike[str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Train a system on a device and draw how it goes; then tell its figures and draw what it finds.

    Without a GPU and without a device nothing is trained: what is kept of a GPU is shown.
    data: synthetic, or the name of a published set, which is trained on where it is there
    device: "cpu" or "cuda"; the GPU where there is one
    out: folder to keep the figures in, as ``file_name`` calls them; nothing is kept without it
    run: folder of the run and of the pictures, instead of one that is deleted
    settings: as ``--set`` takes them
    raises: what reading the data and training raise
    """
    texts = dict(settings or {})
    spec = runs.make_spec(name, profile, texts, name=set_name(data) or data)
    place = device or ("cuda" if torch.cuda.is_available() else "")
    if not place:
        show_kept(name, spec.data.name)
        return
    judged = replace(spec.data, subset="test", clips=max(2, min(50, spec.data.clips // 4)))
    if gone := spec.data.missing() or judged.missing():
        print(gone)
        return
    with nullcontext(run) if run else TemporaryDirectory() as folder, torch.enable_grad():
        reached = _reached(spec, judged, place, Path(folder), command(name, data, profile, place, texts))
    print(reached.told())
    if out:
        reached.write(Path(out) / file_name(name, spec.data.name))


def show_kept(name: str, data: str = "synthetic") -> None:
    """Show what is kept of a system's training on a GPU, and say on what it was measured."""
    path = KEPT / file_name(name, data)
    if not path.is_file():
        print(f"{name}, {data}: there is no GPU here, and no results of one are kept yet")
        return
    kept = read(path)
    print(f"There is no GPU here; this was measured on one:\n{kept.told()}")
    Screen().show(curve(kept.curve, kept.steps, kept.unit))


def file_name(name: str, data: str = "synthetic") -> str:
    """Return what a system's kept figures are called.

    >>> file_name("cfad"), file_name("cfad", "jhmdb21")
    ('cfad.json', 'cfad-jhmdb21.json')
    """
    return f"{name}.json" if data == "synthetic" else f"{name}-{data}.json"


def command(name: str, data: str, profile: str, device: str, texts: Mapping[str, str]) -> str:
    """Return the line that trains and shows.

    >>> command("cfad", "jhmdb21", "large", "cuda", {"train.seed": "1"})
    'python -m stad_lite.reproduce.on_a_gpu cfad --data jhmdb21 --set train.seed=1'
    """
    words = ["python", "-m", "stad_lite.reproduce.on_a_gpu", name]
    words += [] if data == "synthetic" else ["--data", data]
    words += [] if profile == "large" else ["--profile", profile]
    words += [] if device == "cuda" else ["--device", device]
    return " ".join([*words, *(f"--set {key}={text}" for key, text in texts.items())])


@dataclass
class _Watched:
    """What a training tells of itself: drawn in a notebook, else printed, a tenth of the steps apart."""

    steps: int
    each: float
    unit: str
    screen: Screen = field(default_factory=Screen)
    points: list[Point] = field(default_factory=list)
    _next: float = 0.0

    def __call__(self, line: Mapping[str, Any]) -> None:
        step = line["step"]
        self.points.append((step, line["loss"], self.each * line["steps_per_second"]))
        if self.screen.seen and (time.monotonic() >= self._next or step == self.steps):
            self.screen.show(curve(self.points, self.steps, self.unit))
            self._next = time.monotonic() + 1
        elif not self.screen.seen and step >= self._next:
            _, loss, speed = self.points[-1]
            print(f"step {step:,}: loss {loss:.3g}, {speed:,.0f} {self.unit} a second")
            self._next = step + self.steps / 10


def _reached(spec: runs.Spec, judged: DataConfig, place: str, folder: Path, line: str) -> Reached:
    """Train, look at clips of ``test``, draw both, and return the figures."""
    device, began = torch.device(place), time.perf_counter()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    frames = frames_of_a_step(spec)
    each, unit = (frames, "frames") if frames else (1, "steps")
    watched = _Watched(spec.train.steps, each, unit)
    done = runs.train(spec, folder, device=place, watch=watched)
    rows = read_metrics(folder)
    points = [(row["step"], row["loss"], each * row["steps_per_second"]) for row in rows]
    system, _ = runs.load(folder, device=place)
    source = judged.open(spec.model.size)
    found = runs.predict(system, spec.entry, source)
    figures = figures_of(source, found)
    for name, picture in (("training", curve(points, done.steps, unit)), ("found", _found(source, found))):
        (folder / f"{name}.png").write_bytes(picture)
    Screen().show(picture)
    return Reached(
        spec.system, spec.profile, spec.data.name, **origin(line, hardware(device)), torch=torch.__version__,
        steps=done.steps, seconds=round(time.perf_counter() - began, 1), per_second=round(points[-1][2], 2),
        unit=unit, memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        figures=figures, curve=_thinned(points),
    )  # fmt: skip


def frames_of_a_step(spec: runs.Spec) -> int:
    """Return how many frames are read for a batch; 0 where items hold maps that were computed before."""
    noise = Noise(tuple(spec.model.size))
    data = spec.entry.training_set(spec.entry.rebuild(spec.model, CLASSES), noise.source())
    return spec.train.batch * noise.batch(data, spec.entry.collate, 1)[1]


def figures_of(source: VideoSource, found: Predictions) -> dict[str, float | None]:
    """Return how good predictions are, in percent, by metric and overlap."""
    figures: dict[str, float | None] = {}
    for kind, (metric, levels) in SCORES.items():
        if all(getattr(video, kind) is None for video in found.videos.values()):
            continue
        truth = segment_truth(source) if kind == "segments" else source.annotations
        told = evaluate(truth, found, metric, iou=levels, per_class=False).to_dict()
        figures |= {f"{metric}@{level}": value and round(value, 2) for level, value in told["iou"].items()}
    return figures


def _found(source: VideoSource, found: Predictions) -> bytes:
    """A picture of the first video with something in it."""
    name = next((name for name, one in found.videos.items() if one.tubes or one.segments), source.videos[0])
    video = found.videos[name]
    if video.segments is not None:
        return found_segments(segment_truth(source).videos[name].segments or (), video.segments)
    frames = source.frames(name, range(source.num_frames(name)))
    return found_tubes(frames, video.tubes or (), source.classes)


def _thinned(points: list[Point]) -> tuple[Point, ...]:
    """At most so many points of a curve, the last one among them, each as precise as it can be drawn."""
    every = -(-len(points) // POINTS)
    kept = points[::-1][::every][::-1]
    return tuple((step, float(f"{loss:.4g}"), float(f"{speed:.4g}")) for step, loss, speed in kept)


@program("on_a_gpu")
def main(arguments: list[str] | None = None) -> int:
    """Train and show from the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Train a system on a GPU and show what it reached.")
    parser.add_argument("system", choices=list(ENTRIES))
    parser.add_argument("--data", default="synthetic", help="synthetic, or the name of a published set")
    parser.add_argument("--profile", choices=ALL_PROFILES, default="large")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="without it the GPU, or the kept figures")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--run", metavar="DIR", help="folder of the run and of the pictures")
    parser.add_argument("--out", metavar="DIR", help="folder to keep the figures in: book/results/gpu")
    chosen = parser.parse_args(arguments)
    train_and_show(
        chosen.system, chosen.data, chosen.profile, chosen.device, chosen.out,
        run=chosen.run, settings=runs.pairs(chosen.settings),
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
