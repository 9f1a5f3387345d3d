"""Say in one line on what something ran: the last line of ``make test`` (``make machine``)."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import torch

from stad_lite.training.profile import hardware

PACKAGES = ("torch", "numpy", "scipy", "matplotlib", "ipykernel", "nbval")
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "STAD_SHAKE")


def describe() -> str:
    """Return processor, instruction set, threads, system, versions, and the variables that change sums."""
    capability = torch.backends.cpu.get_cpu_capability()
    processor = f"{hardware(torch.device('cpu'))} ({capability}, {os.cpu_count()} cores)"
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    told = [f"{name}={os.environ[name]}" for name in VARIABLES if os.environ.get(name)]
    threads = f"{torch.get_num_threads()} threads a process"
    python = f"{platform.system()}, Python {platform.python_version()}"
    return "; ".join([f"ran on {processor}", threads, python, versions, *told])


if __name__ == "__main__":
    print(describe())
