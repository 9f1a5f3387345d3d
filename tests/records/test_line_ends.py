"""Every reader of text gives the same for lines that end as Windows ends them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stad_lite import records
from stad_lite.data import activitynet13, jhmdb21, ucf_sports
from stad_lite.data import ava as ava_set
from stad_lite.data import thumos14 as thumos14_set
from stad_lite.records.exchange import activitynet, ava, thumos14, yowo
from tests.records.samples import annotations_document, predictions_document

LABELS = "".join(f'label {{\n  name: "action {i}"\n  label_id: {i}\n}}\n' for i in range(1, 81))
ITEMS = "".join(f'item {{\n  name: "action {i}"\n  id: {i}\n}}\n' for i in range(1, 81) if i % 4)
ACTIONS = {1: "action 1", 5: "action 5"}
SEGMENT = {"segment": [1.0, 2.0], "label": "class 007", "score": 0.5}
TIMED = {"subset": "validation", "duration": 9, "annotations": [SEGMENT]}
INFO = {"fps": 30.0, "duration": 10.0, "num_frame": 300, "height": 180, "width": 320, "subset": "test"}
ENTRY = {"duration_second": 10.0, "duration_frame": 320, "feature_frame": 304, "annotations": [SEGMENT]}


def dump(document: Any) -> str:
    return json.dumps(document, indent=1) + "\n"


CASES: dict[str, tuple[dict[str, str], Callable[[Path], Any]]] = {
    "annotations": (
        {"a.json": dump(annotations_document())},
        lambda folder: records.read(folder / "a.json"),
    ),
    "predictions": (
        {"p.json": dump(predictions_document())},
        lambda folder: records.read(folder / "p.json"),
    ),
    "a list": ({"l.txt": "run/a.avi 1\n\n b.mp4\n"}, lambda folder: records.read_list(folder / "l.txt")),
    "activitynet": (
        {"g.json": dump({"database": {"a": TIMED}}),
         "r.json": dump({"results": {"v_abcdefghijk": [SEGMENT]}})},
        lambda folder: (activitynet.read_ground_truth(folder / "g.json"),
                        activitynet.read_results(folder / "r.json", ["class 007"])),
    ),
    "activitynet13": (
        {"action_name.csv": "action\n" + "".join(f"class {i:03d}\n" for i in range(200)),
         "anet_anno_action_19994.json": dump({"v_aaaaaaaaaaa": ENTRY, "v_bbbbbbbbbbb": ENTRY}),
         "video_info.csv": "video,numFrame,seconds,fps,rfps,subset,featureFrame\n"
                           "v_aaaaaaaaaaa,1,1,1,1,training,1\nv_bbbbbbbbbbb,1,1,1,1,validation,1\n"},
        lambda folder: activitynet13.load(folder),
    ),
    "ava": (
        {"t.csv": "a,0902,0.1,0.2,0.5,0.6,1,0\na,0903,0.1,0.2,0.5,0.6,5,1\nb,0902,,,,,,\n",
         "p.csv": "a,0902,0.1,0.2,0.5,0.6,5,0.75\n", "x.csv": "a,0903\n", "l.pbtxt": LABELS},
        lambda folder: (ava.read_ground_truth(folder / "t.csv", ACTIONS),
                        ava.read_results(folder / "p.csv", ACTIONS),
                        ava.read_timestamps(folder / "x.csv"), ava.read_action_list(folder / "l.pbtxt")),
    ),
    "ava's set": (
        {"ava_action_list_v2.1.pbtxt": LABELS, "ava_action_list_v2.1_for_activitynet_2018.pbtxt": ITEMS,
         "ava_val_v2.1_pose_only.csv": "a,902,0,0,1,1,1\na,903,0,0,1,1,2\nb,902,0,0,1,1,14\n",
         "ava_val_excluded_timestamps_v2.1.csv": "a,0903\n", "ava_test_v2.1.txt": "--x\n"},
        lambda folder: (ava_set.load(folder), ava_set.read_videos(folder, "test")),
    ),
    "thumos14": (
        {"gt/Diving_test.txt": "video_test_1  1.0 2.0\n", "gt/Ambiguous_test.txt": "video_test_3  0.0 1.0\n",
         "d.txt": "video_test_1 62.3 64.7 9 0.0865\n\n"},
        lambda folder: (thumos14.read_ground_truth(folder / "gt"),
                        thumos14.read_detections(folder / "d.txt")),
    ),
    "thumos14's set": (
        {"annotations_test/Diving_test.txt": "video_test_1  1.0 2.0\nvideo_test_1  9.0 12.0\n",
         "test_Annotation.csv": "video,type,type_idx,start,end,startFrame,endFrame\n"
                                "video_test_1,Diving,0,1.0,2.0,0,0\nvideo_test_3,Ambiguous,0,0.0,1.0,0,0\n",
         "test_video_info.csv": "video,fps,sample_fps,count,sample_count\nvideo_test_1,30.0,10.0,300.0,100\n",
         "TH14_video_info.json": dump({"video_test_1": INFO})},
        lambda folder: [thumos14_set.load(folder, "test", source) for source in ("text", "csv")],
    ),
    "yowo": (
        {"gt/run_one_00001.txt": "1 10 10 19 12\n1 20 20 29 22\n",
         "det/run_one_00001.txt": "1 0.5 10 10 19 12\n"},
        lambda folder: (yowo.read_ground_truth(folder / "gt", ["run"]),
                        yowo.read_detections(folder / "det", ["run"])),
    ),
    "ucf sports": (
        {"ucf_sports/Lifting/001/gt/2538-5_70133.tif.txt": "10 20 30 50 lifting\n",
         "ucf_sports/Walk-Front/002/gt/2538-5_1.tif.txt": "10 20 30 50 Walking\n",
         "list.txt": "Lifting/001 test\nWalk-Front/002 train\n"},
        lambda folder: (ucf_sports.read_text(folder),
                        ucf_sports.read_split(folder / "list.txt", ucf_sports.read_text(folder).record)),
    ),
    "jhmdb21's splits": (
        {"splits/run_test_split1.txt": "a.avi 1\nb b.avi 2\nc.avi 0\n"},
        lambda folder: jhmdb21.read_splits(folder / "splits"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_windows_line_ends_read_the_same(name: str, tmp_path: Path) -> None:
    files, read = CASES[name]
    found = []
    for folder, end in ((tmp_path / "lf", b"\n"), (tmp_path / "crlf", b"\r\n")):
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(text.encode().replace(b"\n", end))
        found.append(read(folder))
    assert found[0] == found[1]
