"""What all tests share: names that doctests may use, how chapters are compared, and the shaken run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace["np"] = np


def pytest_configure(config: pytest.Config) -> None:
    """Compare numbers as numbers; shake what is computed where STAD_SHAKE asks for it."""
    if getattr(config.option, "nbval", False):
        import compare

        compare.install()
    if os.environ.get("STAD_SHAKE"):
        _shake(config)


def _shake(config: pytest.Config) -> None:
    import shake

    seed = int(os.environ[shake.VARIABLE])
    folder = tempfile.TemporaryDirectory(prefix="shaken-")
    config.add_cleanup(folder.cleanup)
    os.environ.update(shake.kernel_folder(Path(folder.name), seed))
    shake.start(seed)
