"""A network as it is: its parts in the order in which they are called, their outputs and parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.plots.describe import describe

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

ROW, COLUMNS = 0.2, (0.03, 0.32, 0.53, 0.98)
"""Inches of a line; where its name, kind, output and parameters stand, in shares of the width."""

MOST_LETTERS = 15
"""Of a part's kind that leaves room for how often it was called."""


@dataclass(frozen=True)
class Layer:
    """A module that was called.

    name: its place in the network
    kind: its class
    shape: of what it returned first
    parameters: of it and of what is in it
    calls: how often it was called
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None
    parameters: int
    calls: int


@dataclass
class _Seen:
    """What hooks saw of one module."""

    shape: tuple[int, ...] | None = None
    calls: int = 0
    order: int = -1


def layers(network: nn.Module, run: Callable[[], Any], depth: int = 2) -> list[Layer]:
    """Return the network's modules in the order in which a run first calls them.

    run: calls the network
    depth: names of at most so many parts; modules that are never called are left out
    raises: FormatError where the run calls nothing of the network
    """
    named = {name: part for name, part in network.named_modules() if name and _depth(network, name) <= depth}
    seen = {name: entry for name, entry in _watched(named, run).items() if entry.calls}
    if not seen:
        raise FormatError("the run calls no part of the network", remedy="call it, or what uses it, in run")
    first: dict[str, int] = {}
    for name, entry in sorted(seen.items(), key=lambda pair: pair[1].order):
        first.setdefault(name.split(".")[0], entry.order)
    ordered = sorted(seen, key=lambda name: (first[name.split(".")[0]], "." in name, seen[name].order))
    return [
        Layer(
            name,
            type(named[name]).__name__.lstrip("_"),
            seen[name].shape,
            sum(p.numel() for p in named[name].parameters()),
            seen[name].calls,
        )
        for name in ordered
    ]


def _depth(network: nn.Module, name: str) -> int:
    """How deep a module is; lists inside of parts, which are never called themselves, do not count."""
    from torch import nn

    parts = name.split(".")
    inside = (".".join(parts[:end]) for end in range(2, len(parts)))
    return len(parts) - sum(type(network.get_submodule(one)) is nn.ModuleList for one in inside)


def _watched(named: dict[str, nn.Module], run: Callable[[], Any]) -> dict[str, _Seen]:
    """What hooks see of some modules while a run goes on."""
    import torch

    seen = {name: _Seen() for name in named}
    entered = iter(range(10**9))

    def before(entry: _Seen, *_: Any) -> None:
        entry.order = next(entered) if entry.order < 0 else entry.order

    def after(entry: _Seen, module: nn.Module, inputs: Any, output: Any) -> None:
        entry.calls += 1
        entry.shape = next(_shapes(output), None) if entry.shape is None else entry.shape

    hooks = [part.register_forward_hook(partial(after, seen[name])) for name, part in named.items()]
    hooks += [part.register_forward_pre_hook(partial(before, seen[name])) for name, part in named.items()]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _shapes(output: Any) -> Iterator[tuple[int, ...]]:
    """The shapes of all arrays in an output, however it is packed."""
    if hasattr(output, "shape"):
        yield tuple(output.shape)
    elif isinstance(output, dict):
        yield from (shape for value in output.values() for shape in _shapes(value))
    elif isinstance(output, list | tuple):
        yield from (shape for value in output for shape in _shapes(value))


def architecture(
    network: nn.Module, run: Callable[[], Any], depth: int = 2, width: float = style.WIDTH
) -> Figure:
    """Draw a network from a run of it: a block a part, in it its layers with outputs and parameters.

    run: calls the network; on torch's meta device it costs nothing
    depth: 1 for the parts alone, 2 with what is in them
    width: inches
    raises: FormatError where the run calls nothing of the network
    """
    rows = _gathered(layers(network, run, depth))
    blocks = [list(group) for _, group in groupby(rows, key=lambda row: row.name.split(".")[0])]
    heights = [len(block) + 0.3 + (block[0].name.count(".") > 0) for block in blocks]
    gaps = [0.45 if one + two > 2.7 else 0.08 for one, two in pairwise(heights)]
    total = sum(heights) + sum(gaps) + 1.5
    figure = style.bare_figure(width, ROW * total)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 1), ylim=(total, 0))
    ax.set_axis_off()
    for x, head in zip(COLUMNS, ("part", "kind", "first output", "parameters"), strict=True):
        ax.text(x, 0.6, head, color=style.GREY, va="center", ha="right" if x == COLUMNS[-1] else "left")
    y = 1.2
    for number, (block, height, gap) in enumerate(zip(blocks, heights, [0.0, *gaps], strict=True)):
        y += gap
        _block(ax, block, y, height, style.colour(number % len(style.PALETTE)))
        if gap > 0.2:
            look = {"arrowstyle": "-|>", "color": style.GREY, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", (0.05, y), (0.05, y - gap), arrowprops=look)
        y += height
    count = sum(p.numel() for p in network.parameters())
    names = ", ".join(dict.fromkeys(row.name.split(".")[0].split(" to ")[0] for row in rows))
    told = f"{type(network).__name__} with {count:,} parameters; data goes through {names}."
    describe(figure, f"Blocks from top to bottom: {told}")
    return figure


def _block(ax: Any, block: list[Layer], y: float, height: float, tone: str) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((0.012, y), 0.976, height, facecolor=tone, alpha=0.12, linewidth=0))
    ax.add_patch(Rectangle((0.012, y), 0.006, height, facecolor=tone, linewidth=0))
    top = block[0].name.split(".")[0]
    lines = block if "." not in block[0].name else [Layer(top, "", None, 0, 0), *block]
    for number, layer in enumerate(lines):
        at, inner = y + 0.65 + number, "." in layer.name
        name = layer.name.split(".", 1)[1] if inner else layer.name
        room = inner or len(layer.kind) < MOST_LETTERS
        calls = f"  {layer.calls} calls" if layer.calls > 1 and room else ""
        shape = " x ".join(map(str, layer.shape)) if layer.shape is not None else ""
        texts = (name, layer.kind + calls, shape, f"{layer.parameters:,}" if layer.parameters else "")
        for x, text in zip(COLUMNS, texts, strict=True):
            ax.text(
                x + 0.03 * (inner and x == COLUMNS[0]),
                at,
                text,
                va="center",
                ha="right" if x == COLUMNS[-1] else "left",
                fontsize=8 if inner else 9,
                weight="normal" if inner else "bold",
            )


def _gathered(found: list[Layer]) -> list[Layer]:
    """Layers of one kind in a row that differ in a number or a last letter become one line: ``heads.0-5``."""
    rows: list[Layer] = []
    for layer in found:
        last = rows[-1] if rows else None
        if (
            last is None
            or (layer.kind, layer.calls) != (last.kind, last.calls)
            or _stem(layer) != _stem(last)
        ):
            rows.append(layer)
            continue
        end = layer.name.removeprefix(_stem(layer))
        name = f"{last.name.split(' to ')[0]} to {end or layer.name}"
        rows[-1] = replace(layer, name=name, parameters=last.parameters + layer.parameters)
    return rows


def _stem(layer: Layer) -> str:
    """What layers that belong together share: all but the number, or but the letters after the first one."""
    name = layer.name.split(" to ")[0]
    lettered = re.fullmatch(r"([a-z]+\d+)[a-z]*", name)
    return lettered[1] if lettered else re.sub(r"\d+$", "", name)
