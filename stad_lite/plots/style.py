"""The house style: explicit sizes, quiet axes, colours that the colour-blind can tell apart."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH = 8.0
"""Inches that a figure spans on the page."""

DPI = 110

INK, GREY, PALE = "#222222", "#8A8A8A", "#DDDDDD"
"""Text and fits; secondary lines; grids and frames."""

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""The eight colours of Okabe and Ito, Color Universal Design, in the order of use."""

SETTINGS: dict[str, Any] = {
    "figure.figsize": (WIDTH, 3.0),
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.dpi": "figure",
    "savefig.bbox": None,
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.parse_math": False,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "image.cmap": "viridis",
    "svg.hashsalt": "stad_lite",
}
"""What ``use`` sets."""


def use() -> None:
    """Set the house style for all figures made after this call.

    In a notebook it also gives each figure its alternative text.
    """
    import matplotlib
    from cycler import cycler

    settings: Any = {**SETTINGS, "axes.prop_cycle": cycler(color=list(PALETTE))}
    matplotlib.rcParams.update(settings)
    if "IPython" in sys.modules:
        _tell_pictures()


def _tell_pictures() -> None:
    """Give each figure that this notebook shows the text that stands in for it (``describe``)."""
    from IPython import get_ipython
    from matplotlib.figure import Figure

    from stad_lite.plots.describe import describe

    def told(figure: Figure) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {"image/png": {"alt": describe(figure)}}

    shell: Any = get_ipython()
    if shell is not None:
        shell.display_formatter.mimebundle_formatter.for_type(Figure, told)


def plain_ticks(*axes: Axis) -> None:
    """Label logarithmic axes in plain figures, whole decades alone: the style reads no mathematics."""
    for axis in axes:
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")


def colour(index: int) -> str:
    """Return the colour of the index-th thing: the palette first, then its darker and lighter turns.

    >>> colour(0), colour(8)
    ('#0072B2', '#004A74')
    """
    base, turn = PALETTE[index % len(PALETTE)], (index // len(PALETTE)) % 4
    channels = list(rgb(base))
    if turn in (1, 3):
        channels = [
            round(c * (0.65 if turn == 1 else 0.4) + (40 if base == PALETTE[-1] else 0)) for c in channels
        ]
    elif turn == 2:
        channels = [round(255 - (255 - c) * 0.5) for c in channels]
    return "#" + "".join(f"{c:02X}" for c in channels)


def class_colours(classes: Sequence[str]) -> dict[str, str]:
    """Return a colour for every class, by its place in the list (so it is the same in every figure).

    >>> class_colours(["walk", "run"])["run"]
    '#E69F00'
    """
    return {name: colour(index) for index, name in enumerate(classes)}


def class_legend(figure: Figure, classes: Sequence[str], present: Sequence[str] | None = None) -> None:
    """Say below a figure which colour is which class: the one legend of classes.

    classes: of the record, in its order
    present: those that are named, None for all
    """
    from matplotlib.patches import Patch

    table = class_colours(classes)
    names = list(table if present is None else present)
    handles = [Patch(facecolor=table[name], label=name) for name in names]
    fixed = type(figure.get_layout_engine()).__name__ == "PlaceHolderLayoutEngine"
    where: Any = "lower center" if fixed else "outside lower center"
    figure.legend(handles=handles, loc=where, ncols=min(len(names), 6), borderpad=0.1, handlelength=1)


def rgb(colour: str) -> tuple[int, int, int]:
    """Return a hex colour as three numbers.

    >>> rgb("#E69F00")
    (230, 159, 0)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def is_light(colour: tuple[int, int, int]) -> bool:
    """Return whether black text reads better on a colour than white text."""
    return sum(share * part for share, part in zip((0.299, 0.587, 0.114), colour, strict=True)) > 140


def figure(
    columns: int = 1, rows: int = 1, width: float = WIDTH, height: float = 3.0, **options: Any
) -> tuple[Figure, Any]:
    """Return a figure of an explicit size and its axes.

    width, height: inches of the whole figure
    options: go to ``pyplot.subplots``
    returns: (figure, one axes or an array of axes)
    """
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=(width, height), **options)


def bare_figure(width: float, height: float) -> Figure:
    """Return an empty figure whose axes stay where they are put: no layout engine moves them.

    width, height: inches
    """
    import matplotlib.pyplot as plt
    from matplotlib.layout_engine import PlaceHolderLayoutEngine

    # layout="none" would fall back to the default engine when the figure is saved a second time
    return plt.figure(figsize=(width, height), layout=PlaceHolderLayoutEngine(True, True))


def png(picture: Figure) -> bytes:
    """Return a figure as PNG bytes: equal figures give equal bytes (no version, no date in them)."""
    stream = io.BytesIO()
    picture.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
