"""The benchmark of prediction's fast way, on two clips."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import bench_quick


def test_it_tells_how_far_the_fast_way_is_from_the_plain_one(tmp_path: Path, capsys, monkeypatch) -> None:
    file = tmp_path / "quick.json"
    words = ["--clips", "2", "--systems", "cfad", "--dtypes", "float32", "bfloat16", "--json", str(file)]
    monkeypatch.setattr("sys.argv", ["bench_quick", *words])
    bench_quick.main()
    told = json.loads(file.read_text("utf-8"))
    assert told == json.loads(capsys.readouterr().out) and told["commit"]
    assert told["cfad"]["plain"]["video-map at 0.2"] > 0
    assert set(told["cfad"]["float32, apart"].values()) == {0.0}  # folded and channels last only
    assert set(told["cfad"]["bfloat16, apart"]) == set(told["cfad"]["plain"])
