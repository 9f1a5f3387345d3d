"""Time comes from the frames' own stamps: rates, late tracks, and what asks for seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stad_lite import records
from stad_lite.cli import main
from stad_lite.data import clips, video
from stad_lite.data.source import open_source
from stad_lite.data.stamps import timing
from stad_lite.errors import StadError
from stad_lite.plots.render import render_video
from stad_lite.records import Annotations, Predictions, VideoAnnotation, VideoPredictions
from stad_lite.records.document import to_document
from stad_lite.sp_tad.windows import timeline
from stad_lite.systems.truth import segment_truth
from stad_lite.tubes import Tube
from tests.data.field_files import at_times, pictures

SCREEN = [0.05 * i for i in range(20)] + [1.0, 2.0, 3.5, 5.0]
"""Seconds of a screen that is first busy and then still."""


def test_stamps_that_keep_a_rate_are_a_rate_and_no_list() -> None:
    for fps in (10.0, 25.0, 30000 / 1001):
        exact = np.arange(40) / fps
        assert timing(exact.tolist(), 1 / fps, fps) == (fps, None)
        rounded = np.round(exact, 3).tolist()  # Matroska counts thousandths
        assert timing(rounded, 0.0, fps) == (fps, None)
        for header in (None, 2 * fps, 1000.0):  # none, doubled, wild
            found, times = timing(rounded, 0.0, header)
            assert times is None and found == pytest.approx(fps, rel=1e-3)
    assert timing([None, None], 0.0, 30.0) == (30.0, None) and timing([0.0], 0.5, None) == (2.0, None)


@pytest.mark.parametrize("seed", range(20))
def test_any_rising_stamps_come_back_or_are_within_a_quarter_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = (
        rng.choice([0.02, 0.04, 1.0], 30) if seed % 2 else np.full(30, 0.04) + rng.uniform(-5e-3, 5e-3, 30)
    )
    begins = np.cumsum(steps) - steps[0] + rng.choice([0.0, 3.0])
    fps, times = timing(begins.tolist(), 0.04, rng.choice([25.0, 50.0]))
    edges = np.arange(31) / fps if times is None else np.array(times)
    assert np.abs(edges[:30] - begins).max() <= 0.25 / fps + 1e-9 and (np.diff(edges) > 0).all()
    if begins[0] == 3.0:
        assert times is not None


def test_stamps_that_go_back_go_on_by_a_usual_step() -> None:
    assert timing([0.0, 1.0, 1.0, 0.5, 4.0], 1.0, 25.0)[1] is not None
    _, times = timing([5.0, 5.5, 6.0, 0.0, 0.5], 0.5, 2.0)
    assert times == (5.0, 5.5, 6.0, 6.5, 7.0, 7.5)
    # an .avi holds places: sorted, and without the decoder's delay
    assert timing([0.04, 0.12, 0.08], 0.04, 25.0, places=True) == (25.0, None)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_a_variable_rate_is_read_from_files(tmp_path: Path, name: str) -> None:
    info = video.probe(at_times(tmp_path / name, SCREEN))
    assert info.times is not None and info.num_frames == len(SCREEN)
    np.testing.assert_allclose(info.times[:-1], SCREEN, atol=2e-3)
    assert info.end == info.times[-1] > 5.0 and info.fps == pytest.approx(len(SCREEN) / info.end)


def test_a_late_track_keeps_the_players_clock(tmp_path: Path) -> None:
    late = video.probe(at_times(tmp_path / "a.mp4", [2 + 0.1 * i for i in range(8)], sound_from=0.0))
    assert late.times is not None and late.times[0] == pytest.approx(2.0) and late.fps == pytest.approx(10)
    alone = video.probe(at_times(tmp_path / "b.mkv", [2 + 0.04 * i for i in range(8)]))
    assert alone.times is None and alone.fps == pytest.approx(25)  # without sound nothing comes before it


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_places_of_an_avi_are_no_stamps(tmp_path: Path, codec: str) -> None:
    info = video.probe(at_times(tmp_path / "a.avi", [0.04 * i for i in range(12)], codec=codec))
    assert info.times is None and info.num_frames == 12


def own(folder: Path, times: list[float], sound_from: float | None = None, **known: object) -> Path:
    """A folder with one video and a tube over its frames 0 to 9."""
    at_times(folder / "v.mp4", times, sound_from)
    tube = Tube(0, np.tile([8.0, 4, 24, 12], (10, 1)), "run")
    entry = VideoAnnotation(width=64, height=48, tubes=(tube,), **known)  # type: ignore[arg-type]
    records.write(Annotations("own", ("run",), {"v": entry}), folder / "annotations.json")
    return folder


@pytest.mark.parametrize(
    ("times", "sound", "span"),
    [
        (SCREEN, None, (0.0, 0.5)),
        ([0.5 * i for i in range(10)] + [5 + 0.02 * i for i in range(10)], None, (0.0, 5.0)),
        ([2 + 0.1 * i for i in range(20)], 0.0, (2.0, 3.0)),
    ],
)
@pytest.mark.parametrize("fps", [None, 25.0, 60.0])
def test_tubes_become_segments_by_the_stamps(tmp_path, times, sound, span, fps) -> None:
    folder = own(tmp_path / "own", times, sound, fps=fps)
    source = open_source(folder, size=(24, 32), cache_dir=tmp_path / "cache")
    (segment,) = segment_truth(source).videos["v"].segments
    assert (segment.start, segment.end) == pytest.approx(span, abs=0.01)
    again = open_source(folder, size=(24, 32), cache_dir=tmp_path / "cache")  # from the cache
    assert again.annotations == source.annotations and any(
        "time stamps" in n or "late" in n for n in source.notes
    )


@pytest.mark.parametrize("seed", range(10))
def test_windows_at_a_rate_show_the_frame_of_their_second(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = rng.choice([0.0, 2.0]) + np.concatenate([[0.0], np.cumsum(rng.uniform(0.01, 0.7, 40))])
    for line in (
        timeline("a", 40, 25.0, rate=8.0, times=times),
        timeline("a", 40, 25.0, squeeze=64, times=times),
    ):
        middle = 0.5 if len(line) == 64 else 0.0
        for place, frame in enumerate(line.frames):
            second = (place + middle) * line.seconds
            shown = [i for i in range(40) if times[i] <= second + 1e-9 < times[i + 1]]
            assert frame == (shown[0] if shown else 0)
        assert line.duration == times[-1]


def test_a_constant_rate_told_by_times_is_read_as_by_its_rate() -> None:
    for fps, rate in ((30.0, 10.0), (25.0, 10.0), (12.5, 30.0)):
        times = np.arange(61) / fps
        plain, timed = clips.at_rate("a", 60, fps, rate), clips.at_rate("a", 60, fps, rate, times)
        np.testing.assert_array_equal(plain.frames, timed.frames)


def test_a_rendered_video_keeps_the_times(tmp_path: Path) -> None:
    path = at_times(tmp_path / "a.mp4", SCREEN)
    out = render_video(path, Predictions(("run",), {"a": VideoPredictions(tubes=())}), tmp_path / "r.mp4")
    info = video.probe(out)
    assert info.num_frames == len(SCREEN) and info.times is not None
    np.testing.assert_allclose(info.times[:-1], SCREEN, atol=2e-3)


def test_check_says_that_a_rate_is_not_constant(tmp_path, capsys) -> None:
    for times, sound, told in (
        (SCREEN, None, "not of constant rate"),
        ([2 + 0.1 * i for i in range(20)], 0.0, "begin late"),
    ):
        assert main(["check", str(own(tmp_path / told, times, sound))]) == 0
        assert told in capsys.readouterr().out
    folder = own(tmp_path / "even", SCREEN)
    video.write(folder / "v.mp4", pictures(20), 10.0)
    assert main(["check", str(folder)]) == 0 and "note" not in capsys.readouterr().out


def test_records_carry_times(tmp_path: Path) -> None:
    entry = VideoAnnotation(num_frames=3, times=[0.0, 0.5, 2.0, 2.5])  # type: ignore[arg-type]
    record = Annotations("own", (), {"v": entry})
    for name in ("a.json", "a.json.gz", "a.npz"):
        back = records.read(records.write(record, tmp_path / name))
        assert back == record
    np.testing.assert_array_equal(entry.seconds([0, 2, 3], 25.0), [0, 2, 2.5])
    short = replace(entry, times=np.array([0.0, 0.5, 2.0]))  # its last frame lasts as the one before
    np.testing.assert_array_equal(short.times, [0, 0.5, 2, 3.5])
    assert "times" not in json.dumps(to_document(Annotations("o", (), {"v": VideoAnnotation()})))


@pytest.mark.parametrize(
    ("times", "frames", "message"),
    [
        ([0.0, 0.5], 3, "2 times for 3 frames"),
        ([0.0, 0.5, 1.0], None, "unknown number of frames"),
        ([0.0, 0.5, 0.5, 1.0], 3, "frame 2: the time 0.5 is not after"),
        ([0.0, float("nan"), 1.0, 2.0], 3, "frame 1"),
        (["a"], 1, "times is no column of numbers"),
    ],
)
def test_times_that_cannot_be_are_named(times, frames, message) -> None:
    with pytest.raises(StadError, match=message):
        Annotations("own", (), {"v": VideoAnnotation(num_frames=frames, times=times)})


def test_frames_are_written_at_their_times(tmp_path: Path) -> None:
    path = video.write(tmp_path / "a.mp4", pictures(4), times=[1.0, 1.5, 3.0, 3.25])
    info = video.probe(path)
    assert info.times is not None
    np.testing.assert_allclose(np.diff(info.times)[:3], [0.5, 1.5, 0.25], atol=1e-3)
