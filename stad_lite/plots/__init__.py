"""Pictures: numpy arrays in, matplotlib figures out, the same bytes for the same input.

Importing this package loads neither torch nor pyplot.

>>> from stad_lite import plots
>>> plots.style.class_colours(["run", "jump"])
{'run': '#0072B2', 'jump': '#E69F00'}
"""

from stad_lite.plots import flow, style, tubes
from stad_lite.plots.frames import show
from stad_lite.plots.lines import bars, curves, interval

__all__ = ["bars", "curves", "flow", "interval", "show", "style", "tubes"]
