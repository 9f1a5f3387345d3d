"""The printed solutions of the chapter pass its checks, wrong answers do not."""

from itertools import permutations

import numpy as np
import pytest
import torch

from stad_lite.exercises import bipartite_matching as exercises
from stad_lite.matching import hungarian


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip()


def test_proofs(capsys: pytest.CaptureFixture[str]) -> None:
    def printed(cost, pairs, u, v):
        fair = (cost >= u + v[:, None] - 1e-9).all() and (v <= 1e-9).all()
        return bool(fair and np.isclose(sum(cost[p, t] for p, t in pairs), u.sum() + v.sum()))

    exercises.check_is_proved(printed)
    assert said(capsys) == "is_proved: right"
    wrong = [
        lambda cost, pairs, u, v: True,
        lambda cost, pairs, u, v: False,
        lambda cost, pairs, u, v: bool((cost >= u + v[:, None] - 1e-9).all()),
        lambda cost, pairs, u, v: bool(np.isclose(sum(cost[p] for p in pairs), u.sum() + v.sum())),
        lambda cost, pairs, u, v: bool(  # forgets that unused proposals pay nothing
            (cost >= u + v[:, None] - 1e-9).all()
            and np.isclose(sum(cost[p] for p in pairs), u.sum() + v.sum())
        ),
    ]
    for answer in wrong:
        exercises.check_is_proved(answer)
        assert "not right" in said(capsys)
    exercises.check_is_proved(lambda cost, pairs, u, v: ...)
    assert "not answered" in said(capsys)


def test_changes(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_unchanged([True, False, True, True])
    assert said(capsys).endswith(": right")
    exercises.check_unchanged([True, True, True, True])
    assert "not right" in said(capsys)
    exercises.check_unchanged(...)
    assert "not answered" in said(capsys)


def test_the_answers_on_changes_are_true() -> None:
    random = np.random.default_rng(0)
    moved = [False] * 4
    for _ in range(50):
        cost = random.normal(size=(5, 3))
        row, column = cost.copy(), cost.copy()
        row[0] += 3
        column[:, 0] += 3
        before = hungarian(torch.tensor(cost)[None], [3])
        for number, other in enumerate((column, row, 2 * cost, cost + 1)):
            after = hungarian(torch.tensor(other)[None], [3])
            moved[number] |= not torch.equal(before.proposal, after.proposal)
    assert moved == [False, True, False, False]


def test_shared_scores(capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_shared_score(lambda m, alpha: alpha / (alpha + (1 - alpha) * (m - 1)))
    assert said(capsys) == "shared_score: right"
    exercises.check_shared_score(lambda m, alpha: 1 / m)
    assert "not right" in said(capsys)
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    loss = -0.3 * p.log() - 0.7 * 4 * (1 - p).log()
    assert abs(p[loss.argmin()].item() - exercises.shared_score(5, 0.3)) < 1e-3


def test_several_each(capsys: pytest.CaptureFixture[str]) -> None:
    def printed(cost, copies):
        repeated = torch.tensor(cost).repeat_interleave(copies, dim=1)
        found = hungarian(repeated[None], [repeated.shape[1]])
        return list(zip(found.proposal.tolist(), (found.truth // copies).tolist(), strict=True))

    exercises.check_several_each(printed)
    assert said(capsys) == "several_each: right"
    exercises.check_several_each(lambda cost, copies: printed(cost, 1))
    assert "not right" in said(capsys)
    exercises.check_several_each(lambda cost, copies: None)
    assert "not answered" in said(capsys)


def test_several_each_is_the_cheapest() -> None:
    cost = np.random.default_rng(1).normal(size=(5, 2))
    best = min(permutations(range(5), 4), key=lambda rows: cost[list(rows), [0, 0, 1, 1]].sum())
    wanted = sorted((p, t) for p, t in zip(best, (0, 0, 1, 1), strict=True))
    assert exercises.several_each(cost, 2) == wanted
