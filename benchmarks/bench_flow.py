"""End-point errors and CPU seconds of the flow estimators on the two FlyingChairs pairs at hand.

OMP_NUM_THREADS=1 python -m benchmarks.bench_flow --json benchmarks/results/flow.json

Needs the pairs (STAD_DATA, folder flow). Errors are means over all pixels, in pixels.
"""

from __future__ import annotations

import argparse
import gzip
import re
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import report
from stad_lite.data import flow
from stad_lite.data.location import find_data
from stad_lite.errors import MissingExtraError


def read_ppm(path: Path) -> np.ndarray:
    """Return a gzipped binary PPM as (h, w, 3) uint8."""
    data = gzip.decompress(path.read_bytes())
    head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
    if head is None:
        raise SystemExit(f"{path} is not a binary PPM of 8 bits")
    width, height = map(int, head.groups())
    return np.frombuffer(data, np.uint8, offset=head.end()).reshape(height, width, 3)


def main() -> None:
    """Measure and print, and write the figures where a path is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="", help="file to write")
    arguments = parser.parse_args()
    folder = find_data("flow")
    if folder is None:
        raise SystemExit("the FlyingChairs pairs are not here (flow): set STAD_DATA")
    pairs = []
    for number in ("00001", "00002"):
        images = [read_ppm(folder / f"flyingchairs_{number}_img{which}.ppm.gz") for which in (1, 2)]
        pairs.append((*images, flow.read_flo(folder / f"flyingchairs_{number}_flow.flo.gz")))
    zero = [round(flow.end_point_error(0 * truth, truth), 3) for *_, truth in pairs]
    figures: dict[str, object] = {"zero flow": {"end-point errors": zero}}
    for name, maker in flow.ESTIMATORS.items():
        try:
            estimator = maker()
        except MissingExtraError as error:
            figures[name] = str(error)
            continue
        started = time.process_time()
        errors = [round(flow.end_point_error(estimator(a, b), truth), 3) for a, b, truth in pairs]
        seconds = (time.process_time() - started) / len(pairs)
        figures[name] = {"end-point errors": errors, "CPU-s a pair of 384x512": round(seconds, 2)}
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
