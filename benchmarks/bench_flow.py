"""End-point errors and CPU seconds of the flow estimators on the two FlyingChairs pairs at hand.

OMP_NUM_THREADS=1 python -m benchmarks.bench_flow --json benchmarks/results/flow.json

Needs the pairs (STAD_DATA, folder flow). Errors are means over all pixels, in pixels.
"""

from __future__ import annotations

import argparse
import time

from benchmarks.measure import report
from stad_lite.data import flow
from stad_lite.data.flying_chairs import read_pairs
from stad_lite.errors import MissingExtraError, MissingFileError


def main() -> None:
    """Measure and print, and write the figures where a path is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="", help="file to write")
    arguments = parser.parse_args()
    try:
        pairs = list(read_pairs().values())
    except MissingFileError as error:
        raise SystemExit(str(error)) from None
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
