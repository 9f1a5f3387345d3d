"""``stad-lite profile NAME``: what a system, or a network alone, costs on this machine.

Weights are random. Where later stages work on sure detections alone, as PCSC's do, trained weights cost more.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import torch

from stad_lite.catalogue import ALL_PROFILES, ENTRIES
from stad_lite.cli.output import claim, write_json
from stad_lite.errors import FormatError, StadError
from stad_lite.schedule import TrainConfig
from stad_lite.training.examples import CLASSES, NETWORKS, Noise
from stad_lite.training.profile import MEMORY, Cost, Profile, profile

PARTS = 12
"""Parts of the network that the table shows; JSON holds all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    names = [*ENTRIES, *NETWORKS]
    parser.add_argument("name", metavar="NAME", help=f"a system or a network: {', '.join(names)}")
    parser.add_argument("--profile", choices=ALL_PROFILES, default="lesson", help="size (default: lesson)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the GPU where there is one")
    parser.add_argument("--batch", type=int, default=1, help="items of a batch (default: 1)")
    parser.add_argument("--rounds", type=int, default=5, help="calls that are timed (default: 5)")
    parser.add_argument(
        "--seconds", type=float, default=30, help="fewer where together they take longer (default: 30)"
    )
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument("--amp", action="store_true", help="in bfloat16 where autocast takes it")
    parser.add_argument("--json", metavar="F", help="file to write, - for standard output")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print a table, and write JSON where asked."""
    claim(arguments.json)
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise StadError("there is no GPU here", remedy="use --device cpu")
    torch.set_num_threads(max(1, arguments.threads))
    torch.manual_seed(0)
    system, batch, frames, config = _example(arguments.name, arguments.profile, arguments.batch)
    found = profile(
        system, batch, replace(config, amp=config.amp or arguments.amp),
        items=arguments.batch, frames=frames, device=device,
        rounds=arguments.rounds, seconds=arguments.seconds,
    )  # fmt: skip
    if arguments.json:
        write_json(_document(arguments, found), arguments.json)
    if arguments.json != "-":
        print(table(f"{arguments.name}, profile {arguments.profile}", found))
    return 0


def _example(name: str, size: str, items: int) -> tuple[Any, Any, int, TrainConfig]:
    """Return a system with random weights, a batch of noise, its frames, and how it is trained."""
    if name in NETWORKS:
        return *NETWORKS[name].example(size, items), TrainConfig(steps=1, optimiser="sgd")
    if name not in ENTRIES:
        known = ", ".join([*ENTRIES, *NETWORKS])
        raise FormatError(f"no system or network is called {name!r}", remedy=f"choose from {known}")
    entry = ENTRIES[name]
    config = entry.config(size)
    noise = Noise(tuple(config.size))
    system = entry.rebuild(config, CLASSES)
    batch, frames = noise.batch(entry.training_set(system, noise.source()), entry.collate, items)
    return system, batch, frames, entry.schedule(size)


def table(title: str, found: Profile) -> str:
    """Return a profile as lines of text."""
    clock = found.predict.timing.clock
    threads = f", {found.threads} thread{'s' * (found.threads > 1)}" if clock == "CPU" else ""
    held = f"{found.frames} frame{'s' * (found.frames > 1)}"
    held = held if found.frames else "maps computed before, without the backbone"
    what = "frames" if found.frames else "items"
    lines = [
        f"{title}: {found.items} item{'s' * (found.items > 1)} ({held})",
        f"on {found.device}{threads}, {'bfloat16' if found.amp else 'float32'}",
        f"{found.total / 1e6:.3f} M parameters, {found.trainable / 1e6:.3f} M of them trained",
        "",
        f"{'':<16}{'GFLOP':>10}{f'{clock}-ms':>12}{'from - to':>20}{'MiB':>10}{f'{what}/s':>12}",
    ]
    for name, cost in (("prediction", found.predict), ("training step", found.step)):
        lines.append(f"{name:<16}{_row(found, cost)}")
    lines += ["", f"{'part':<24}{'parameters':>14}{'GFLOP':>12}"]
    for name, (count, flop) in _largest(found.parts):
        lines.append(f"{name:<24}{count:>14,}{flop / 1e9:>12.3f}")
    kind = "cuda" if clock == "GPU" else "cpu"
    rounds = found.predict.timing.rounds, found.step.timing.rounds
    return "\n".join(
        [
            *lines,
            "",
            f"Times: medians of {rounds[0]} and {rounds[1]} calls. MiB: {MEMORY[kind]}.",
            "Weights are random: stages that work on sure detections alone cost more with trained ones.",
        ]
    )


def _largest(parts: dict[str, tuple[int, int]]) -> list[tuple[str, tuple[int, int]]]:
    """The parts with the most operations, in the network's order, and the sum of the others."""
    shown = sorted(parts, key=lambda name: parts[name][::-1], reverse=True)[:PARTS]
    others = [part for name, part in parts.items() if name not in shown]
    found = [(name, part) for name, part in parts.items() if name in shown]
    if others:
        found.append((f"{len(others)} others", (sum(n for n, _ in others), sum(flop for _, flop in others))))
    return found


def _row(found: Profile, cost: Cost) -> str:
    timing = cost.timing
    spread = f"{1e3 * timing.fastest:.1f} - {1e3 * timing.slowest:.1f}"
    memory = "-" if cost.memory is None else f"{cost.memory / 2**20:.1f}"
    figures = f"{cost.flop / 1e9:>10.3f}{1e3 * timing.median:>12.1f}{spread:>20}{memory:>10}"
    return f"{figures}{found.rate(cost):>12.2f}"


def _document(arguments: argparse.Namespace, found: Profile) -> dict[str, Any]:
    kind = "cuda" if found.predict.timing.clock == "GPU" else "cpu"
    return {
        "name": arguments.name,
        "profile": arguments.profile,
        **asdict(found),
        "parts": {name: {"parameters": n, "flop": flop} for name, (n, flop) in found.parts.items()},
        "per_second": {
            "of": "frames" if found.frames else "items",
            "predict": found.rate(found.predict),
            "step": found.rate(found.step),
        },
        "memory_is": MEMORY[kind],
        "torch": torch.__version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
