"""Import and export of the formats that hold boxes: ACT, ROAD, YOWO, AVA."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from stad_lite import unpickle
from stad_lite.errors import (
    FormatError,
    MissingFileError,
    StadError,
    TruncatedFileError,
    UnknownLabelError,
    UnknownVideoError,
    UnsafePickleError,
)
from stad_lite.records import (
    Annotations,
    FrameBoxes,
    Predictions,
    VideoAnnotation,
    VideoPredictions,
    exchange,
)
from stad_lite.records.exchange import act, ava, road, yowo
from stad_lite.tubes import Tube

CLASSES = ("run", "swing_golf")
RNG = np.random.default_rng(0)


def boxes(n: int) -> np.ndarray:
    corner = RNG.integers(0, 100, (n, 2))
    return np.hstack([corner, corner + RNG.integers(1, 60, (n, 2))]).astype(float)


@pytest.fixture
def truth() -> Annotations:
    tubes = (Tube(0, boxes(5), "run"), Tube(2, boxes(3), "swing_golf"))
    other = (Tube(1, boxes(4), "swing_golf"),)
    return Annotations(
        "tiny",
        CLASSES,
        {
            "run/one": VideoAnnotation(6, 320, 240, tubes=tubes),
            "swing_golf/two": VideoAnnotation(5, 320, 240, tubes=other),
        },
    )


@pytest.fixture
def found() -> Predictions:
    def video() -> VideoPredictions:
        scores = RNG.random(4).astype(np.float32).astype(float)
        tubes = (
            Tube(1, boxes(4), "run", float(scores.mean()), scores),
            Tube(0, boxes(2), "swing_golf", 0.25),
        )
        columns = (np.array([0, 0, 3]), np.array([1, 0, 1]), boxes(3), np.array([0.5, 0.25, 0.125]))
        return VideoPredictions(tubes=tubes, frames=FrameBoxes(*columns))

    return Predictions(CLASSES, {"run/one": video(), "swing_golf/two": video()})


@pytest.mark.parametrize("inclusive", [False, True])
def test_act_ground_truth_round_trip(tmp_path: Path, truth: Annotations, inclusive: bool) -> None:
    splits = ([["run/one"]], [["swing_golf/two"]])
    path = act.write_ground_truth(truth, tmp_path / "a-GT.pkl", *splits, inclusive=inclusive)
    record, report = act.read_ground_truth(path, "tiny", inclusive)
    assert record == truth and report == []
    layout = unpickle.load(path)
    assert (layout["train_videos"], layout["test_videos"]) == splits


def test_act_layout_is_what_its_tools_read(tmp_path: Path, truth: Annotations) -> None:
    path = act.write_ground_truth(truth, tmp_path / "a-GT.pkl", inclusive=True)
    table = pickle.loads(path.read_bytes())
    rows = table["gttubes"]["run/one"][1][0]
    assert rows.dtype == np.float32 and rows[:, 0].tolist() == [3, 4, 5]
    np.testing.assert_array_equal(rows[:, 1:], truth.videos["run/one"].tubes[1].boxes - [0, 0, 1, 1])
    assert table["resolution"]["run/one"] == (240, 320) and table["nframes"]["run/one"] == 6
    assert table["test_videos"] == [["run/one", "swing_golf/two"]]
    assert b"numpy._core" not in path.read_bytes()


def test_act_tubes_round_trip(tmp_path: Path, found: Predictions) -> None:
    act.write_tubes(found, tmp_path)
    record, report = act.read_tubes(tmp_path, CLASSES)
    assert set(record.videos) == set(found.videos) and report == []
    for name, video in record.videos.items():
        for got, want in zip(video.tubes, found.videos[name].tubes, strict=True):
            assert (got.start, got.label, got.score) == (want.start, want.label, want.score)
            np.testing.assert_array_equal(got.boxes, want.boxes)
    assert np.array_equal(record.videos["run/one"].tubes[1].box_scores, [0.25, 0.25])


def test_act_tubes_with_holes_and_flat_boxes_are_counted(tmp_path: Path) -> None:
    holes = np.array([[1, 0, 0, 10, 10, 0.5], [3, 4, 0, 14, 10, 0.7]], np.float32)
    flat = np.array([[1, 5, 5, 5, 9, 0.5]], np.float32)
    (tmp_path / "v_tubes.pkl").write_bytes(pickle.dumps({0: [(holes, 0.6), (flat, 0.5)], 1: []}))
    record, report = act.read_tubes(tmp_path, CLASSES)
    (tube,) = record.videos["v"].tubes
    np.testing.assert_allclose(tube.boxes[:, 0], [0, 2, 4])
    np.testing.assert_allclose(tube.box_scores, [0.5, 0.6, 0.7])
    assert report == [
        "tubes with missing frames, filled by linear interpolation: 1 (v)",
        "tubes with a box without area, dropped: 1 (v)",
    ]
    # The same flat box is one pixel wide where x2 is the last pixel.
    kept, _ = act.read_tubes(tmp_path, CLASSES, inclusive=True)
    assert kept.videos["v"].tubes[1].boxes.tolist() == [[5, 5, 6, 10]]


def test_act_frame_detections_round_trip(tmp_path: Path, found: Predictions) -> None:
    order = ["swing_golf/two", "run/one"]
    path = act.write_frame_detections(found, tmp_path / "frame_detections.pkl", order)
    record, report = act.read_frame_detections(path, CLASSES, order)
    assert report == []
    for name in order:
        assert record.videos[name].frames == found.videos[name].frames
    with pytest.raises(UnknownVideoError, match="reach 1, the list has 1"):
        act.read_frame_detections(path, CLASSES, order[:1])


def test_act_frame_detections_count_flat_boxes(tmp_path: Path) -> None:
    rows = np.array([[0, 1, 0, 0.5, 0, 0, 5, 5], [0, 1, 0, 0.4, 7, 7, 6, 9]], np.float32)
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(rows))
    record, report = act.read_frame_detections(tmp_path / "f.pkl", CLASSES, ["v"])
    assert len(record.videos["v"].frames) == 1 and report == ["boxes without area, dropped: 1 (v)"]


def test_act_refuses_what_is_not_its_own(tmp_path: Path, truth: Annotations) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (print, ("run",))

    (tmp_path / "e.pkl").write_bytes(pickle.dumps({"labels": Evil()}))
    with pytest.raises(UnsafePickleError):
        act.read_ground_truth(tmp_path / "e.pkl")
    (tmp_path / "d.pkl").write_bytes(pickle.dumps({"labels": []}))
    with pytest.raises(FormatError, match="not a ground-truth cache"):
        act.read_ground_truth(tmp_path / "d.pkl")
    path = act.write_ground_truth(truth, tmp_path / "t.pkl")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises((TruncatedFileError, UnsafePickleError)):
        act.read_ground_truth(path)
    with pytest.raises(MissingFileError):
        act.read_tubes(tmp_path / "none", CLASSES)
    (tmp_path / "v_tubes.pkl").write_bytes(pickle.dumps({0: [(np.zeros((2, 3)), 0.5)]}))
    with pytest.raises(FormatError, match=r"v_tubes.pkl, video v: a tube is float64 of shape \(2, 3\)"):
        act.read_tubes(tmp_path, CLASSES)


def test_road_round_trip(tmp_path: Path, found: Predictions) -> None:
    path = road.write_tubes(found, tmp_path / "tubes.mat")
    record, report = road.read_tubes(path, CLASSES)
    assert report == []
    for name, video in record.videos.items():
        for got, want in zip(video.tubes, found.videos[name].tubes, strict=True):
            assert (got.start, got.label, got.score) == (want.start, want.label, want.score)
            np.testing.assert_allclose(got.boxes, want.boxes)


def test_road_single_tube_and_none(tmp_path: Path) -> None:
    """A struct array of length one or zero loses its shape in MATLAB files."""
    one = VideoPredictions(tubes=(Tube(0, boxes(1), "run", 0.5),))
    path = road.write_tubes(Predictions(CLASSES, {"a": one}), tmp_path / "a.mat")
    assert road.read_tubes(path, CLASSES).record.videos["a"].tubes == one.tubes
    none = Predictions(CLASSES, {"a": one, "b": VideoPredictions(tubes=())})
    path = road.write_tubes(none, tmp_path / "b.mat")
    assert road.read_tubes(path, CLASSES).record.videos["b"].tubes == ()


def test_road_is_one_based_xywh(tmp_path: Path) -> None:
    tube = {"fnr": np.array([3.0, 4.0])}, {"bxs": np.array([[1.0, 1, 10, 20], [2, 3, 10, 20]])}
    entry = {"videoName": "v", "class": 2, "score": 0.75, "framenr": tube[0], "boxes": tube[1], "nr": 1}
    savemat(tmp_path / "x.mat", {"xmldata": entry})
    (got,) = road.read_tubes(tmp_path / "x.mat", CLASSES).record.videos["v"].tubes
    assert (got.start, got.label, got.score) == (2, "swing_golf", 0.75)
    assert got.boxes.tolist() == [[0, 0, 10, 20], [1, 2, 11, 22]]


def test_road_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "no.mat").write_bytes(b"MATLAB 7.3 MAT-file" + b" " * 200)
    with pytest.raises(FormatError, match=r"no\.mat: not a readable MATLAB v5 file"):
        road.read_tubes(tmp_path / "no.mat", CLASSES)
    savemat(tmp_path / "x.mat", {"annot": 1})
    with pytest.raises(FormatError, match=r"no variable xmldata.*annot"):
        road.read_tubes(tmp_path / "x.mat", CLASSES)
    entry = {
        "videoName": "v",
        "class": 5,
        "score": 1.0,
        "framenr": {"fnr": 1.0},
        "boxes": {"bxs": [1, 1, 2, 2]},
    }
    savemat(tmp_path / "y.mat", {"xmldata": entry})
    with pytest.raises(FormatError, match=r"video v, tube 0: class 5 is not one of 2"):
        road.read_tubes(tmp_path / "y.mat", CLASSES)


def test_road_frames(tmp_path: Path) -> None:
    scores = np.array([[0.1, 0.2, 0.7], [0.9, 0.05, 0.005]])
    loc = np.array([[-0.5, 0, 0.5, 0.5], [0.5, 0.5, 1.5, 1.0]])
    savemat_to(tmp_path / "run" / "one" / "00003.mat", {"scores": scores, "loc": loc})
    record, report = road.read_frames(tmp_path, CLASSES)
    frames = record.videos["run/one"].frames
    assert frames.frame.tolist() == [2, 2, 2] and frames.label.tolist() == [0, 1, 0]
    assert frames.box.tolist() == [[0, 0, 160, 120]] * 2 + [[160, 120, 320, 240]]
    assert frames.score.tolist() == [0.2, 0.7, 0.05] and report == []


def savemat_to(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, content)


def test_yowo_round_trip(tmp_path: Path, truth: Annotations, found: Predictions) -> None:
    yowo.write_ground_truth(truth, tmp_path / "gt")
    record, report = yowo.read_ground_truth(tmp_path / "gt", CLASSES)
    assert report == []
    one = record.videos["run/one"]
    assert one.evaluated_frames.tolist() == [0, 1, 2, 3, 4] and len(one.frames) == 8
    assert one.frames.box[one.frames.label == 1].tolist() == truth.videos["run/one"].tubes[1].boxes.tolist()
    yowo.write_detections(found, tmp_path / "det")
    assert (tmp_path / "det" / "swing_golf_two_00004.txt").read_text("utf-8").startswith("2 0.125 ")
    record, report = yowo.read_detections(tmp_path / "det", CLASSES)
    assert report == []
    assert all(record.videos[name].frames == found.videos[name].frames for name in found.videos)


def test_yowo_oddities(tmp_path: Path) -> None:
    (tmp_path / "run_v_run_g01_00007.txt").write_text("1 0.5 10 10 9 12\n", "utf-8")
    record, report = yowo.read_detections(tmp_path, CLASSES)
    assert len(record.videos["run/v_run_g01"].frames) == 0
    assert report == ["boxes without area, dropped: 1 (run/v_run_g01)"]
    (tmp_path / "run_v_run_g01_00008.txt").write_text("3 0.5 10 10 19 12\n", "utf-8")
    with pytest.raises(UnknownLabelError, match="line 1 has class 3 of 2"):
        yowo.read_detections(tmp_path, CLASSES)
    (tmp_path / "run_v_run_g01_00008.txt").write_text("1 10 10 19 12\n", "utf-8")
    with pytest.raises(FormatError, match="line 1 has 5 fields, not 6"):
        yowo.read_detections(tmp_path, CLASSES)
    (tmp_path / "run_v_run_g01_00008.txt").rename(tmp_path / "jump_a_00001.txt")
    with pytest.raises(UnknownVideoError, match="jump_a_00001"):
        yowo.read_detections(tmp_path, CLASSES)


ACTIONS = {1: "bend/bow", 3: "crouch"}


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_ava_ground_truth(tmp_path: Path) -> None:
    text = (
        "b,0902,0.1,0.2,0.5,0.6,1,7\n"
        "a,0903,0.0,0.0,1.0,1.0,3,0\n"
        "b,0902,0.1,0.2,0.5,0.6,3,7\n"
        "b,0904,0.1,0.2,0.5,0.6,2,7\n"
        "b,0905,0.5,0.2,0.5,0.6,1,7\n"
        "a,0906\n"
    )
    path = write(tmp_path / "t.csv", text)
    record, report = ava.read_ground_truth(path, ACTIONS, {"b": (200, 100)}, excluded={"a": [903]})
    assert list(record.videos) == ["a", "b"] and record.classes == ("bend/bow", "crouch")
    b = record.videos["b"]
    assert b.frames.frame.tolist() == [902, 902] and b.frames.label.tolist() == [0, 1]
    np.testing.assert_allclose(b.frames.box, [[20, 20, 100, 60]] * 2)
    assert b.frames.person.tolist() == [7, 7] and b.evaluated_frames.tolist() == [902, 904, 905]
    a = record.videos["a"]
    assert (a.width, a.height, a.fps) == (1, 1, 1.0) and a.evaluated_frames.tolist() == [906]
    assert report == [
        "key frames without boxes: 1 (a)",
        "rows of actions that are not in the list, dropped: 1 (action 2)",
        "boxes without area, kept apart: 1 (b)",
        "key frames excluded from evaluation: 1 (a)",
    ]
    again = ava.write_ground_truth(record, tmp_path / "again.csv", ACTIONS)
    assert ava.read_ground_truth(again, ACTIONS, {"b": (200, 100)}).record.videos["b"] == b


def test_ava_without_persons_and_with_header(tmp_path: Path) -> None:
    path = write(tmp_path / "pose.csv", "a,902,0.1,0.2,0.5,0.6,1\na,903,0.1,0.2,0.5,0.6,3\n")
    record, report = ava.read_ground_truth(path, ACTIONS)
    assert record.videos["a"].frames.person is None and report == ["rows without a person id: 2"]
    head = "video_id,middle_frame_timestamp,x1,y1,x2,y2,action_id,status\n"
    path = write(tmp_path / "v1.csv", head + "a,904,0.1,0.2,0.5,0.6,1,1\n")
    record, report = ava.read_ground_truth(path, ACTIONS)
    assert len(record.videos["a"].frames) == 1 and report == ["rows without a person id: 1"]


def test_ava_results_round_trip(tmp_path: Path) -> None:
    path = write(
        tmp_path / "r.csv", "a,0902,0.0,0.021,0.998,0.998,1,0.503\na,0906,0.25,0.5,0.75,1.0,3,0.58\n"
    )
    record, report = ava.read_results(path, ACTIONS, {"a": (400, 200)}, fps=25)
    frames = record.videos["a"].frames
    assert frames.frame.tolist() == [22550, 22650] and frames.score.tolist() == [0.503, 0.58] and report == []
    assert frames.box[1].tolist() == [100, 100, 300, 200]
    again = ava.write_results(record, tmp_path / "again.csv", ACTIONS, {"a": (400, 200)}, fps=25)
    assert ava.read_results(again, ACTIONS, {"a": (400, 200)}, fps=25).record == record


def test_ava_bad_lines(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"t\.csv: line 2 has 5 fields"):
        ava.read_ground_truth(write(tmp_path / "t.csv", "a,1,0,0,1,1,1,0\na,1,0,0,1\n"), ACTIONS)
    with pytest.raises(FormatError, match=r"line 1 has .* where numbers are expected"):
        ava.read_ground_truth(write(tmp_path / "t.csv", "a,1,0,0,1,x,1,0\n"), ACTIONS)
    with pytest.raises(StadError, match="not finite"):
        ava.read_results(write(tmp_path / "t.csv", "a,1,0,0,1,nan,1,0\n"), ACTIONS)
    with pytest.raises(FormatError, match="no score"):
        ava.read_results(write(tmp_path / "t.csv", "a,1,0,0,1,1,1\n"), ACTIONS)


def test_ava_action_lists(tmp_path: Path) -> None:
    label = 'label {\n  name: "a \\"b\\""\n  label_id: 2\n  label_type: PERSON\n}\n'
    label += 'label {\n  name: "c"\n  label_id: 1\n}\n'
    assert ava.read_action_list(write(tmp_path / "l.pbtxt", label)) == {1: "c", 2: 'a "b"'}
    item = 'item {\n  name: "c"\n  id: 4\n}\n'
    assert ava.read_action_list(write(tmp_path / "i.pbtxt", item)) == {4: "c"}
    with pytest.raises(FormatError, match="2 actions read, 1 of them distinct"):
        ava.read_action_list(write(tmp_path / "d.pbtxt", item * 2))


def test_formats_by_name(tmp_path: Path, truth: Annotations, found: Predictions) -> None:
    for name in ("act", "road", "yowo"):
        place = tmp_path / (f"{name}.mat" if name == "road" else name)
        exchange.write(found, place, name)
        assert set(exchange.read(place, name, "predictions", like=truth).record.videos) == set(found.videos)
    exchange.write(found, tmp_path / "f.pkl", "act-frames", like=truth)
    frames = exchange.read(tmp_path / "f.pkl", "act-frames", "predictions", like=truth).record
    assert frames.videos["run/one"].frames == found.videos["run/one"].frames
    with pytest.raises(StadError, match="no format of predictions is called 'coco'"):
        exchange.read(tmp_path, "coco", "predictions")
    with pytest.raises(StadError, match=r"too little or too much.*classes"):
        exchange.read(tmp_path / "act", "act", "predictions")


def test_real_jhmdb_ground_truth_pickle(stad_data: Path) -> None:
    record, report = act.read_ground_truth(stad_data / "jhmdb21/JHMDB-GT.rebuilt.pkl.gz", "jhmdb21", True)
    assert len(record.videos) == 928 and report == []
    assert sum(len(tube) for video in record.videos.values() for tube in video.tubes) == 31838


def test_real_ava_files(stad_data: Path) -> None:
    actions = ava.read_action_list(stad_data / "ava/ava_action_list_v2.1.pbtxt")
    evaluated = ava.read_action_list(stad_data / "ava/ava_action_list_v2.1_for_activitynet_2018.pbtxt")
    assert len(actions) == 80 and len(evaluated) == 60 and evaluated.items() <= actions.items()
    record, report = ava.read_results(stad_data / "ava/results_1j20qq1JyX4.csv", evaluated)
    assert sum(len(video.frames) for video in record.videos.values()) == 901 and report == []
    record, report = ava.read_ground_truth(stad_data / "ava/ava_test_v1.0.csv.gz", actions)
    assert len(record.videos) == 38 and sum(len(video.frames) for video in record.videos.values()) == 41425
