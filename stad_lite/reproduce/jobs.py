"""One run each: made here, by processes of this machine (joblib), or by the workers of a dask scheduler.

Whoever makes a run only hands its row back; the process that asked keeps it as soon as it comes. So a sweep
may be killed at any point: what is kept stays, what was under way is made again by the next one.
"""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stad_lite.errors import MissingExtraError, StadError
from stad_lite.locks import held
from stad_lite.reproduce.experiments import experiment_module
from stad_lite.reproduce.origin import origin
from stad_lite.reproduce.rows import Row, config_of, plain_settings

PATIENCE = 60
"""Seconds that a scheduler and its first worker have to answer."""


@dataclass(frozen=True)
class Job:
    """A run that is asked for."""

    experiment: str
    variant: str
    seed: int
    profile: str

    def __str__(self) -> str:
        return f"{self.experiment} {self.variant} seed {self.seed}"


@dataclass(frozen=True)
class Done:
    """What became of a job: its row, or how it failed (with the trace of it)."""

    job: Job
    row: Row | None
    problem: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Workers:
    """Who makes the runs.

    processes: of this machine, one thread each
    cluster: address of a dask scheduler whose workers make them instead; "" for none
    devices: numbers of the GPUs of each machine, of which a run takes one for itself; none for the CPU
    """

    processes: int = 1
    cluster: str = ""
    devices: tuple[int, ...] = ()


def make(job: Job, devices: Sequence[int] = ()) -> Done:
    """Make one run; an error of it is told and does not end the others."""
    import torch

    torch.set_num_threads(1)
    try:
        with taken(devices) if devices else nullcontext(None) as number:
            return Done(job, _row(job, torch.device("cpu" if number is None else f"cuda:{number}")))
    except StadError as error:
        return Done(job, None, str(error))
    except Exception as error:
        return Done(job, None, f"{type(error).__name__}: {error}", traceback.format_exc())


def _row(job: Job, device: Any) -> Row:
    from stad_lite.training.profile import hardware

    module = experiment_module(job.experiment)
    began, used = time.monotonic(), time.process_time()
    figures = module.run(job.variant, job.seed, job.profile, device=str(device))
    seconds, cpu = time.monotonic() - began, time.process_time() - used
    where = origin("", hardware(device))
    return Row(
        job.variant,
        job.seed,
        plain_settings(module.VARIANTS[job.variant]),
        {name: float(value) for name, value in figures.items()},
        tuple(module.shared(job.variant)),
        job.profile,
        config_of(job.experiment, job.variant, job.profile),
        where["commit"],
        where["hardware"],
        where["date"],
        round(seconds, 2),
        round(cpu, 2),
    )


@contextmanager
def taken(devices: Sequence[int], folder: str | os.PathLike[str] = "") -> Iterator[int]:
    """Hold one of some GPUs for this process alone, waiting until one is free; it is given back at the end.

    Whatever ends the process gives it back too.
    folder: of the lock files, of which a machine has one
    """
    place = Path(folder or Path(tempfile.gettempdir()) / "stad_lite-devices")
    while True:
        for number in devices:
            holding = held(place / f"{number}.lock")
            try:
                holding.__enter__()
            except StadError:
                continue
            try:
                yield number
            finally:
                holding.__exit__(None, None, None)
            return
        time.sleep(0.1)


def done(jobs: Sequence[Job], workers: Workers) -> Iterator[Done]:
    """Yield what becomes of jobs, each as soon as it is there, in whatever order.

    raises: MissingExtraError without joblib or dask where they are needed, StadError where processes or
        the scheduler are lost
    """
    if workers.cluster:
        return _by_cluster(jobs, workers)
    if workers.processes == 1:
        return (make(job, workers.devices) for job in jobs)
    return _by_processes(jobs, workers)


def _by_processes(jobs: Sequence[Job], workers: Workers) -> Iterator[Done]:
    try:
        from joblib import Parallel, delayed
        from joblib.externals.loky.process_executor import TerminatedWorkerError
    except ImportError:
        remedy = "pip install 'stad_lite[cluster]', or give --jobs 1"
        raise MissingExtraError("joblib is not installed", remedy=remedy) from None
    calls = (delayed(make)(job, workers.devices) for job in jobs)
    try:
        yield from Parallel(workers.processes, return_as="generator_unordered")(calls)
    except TerminatedWorkerError:
        remedy = "give fewer --jobs if memory was short; the same line goes on"
        raise StadError("a process was killed from outside", remedy=remedy) from None


def _by_cluster(jobs: Sequence[Job], workers: Workers) -> Iterator[Done]:
    with _client(workers.cluster) as client:
        from distributed import as_completed

        # who asks for the same run at the same time is given the same one
        keys = [f"stad_lite {job} {job.profile} {_config(job)}" for job in jobs]
        futures = {
            client.submit(make, job, workers.devices, key=key, pure=False): job
            for job, key in zip(jobs, keys, strict=True)
        }
        for future in as_completed(list(futures)):
            yield _told(future, futures.pop(future), workers.cluster)
            future.release()


def hands(workers: Workers) -> int:
    """Return how many runs are made at once. raises: as ``done``"""
    if not workers.cluster:
        return max(workers.processes, 1)
    with _client(workers.cluster) as client:
        return len(client.nthreads())


def _client(cluster: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        remedy = "pip install 'stad_lite[cluster]', or leave --cluster out"
        raise MissingExtraError("dask is not installed", remedy=remedy) from None
    try:
        client = Client(cluster, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        problem = f"no scheduler answers at {cluster} ({' '.join(str(error).split())[:80]})"
        raise StadError(problem, remedy="start one with: dask scheduler") from None
    try:
        _check_workers(client, cluster)
    except StadError:
        client.close()
        raise
    return client


def _config(job: Job) -> str:
    return config_of(job.experiment, job.variant, job.profile)


def _check_workers(client: Any, cluster: str) -> None:
    """Wait for a worker, and hold all to one thread: seeds are a process's own."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        remedy = f"start some with: dask worker {cluster} --nthreads 1"
        raise StadError(f"the scheduler at {cluster} has no workers", remedy=remedy) from None
    if any(threads != 1 for threads in client.nthreads().values()):
        remedy = "start them with: dask worker --nthreads 1 --nworkers N"
        raise StadError("workers with several threads would mix the seeds of their runs", remedy=remedy)


def _told(future: Any, job: Job, cluster: str) -> Done:
    if future.status == "finished":
        found: Done = future.result()
        return found
    if future.status == "error":  # not of the run, which tells its own: of its workers
        return Done(job, None, f"its workers died ({type(future.exception()).__name__})")
    raise StadError(f"the scheduler at {cluster} was lost", remedy="start it again; the same line goes on")
