"""Who makes runs: this process, several, a dask scheduler's workers; killed on the way, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stad_lite.errors import MissingExtraError, StadError
from stad_lite.reproduce import jobs
from stad_lite.reproduce.jobs import Job, Workers, done, hands, make, taken
from stad_lite.reproduce.rows import config_of, read_sweep
from stad_lite.reproduce.sweep import run_all, sweep

REPOSITORY = Path(__file__).resolve().parents[2]
TOY = REPOSITORY / "tests" / "reproduce" / "toy.py"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "STAD_PROGRESS": "0"}
SWEEPING = """
import sys
from tests.reproduce.toy import list_it
from stad_lite.reproduce.sweep import sweep
list_it()
sweep("toy", ["base"], range(int(sys.argv[2]), int(sys.argv[3])), "smoke", folder=sys.argv[1])
"""


def test_a_run_says_where_it_is_from(toy):
    found = make(Job("toy", "wide", 3, "smoke"))
    row = found.row
    assert row is not None and (row.variant, row.seed, row.profile) == ("wide", 3, "smoke")
    assert (row.settings, row.figures["map"], row.shared) == ({"width": 2}, 58.0, ("backbone",))
    assert row.config == config_of("toy", "wide", "smoke")
    assert row.commit and row.device and row.date[:2] == "20" and row.date.endswith("+00:00")
    assert row.seconds is not None and row.cpu_seconds is not None


def test_processes_make_the_runs_of_one(toy, tmp_path):
    """In joblib's processes, with an experiment of the library."""
    one = sweep("flow", ["dis", "farneback"], [0, 1], "smoke", folder=tmp_path / "one", say=str)
    two = sweep("flow", ["dis", "farneback"], [0, 1], "smoke", 2, tmp_path / "two", say=str)
    for variant in ("dis", "farneback"):
        assert one.values(variant, "epe") == two.values(variant, "epe")


def sweeping(folder: Path, first: int, last: int, toys: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", SWEEPING, str(folder), str(first), str(last)]
    environment = ENVIRONMENT | {"STAD_TOY": str(toys)}
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, encoding="utf-8", cwd=REPOSITORY)


def began(toys: Path) -> Counter[int]:
    """How often the run of each seed was begun."""
    return Counter(int(path.name.split("-")[1]) for path in toys.iterdir())


def test_a_sweep_that_is_killed_goes_on_where_it_was(toy, tmp_path):
    toys = tmp_path / "toys"
    toys.mkdir()
    first = sweeping(tmp_path, 0, 6, toys)
    assert first.stdout is not None
    told = [first.stdout.readline() for _ in range(2)]
    first.kill()
    first.wait(timeout=60)
    first.stdout.close()
    kept = {row.seed for row in read_sweep("toy", "smoke", tmp_path).rows}
    assert told[1].startswith("toy base seed 1: map 51.00") and {0, 1} <= kept < set(range(6))
    second = sweeping(tmp_path, 0, 6, toys)
    second.communicate(timeout=120)
    assert {row.seed for row in read_sweep("toy", "smoke", tmp_path).rows} == set(range(6))
    again = {seed for seed, times in began(toys).items() if times > 1}
    assert again.isdisjoint(kept) and len(again) <= 1, "at most the run that was under way"


def test_two_sweeps_at_one_file_lose_nothing(toy, tmp_path):
    toys = tmp_path / "toys"
    toys.mkdir()
    both = [sweeping(tmp_path, first, first + 3, toys) for first in (0, 3)]
    for one in both:
        one.communicate(timeout=120)
    assert {row.seed for row in read_sweep("toy", "smoke", tmp_path).rows} == set(range(6))
    assert set(began(toys).values()) == {1}


@contextmanager
def cluster(
    folder: Path, toys: Path, workers: int = 2
) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler's address and its workers, each a process without a nanny."""
    dask, file = [sys.executable, "-m", "distributed.cli.dask_scheduler"], folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    words = [*dask, "--port", "0", "--no-dashboard", "--host", "127.0.0.1", "--scheduler-file", str(file)]
    environment = ENVIRONMENT | {"STAD_TOY": str(toys)}
    started = [subprocess.Popen(words, env=environment, **quiet)]
    try:
        while not file.is_file():
            assert started[0].poll() is None
            time.sleep(0.05)
        address = json.loads(file.read_text("utf-8"))["address"]
        words = [
            sys.executable,
            "-m",
            "distributed.cli.dask_worker",
            address,
            "--nthreads",
            "1",
            "--no-nanny",
        ]
        words += ["--no-dashboard", "--preload", str(TOY), "--host", "127.0.0.1"]
        started += [subprocess.Popen(words, env=environment, **quiet) for _ in range(workers)]
        yield address, started[1:]
    finally:
        for one in started[::-1]:
            one.kill()
            one.wait(timeout=60)


