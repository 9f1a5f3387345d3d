"""The same scene drawn larger: its content, its boxes, its corruption; the clip itself stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stad_lite.data.drawn import Drawn
from stad_lite.data.source import synthetic_source
from stad_lite.data.synthetic import Settings, render
from stad_lite.data.synthetic.render import DRAWN_SCALE, _Canvas
from stad_lite.data.synthetic.scene import build_scene

CLIPS = {
    "lesson": Settings.lesson(),
    "wide": replace(Settings.smoke(), width=80),
    "corrupt": replace(Settings.lesson(), corrupt_rgb=60.0, corrupt_share=0.5),
}


def shrunk(drawn: Drawn) -> np.ndarray:
    t, height, width = drawn.pixels.shape[:3]
    s = drawn.scale
    return drawn.pixels.reshape(t, height // s, s, width // s, s, 3).mean((2, 4))


@pytest.mark.parametrize("name", CLIPS)
def test_the_large_drawing_shows_the_same(name):
    clip = render(CLIPS[name], 4)
    before = clip.frames.copy()
    drawn = clip.drawn()
    assert drawn.size == clip.frames.shape[1:3] and drawn.scale == DRAWN_SCALE
    small, own = shrunk(drawn), clip.frames.astype(float)
    for t in range(len(own)):
        assert np.corrcoef(small[t].ravel(), own[t].ravel())[0, 1] > 0.97
        assert np.corrcoef(small[t].ravel(), own[t - 1].ravel())[0, 1] < 0.97
    assert (clip.frames == before).all() and (render(CLIPS[name], 4).frames == before).all()


def test_the_boxes_cover_the_drawn_actors():
    quiet = replace(Settings.lesson(), occluder=0.0, actors=(1, 1))
    scene = build_scene(quiet, 3)
    whole = _Canvas.painted(scene, scale=DRAWN_SCALE).image
    empty = _Canvas.painted(replace(scene, actors=()), scale=DRAWN_SCALE).image
    (tube,) = scene.presence()
    for painted, box in zip((whole != empty).any(-1), tube.boxes * DRAWN_SCALE, strict=True):
        rows, columns = np.nonzero(painted)
        ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(ends, box, atol=1.0)


def test_a_mirrored_clip_is_drawn_mirrored():
    clip = render(CLIPS["lesson"], 4)
    assert (clip.mirrored().drawn([3]).pixels == clip.drawn([3]).pixels[:, :, ::-1]).all()
    assert (clip.mirrored().mirrored().drawn([3]).pixels == clip.drawn([3]).pixels).all()


def test_a_source_draws_its_clips_and_others_give_their_frames(tmp_path):
    source = synthetic_source(Settings.smoke(), [5], "val", tmp_path)
    (video,) = source.videos
    drawn = source.drawn(video, [2, 9])
    assert len(drawn) == 2 and drawn.scale == DRAWN_SCALE
    small = shrunk(drawn)
    for mine, theirs in zip(small, source.frames(video, [2, 9]), strict=True):
        assert np.corrcoef(mine.ravel(), theirs.ravel())[0, 1] > 0.97
    plain = replace(source, read_drawn=None).drawn(video, [2])
    assert plain.scale == 1 and (plain.pixels == source.frames(video, [2])).all()
