"""``stad-lite train SYSTEM --data DATA --out RUN``, alone or under ``torchrun -m stad_lite.cli train``.

``--weights rgb=FILE flow=FILE`` fills I3D or VGG16 of each stream with published weights, in any layout of
``nets.weights``; ``--weights DIR`` looks for the files itself, ``--weights none`` begins with random ones and
then trains batch norms too. The paper's sizes, and batch norms that are frozen, ask for one of the three. The
run keeps the choice, and what was trained needs no file to predict.

``--from trained:NAME`` or ``--from RUN`` goes on from a trained detector with other data: its settings hold,
and where the classes are others, what hangs on them is made anew, which a line says.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from stad_lite import runs
from stad_lite.catalogue import ALL_PROFILES, ENTRIES
from stad_lite.data.location import SETS, set_name
from stad_lite.errors import FormatError
from stad_lite.training import distributed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    known = "; ".join(
        f"{name}: {entry.summary} (chapter {entry.chapter}; profiles {', '.join(entry.profiles)})"
        for name, entry in ENTRIES.items()
    )
    parser.add_argument("system", metavar="SYSTEM", choices=list(ENTRIES), help=known)
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
        help="change a setting: model.KEY, train.KEY, data.KEY, weights.KEY; an unknown KEY lists the known",
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        default=[],
        metavar="STREAM=FILE",
        help="published weights of rgb and flow, a folder of both (DIR/DATA/rgb.pt, DIR/flow.pt), or none",
    )
    parser.add_argument(
        "--from", dest="begin", default="", metavar="RUN", help="begin as this detector, or as trained:cfad"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the same as --set train.seed=N")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="without it the GPU where there is one")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that prepare batches; without it as cores allow",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, or go on with a run that was stopped."""
    texts = runs.pairs(arguments.settings)
    texts |= weights(arguments.weights)
    if arguments.seed is not None:
        texts["train.seed"] = str(arguments.seed)
    known = set_name(arguments.data)
    data: dict[str, Any] = {"name": known} if known else {"name": arguments.data, "subset": "all"}
    spec = runs.make_spec(arguments.system, arguments.profile, texts, **data)
    start = None
    if arguments.begin:
        from stad_lite.reproduce import trained

        start = trained.open_run(arguments.begin, device="cpu")
        spec = runs.going_on(spec, arguments.begin, start[1], texts)
    how: dict[str, Any] = {"device": arguments.device, "workers": arguments.workers, "start": start}
    try:
        done = runs.train(spec, arguments.out, **how)
    except KeyboardInterrupt:
        print(f"{arguments.out} was stopped; the same line goes on from its last checkpoint", file=sys.stderr)
        return 130
    if distributed.rank() == 0 and done.resumed_at < done.steps:
        print(f"{done.folder / 'checkpoints' / 'last.pt'}: {done.steps} steps are done")
    return 0


def weights(words: list[str]) -> dict[str, str]:
    """Return what ``--weights`` says as settings. raises: FormatError for a file without its stream

    >>> weights(["rgb=a.pt", "flow=b.pt"]), weights(["none"])
    ({'weights.rgb': 'a.pt', 'weights.flow': 'b.pt'}, {'weights.random': 'true'})
    """
    if words == ["none"]:
        return {"weights.random": "true"}
    if len(words) == 1 and "=" not in words[0]:
        if Path(words[0]).is_file():
            raise FormatError(f"weights of which stream? {words[0]}", remedy="write rgb=FILE or flow=FILE")
        return {"weights.folder": words[0]}
    return {f"weights.{stream}": file for stream, file in runs.pairs(words).items()}
