import gzip
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import ndimage

from stad_lite.data import flow, variational
from stad_lite.data.variational import Brox
from stad_lite.errors import FormatError, MissingExtraError, MissingFileError, StadError, TruncatedFileError

H, W = 48, 64


def texture(seed: int = 0, height: int = H, width: int = W) -> np.ndarray:
    """A periodic texture with detail at all sizes, as natural images have it: (h, w) in grey levels."""
    noise = np.random.default_rng(seed).normal(size=(height, width))
    layers = [ndimage.gaussian_filter(noise, sigma, mode="wrap") for sigma in (1.2, 2.5, 5, 10)]
    total = sum(layer / layer.std() for layer in layers)
    return 128 + 100 * (total - total.mean()) / np.abs(total - total.mean()).max()


def shifted(image: np.ndarray, u: float, v: float) -> np.ndarray:
    """The texture moved by (u, v) pixels, exactly, in the frequency domain."""
    moved = ndimage.fourier_shift(np.fft.fft2(image), (v, u))
    return np.fft.ifft2(moved).real


def rgb(image: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(np.rint(image), 0, 255).astype(np.uint8)[..., None], 3, -1)


def inner_error(estimate: np.ndarray, truth: np.ndarray, margin: int = 8) -> float:
    inner = (slice(margin, -margin), slice(margin, -margin))
    return flow.end_point_error(estimate[inner], np.broadcast_to(truth, estimate.shape)[inner])


def estimator(name: str) -> flow.Estimator:
    if name != "brox":
        pytest.importorskip("cv2")
    try:
        return flow.ESTIMATORS[name]()
    except MissingExtraError as error:
        pytest.skip(str(error))


SHIFTS = [(0.0, 0.0), (1.0, 0.0), (0.0, -1.5), (2.5, 1.25), (-3.0, 2.25)]


@pytest.mark.parametrize("name", list(flow.ESTIMATORS))
@pytest.mark.parametrize("shift", SHIFTS)
def test_estimators_find_known_shifts(name: str, shift: tuple[float, float]) -> None:
    image = texture()
    found = estimator(name)(rgb(image), rgb(shifted(image, *shift)))
    assert found.shape == (H, W, 2) and found.dtype == np.float32
    assert inner_error(found, np.array(shift)) < 0.25


@pytest.mark.parametrize("shift", SHIFTS)
def test_brox_is_precise_on_shifts(shift: tuple[float, float]) -> None:
    image = texture(1)
    assert inner_error(Brox()(image, shifted(image, *shift)), np.array(shift)) < 0.05


def test_brox_follows_rotation_and_zoom() -> None:
    big = texture(2, 80, 80)
    y, x = np.mgrid[:80, :80] - 39.5
    angle, zoom = np.deg2rad(3), 1.04
    matrix = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    back = np.linalg.inv(matrix)
    source = np.stack([back[0, 0] * x + back[0, 1] * y, back[1, 0] * x + back[1, 1] * y])
    second = ndimage.map_coordinates(big, [source[1] + 39.5, source[0] + 39.5], order=3, mode="nearest")
    truth = np.stack(
        [(matrix[0, 0] - 1) * x + matrix[0, 1] * y, matrix[1, 0] * x + (matrix[1, 1] - 1) * y], -1
    )
    found = Brox()(big, second)
    inner = (slice(12, -12), slice(12, -12))
    assert (
        flow.end_point_error(found[inner], truth[inner]) < 0.08 < np.linalg.norm(truth[inner], axis=-1).mean()
    )


def test_brox_keeps_motion_edges_and_ignores_brightness() -> None:
    back, front = texture(3), texture(4)
    inside = np.zeros((H, W), bool)
    inside[14:34, 20:44] = True
    first = np.where(inside, front, back)
    second = np.where(np.roll(inside, 3, 1), shifted(front, 3, 0), back)
    truth = np.zeros((H, W, 2)) + inside[..., None] * [3.0, 0.0]
    plain = flow.end_point_error(Brox()(first, second), truth)
    assert plain < 0.35 < flow.end_point_error(np.zeros((H, W, 2)), truth)
    lit = flow.end_point_error(Brox()(first, second + 12), truth)
    dark = flow.end_point_error(Brox(gamma=0.0)(first, second + 12), truth)
    assert lit < 0.5 < dark  # constant gradients carry it where grey values change


