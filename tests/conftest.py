"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from stad_lite.data.location import data_root

collect_ignore = ["sixth"]
"""What ``test_recipe`` adds to a copy of the repository."""


@pytest.fixture(scope="session")
def stad_data() -> Path:
    """The folder of the published data sets; the test is skipped by name where there is none.

    It is $STAD_DATA, or ``../shared/data`` beside the repository.
    """
    root = data_root()
    if not root.is_dir() or not any(root.iterdir()):
        pytest.skip("no published data here: set STAD_DATA to the folder of the data sets")
    return root
