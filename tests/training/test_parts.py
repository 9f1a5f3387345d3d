"""The parts of a batch take the step of the whole batch: every system, by processes and by accumulation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from stad_lite.catalogue import ENTRIES
from tests.training.parts import gradient
from tests.training.test_distributed import torchrun

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def together(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gradients that two processes took, each of one item: one with one truth, one with seven."""
    folder = tmp_path_factory.mktemp("together")
    asked = {item.name for item in request.session.items}  # of the systems that are tested alone
    names = [name for name in ENTRIES if f"test_two_processes_take_the_step_of_one[{name}]" in asked]
    done = torchrun("tests.training.parts", str(folder), *names)
    assert done.returncode == 0, done.stderr
    return folder


def assert_same_gradient(found: dict[str, Tensor], whole: dict[str, Tensor]) -> None:
    """As a whole to 1e-5, and no parameter on its own far from it: small ones hide beside large ones."""
    assert found.keys() == whole.keys()
    size = float(torch.cat([value.flatten() for value in whole.values()]).norm())
    apart = {key: float((found[key] - value).norm()) for key, value in whole.items()}
    assert sum(x**2 for x in apart.values()) ** 0.5 < 1e-5 * size
    allowed = {key: 1e-4 * float(value.norm()) + 1e-6 * size for key, value in whole.items()}
    assert [key for key in whole if apart[key] > allowed[key]] == []


@pytest.mark.parametrize("name", ENTRIES)
def test_two_processes_take_the_step_of_one(name, together):
    assert_same_gradient(torch.load(together / f"{name}.pt", weights_only=True), gradient(name))


@pytest.mark.parametrize("name", ENTRIES)
def test_accumulated_parts_take_the_step_of_one(name):
    assert_same_gradient(gradient(name, accumulation=2), gradient(name))
