from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from stad_lite import records
from stad_lite.errors import FormatError, FrameRangeError, MissingExtraError, UnknownVideoError
from stad_lite.plots import explorer, shown, style
from stad_lite.records import Annotations, FrameBoxes, Predictions, VideoAnnotation, VideoPredictions
from stad_lite.tubes import Tube

CLASSES = ("run", "jump")
FRAMES = np.full((6, 30, 40, 3), 60, np.uint8)


def boxes(count: int, x: float, y: float = 5) -> np.ndarray:
    return np.array([[x + t, y, x + t + 10, y + 12] for t in range(count)], dtype=float)


def predictions() -> Predictions:
    tubes = (
        Tube(1, boxes(4, 4), "run", 0.9, np.array([0.9, 0.8, 0.7, 0.6])),
        Tube(0, boxes(6, 20), "jump", 0.3),
    )
    single = FrameBoxes(np.array([2, 2]), np.array([1, 0]), boxes(2, 25), np.array([0.5, 0.1]))
    return Predictions(
        CLASSES, {"set/a": VideoPredictions(tubes=tubes, frames=single), "set/b": VideoPredictions()}
    )


def truth() -> Annotations:
    tubes = (Tube(0, boxes(6, 5), "run"),)
    return Annotations("mine", CLASSES, {"set/a": VideoAnnotation(6, 40, 30, tubes=tubes)})


def seen(**options) -> list[str]:
    return [one.text for one in shown.boxes_at(*shown.select(predictions(), "a"), **options)]


def test_what_is_shown_on_a_frame() -> None:
    assert seen(frame=0) == ["jump 0.30"]
    assert seen(frame=2) == ["run 0.80", "jump 0.30", "jump 0.50", "run 0.10"]
    assert seen(frame=2, only={"run"}) == ["run 0.80", "run 0.10"]
    assert seen(frame=2, least=0.5) == ["run 0.80", "jump 0.50"]
    assert seen(frame=5) == ["jump 0.30"]
    assert seen(frame=9) == []


def test_overlap_is_with_the_same_class() -> None:
    real = shown.boxes_at(*shown.select(truth()), frame=2)
    found = shown.boxes_at(*shown.select(predictions(), "a"), frame=2, truth=real)
    # truth 7..17, prediction 5..15 wide: 8 of 12 columns shared
    assert [one.overlap for one in found] == pytest.approx([8 / 12, 0, 0, 0])
    assert found[0].text == "run 0.80 IoU 0.67"
    assert [one.text for one in real] == ["run"]
    assert len(shown.boxes_at(*shown.select(truth()), frame=2, least=0.9)) == 1  # annotations have no score


def test_videos_by_id_last_part_file_or_alone(tmp_path: Path) -> None:
    path = records.write(predictions(), tmp_path / "p.json")
    for choice in ({"video": "set/a"}, {"video": "a"}, {"file": "/films/a.mp4"}):
        assert len(shown.select(path, **choice)[0].tubes) == 2
    assert shown.select(truth())[0].num_frames == 6
    with pytest.raises(
        UnknownVideoError, match=r"p\.json, video c: the record does not hold it; name one of its 2"
    ):
        shown.select(path, "c")
    with pytest.raises(UnknownVideoError, match="2 videos fit"):
        shown.select(predictions())


def patches(fig: plt.Figure, panel: int) -> list[tuple]:
    return [
        tuple(float(v) for v in (p.get_x(), p.get_y(), p.get_width(), p.get_height()))
        for p in fig.axes[panel].patches
    ]


def test_figure_draws_boxes_texts_and_truth() -> None:
    scene = explorer.Scene(FRAMES, {"ours": predictions(), "theirs": truth()}, truth(), "a")
    fig = explorer.figure(scene, 3, only={"run"})
    assert patches(fig, 0) == [(8, 5, 10, 12), (6, 5, 10, 12)]  # truth, prediction
    assert patches(fig, 1) == [(8, 5, 10, 12), (8, 5, 10, 12)]
    assert [text.get_text() for text in fig.axes[0].texts] == ["run 0.70 IoU 0.67"]
    assert [text.get_text() for text in fig.axes[1].texts] == ["run IoU 1.00"]
    assert fig.axes[0].patches[1].get_edgecolor() == plt.matplotlib.colors.to_rgba(style.colour(0))
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["ours, frame 3", "theirs, frame 3"]
    np.testing.assert_array_equal(fig.axes[0].images[0].get_array(), FRAMES[3])


def test_panels_share_the_frames_aspect() -> None:
    scene = explorer.Scene(FRAMES, {"ours": predictions()}, video="a")
    (ax,) = explorer.figure(scene, 0, width=8.0).axes
    extent = ax.get_window_extent()
    assert extent.width / extent.height == pytest.approx(40 / 30, rel=0.02)


def test_bad_requests() -> None:
    with pytest.raises(FormatError, match="3 records"):
        explorer.Scene(FRAMES, {name: truth() for name in "abc"})
    with pytest.raises(FrameRangeError, match="frame 6: the clip has 6 frames"):
        explorer.figure(explorer.Scene(FRAMES, {"truth": truth()}), 6)


def test_controls_change_the_picture_to_the_static_twins() -> None:
    pytest.importorskip("ipywidgets")
    widget = explorer.explore(FRAMES, {"ours": predictions()}, truth(), video="a", frame=2)
    controls = widget.controls
    scene = explorer.Scene(FRAMES, {"ours": predictions()}, truth(), "a")
    assert controls["frame"].max == 5

    def static(*args, **options) -> bytes:
        return style.png(explorer.figure(scene, *args, **options))

    assert controls["picture"].value == static(2)
    controls["frame"].value = 3
    assert controls["picture"].value == static(3)
    controls["least"].value = 0.5
    assert controls["picture"].value == static(3, least=0.5) != static(3)
    controls["classes"].value = ("jump",)
    assert controls["picture"].value == static(3, only={"jump"}, least=0.5)
    before = plt.get_fignums()
    controls["frame"].value = 1
    assert plt.get_fignums() == before  # the widget closes its figures


def test_video_files_are_read_by_frame(tmp_path: Path) -> None:
    pytest.importorskip("av")
    from stad_lite.data import video

    path = video.write(tmp_path / "a.mp4", FRAMES + np.arange(6, dtype=np.uint8)[:, None, None, None] * 30)
    scene = explorer.Scene(path, {"ours": predictions()})
    assert scene.num_frames == 6
    assert scene.image(4).mean() == pytest.approx(180, abs=3)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    with pytest.raises(MissingExtraError, match=r"stad_lite\[book\]"):
        explorer.explore(FRAMES, {"truth": truth()})
