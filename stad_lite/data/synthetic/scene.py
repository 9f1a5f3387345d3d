"""A scene: the moving camera, the textured ground, the actors in it and the post before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stad_lite.data.synthetic.actors import (
    Actor,
    Paint,
    Part,
    Pose,
    Walk,
    act,
    build_parts,
    draw_look,
    draw_spans,
    draw_walk,
)
from stad_lite.data.synthetic.numerics import hsv_to_rgb, sine, uniform, wander, whole
from stad_lite.data.synthetic.settings import FPS, MOTIONS, Settings
from stad_lite.records import VideoAnnotation
from stad_lite.tubes import Tube


@dataclass(frozen=True)
class Camera:
    """Carries a point of the ground to the frame: zoom * (point - place) + centre.

    place: (frames + 1, 2) xy pixels, the point of the ground in the middle of the frame
    zoom: (frames + 1,)
    centre: (2,) middle of the frame
    """

    place: np.ndarray
    zoom: np.ndarray
    centre: np.ndarray


@dataclass(frozen=True)
class Scene:
    """Everything that is in a clip, before it is painted.

    camera: of the clip's frames and one more
    mean: (3,) mean colour of the ground, grey levels
    actors: from the ones painted first to the last
    post: painted over the actors, or None
    """

    settings: Settings
    seed: int
    camera: Camera
    mean: np.ndarray
    actors: tuple[Actor, ...]
    post: Part | None

    def presence(self) -> tuple[Tube, ...]:
        """Return one tube an actor over the whole clip, acting or idle, labelled ``person``."""
        return tuple(Tube(0, self._boxes(actor), "person") for actor in self.actors)

    def tubes(self) -> tuple[Tube, ...]:
        """Return one tube an action: the boxes while it lasts and its class."""
        return tuple(
            Tube(action.start, self._boxes(actor)[action.start : action.end], action.label)
            for actor in self.actors
            for action in actor.actions
        )

    def annotation(self) -> VideoAnnotation:
        """Return the tubes as a record."""
        return video_annotation(self.settings, self.tubes())

    def _boxes(self, actor: Actor) -> np.ndarray:
        """Return the amodal boxes clipped to the frame. returns: (frames, 4)"""
        size = [self.settings.width, self.settings.height] * 2
        return np.clip(actor.extent()[:-1], 0.0, np.array(size, dtype=np.float64))


def video_annotation(settings: Settings, tubes: tuple[Tube, ...]) -> VideoAnnotation:
    """Return the record of a clip that shows these tubes."""
    return VideoAnnotation(
        num_frames=settings.frames,
        width=settings.width,
        height=settings.height,
        fps=FPS,
        duration=settings.frames / FPS,
        tubes=tubes,
    )


def build_scene(settings: Settings, seed: int) -> Scene:
    """Draw a scene. seed: whole number >= 0; the same scene for the same two on every machine

    >>> scene = build_scene(Settings.smoke(), seed=0)
    >>> len(scene.actors) == len(scene.presence())
    True
    """
    branches = np.random.SeedSequence((seed, 0)).spawn(3)
    rng = generator(branches[0])
    camera = _draw_camera(rng, settings)
    hue = rng.random()
    mean = 255.0 * hsv_to_rgb(hue, uniform(rng, 0.05, 0.3), uniform(rng, 0.35, 0.7))
    theme = int(hue * len(MOTIONS))
    post = _draw_post(rng, settings, camera, mean)
    actors: list[Actor] = []
    taken: list[np.ndarray] = []
    crowd = whole(generator(branches[1]), *settings.actors)
    for branch in branches[2].spawn(crowd):
        actor, hips = _draw_actor(branch, settings, camera, mean, theme, taken)
        actors.append(actor)
        taken.append(hips)
    return Scene(settings, seed, camera, mean, tuple(actors), post)


def generator(branch: np.random.SeedSequence) -> np.random.Generator:
    """Return the one kind of generator that is used here."""
    return np.random.Generator(np.random.PCG64(branch))


def _draw_camera(rng: np.random.Generator, settings: Settings) -> Camera:
    count, unit = settings.frames + 1, settings.unit
    times, turn = np.arange(count)[:, None], 2.0 * np.pi / 32.0
    drift = sine(times * turn * (0.3 + 0.7 * rng.random(2)) + 2.0 * np.pi * rng.random(2))
    reach = (2.0 + 5.0 * rng.random(2)) * unit
    jitter = 0.8 * wander(rng, count, spacing=3) + 0.2 * wander(rng, count, spacing=1)
    place = reach * drift + settings.shake * unit * jitter
    zoom = sine(times[:, 0] * turn * uniform(rng, 0.3, 1.0) + uniform(rng, 0.0, 2.0 * np.pi))
    centre = np.array([settings.width / 2.0, settings.height / 2.0])
    return Camera(place, 1.0 + 0.06 * zoom, centre)


def draw_ground(scene: Scene) -> np.ndarray:
    """Return the ground's tileable texture: patches of colour under fine grain.

    returns: (size, size, 3) grey levels; one texel is one pixel at zoom 1
    """
    settings = scene.settings
    rng = generator(np.random.SeedSequence((scene.seed, 1)))
    cell = 8
    cells = -(-max(settings.height, settings.width) * 3 // 2 // cell)
    patches = 2.0 * rng.random((cells, cells, 3)) - 1.0
    grain = 2.0 * rng.random((cells * cell, cells * cell)) - 1.0
    for axis in (0, 1):
        patches = _stretch(patches, cell, axis)
        grain = (np.roll(grain, 1, axis) + 2.0 * grain + np.roll(grain, -1, axis)) / 4.0
    grain = grain * (settings.texture * 255.0 * 8.0 / 3.0)  # the filter leaves 3 / 8 of the spread
    return np.clip(scene.mean + 28.0 * patches + grain[..., None], 0.0, 255.0)


def _stretch(values: np.ndarray, factor: int, axis: int) -> np.ndarray:
    """Return the values linearly interpolated along an axis, around the end to the beginning."""
    following = np.roll(values, -1, axis)
    parts = [values + (i / factor) * (following - values) for i in range(factor)]
    shape = list(values.shape)
    shape[axis] *= factor
    return np.stack(parts, axis + 1).reshape(shape)


def _draw_post(rng: np.random.Generator, settings: Settings, camera: Camera, mean: np.ndarray) -> Part | None:
    """Draw a post that stands nearer than the actors: it moves more under the camera."""
    stands = rng.random() < settings.occluder
    across = uniform(rng, 0.2, 0.8) * settings.width - camera.centre[0]
    radius = uniform(rng, 2.0, 3.5) * settings.unit
    tint = 255.0 * hsv_to_rgb(rng.random(), 0.3, uniform(rng, 0.2, 0.8))
    if not stands:
        return None
    near = 1.3
    x = camera.zoom * (across - near * camera.place[:, 0]) + camera.centre[0]
    y = camera.zoom * (-near * camera.place[:, 1] - 2.0 * settings.height) + camera.centre[1]
    axis = np.broadcast_to(np.array([0.0, 1.0]), (len(x), 2))
    paint = Paint(tint, 0.6 * tint + 0.2 * mean, 9.0 * settings.unit, along=True)
    length = 5.0 * settings.height
    return Part(np.stack([x, y], axis=1), axis, camera.zoom, length, radius, paint)


def _draw_actor(
    branch: np.random.SeedSequence,
    settings: Settings,
    camera: Camera,
    mean: np.ndarray,
    theme: int,
    taken: list[np.ndarray],
) -> tuple[Actor, np.ndarray]:
    """Draw an actor and return it with its hips.

    theme: the motion that the ground stands for
    taken: (frames + 1, 2) hips of the others
    """
    branches = branch.spawn(5)
    for_look, for_time, for_walk, for_place, for_theme = (generator(b) for b in branches)
    look, paint = draw_look(for_look, settings, mean)
    spans = draw_spans(for_time, settings)
    told = [theme if one < settings.context else None for one in for_theme.random(len(spans))]
    actions, arm = act(for_time, settings, look, spans, told)
    walk = draw_walk(for_walk, settings)
    hips = _place(for_place, settings, camera, walk, taken)
    skew = uniform(for_place, -0.12, 0.12)
    height = walk.height * camera.zoom
    pose = Pose(hips, height, walk.lean, walk.swing, arm, skew)
    return Actor(actions, build_parts(pose, paint), arm), hips


def _place(
    rng: np.random.Generator,
    settings: Settings,
    camera: Camera,
    walk: Walk,
    taken: list[np.ndarray],
) -> np.ndarray:
    """Choose where the actor walks, in the frame throughout and away from others if it can be.

    returns: (frames + 1, 2) hips in pixels of the frame
    """
    size = np.array([settings.width, settings.height], dtype=np.float64)
    height = (walk.height * camera.zoom)[:, None]
    margin = np.minimum(height * np.array([0.25, 0.45]), 0.4 * size)
    offset = walk.offset
    for _ in range(20):
        ahead = (margin - camera.centre) / camera.zoom[:, None] + camera.place - offset
        behind = (size - margin - camera.centre) / camera.zoom[:, None] + camera.place - offset
        low, high = np.max(ahead, axis=0), np.min(behind, axis=0)
        if (low <= high).all():
            break
        offset = np.where(low <= high, offset, 0.8 * offset)
    places = low + rng.random((6, 2)) * (high - low)
    ways = [camera.zoom[:, None] * (place + offset - camera.place) + camera.centre for place in places]
    ways = [np.clip(way, margin, size - margin) for way in ways]  # where the camera moves too much
    return max(ways, key=lambda way: _nearest(way, taken)) if taken else ways[0]


def _nearest(way: np.ndarray, taken: list[np.ndarray]) -> float:
    """Return the smallest distance of a way to those taken, squared."""
    gaps = [way - other for other in taken]
    return min(float(np.min(gap[:, 0] * gap[:, 0] + gap[:, 1] * gap[:, 1])) for gap in gaps)
