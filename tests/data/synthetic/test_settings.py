"""The settings refuse what cannot be rendered and name the same folder for the same content."""

from dataclasses import replace

import numpy as np
import pytest

from stad_lite.data.synthetic import CLASSES, MOTIONS, Settings
from stad_lite.errors import StadError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frames", 3),
        ("frames", 32.0),
        ("frames", True),
        ("height", 8),
        ("actors", (3, 1)),
        ("actors", 2),
        ("actors", (1, 2, 3)),
        ("actors", (-1, 2)),
        ("actor_height", (0.5, 0.95)),
        ("actor_height", (0.02, 0.4)),
        ("target_scale", 2.5),
        ("displacement", -1.0),
        ("displacement", float("nan")),
        ("acceleration", 1.5),
        ("smoothness", "high"),
        ("span", (10, 31)),
        ("span", (1, 20)),
        ("corrupt_flow", -0.5),
        ("corrupt_share", 1.1),
        ("noise", np.inf),
        ("flow", 1),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(StadError) as caught:
        replace(Settings.lesson(), **{field: value})
    assert field in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("make", [Settings.smoke, Settings.lesson, Settings.large])
def test_presets_are_valid_and_differ(make) -> None:
    assert make() == make()
    assert len({Settings.smoke().key, Settings.lesson().key, Settings.large().key}) == 3


def test_equal_settings_have_equal_keys_whatever_the_number_type() -> None:
    plain = Settings(frames=32, actors=(1, 3), displacement=2.0)
    other = Settings(frames=np.int64(32), actors=[1, 3], displacement=2)
    assert plain == other
    assert plain.key == other.key


def test_clips_without_context_keep_the_key_they_had_before_there_was_that_dial() -> None:
    assert Settings.lesson().key == "106163e4458e6c20"


def test_every_dial_changes_the_key() -> None:
    base = Settings.lesson()
    changed = {
        "frames": 40,
        "height": 72,
        "width": 72,
        "flow": False,
        "actors": (2, 2),
        "actor_height": (0.3, 0.4),
        "target_scale": 0.9,
        "displacement": 0.9,
        "acceleration": 0.9,
        "smoothness": 0.9,
        "actions": (1, 2),
        "span": (9, 28),
        "span_spread": 0.9,
        "corrupt_rgb": 1.0,
        "corrupt_flow": 1.0,
        "corrupt_share": 0.9,
        "texture": 0.1,
        "noise": 1.0,
        "shake": 1.0,
        "scale_drift": 0.1,
        "pause": 0.1,
        "camouflage": 0.1,
        "occluder": 0.1,
        "context": 0.1,
    }
    assert set(changed) == set(base.__dataclass_fields__)
    keys = {replace(base, **{name: value}).key for name, value in changed.items()}
    assert len(keys | {base.key}) == len(changed) + 1


def test_a_class_is_an_appearance_and_a_motion() -> None:
    assert len(CLASSES) == 6
    assert len(set(CLASSES)) == 6
    periods = sorted(motion.period for motion in MOTIONS)
    assert periods == [(7.0, 9.0), (12.0, 15.0), (20.0, 26.0)]
    assert {motion.rise for motion in MOTIONS if motion.period == (12.0, 15.0)} == {0.8}
