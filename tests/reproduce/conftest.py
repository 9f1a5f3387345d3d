"""What tests of sweeps share."""

from __future__ import annotations

import sys

import pytest

from tests.reproduce.toy import NAME, toy


@pytest.fixture(name="toy")
def _toy(monkeypatch):
    """An experiment that counts its runs."""
    module = toy()
    monkeypatch.setitem(sys.modules, NAME, module)
    return module
