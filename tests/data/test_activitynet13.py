"""ActivityNet-1.3 on tiny files of the published layouts, and on the real ones where they are."""

import json
from pathlib import Path

import pytest

from stad_lite.data import activitynet13
from stad_lite.errors import FormatError, MissingFileError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = [f"class {i:03d}" for i in range(200)]
    (tmp_path / "action_name.csv").write_text("action\n" + "\n".join(names) + "\n", "utf-8")
    entry = {"duration_second": 10.0, "duration_frame": 320, "feature_frame": 304,
             "annotations": [{"segment": [1.0, 2.0], "label": "class 007"}]}  # fmt: skip
    empty = {**entry, "annotations": []}
    table = {"v_aaaaaaaaaaa": entry, "v_bbbbbbbbbbb": entry, "v_ccccccccccc": empty}
    (tmp_path / "anet_anno_action_19994.json").write_text(json.dumps(table), "utf-8")
    (tmp_path / "video_info.csv").write_text(
        "video,numFrame,seconds,fps,rfps,subset,featureFrame\nv_aaaaaaaaaaa,1,1,1,1,training,1\n"
        "v_bbbbbbbbbbb,1,1,1,1,validation,1\nv_ccccccccccc,1,1,1,1,testing,1\n",
        "utf-8",
    )
    return tmp_path


def official(folder: Path, test: str = "testing") -> None:
    entry = {"duration": 10.0, "annotations": [{"segment": [1.0, 2.0], "label": "class 007"}]}
    database = {
        "aaaaaaaaaaa": {**entry, "subset": "training"},
        "bbbbbbbbbbb": {**entry, "subset": "validation"},
        "ccccccccccc": {"duration": 10.0, "subset": test, "annotations": []},
    }
    content = json.dumps({"database": database, "version": "VERSION 1.3"}, separators=(",", ":"))
    (folder / "activity_net.v1-3.min.json").write_text(content, "utf-8")


@pytest.mark.parametrize("subset", list(activitynet13.SUBSETS))
@pytest.mark.parametrize("test", ["testing", "test"])
def test_both_sources_agree(folder: Path, subset: str, test: str) -> None:
    tables, report = activitynet13.load(folder, subset)
    assert len(tables.videos) == 1 and len(tables.classes) == 200
    assert report[-1].startswith(f"{subset} has 1 videos and")
    official(folder, test)
    assert activitynet13.load(folder, subset).record == tables


def test_missing_and_bad(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no subset is called 'val'"):
        activitynet13.load(folder, "val")
    (folder / "video_info.csv").unlink()
    with pytest.raises(MissingFileError, match="no ground truth"):
        activitynet13.load(folder)
    (folder / "action_name.csv").write_text("action\nSki\n", "utf-8")
    with pytest.raises(FormatError, match="1 class names in 1 lines"):
        activitynet13.load(folder)


def test_real_files(stad_data: Path) -> None:
    folder = stad_data / "activitynet"
    for subset, videos in activitynet13.SUBSETS.items():
        record, report = activitynet13.load(folder, subset)
        instances = sum(len(video.segments) for video in record.videos.values())
        assert (len(record.videos), instances) == (videos, activitynet13.INSTANCES[subset])
        assert not any("the release" in line for line in report)
        zero = {"training": 9, "validation": 3}.get(subset)
        assert zero is None or any(f"zero-length segments, kept: {zero} " in line for line in report)