def test_relaxation_solves_the_linear_system() -> None:
    rng = np.random.default_rng(0)
    h, w = 7, 9
    slopes = rng.normal(size=(3, 2, h, w))
    a11, a12, a22 = (
        np.einsum("khw,khw->hw", slopes[:, i], slopes[:, j]) for i, j in ((0, 0), (0, 1), (1, 1))
    )
    b1, b2, u, v = rng.normal(size=(4, h, w))
    edges = variational._smoothness(u, v, alpha=0.7)
    du, dv = np.zeros((2, h, w))
    variational._relax(du, dv, u, v, (a11, a12, a22, b1, b2), edges, sweeps=400, relaxation=1.5)

    laplacian = np.zeros((h * w, h * w))  # one row a pixel, one entry a neighbour
    right, down = edges
    for y in range(h):
        for x in range(w):
            here = y * w + x
            for weight, there in ((right, (y, x + 1)), (down, (y + 1, x))):
                if there[0] < h and there[1] < w:
                    other = there[0] * w + there[1]
                    laplacian[here, other] = laplacian[other, here] = weight[y, x]
    laplacian -= np.diag(laplacian.sum(1))
    system = sp.bmat(
        [
            [sp.diags(a11.ravel()) - laplacian, sp.diags(a12.ravel())],
            [sp.diags(a12.ravel()), sp.diags(a22.ravel()) - laplacian],
        ]
    ).toarray()
    right_side = np.concatenate([laplacian @ u.ravel() - b1.ravel(), laplacian @ v.ravel() - b2.ravel()])
    np.testing.assert_allclose(
        np.concatenate([du.ravel(), dv.ravel()]), np.linalg.solve(system, right_side), atol=1e-8
    )


def energy(solver: Brox, first: np.ndarray, second: np.ndarray, found: np.ndarray) -> float:
    """The energy that the solver minimises, written down directly (seen pixels only)."""
    warped, inside = variational.warp(second, found)
    ax, ay = variational._derivatives(first)
    bx, by = variational._derivatives(warped)
    grey = np.sqrt((warped - first) ** 2 + variational.EPSILON**2)
    gradient = np.sqrt((bx - ax) ** 2 + (by - ay) ** 2 + variational.EPSILON**2)
    slopes = sum(np.gradient(found[..., c], axis=axis) ** 2 for c in (0, 1) for axis in (0, 1))
    smooth = np.sqrt(slopes + variational.EPSILON**2)
    return float((inside * (grey + solver.gamma * gradient)).sum() + solver.alpha * smooth.sum())


def test_brox_lowers_its_energy_below_that_of_nearby_flows() -> None:
    first = texture(5)
    second = shifted(first, 1.5, -0.5)
    solver = Brox(sigma=1e-3, warps=6)
    found = solver(first, second)
    best = energy(solver, first.astype(np.float32), second.astype(np.float32), found)
    rng = np.random.default_rng(0)
    for other in (0 * found, found + [0.2, 0], found * 0.9, found + rng.normal(size=found.shape) * 0.05):
        assert best < energy(solver, first.astype(np.float32), second.astype(np.float32), other)


def test_pyramid_sizes() -> None:
    sizes = Brox(ratio=0.5, least=16).sizes(96, 128)
    assert sizes == [(24, 32), (48, 64), (96, 128)]
    assert Brox().sizes(8, 8) == [(8, 8)]


def test_flow_of_a_clip_repeats_its_last_map() -> None:
    image = texture()
    frames = np.stack([rgb(shifted(image, u, 0)) for u in (0, 1, 3)])
    maps = flow.of_clip(frames, Brox())
    assert maps.shape == (3, H, W, 2)
    np.testing.assert_array_equal(maps[1], maps[2])
    assert [round(float(m[10:-10, 10:-10, 0].mean())) for m in maps] == [1, 2, 2]
    assert len(flow.of_clip(frames, Brox(), repeat_last=False)) == 2
    with pytest.raises(FormatError, match="1 frames"):
        flow.of_clip(frames[:1], Brox())


