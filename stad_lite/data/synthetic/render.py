"""Painting a scene: frames, exact optical flow and masks, layer by layer from back to front."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from stad_lite.data.drawn import Drawn
from stad_lite.data.synthetic.actors import Part
from stad_lite.data.synthetic.numerics import cosine, sine
from stad_lite.data.synthetic.scene import (
    Scene,
    build_scene,
    draw_ground,
    generator,
    video_annotation,
)
from stad_lite.data.synthetic.settings import Settings
from stad_lite.errors import StadError
from stad_lite.records import VideoAnnotation
from stad_lite.tubes import Tube

GROUND, POST = -1, -2
"""Values of ``Clip.owner`` where no actor is seen."""
DRAWN_SCALE = 4


@dataclass(frozen=True, eq=False)
class Clip:
    """A rendered clip and all that is known of it.

    frames: (t, h, w, 3) uint8
    flow: (t, h, w, 2) float16, x and y pixels from this frame to the next one; that of the last frame
        leads to a frame that is not shown. None where the settings say ``flow=False``
    tubes: one an action: the boxes while it lasts and its class
    presence: one an actor over the whole clip, idle or acting, labelled ``person``
    masks: (actors, t, h, w) bool, the whole actor, also where something hides it; None unless asked for
    owner: (t, h, w) int8, the actor seen at each pixel, ``GROUND`` or ``POST``; None unless asked for
    mirror: whether the clip is seen in a mirror
    """

    settings: Settings
    seed: int
    frames: np.ndarray
    flow: np.ndarray | None
    tubes: tuple[Tube, ...]
    presence: tuple[Tube, ...]
    masks: np.ndarray | None = None
    owner: np.ndarray | None = None
    mirror: bool = False

    def drawn(self, numbers: Iterable[int] | None = None, scale: int = DRAWN_SCALE) -> Drawn:
        """Return the same scene as people see it: more pixels, no noise of the camera.

        numbers: of the frames that are wanted, all of them without it
        scale: pixels of the drawing for one of the clip's

        >>> render(Settings.smoke(), seed=0).drawn([3]).pixels.shape
        (1, 192, 192, 3)
        """
        image = _Canvas.painted(build_scene(self.settings, self.seed), scale=scale).image
        pixels = np.clip(np.rint(_cast(image, self.settings, self.seed)), 0.0, 255.0).astype(np.uint8)
        pixels = pixels[:, :, ::-1] if self.mirror else pixels
        return Drawn(pixels if numbers is None else pixels[list(numbers)], scale)

    def annotation(self) -> VideoAnnotation:
        """Return the tubes as a record."""
        return video_annotation(self.settings, self.tubes)

    def mirrored(self) -> Clip:
        """Return the clip seen in a mirror; it shows the same classes."""
        flow = None if self.flow is None else self.flow[:, :, ::-1] * np.array([-1, 1], np.float16)
        return replace(
            self,
            frames=self.frames[:, :, ::-1].copy(),
            flow=flow,
            tubes=tuple(_mirrored(tube, self.settings.width) for tube in self.tubes),
            presence=tuple(_mirrored(tube, self.settings.width) for tube in self.presence),
            masks=None if self.masks is None else self.masks[..., ::-1].copy(),
            owner=None if self.owner is None else self.owner[..., ::-1].copy(),
            mirror=not self.mirror,
        )


def _mirrored(tube: Tube, width: int) -> Tube:
    boxes = tube.boxes.copy()
    boxes[:, [0, 2]] = width - tube.boxes[:, [2, 0]]
    return replace(tube, boxes=boxes)


def render(settings: Settings, seed: int, masks: bool = False) -> Clip:
    """Render one clip, the same for the same settings and seed on every machine.

    seed: whole number >= 0
    masks: whether ``Clip.masks`` and ``Clip.owner`` are wanted too
    raises: StadError on a negative seed

    >>> clip = render(Settings.smoke(), seed=0)
    >>> clip.frames.shape, clip.flow.shape
    ((16, 48, 48, 3), (16, 48, 48, 2))
    """
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise StadError(f"the seed is {seed!r}", remedy="give a whole number >= 0")
    seed = int(seed)
    scene = build_scene(settings, seed)
    canvas = _Canvas.painted(scene, masks)
    for_noise, _, for_vectors = _branches(seed)
    flow = canvas.flow
    if flow is not None:
        if settings.corrupt_flow:
            flow = flow + _wrong_vectors(generator(for_vectors), settings)
        flow = flow.astype(np.float16)
    return Clip(
        settings,
        seed,
        _developed(_cast(canvas.image, settings, seed), for_noise, settings),
        flow,
        scene.tubes(),
        scene.presence(),
        canvas.masks,
        canvas.owner,
    )


class _Canvas:
    """The layers painted so far.

    image: (t, h, w, 3) float32 grey levels
    flow: (t, h, w, 2) float32 pixels, or None
    scale: pixels painted for one of the scene's; flow is painted at scale 1 only
    """

    def __init__(self, scene: Scene, masks: bool, scale: int) -> None:
        settings = scene.settings
        self.scale = scale
        self.shape = (settings.frames, settings.height * scale, settings.width * scale)
        self.image = _ground_image(scene, scale)
        self.flow = _ground_flow(scene) if settings.flow and scale == 1 else None
        self.masks = np.zeros((len(scene.actors), *self.shape), dtype=bool) if masks else None
        self.owner = np.full(self.shape, GROUND, dtype=np.int8) if masks else None

    @classmethod
    def painted(cls, scene: Scene, masks: bool = False, scale: int = 1) -> _Canvas:
        """Return the whole scene, from back to front."""
        canvas = cls(scene, masks, scale)
        for number, actor in enumerate(scene.actors):
            for part in actor.parts:
                canvas.paint(part, number)
        if scene.post is not None:
            canvas.paint(scene.post, POST)
        return canvas

    def paint(self, part: Part, layer: int) -> None:
        """Paint a part over what is there. layer: number of its actor, or ``POST``"""
        part = replace(part, joint=part.joint * self.scale, scale=part.scale * self.scale)
        spot, x, y, along, across, cover = _pixels(part, self.shape)
        frame = spot // (self.shape[1] * self.shape[2])
        image = self.image.reshape(-1, 3)
        under = image[spot]
        image[spot] = under + cover[:, None] * (_colour(part, along, across) - under)
        seen = cover >= 0.5
        if self.flow is not None:
            inside = spot[seen]
            vectors = _part_flow(part, frame[seen], x[seen], y[seen], along[seen], across[seen])
            self.flow.reshape(-1, 2)[inside] = vectors
        if self.masks is not None and self.owner is not None:
            self.owner.reshape(-1)[spot[seen]] = layer
            if layer >= 0:
                self.masks[layer].reshape(-1)[spot[seen]] = True


def _pixels(part: Part, shape: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    """Return the pixels that a part covers at least a little.

    returns: flat index into ``shape``, x and y of the pixel's centre, place along the part and across
        it in the part's own units, share of the pixel that is covered; all (n,)
    """
    frames, height, width = shape
    extent = part.extent()[:frames]
    limits = np.array([width, height])
    low, high = np.floor(extent[:, :2]) - 1.0, np.ceil(extent[:, 2:]) + 1.0
    window = np.minimum(np.max(high - low, axis=0), limits).astype(np.int64)
    corner = np.clip(low, 0, limits - window).astype(np.int64)
    column = corner[:, 0, None] + np.arange(window[0])
    row = corner[:, 1, None] + np.arange(window[1])
    joint, axis = part.joint[:frames], part.axis[:frames]
    x = (column + 0.5 - joint[:, 0, None]).astype(np.float32)[:, None, :]
    y = (row + 0.5 - joint[:, 1, None]).astype(np.float32)[:, :, None]
    scale = part.scale[:frames].astype(np.float32)[:, None, None]
    cos, sin = (axis[:, i].astype(np.float32)[:, None, None] for i in (0, 1))
    along, across = x * cos + y * sin, y * cos - x * sin
    beyond = along - np.minimum(np.maximum(along, 0.0), scale * np.float32(part.length))
    distance = np.sqrt(beyond * beyond + across * across)
    cover = scale * np.float32(part.radius) + np.float32(0.5) - distance
    t, i, j = np.nonzero(cover > 0.0)
    spot = (t * height + row[t, i]) * width + column[t, j]
    size = scale[t, 0, 0]
    return (
        spot,
        (column[t, j] + 0.5).astype(np.float32),
        (row[t, i] + 0.5).astype(np.float32),
        along[t, i, j] / size,
        across[t, i, j] / size,
        np.minimum(cover[t, i, j], 1.0),
    )


def _colour(part: Part, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return the colour at places of a part. along, across: (n,) part's units; returns: (n, 3)"""
    paint = part.paint
    phase = (along if paint.along else across + np.float32(part.radius)) / np.float32(paint.period)
    phase = phase - np.floor(phase)
    wave = np.float32(1.0) - np.abs(np.float32(1.0) - phase - phase)
    offcentre = across / np.float32(part.radius)
    shade = np.float32(1.0) - np.float32(0.3) * np.minimum(offcentre * offcentre, np.float32(1.0))
    first, second = paint.first.astype(np.float32), paint.second.astype(np.float32)
    return (first + wave[:, None] * (second - first)) * shade[:, None]


