"""What the benchmarks share: CPU seconds of a call, and where figures go."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def cpu_seconds(work: Callable[[], Any], rounds: int = 1) -> float:
    """Return the CPU seconds that a call takes: the median over the rounds."""
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def report(figures: dict[str, Any], path: str) -> None:
    """Print figures as JSON, and write them where a path is given."""
    text = json.dumps(figures, indent=1) + "\n"
    print(text, end="")
    if path:
        Path(path).write_text(text)
