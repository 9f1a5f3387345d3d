"""What annotation tools write, by hand: the same two tubes of one clip in each of their formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.tubes import Tube

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>7</id><name>street</name><size>12</size><mode>interpolation</mode>
      <labels><label><name>wave</name></label><label><name>run</name></label></labels>
      <original_size><width>64</width><height>48</height></original_size>
      <source>clip1.mp4</source>
    </task>
  </meta>
  <track id="0" label="run" source="manual">
    <box frame="2" outside="0" occluded="0" keyframe="1" xtl="4" ytl="5" xbr="14" ybr="25" z_order="0"/>
    <box frame="3" outside="0" occluded="0" keyframe="0" xtl="99" ytl="5" xbr="99.5" ybr="25" z_order="0"/>
    <box frame="4" outside="0" occluded="0" keyframe="1" xtl="8" ytl="5" xbr="18" ybr="27" z_order="0"/>
    <box frame="6" outside="1" occluded="0" keyframe="1" xtl="10" ytl="5" xbr="20" ybr="27" z_order="0"/>
  </track>
  <track id="1" label="wave" source="manual">
    <box frame="9" outside="0" occluded="0" keyframe="1" xtl="30.5" ytl="1" xbr="40" ybr="9" z_order="0">
      <attribute name="who">Ann</attribute>
    </box>
  </track>
</annotations>
"""

RUN = np.array([[4, 5, 14, 25], [6, 5, 16, 26], [8, 5, 18, 27], [9, 5, 19, 27.0]])
WAVE = np.array([[30.5, 1, 40, 9]] * 3)

TRUTH = Annotations(
    "own",
    ("wave", "run"),
    {"clip1": VideoAnnotation(12, 64, 48, tubes=(Tube(2, RUN, "run"), Tube(9, WAVE, "wave")))},
)
"""What all of the files say."""

VIA3 = {
    "project": {"data_format_version": "3.1.2", "vid_list": ["1"]},
    "attribute": {
        "1": {
            "aname": "action",
            "anchor_id": "FILE1_Z1_XY1",
            "type": 4,
            "options": {"r": "run", "w": "wave"},
        },
        "2": {"aname": "track", "anchor_id": "FILE1_Z1_XY1", "type": 1, "options": {}},
    },
    "file": {"5": {"fid": 5, "fname": "clip1.mp4", "type": 4, "loc": 1, "src": ""}},
    "view": {"1": {"fid_list": [5]}},
    "metadata": {
        "a": {"vid": "1", "z": [0.2], "xy": [2, 4, 5, 10, 20], "av": {"1": "r", "2": "A"}},
        "b": {"vid": "1", "z": [0.4], "xy": [2, 8, 5, 10, 22], "av": {"1": "r", "2": "A"}},
        "c": {"vid": "1", "z": [0.5], "xy": [2, 9, 5, 10, 22], "av": {"1": "r", "2": "A"}},
        "d": {"vid": "1", "z": [0.5, 0.9], "xy": [], "av": {"1": "w"}},
        "e": {"vid": "1", "z": [0.5], "xy": [1, 4, 4], "av": {"1": "w"}},
    },
}


def pictures(key: str = "clip1/frame_%04d.jpg", first: int = 1) -> dict:
    """A VIA 2 project with a picture a frame, empty ones too."""
    found = {}
    for frame in range(12):
        regions = []
        for name, tube in zip("AB", TRUTH.videos["clip1"].tubes or (), strict=True):
            if tube.start <= frame < tube.end:
                x1, y1, x2, y2 = tube.boxes[frame - tube.start].tolist()
                shape = {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
                about = {"shape_attributes": shape}
                regions.append({**about, "region_attributes": {"action": tube.label, "track": name}})
        file = key % (frame + first)
        found[f"{file}99"] = {"filename": file, "size": 99, "regions": regions, "file_attributes": {}}
    return {"_via_img_metadata": found, "_via_data_format_version": "2.0.10"}


def table(project: dict) -> str:
    """The CSV that VIA 2 makes of a project."""
    lines = [
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    ]
    for entry in project["_via_img_metadata"].values():
        for i, region in enumerate(entry["regions"] or [{"shape_attributes": {}, "region_attributes": {}}]):
            cells = [json.dumps(region[key]) for key in ("shape_attributes", "region_attributes")]
            quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
            lines.append(f'{entry["filename"]},99,"{{}}",{len(entry["regions"])},{i},{",".join(quoted)}')
    return "\n".join(lines) + "\n"


def write(folder: Path, format: str) -> None:
    """Write ``folder/a``, or for VIA ``a.json`` or ``a.csv``."""
    if format == "cvat":
        (folder / "a").write_text(CVAT, "utf-8")
    elif format == "via 2 csv":
        (folder / "a.csv").write_text(table(pictures()), "utf-8")
    else:
        content = VIA3 if format == "via 3" else pictures()
        (folder / "a.json").write_text(json.dumps(content), "utf-8")
