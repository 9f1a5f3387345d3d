"""The folder of a run: what was asked for, where it ran, what it measured, and its curves.

RUN/config.json, run.json, metrics.jsonl, curves.png, checkpoints/last.pt and previous.pt.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from stad_lite import __version__
from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.locks import held
from stad_lite.records import atomic_write
from stad_lite.records.exchange.text import read_json
from stad_lite.schedule import config_hash, plain
from stad_lite.training import checkpoint, distributed

AFRESH = "delete the file to measure afresh, or choose another folder"
PACKAGES = ("torch", "numpy", "scipy", "einops", "matplotlib")


def manifest(data: Any) -> dict[str, Any]:
    """Return what tells one data set from another: its count and a hash of its items' names."""
    names = "\n".join(data.name(index) for index in range(len(data)))
    return {"items": len(data), "names_sha256": hashlib.sha256(names.encode()).hexdigest()}


def versions() -> dict[str, str]:
    """Return the versions of Python, of stad_lite and of the core packages."""
    found = {"python": platform.python_version(), "stad_lite": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only run that works in a folder; the processes of one run are one.

    raises: StadError where another run is at work
    """
    with ExitStack() as stack:
        lock = held(folder / ".lock", remedy="let that run end, or choose another folder")
        distributed.from_first(lambda: stack.enter_context(lock))
        yield


def begun(run: Path) -> bool:
    """Return whether a run has a checkpoint; what was refused before the first one leaves no run behind."""
    return any((run / "checkpoints" / name).exists() for name in checkpoint.NAMES)


def open_run(run: Path, config: Any, system: Any, data: Any, place: torch.device, count: int) -> None:
    """Make the folder of a run, or check that an earlier run in it is this one.

    place: device; count: processes
    raises: FormatError where the folder holds a run with other settings or other data
    """
    asked = {"train": plain(config), "system": plain(system.config)}
    asked["hash"] = config_hash(asked["train"], asked["system"])
    asked["data"] = manifest(data)
    path = run / "config.json"
    if path.exists() and begun(run):
        earlier = read_object(path)
        differing = [
            f"{part}.{key}"
            for part in ("train", "system", "data")
            for key in _differing(earlier, asked, part)
        ]
        if differing:
            raise FormatError(
                f"the run in this folder had another {', '.join(differing)}",
                file=path,
                remedy="choose another folder, or the earlier settings to go on",
            )
    else:
        _write_json(path, asked)
    where = str(place)
    if place.type == "cuda":
        where += f" ({torch.cuda.get_device_name(place)})"
    about = {"versions": versions(), "device": where, "processes": count, "seed": config.seed}
    about["threads"] = torch.get_num_threads()
    about["platform"] = platform.platform()
    _write_json(run / "run.json", about)


def read_object(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file in a run's folder.

    raises: MissingFileError, TruncatedFileError, FormatError
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise FormatError("not an object of settings", file=path, remedy=AFRESH)
    return found


def _differing(earlier: dict[str, Any], asked: dict[str, Any], part: str) -> list[str]:
    before, now = earlier.get(part), asked[part]
    if not isinstance(before, dict) or not isinstance(now, dict):
        return [] if before == now else ["name"]
    return [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2) + "\n"
    atomic_write(path, lambda stream: stream.write(text.encode()))


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Return the lines of RUN/metrics.jsonl; a line that a killed process left unfinished is passed over.

    raises: FormatError where another line is damaged
    """
    path = run / "metrics.jsonl"
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            told = json.loads(line)
            known = (told["step"], told["loss"], told["lr"], *told["terms"].values())
            if not all(isinstance(value, int | float) for value in known):
                raise TypeError("a value that is no number")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise FormatError(f"line {number} is damaged ({error!r})", file=path, remedy=AFRESH) from None
        found.append(told)
    return found


def cut_metrics(run: Path, step: int) -> None:
    """Drop the metrics after a step, which the resumed run measures again."""
    kept = "".join(json.dumps(line) + "\n" for line in read_metrics(run) if line["step"] <= step)
    atomic_write(run / "metrics.jsonl", lambda stream: stream.write(kept.encode()))


def add_metrics(run: Path, line: dict[str, Any]) -> None:
    """Append a line to RUN/metrics.jsonl.

    raises: StadError where the disk is full
    """
    path = run / "metrics.jsonl"
    try:
        with path.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(json.dumps(line) + "\n")
    except OSError as error:
        problem = f"the metrics of step {line['step']} could not be written ({error.strerror or error})"
        remedy = "make room and give the same command again: it goes on from the last checkpoint"
        raise StadError(problem, file=path, remedy=remedy) from error


def plot_run(run: Path, terms: Sequence[str] = ()) -> Path:
    """Draw loss, its terms and the learning rate over the steps, as RUN/curves.png.

    terms: names of the losses to draw, all of them without it
    raises: MissingFileError where the run has measured nothing yet
    """
    from matplotlib.figure import Figure

    lines = read_metrics(run)
    if not lines:
        raise MissingFileError("the run has no metrics yet", file=run / "metrics.jsonl")
    steps = [line["step"] for line in lines]
    picture = Figure(figsize=(8, 3), dpi=110, layout="constrained")
    left, right = picture.subplots(1, 2)
    left.plot(steps, [line["loss"] for line in lines], color="#222222", label="loss")
    for name in terms or lines[-1]["terms"]:
        left.plot(steps, [line["terms"].get(name) for line in lines], linewidth=1, label=name)
    right.plot(steps, [line["lr"] for line in lines])
    for axes, title in ((left, "loss"), (right, "learning rate")):
        axes.set(title=title, xlabel="step")
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False, fontsize=8)
    content = io.BytesIO()
    picture.savefig(content, format="png", metadata={"Software": None})
    return atomic_write(run / "curves.png", lambda stream: stream.write(content.getvalue()))
