"""An experiment that counts its runs; a dask worker preloads this file, which lists it there."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

NAME = "stad_lite.reproduce.experiments.toy"


def toy() -> ModuleType:
    """Return the experiment: seed 7 breaks, and runs are listed in its ``runs``.

    Where STAD_TOY names a folder each run writes a file there when it begins, and takes a while.
    """
    module: Any = ModuleType(NAME)
    module.VARIANTS = {"base": {}, "wide": {"width": 2}}
    module.runs, module.common, module.rate = [], ("backbone",), 0.1
    module.shared = lambda variant: module.common
    module.configured = lambda variant, profile: (module.VARIANTS[variant], profile, module.rate)

    def run(variant: str, seed: int, profile: str, device: str = "cpu") -> dict[str, float]:
        module.runs.append((variant, seed))
        if folder := os.environ.get("STAD_TOY"):
            name = f"{variant}-{seed}-{os.getpid()}-{time.time_ns()}"
            Path(folder, name).write_text(device, "utf-8")
            time.sleep(0.3)
        if seed == 7:
            raise RuntimeError("broken")
        return {"map": 50 + seed + 5 * (variant == "wide"), "cpu_seconds": 0.25}

    module.run = run
    return module


def list_it() -> ModuleType:
    """Return the experiment, listed among the others of this process."""
    return sys.modules.setdefault(NAME, toy())


if "distributed" in sys.modules and not os.environ.get("PYTEST_CURRENT_TEST"):
    list_it()
