from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stad_lite.data import clips
from stad_lite.data.clips import ClipSet, FrameRun
from stad_lite.errors import FormatError, FrameRangeError

counts = st.integers(1, 300)


@given(counts, st.integers(1, 130))
def test_resampling_is_even(num_frames: int, length: int) -> None:
    run = clips.resampled("a", num_frames, length)
    assert len(run) == length and run.valid.all()
    assert (np.diff(run.frames) >= 0).all()
    uses = np.bincount(run.frames, minlength=num_frames)
    assert uses.max() - uses.min() <= 1  # no frame counts more than its neighbours
    assert run.frames.sum() == pytest.approx((num_frames - 1) * length / 2, abs=length)


def test_resampling_a_span() -> None:
    assert clips.resampled("a", 100, 5, start=40, end=50).frames.tolist() == [41, 43, 45, 47, 49]
    for start, end in ((5, 5), (-1, 4), (0, 11)):
        with pytest.raises(FrameRangeError, match="video a"):
            clips.resampled("a", 10, 4, start, end)


@pytest.mark.parametrize(("fps", "rate"), [(30, 10), (29.97, 10), (25, 10), (24, 12), (10, 25), (15, 15)])
def test_rate_shows_what_is_on_screen(fps: float, rate: float) -> None:
    run = clips.at_rate("a", 300, fps, rate)
    assert abs(len(run) - 300 * rate / fps) < 1
    for place, frame in enumerate(run.frames):
        assert frame / fps <= place / rate + 1e-9 < (frame + 1) / fps
    with pytest.raises(FormatError):
        clips.at_rate("a", 10, 0, 10)


