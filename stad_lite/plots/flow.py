"""Optical flow as colour: direction is hue, length is saturation, no motion is white.

The circle lies in Oklab, so that equal lengths look equally strong in every direction. Right is
red, down yellow, left cyan, up violet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.plots.frames import Frames, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RIGHT = np.deg2rad(29.0)  # hue of red in Oklab
CHROMA, DARKENING = 0.12, 0.27  # at full length; the largest pair inside sRGB for every hue

_TO_LMS = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def _srgb(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """Oklab in polar form to sRGB in [0, 1] (Ottosson, A perceptual color space for image processing)."""
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], -1)
    linear = ((lab @ _TO_LMS.T) ** 3) @ _TO_RGB.T
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def full_length(flow: np.ndarray) -> float:
    """Return the length that gets the full colour: the 99th percentile, at least 1e-6 pixels."""
    length = np.linalg.norm(np.asarray(flow, dtype=np.float64), axis=-1)
    length = length[np.isfinite(length)]
    return max(float(np.percentile(length, 99)), 1e-6) if length.size else 1e-6


def colours(flow: np.ndarray, length: float | None = None) -> np.ndarray:
    """Return flow as an image; unknown flow (NaN) is black.

    flow: (..., 2) pixels right and down
    length: pixels that get the full colour (longer ones too), None for ``full_length(flow)``
    returns: (..., 3) uint8 RGB
    raises: FormatError

    >>> colours(np.array([[[0., 0.], [5., 0.]]]), length=5).tolist()
    [[[255, 255, 255], [233, 137, 124]]]
    """
    flow = np.asarray(flow, dtype=np.float64)
    if flow.ndim < 1 or flow.shape[-1] != 2:
        raise FormatError(f"flow has shape {flow.shape}", remedy="give (..., 2) pixels right and down")
    u, v = np.moveaxis(flow, -1, 0)
    known = np.isfinite(u) & np.isfinite(v)
    u, v = np.where(known, u, 0), np.where(known, v, 0)
    share = np.minimum(np.hypot(u, v) / (length or full_length(flow)), 1)
    image = _srgb(1 - DARKENING * share, CHROMA * share, RIGHT + np.arctan2(v, u))
    return np.where(known[..., None], np.round(image * 255), 0).astype(np.uint8)


def wheel(flow: np.ndarray, ax: Axes | None = None, length: float | None = None, key: bool = True) -> Axes:
    """Show one flow field in colour, with the wheel that explains the colours in its corner.

    flow: (h, w, 2) pixels right and down
    length: pixels that get the full colour, the same for fields that are to be compared
    key: whether the wheel is drawn
    returns: the axes
    """
    flow = np.asarray(flow)
    height, width = flow.shape[:2]
    length = length or full_length(flow)
    if ax is None:
        ax = style.figure(width=3.2, height=3.2 * height / width)[1]
    ax.imshow(colours(flow, length), extent=(0, width, height, 0))
    ax.set(xticks=[], yticks=[], label=f"optical flow as colours, up to {length:.2g} pixels long")
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_color(style.PALE)
    if key:
        legend(ax.inset_axes((0.76, 0.02, 0.22, 0.22 * width / height)), length)
    return ax


def fields(
    flows: Mapping[str, np.ndarray],
    images: Mapping[str, Frames] | None = None,
    length: float | None = None,
) -> np.ndarray:
    """Show frames and then flow fields side by side; the first field has the wheel that explains them all.

    flows: title -> (h, w, 2) pixels right and down
    images: title -> one frame, that may be drawn larger
    length: pixels that get the full colour in all fields, None for ``full_length`` of the first
    returns: (n,) axes
    raises: FormatError for no field
    """
    if not flows:
        raise FormatError("there is no flow to draw", remedy="give at least one field")
    images, first = images or {}, np.asarray(next(iter(flows.values())))
    count, (height, width) = len(flows) + len(images), first.shape[:2]
    axes = np.ravel(style.figure(count, height=0.35 + style.WIDTH / count * height / width, squeeze=False)[1])
    for ax, (title, image) in zip(axes, images.items(), strict=False):
        show(ax, image).set_title(title)
    for number, (ax, (title, flow)) in enumerate(zip(axes[len(images) :], flows.items(), strict=True)):
        wheel(flow, ax, length or full_length(first), key=number == 0).set_title(title)
    return axes


def legend(ax: Axes, length: float, pixels: int = 129) -> Axes:
    """Draw the colour wheel: the centre is no motion, the rim ``length`` pixels a frame."""
    line = np.linspace(-1, 1, pixels)
    field = np.stack(np.meshgrid(line, line), -1)
    radius = np.linalg.norm(field, axis=-1)
    alpha = np.clip((1 - radius) * pixels / 2 + 0.5, 0, 1)
    image = np.dstack([colours(field, 1.0) / 255, alpha])
    ax.imshow(image, extent=(-1, 1, 1, -1))
    ax.text(0, 0, f"{length:.2g} px", ha="center", va="center", fontsize=7)
    ax.set_axis_off()
    return ax
