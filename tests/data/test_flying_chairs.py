"""FlyingChairs: pictures of known bytes, and the pairs at hand."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from stad_lite.data.flying_chairs import read_pairs, read_ppm
from stad_lite.errors import FormatError, MissingFileError


def test_a_picture_s_bytes(tmp_path):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    for name, head in (("lines", b"P6\n3 2\n255\n"), ("spaces", b"P6 3 2 255 ")):
        path = tmp_path / f"{name}.ppm.gz"
        path.write_bytes(gzip.compress(head + pixels.tobytes()))
        assert np.array_equal(read_ppm(path), pixels)
    path.write_bytes(gzip.compress(b"P6 3 2 255 " + pixels.tobytes()[:-1]))
    with pytest.raises(FormatError, match="3 x 2"):
        read_ppm(path)
    path.write_bytes(gzip.compress(b"P5 3 2 255 " + pixels.tobytes()))
    with pytest.raises(FormatError, match="PPM"):
        read_ppm(path)
    with pytest.raises(MissingFileError, match=r"other\.ppm"):
        read_ppm(tmp_path / "other.ppm.gz")


def test_without_the_pairs(monkeypatch, tmp_path):
    monkeypatch.setenv("STAD_DATA", str(tmp_path))
    with pytest.raises(MissingFileError, match="STAD_DATA"):
        read_pairs()


def test_the_pairs_at_hand(stad_data):
    if not (stad_data / "flow").is_dir():
        pytest.skip("no FlyingChairs pairs here")
    pairs = read_pairs()
    assert list(pairs) == ["00001", "00002"]
    for first, second, flow in pairs.values():
        assert first.shape == second.shape == (384, 512, 3) and flow.shape == (384, 512, 2)
        assert first.dtype == second.dtype == np.uint8
    lengths = [np.linalg.norm(flow, axis=-1).mean() for *_, flow in pairs.values()]
    assert lengths == pytest.approx([4.306, 2.113], abs=1e-3)
