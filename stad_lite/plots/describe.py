"""What a figure shows, in words: the text that stands in for the picture where it is not seen."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST, MOST_NAMES, MOST_PANELS = 500, 8, 6


def describe(figure: Figure, text: str | None = None) -> str:
    """Return what a figure shows; with a text, that is what it shows from now on.

    Without one it is told from what is drawn: kinds of panels (their ``get_label`` where they have
    one), titles, names of axes, legends and where single curves lead.

    >>> from matplotlib.figure import Figure
    >>> picture = Figure()
    >>> ax = picture.subplots()
    >>> _ = ax.plot([1, 2, 3], [4, 1, 0.5], label="loss")
    >>> _ = ax.set(xlabel="epoch", ylabel="loss")
    >>> describe(picture)
    'Curves of loss against epoch; loss from 4 to 0.5.'
    """
    if text is not None:
        figure.set_label(text)
    own = str(figure.get_label())
    return own if " " in own else _told(figure)


def _told(figure: Figure) -> str:
    panels = [_panel(ax) for ax in figure.axes if ax.has_data() or ax.texts]
    parts = []
    for kind, group in groupby(panels, key=lambda panel: panel[0]):
        titles = [" ".join(filter(None, panel[1:])) for panel in group]
        alike = [title for title in titles if title]
        many = f"{len(titles)} panels, each with {kind}" if len(titles) > 1 else kind
        shown = "; ".join(alike[:MOST_PANELS]) + ("; and so on" if len(alike) > MOST_PANELS else "")
        parts.append(f"{many}{':' if len(titles) > 1 and alike else ''} {shown}".strip())
    names = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    parts += [f"legend: {_listed(names)}"] if names else []
    told = ". ".join(" ".join(part.split()).replace(" ;", ";") for part in parts) or "an empty figure"
    told = told[0].upper() + told[1:]
    return told + "." if len(told) < LONGEST else told[: LONGEST - 4].rsplit(" ", 1)[0] + " ..."


def _panel(ax: Axes) -> tuple[str, str, str, str]:
    """What is in one panel: kind, axes, title, names of curves and boxes, and where they lead."""
    title = " ".join(ax.get_title(loc=where) for where in ("left", "center", "right")).strip()
    x, y = ax.get_xlabel(), ax.get_ylabel()
    axes = f"of {y} against {x}" if x and y else f"of {x or y}" if x or y else ""
    axes = axes.removeprefix("of ") if ax.images else axes
    legend = ax.get_legend()
    names = [text.get_text() for text in legend.get_texts()] if legend else []
    lines = [line for line in ax.lines if not str(line.get_label()).startswith("_") and _long(line)]
    curves = [_led(line) for line in lines if len(lines) <= MOST_NAMES]
    known = {str(line.get_label()) for line in lines} if curves else set()
    names = [name for name in names if name not in known]
    more = "; ".join([*curves, f"also {_listed(names)}" if curves and names else _listed(names)]).strip("; ")
    return _kind(ax), axes, f'"{title}"' if title else "", f"; {more}" if more else ""


def _kind(ax: Axes) -> str:
    boxes = sum(getattr(patch, "get_bbox", None) is not None and not patch.get_fill() for patch in ax.patches)
    bars = sum(len(container) for container in ax.containers)
    if ax.images or ax.get_label():
        base = str(ax.get_label()) or "a map of shades"
        return base + (f" with {boxes} box{'es' * (boxes > 1)}" if boxes else "")
    if bars:
        return "bars"
    if any(_long(line) for line in ax.lines):
        return "curves"
    if ax.collections or ax.lines:
        return "points and areas"
    return f"{boxes} boxes" if boxes else "a drawing"


def _long(line: Any) -> bool:
    return len(line.get_xdata()) > 2 and line.get_linestyle() != "None"


def _led(line: Any) -> str:
    ends = [value for value in line.get_ydata() if value == value]
    return f"{line.get_label()} from {ends[0]:.3g} to {ends[-1]:.3g}" if ends else str(line.get_label())


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (" and others" if len(names) > MOST_NAMES else "")
