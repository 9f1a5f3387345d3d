"""``stad-lite train SYSTEM --data DATA --out RUN``, alone or under ``torchrun -m stad_lite.cli train``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from stad_lite import runs
from stad_lite.data.location import SETS, set_name
from stad_lite.systems import ALL_PROFILES, SYSTEMS
from stad_lite.training import distributed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    known = "; ".join(
        f"{name}: {system.summary} (chapter {system.chapter}; profiles {', '.join(system.profiles)})"
        for name, system in SYSTEMS.items()
    )
    parser.add_argument("system", metavar="SYSTEM", choices=list(SYSTEMS), help=known)
    parser.add_argument("--profile", choices=ALL_PROFILES, default="lesson", help="size of network")
    parser.add_argument(
        "--data",
        metavar="DATA",
        default="synthetic",
        help=f"{', '.join(SETS)} (its videos in --set data.files=DIR), or a folder with annotations.json",
    )
    parser.add_argument("--out", required=True, metavar="RUN", help="folder of the run")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting: model.KEY, train.KEY or data.KEY; an unknown KEY lists the known ones",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the same as --set train.seed=N")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="without it the GPU where there is one")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that prepare batches")


def run(arguments: argparse.Namespace) -> int:
    """Train, or go on with a run that was stopped."""
    texts = runs.pairs(arguments.settings)
    if arguments.seed is not None:
        texts["train.seed"] = str(arguments.seed)
    known = set_name(arguments.data)
    data: dict[str, Any] = {"name": known} if known else {"name": arguments.data, "subset": "all"}
    spec = runs.make_spec(arguments.system, arguments.profile, texts, **data)
    try:
        done = runs.train(spec, arguments.out, device=arguments.device, workers=arguments.workers)
    except KeyboardInterrupt:
        print(f"{arguments.out} was stopped; the same line goes on from its last checkpoint", file=sys.stderr)
        return 130
    if distributed.rank() == 0 and done.resumed_at < done.steps:
        print(f"{done.folder / 'checkpoints' / 'last.pt'}: {done.steps} steps are done")
    return 0