def test_any_callable_is_an_estimator() -> None:
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    maps = flow.of_clip(frames, lambda a, b: np.ones((*a.shape[:2], 2)))
    assert maps.dtype == np.float32 and (maps == 1).all()


def flo(field: np.ndarray) -> bytes:
    """The bytes of Middlebury's format, unknown flow as 2e9."""
    known = np.where(np.isnan(field), 2e9, field).astype("<f4")
    return struct.pack("<fii", 202021.25, field.shape[1], field.shape[0]) + known.tobytes()


@pytest.mark.parametrize("packed", [False, True])
def test_flo_keeps_every_number(tmp_path: Path, packed: bool) -> None:
    field = np.random.default_rng(0).normal(size=(5, 7, 2)).astype(np.float32)
    field[2, 3] = np.nan
    data = flo(field)
    path = tmp_path / ("a.flo.gz" if packed else "a.flo")
    path.write_bytes(gzip.compress(data) if packed else data)
    np.testing.assert_array_equal(flow.read_flo(path), field)


def test_flo_made_by_hand(tmp_path: Path) -> None:
    values = [1.0, 2.0, 3.0, 4.0, 2e9, 5.0]
    (tmp_path / "a.flo").write_bytes(struct.pack("<fii6f", 202021.25, 3, 1, *values))
    field = flow.read_flo(tmp_path / "a.flo")
    assert field[0, :2].tolist() == [[1, 2], [3, 4]] and np.isnan(field[0, 2]).all()


def test_bad_flo(tmp_path: Path) -> None:
    path = tmp_path / "a.flo"
    with pytest.raises(MissingFileError):
        flow.read_flo(path)
    good = flo(np.zeros((4, 5, 2)))
    for data, kind in (
        (b"PNG" + good[3:], FormatError),
        (good[:8], TruncatedFileError),
        (good[:-1], TruncatedFileError),
        (good + b"x", FormatError),
        (good[:4] + struct.pack("<ii", -5, 4) + good[12:], FormatError),
        (b"", FormatError),
    ):
        path.write_bytes(data)
        with pytest.raises(kind, match=r"a\.flo"):
            flow.read_flo(path)
    (tmp_path / "b.flo.gz").write_bytes(gzip.compress(good)[:-9])
    with pytest.raises(TruncatedFileError, match="gzip"):
        flow.read_flo(tmp_path / "b.flo.gz")


def test_unknown_choices_and_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(StadError, match="no preset"):
        flow.dis("best")
    with pytest.raises(FormatError, match="float64"):
        flow.dis()(np.zeros((8, 8, 3)), np.zeros((8, 8, 3)))
    if not hasattr(sys.modules["cv2"], "optflow"):
        with pytest.raises(MissingExtraError, match="use brox"):
            flow.tvl1()
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"stad_lite\[flow\]"):
        flow.farneback()


def chairs(folder: Path, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    frames = []
    for which in (1, 2):
        data = gzip.decompress((folder / f"flyingchairs_0000{number}_img{which}.ppm.gz").read_bytes())
        head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
        width, height = map(int, head.groups())
        frames.append(np.frombuffer(data, np.uint8, offset=head.end()).reshape(height, width, 3))
    return *frames, flow.read_flo(folder / f"flyingchairs_0000{number}_flow.flo.gz")


# Recorded with benchmarks/bench_flow.py: zero flow 4.306 and 2.113
@pytest.mark.parametrize(("name", "bounds"), [("dis", (2.9, 0.75)), ("brox", (3.5, 0.65))])
def test_flying_chairs(stad_data: Path, name: str, bounds: tuple[float, float]) -> None:
    folder = stad_data / "flow"
    if not folder.is_dir():
        pytest.skip("no FlyingChairs pairs here")
    solve = estimator(name)
    for number, bound, zero in zip((1, 2), bounds, (4.306, 2.113), strict=True):
        first, second, truth = chairs(folder, number)
        assert flow.end_point_error(0 * truth, truth) == pytest.approx(zero, abs=5e-4)
        assert flow.end_point_error(solve(first, second), truth) < bound
