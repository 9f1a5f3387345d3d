"""Another library's RoIAlign: makes the stored values of the tests, and is what bench_nets.py compares with.

python -m benchmarks.roi_align_reference --write tests/goldens/roi_align.json

Needs onnx and onnxruntime, which stad_lite does not: ``pip install --target DIR --no-deps onnx onnxruntime
flatbuffers protobuf ml_dtypes`` and PYTHONPATH=DIR keep them out of the environment.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

Align = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def inputs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return maps (2, 3, 9, 11), boxes (8, 4) inside, across and beyond the map's edge, and their maps."""
    maps = (np.arange(2 * 3 * 9 * 11).reshape(2, 3, 9, 11) * 7919 % 101 / 101).astype(np.float32)
    boxes = [
        [0, 0, 11, 9], [2.3, 1.7, 7.9, 6.1], [-3, -2, 4, 5], [8.5, 6.5, 14, 12],
        [5, 5, 5.5, 5.25], [3, 2, 3, 6], [20, 20, 30, 30], [1, 1, 10.5, 2],
    ]  # fmt: skip
    return maps, np.array(boxes, dtype=np.float32), np.array([0, 1, 0, 1, 1, 0, 0, 1])


def reference(size: tuple[int, int], samples: int, aligned: bool) -> Align:
    """Return onnxruntime's RoIAlign on one thread: maps, boxes in cells, index -> (n, c, *size)."""
    import onnxruntime
    from onnx import TensorProto, helper

    node = helper.make_node(
        "RoiAlign", ["maps", "boxes", "index"], ["out"],
        output_height=size[0], output_width=size[1], sampling_ratio=samples, spatial_scale=1.0,
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
    )  # fmt: skip
    values = [
        helper.make_tensor_value_info(name, kind, [None] * rank)
        for name, kind, rank in (
            ("maps", TensorProto.FLOAT, 4),
            ("boxes", TensorProto.FLOAT, 2),
            ("index", TensorProto.INT64, 1),
            ("out", TensorProto.FLOAT, 4),
        )
    ]
    graph = helper.make_graph([node], "align", values[:3], values[3:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda maps, boxes, index: session.run(None, {"maps": maps, "boxes": boxes, "index": index})[0]


def main() -> None:
    """Write the values of all eight boxes for every convention."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", required=True, help="file to write")
    path = Path(parser.parse_args().write)
    import onnxruntime

    cases = []
    for aligned in (False, True):
        for samples in (0, 2):
            values = reference((2, 3), samples, aligned)(*inputs())
            rounded = [float(f"{value:.7g}") for value in values.ravel()]
            cases.append({"aligned": aligned, "samples": samples, "size": [2, 3], "values": rounded})
    source = f"operator RoiAlign (opset 16, avg) of onnxruntime {onnxruntime.__version__}, CPU provider"
    path.write_text(json.dumps({"source": source, "cases": cases}) + "\n", "utf-8", newline="\n")


if __name__ == "__main__":
    main()
