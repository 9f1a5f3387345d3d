"""Lines with the interval of their mean, and bars in groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.plots.describe import describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def interval(runs: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean over runs and Student's interval of that mean.

    runs: (runs, n) one row a run; NaN counts as missing
    level: the share of such intervals that hold the true mean
    returns: mean, low, high, each (n,); low = high = mean where there is one run

    >>> mean, low, high = interval(np.array([[1., 5.], [3., 5.]]))
    >>> mean.tolist(), low.round(1).tolist(), high.round(1).tolist()
    ([2.0, 5.0], [-10.7, 5.0], [14.7, 5.0])
    """
    from scipy.stats import t

    runs = np.asarray(runs, dtype=np.float64)
    count = np.isfinite(runs).sum(axis=0)
    mean = np.nansum(runs, axis=0) / np.maximum(count, 1)
    spread = np.sqrt(np.nansum((runs - mean) ** 2, axis=0) / np.maximum(count - 1, 1))
    factor = np.where(count > 1, t.ppf((1 + level) / 2, np.maximum(count - 1, 1)), 0.0)
    half = factor * spread / np.sqrt(np.maximum(count, 1))
    mean = np.where(count > 0, mean, np.nan)
    return mean, mean - half, mean + half


def told(runs: np.ndarray, digits: int = 1, sign: str = "") -> list[str]:
    """Return each column's mean over runs and half of its interval as text.

    runs: (runs, n)
    sign: ``+`` writes it before every mean

    >>> told(np.array([[1., 5.], [3., 5.]]), sign="+")
    ['+2.0 ± 12.7', '+5.0 ± 0.0']
    """
    columns = zip(*interval(runs), strict=True)
    return [f"{mean:{sign}.{digits}f} ± {high - mean:.{digits}f}" for mean, _, high in columns]


def curves(
    x: np.ndarray,
    series: Mapping[str, np.ndarray],
    ax: Axes | None = None,
    level: float = 0.95,
    bands: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    colours: Mapping[str, str] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    **options: Any,
) -> Axes:
    """Draw one line a series with a pale band for the interval of its mean.

    x: (n,) places
    series: name -> (n,) values, or (runs, n): then the mean is drawn with Student's interval
    bands: name -> (low, high), each (n,): drawn instead of Student's interval
    colours: name -> colour, for names that other figures have too
    options: go to ``ax.plot``
    returns: the axes; each line has its name in the legend
    raises: FormatError where a series does not have n values
    """
    if ax is None:
        ax = style.figure(width=style.WIDTH * 0.6)[1]
    x = np.asarray(x)
    for index, (name, values) in enumerate(series.items()):
        values = np.atleast_2d(np.asarray(values, dtype=np.float64))
        if values.shape[-1] != len(x):
            raise FormatError(f"series {name!r} has {values.shape[-1]} values for {len(x)} places")
        mean, low, high = interval(values, level)
        if bands and name in bands:
            low, high = (np.asarray(edge, dtype=np.float64) for edge in bands[name])
        tone = (colours or {}).get(name, style.colour(index))
        ax.plot(x, mean, **{"color": tone, "label": name, "marker": "o", **options})
        if np.any(high > low):
            ax.fill_between(x, low, high, color=tone, alpha=0.18, linewidth=0)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(series) > 1:
        ax.legend()
    return ax


def bars(
    places: Sequence[str] | np.ndarray,
    series: Mapping[str, Sequence[float] | np.ndarray],
    ax: Axes | None = None,
    xlabel: str = "",
    ylabel: str = "",
    reach: Mapping[str, Sequence[float]] | None = None,
) -> Axes:
    """Draw one group of bars a place, in it one bar a series.

    places: n names; or (n,) numbers, evenly spaced, where the groups stand
    series: name -> n values
    reach: name -> how far each value is sure, drawn as a line up and down
    returns: the axes; each series has its name in the legend
    raises: FormatError where a series does not have n values
    """
    if ax is None:
        ax = style.figure(width=style.WIDTH * 0.7, height=2.5)[1]
    named = isinstance(places[0], str)
    middle = np.arange(len(places)) if named else np.asarray(places, dtype=np.float64)
    width = 0.8 / len(series) * (middle[1] - middle[0] if len(middle) > 1 else 1)
    for index, (name, values) in enumerate(series.items()):
        if len(values) != len(places):
            raise FormatError(f"series {name!r} has {len(values)} values for {len(places)} places")
        shift = width * (index - (len(series) - 1) / 2)
        look: dict[str, Any] = {"color": style.colour(index), "ecolor": style.GREY, "label": name}
        ax.bar(middle + shift, values, 0.92 * width, yerr=reach[name] if reach else None, **look)
    if named:
        ax.set_xticks(middle, list(map(str, places)))
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(series) > 1:
        ax.legend()
    return ax


def scatter(
    points: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    xlabel: str = "",
    ylabel: str = "",
    level: tuple[str, float] | None = None,
) -> Axes:
    """Draw a point a name at the means of two figures, with the interval of the second; names stand beside.

    points: name -> the runs' figures along x and along y
    level: name and height of a line across
    raises: FormatError for no point
    """
    if not points:
        raise FormatError("there is no point to draw", remedy="give at least one")
    ax: Axes = style.figure(width=7.5, height=3.2)[1]
    for index, (name, (along, up)) in enumerate(points.items()):
        mean, low, high = (float(value[0]) for value in interval(np.reshape(up, (-1, 1))))
        reach, tone, sign = [[mean - low], [high - mean]], style.colour(index), "osD^v"[index % 5]
        ax.errorbar(float(np.mean(along)), mean, reach, fmt=sign, color=tone, markersize=6, label=name)
    if level is not None:
        ax.axhline(level[1], color=style.GREY, linewidth=0.8, zorder=0, label=level[0])
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    told = "; ".join(f"{name} {np.mean(y):.1f} at {np.mean(x):.3g}" for name, (x, y) in points.items())
    describe(ax.figure, f"Points of {ylabel} against {xlabel}: {told}.")  # type: ignore[arg-type]
    return ax