def _part_flow(
    part: Part,
    frame: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    along: np.ndarray,
    across: np.ndarray,
) -> np.ndarray:
    """Return where the next frame's transform carries the part's points, less where they are.

    frame: (n,); x, y: (n,) pixels; along, across: (n,) part's units; returns: (n, 2) pixels
    """
    joint, axis = part.joint[1:], part.axis[1:]
    scale = part.scale[1:]
    turn = (axis * scale[:, None]).astype(np.float32)[frame]
    start = joint.astype(np.float32)[frame]
    new_x = start[:, 0] + along * turn[:, 0] - across * turn[:, 1]
    new_y = start[:, 1] + along * turn[:, 1] + across * turn[:, 0]
    return np.stack([new_x - x, new_y - y], axis=1)


def _ground_places(scene: Scene, scale: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the ground's coordinates under every column and row. returns: (t, w), (t, h)"""
    settings, camera = scene.settings, scene.camera
    zoom, place = camera.zoom[: settings.frames, None], camera.place[: settings.frames]
    x, y = ((np.arange(side * scale) + 0.5) / scale for side in (settings.width, settings.height))
    column = (x - camera.centre[0]) / zoom + place[:, :1]
    row = (y - camera.centre[1]) / zoom + place[:, 1:]
    return column, row


def _ground_image(scene: Scene, scale: int) -> np.ndarray:
    """Return the ground in every frame, interpolated linearly. returns: (t, h, w, 3) float32"""
    ground = draw_ground(scene).astype(np.float32)
    size = len(ground)
    column, row = _ground_places(scene, scale)
    top, left = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
    down = (row - top).astype(np.float32)[:, :, None, None]
    right = (column - left).astype(np.float32)[:, None, :, None]
    upper = ground[top % size]
    lines = upper + down * (ground[(top + 1) % size] - upper)
    frame, line = np.arange(len(top))[:, None, None], np.arange(top.shape[1])[None, :, None]
    before = lines[frame, line, left[:, None, :] % size]
    after = lines[frame, line, (left[:, None, :] + 1) % size]
    return before + right * (after - before)


def _ground_flow(scene: Scene) -> np.ndarray:
    """Return the ground's flow under the camera. returns: (t, h, w, 2) float32"""
    settings, camera = scene.settings, scene.camera
    zoom, place = camera.zoom[1:, None], camera.place[1:]
    column, row = _ground_places(scene)
    flow = np.empty((settings.frames, settings.height, settings.width, 2), dtype=np.float32)
    x = zoom * (column - place[:, :1]) + camera.centre[0] - (np.arange(settings.width) + 0.5)
    y = zoom * (row - place[:, 1:]) + camera.centre[1] - (np.arange(settings.height) + 0.5)
    flow[..., 0] = x[:, None, :]
    flow[..., 1] = y[:, :, None]
    return flow


def _developed(image: np.ndarray, for_noise: np.random.SeedSequence, settings: Settings) -> np.ndarray:
    """Return the image with noise, in whole grey levels. returns: (t, h, w, 3) uint8

    The noise is a sum of three random bytes, which has a standard deviation of 128 and nearly the
    normal distribution's shape.
    """
    raw = np.random.PCG64(for_noise).random_raw(-(-image.size * 3 // 8))
    grains = raw.astype("<u8").view(np.uint8)[: image.size * 3].reshape(3, *image.shape)
    total = grains[0].astype(np.float32) + grains[1] + grains[2]
    noise = (total - np.float32(382.5)) * np.float32(settings.noise / 128.0)
    return np.clip(np.floor(image + noise + np.float32(0.5)), 0.0, 255.0).astype(np.uint8)


def _corrupted_frames(rng: np.random.Generator, settings: Settings) -> np.ndarray:
    """Draw the run of frames in which a stream is unreliable. returns: (t,) bool"""
    length = int(settings.corrupt_share * settings.frames + 0.5)
    start = int(rng.random() * (settings.frames - length + 1))
    times = np.arange(settings.frames)
    return (times >= start) & (times < start + length)


def _branches(seed: int) -> list[np.random.SeedSequence]:
    """Return where noise, colour casts and wrong vectors are drawn from."""
    return np.random.SeedSequence((seed, 2)).spawn(3)


def _on_blocks(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return values on an 8 x 8 grid as blocks of the frame. values: (t, 8, 8, c)"""
    row, column = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    return values[:, row[:, None], column]


def _cast(image: np.ndarray, settings: Settings, seed: int) -> np.ndarray:
    """Return the image with what corrupts the RGB stream: uniform casts on blocks. image: (t, h, w, 3)"""
    if not settings.corrupt_rgb:
        return image
    rng = generator(_branches(seed)[1])
    wrong = _corrupted_frames(rng, settings)[:, None, None, None]
    reach = settings.corrupt_rgb * 1.7320508075688772  # a uniform draw's half-width in deviations
    casts = reach * (2.0 * rng.random((settings.frames, 8, 8, 3)) - 1.0)
    return image + _on_blocks(np.where(wrong, casts, 0.0).astype(np.float32), *image.shape[1:3])


def _wrong_vectors(rng: np.random.Generator, settings: Settings) -> np.ndarray:
    """Return what corrupts the flow stream: vectors of one length on blocks. returns: (t, h, w, 2)"""
    wrong = _corrupted_frames(rng, settings)[:, None, None, None]
    angle = 2.0 * np.pi * rng.random((settings.frames, 8, 8))
    vectors = settings.corrupt_flow * np.stack([cosine(angle), sine(angle)], axis=-1)
    vectors = np.where(wrong, vectors, 0.0).astype(np.float32)
    return _on_blocks(vectors, settings.height, settings.width)