@given(counts, st.integers(1, 40), st.integers(1, 4), st.data())
def test_key_frame_stands_in_the_middle(
    num_frames: int, length: int, stride: int, data: st.DataObject
) -> None:
    frame = data.draw(st.integers(0, num_frames - 1))
    run = clips.key_frame("a", num_frames, frame, length, stride)
    assert len(run) == length
    assert run.frames[length // 2] == frame and run.valid[length // 2]
    inside = run.frames[run.valid]
    assert (np.diff(inside) == stride).all()
    assert set(run.frames[~run.valid]) <= {0, num_frames - 1}


def test_key_frame_outside() -> None:
    with pytest.raises(FrameRangeError, match="video a, frame 9: the video has 9 frames"):
        clips.key_frame("a", 9, 9, 5)


@given(counts, st.integers(1, 64), st.integers(1, 64))
def test_windows_cover_every_frame_and_end_at_the_end(num_frames: int, length: int, stride: int) -> None:
    runs = clips.windows("a", num_frames, length, min(stride, length))
    seen = np.concatenate([run.frames[run.valid] for run in runs])
    assert set(seen) == set(range(num_frames))
    starts = [run.start for run in runs]
    assert starts == sorted(set(starts)) and starts[0] == 0
    if num_frames >= length:
        assert all(run.valid.all() for run in runs)
        assert runs[-1].frames[-1] == num_frames - 1
    else:
        (run,) = runs
        assert run.valid.tolist() == [True] * num_frames + [False] * (length - num_frames)
        assert (run.frames[num_frames:] == num_frames - 1).all()


def brute_windows(num_frames: int, length: int, stride: int) -> list[int]:
    """The rule in words: every stride while the window fits, and one at the end if that is not met."""
    if num_frames <= length:
        return [0]
    starts = list(range(0, num_frames - length + 1, stride))
    if (num_frames - length) % stride:
        starts.append(num_frames - length)
    return starts


@given(counts, st.integers(1, 64), st.integers(1, 64))
def test_window_starts_equal_the_rule(num_frames: int, length: int, stride: int) -> None:
    assert [run.start for run in clips.windows("a", num_frames, length, stride)] == brute_windows(
        num_frames, length, stride
    )


def test_paper_windows() -> None:
    starts = [run.start for run in clips.windows("a", 1000, 256, 128)]
    assert starts == [0, 128, 256, 384, 512, 640, 744]
    assert len(clips.windows("a", 1000, 256, 30)) == 26
    with pytest.raises(FormatError, match="every 0"):
        clips.windows("a", 100, 10, 0)


def test_neighbours_touch_without_overlap() -> None:
    middle = clips.tubelets("a", 40, 6)[15]
    runs = clips.neighbours(middle, 40, reach=2)
    assert [run.start for run in runs] == [3, 9, 15, 21, 27]
    np.testing.assert_array_equal(np.concatenate([run.frames for run in runs]), np.arange(3, 33))
    first = clips.neighbours(clips.tubelets("a", 40, 6)[0], 40, reach=1)
    assert first[0].frames.tolist() == [0] * 6 and not first[0].valid.any()
    again = clips.neighbours(first[0], 40, reach=1)
    assert [run.start for run in again] == [-12, -6, 0] and again[2].valid.all()


def test_flow_stack_repeats_the_last_map() -> None:
    assert clips.flow_stack(10, 0).tolist() == [0, 1, 2, 3, 4]
    assert clips.flow_stack(10, 9).tolist() == [9] * 5


def fake_reader(video: str, frames: np.ndarray) -> np.ndarray:
    return np.broadcast_to((frames % 256).astype(np.uint8)[:, None, None, None], (len(frames), 2, 2, 3))


def make(run: FrameRun, frames: np.ndarray, rng: np.random.Generator) -> tuple[int, int, float]:
    return run.start, int(frames[0, 0, 0, 0]), rng.random()


def epoch_of(workers: int, epoch: int = 0, seed: int = 3) -> list:
    data = ClipSet(clips.tubelets("a", 40, 6), fake_reader, make, seed=seed)
    return list(clips.loader(data, batch=4, workers=workers, epoch=epoch))


def test_order_and_draws_do_not_depend_on_workers() -> None:
    pytest.importorskip("torch")
    alone = epoch_of(0)
    assert [len(batch) for batch in alone] == [4] * 8 + [3]
    for workers in (1, 2):
        assert epoch_of(workers) == alone


def test_epochs_and_seeds_differ_but_repeat() -> None:
    pytest.importorskip("torch")
    first, second, other = (epoch_of(0, **kwargs) for kwargs in ({}, {"epoch": 1}, {"seed": 4}))
    assert first == epoch_of(0)
    assert sorted(s for batch in first for s, _, _ in batch) == list(range(35))
    assert [s for batch in first for s, _, _ in batch] != [s for batch in second for s, _, _ in batch]
    assert {r for batch in first for _, _, r in batch}.isdisjoint(
        {r for batch in second for _, _, r in batch}
    )
    assert first != other


def test_loader_in_order_and_collated() -> None:
    pytest.importorskip("torch")
    data = ClipSet(clips.tubelets("a", 12, 6, stride=3), fake_reader, make)
    batches = clips.loader(data, batch=2, shuffle=False, collate=lambda items: [item[0] for item in items])
    assert list(batches) == [[0, 3], [6]]
    with pytest.raises(IndexError):
        data[3]


def failing_reader(video: str, frames: np.ndarray) -> np.ndarray:
    raise FrameRangeError("the video has 3 frames", video=video, frame=7)


def test_a_readers_error_reaches_the_consumer() -> None:
    pytest.importorskip("torch")
    data = ClipSet(clips.tubelets("a", 12, 6), failing_reader, make)
    with pytest.raises(FrameRangeError, match="the video has 3 frames"):
        list(clips.loader(data, workers=1))


def test_video_reader(tmp_path: Path) -> None:
    pytest.importorskip("av")
    from stad_lite.data import video

    frames = np.zeros((6, 16, 16, 3), np.uint8) + (np.arange(6, dtype=np.uint8) * 40)[:, None, None, None]
    reader = clips.VideoReader({"a": video.write(tmp_path / "a.mp4", frames)}, size=(8, 8))
    out = reader("a", np.array([4, 1]))
    assert out.shape == (2, 8, 8, 3)
    np.testing.assert_allclose(out.mean((1, 2, 3)), [160, 40], atol=3)


def test_empty_video() -> None:
    with pytest.raises(FrameRangeError, match="no frames"):
        clips.windows("a", 0, 4, 2)