def test_a_scheduler_s_workers_make_the_runs_and_one_is_killed_on_the_way(toy, tmp_path):
    toys, lines = tmp_path / "toys", []
    toys.mkdir()
    wanted = [Job("toy", "base", seed, "smoke") for seed in range(10, 20)]
    with cluster(tmp_path, toys) as (address, workers):
        by = Workers(cluster=address)
        while hands(by) < 2:
            time.sleep(0.1)
        killing = threading.Thread(target=kill_at_work, args=(workers[0], toys))
        killing.start()
        run_all(wanted, by, tmp_path, lines.append)
        killing.join(timeout=60)
        assert workers[0].poll() is not None and workers[1].poll() is None
        run_all(wanted, by, tmp_path, lines.append)
    kept = read_sweep("toy", "smoke", tmp_path)
    assert kept.values("base", "map") == {seed: 50.0 + seed for seed in range(10, 20)}
    assert len(lines) == 10, "nothing is made twice"
    assert max(began(toys).values()) == 2, "the run of the killed worker was made by the other"
    assert {row.config for row in kept.rows} == {config_of("toy", "base", "smoke")}


def kill_at_work(worker: subprocess.Popen[bytes], toys: Path) -> None:
    """Kill a worker as soon as it is at a run but not at its first."""
    while sum(path.name.split("-")[2] == str(worker.pid) for path in toys.iterdir()) < 2:
        time.sleep(0.02)
    worker.kill()
    worker.wait(timeout=60)


def test_no_scheduler_no_workers_or_workers_of_several_threads_are_told(toy, tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(jobs, "PATIENCE", 2)
    with pytest.raises(StadError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9.*dask scheduler"):
        hands(Workers(cluster="tcp://127.0.0.1:9"))
    options = {"processes": False, "dashboard_address": None}
    with (
        LocalCluster(n_workers=0, **options) as empty,
        pytest.raises(StadError, match="has no workers; start some with: dask worker"),
    ):
        hands(Workers(cluster=empty.scheduler_address))
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, **options) as threads,
        pytest.raises(StadError, match="several threads would mix the seeds"),
    ):
        list(done([Job("toy", "base", 0, "smoke")], Workers(cluster=threads.scheduler_address)))


def test_without_joblib_or_dask_the_extra_is_named(toy, monkeypatch):
    for module in ("joblib", "distributed"):
        monkeypatch.setitem(sys.modules, module, None)
    for workers in (Workers(2), Workers(cluster="tcp://127.0.0.1:9")):
        with pytest.raises(MissingExtraError, match=r"stad_lite\[cluster\]"):
            list(done([Job("toy", "base", 0, "smoke")], workers))


HOLDING = """
import sys, time
from stad_lite.reproduce.jobs import taken
with taken((3, 5), sys.argv[1]) as number:
    print(number, flush=True)
    time.sleep(600)
"""


def test_runs_take_one_gpu_each_and_wait_for_one(tmp_path):
    def hold() -> tuple[subprocess.Popen[str], int]:
        words = [sys.executable, "-c", HOLDING, str(tmp_path / "gpus")]
        process = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE, encoding="utf-8")
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    held = [hold() for _ in range(2)]
    assert {number for _, number in held} == {3, 5}
    timer = threading.Timer(0.5, held[1][0].kill)
    timer.start()
    with taken((3, 5), tmp_path / "gpus") as number:  # waits until that one's process is gone
        assert number == held[1][1]
    held[0][0].kill()
    for process, _ in held:
        process.wait(timeout=60)
        assert process.stdout is not None
        process.stdout.close()
    with pytest.raises(StadError, match="of the body"), taken((3,), tmp_path / "gpus"):
        raise StadError("of the body")
    with taken((3,), tmp_path / "gpus") as number:
        assert number == 3


def test_an_experiment_is_handed_its_gpu(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("stad_lite.training.profile.hardware", lambda device: f"GPU {device.index}")
    monkeypatch.setenv("STAD_TOY", str(tmp_path))
    found = make(Job("toy", "base", 0, "smoke"), devices=(7,))
    assert found.row is not None and found.row.device == "GPU 7"
    assert [path.read_text("utf-8") for path in tmp_path.iterdir()] == ["cuda:7"]
