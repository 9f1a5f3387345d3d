"""How many instances a window of THUMOS14 holds: the chapter *Bipartite matching*."""

from __future__ import annotations

from stad_lite.data import statistics, thumos14
from stad_lite.data.location import find_data, have_data, missing_message
from stad_lite.reproduce.results import Results
from stad_lite.sp_tad.config import SpTadConfig


def measure(results: Results) -> list[str]:
    """Add what SP-TAD's training windows hold; return a sentence where the annotations are not here."""
    folder = find_data("thumos14")
    if not (folder and have_data("thumos14")):
        return [missing_message("thumos14")]
    config = SpTadConfig.paper()
    for subset in ("validation", "test"):
        record = thumos14.load(folder, subset).record
        seen = statistics.window_counts(record, overlap=1 - config.train_stride / config.window)
        mean = seen.instances / seen.windows
        for name, value in (
            ("most truths in a window", seen.largest),
            ("truths a window", mean),
            (f"share of {config.proposals} proposals with a truth", mean / config.proposals),
        ):
            results.add(
                f"{name}, {subset}",
                value,
                data="thumos14",
                claim="SP-TAD Sec. 3.1.3 (N)",
                command="make results",
            )
    return []
