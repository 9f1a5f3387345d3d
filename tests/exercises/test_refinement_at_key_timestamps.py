"""The printed solutions of the chapter pass its checks, wrong answers do not; the references are true."""

import numpy as np
import pytest
import torch

from stad_lite.cfad.config import CfadConfig
from stad_lite.cfad.decoding import CoarseTubes, refine_tubes
from stad_lite.cfad.model import CfadNetwork
from stad_lite.cfad.refine import choose_keys, search_area
from stad_lite.exercises import refinement_at_key_timestamps as exercises
from stad_lite.tubes import interpolate
from tests.exercises.references import right_and_silent

CHECKS = (
    (exercises.check_smallest_sigma, exercises.smallest_sigma),
    (exercises.check_looks, exercises.looks),
    (exercises.check_alpha_for, exercises.alpha_for),
    (exercises.check_arrives, exercises.arrives),
)


@pytest.mark.parametrize(("check", "reference"), CHECKS, ids=lambda one: one.__name__)
def test_the_reference_is_right_and_silence_is_no_answer(check, reference, capsys) -> None:
    right_and_silent(check, reference, capsys)


def test_wrong_answers(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [
        (exercises.check_smallest_sigma, lambda a, b: abs(a[0] + a[2] - b[0] - b[2]) / 2 / (a[2] - a[0])),
        (exercises.check_smallest_sigma, lambda a, b: 2 * exercises.smallest_sigma(a, b)),
        (exercises.check_looks, lambda p, number, alpha: int((p >= alpha).sum())),
        (exercises.check_looks, lambda p, number, alpha: int((p[number] >= alpha).sum())),
        (exercises.check_looks, lambda p, number, alpha: int((p[np.unique(number)] > alpha).sum())),
        (exercises.check_alpha_for, lambda p, keys: np.sort(p)[keys - 1]),
        (exercises.check_alpha_for, lambda p, keys: np.sort(p)[::-1][min(keys, len(p) - 1)]),
        (exercises.check_arrives, lambda times, moved, at: float(times[moved] == at)),
        (exercises.check_arrives, lambda times, moved, at: max(0, 1 - abs(times[moved] - at) / 2)),
    ]
    for check, answer in wrong:
        check(answer)
        assert "not right" in capsys.readouterr().out


def test_the_smallest_sigma_is_the_edge_of_the_librarys_area() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        coarse, truth = (np.sort(generator.uniform(0, 60, (2, 2)), 0).ravel() for _ in range(2))
        least = exercises.smallest_sigma(coarse.tolist(), truth.tolist())
        centre = (truth[:2] + truth[2:]) / 2
        for sigma, holds in ((least * 1.001, True), (least * 0.999, False)):
            area = search_area(torch.as_tensor(coarse), sigma).numpy()
            assert bool((centre >= area[:2]).all() and (centre <= area[2:]).all()) == holds


def test_looks_are_what_the_network_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    config = CfadConfig.smoke()
    network = CfadNetwork(config, classes=3).eval()
    spans, sides = 4, 6
    sampled = torch.randn(spans, config.width, config.samples, sides, sides)
    number = np.array([2, 0, 2])
    rows = len(number)
    theta = np.zeros((rows, config.order + 1, 4))
    box = np.tile([4.0, 4.0, 20.0, 30.0], (rows, 1))
    span = np.tile([0.0, 8.0], (rows, 1))
    tubes = CoarseTubes(theta, box, number, span, np.zeros(rows, int), np.ones(rows))
    seen = []
    proposals = network.refine.proposals
    monkeypatch.setattr(network.refine, "proposals", lambda f: seen.append(len(f)) or proposals(f))
    times = torch.linspace(0, 7, config.samples).expand(spans, -1)
    with torch.no_grad():
        chances = network.refine.importance(sampled).sigmoid().numpy()
        network.config = dial = CfadConfig(**{**vars(config), "alpha": float(np.median(chances[[0, 2]]))})
        refine_tubes(network, tubes, sampled, times, network.anchors(sides, sides))
    assert 0 < sum(seen) < 2 * config.samples
    assert sum(seen) == exercises.looks(chances, number, dial.alpha)


def test_alpha_takes_as_many_keys_as_are_asked_for() -> None:
    chances = np.random.default_rng(1).permutation(16) / 16
    for keys in range(1, 17):
        config = CfadConfig(alpha=exercises.alpha_for(chances, keys))
        assert len(choose_keys(chances, config)) == keys


def test_what_arrives_is_what_the_library_interpolates() -> None:
    times, boxes = np.array([0.0, 1.0, 3.0, 7.0]), np.zeros((4, 4))
    boxes[2] = 5
    at = np.linspace(0, 7, 15)
    shares = [exercises.arrives(times, 2, float(one)) for one in at]
    np.testing.assert_allclose(interpolate(times, boxes, at)[:, 0], 5 * np.array(shares))
