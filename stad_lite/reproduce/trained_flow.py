"""The trained flow network that chapters show, in a file of the kind that ``trained`` keeps.

    python -m stad_lite.reproduce.trained_flow

trains the variant ``base`` of the experiment ``flow`` and keeps it at half precision in ``book/trained``,
with the settings, this command and the figures that it reaches.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch

from stad_lite.data.flow import Estimator
from stad_lite.nets.flow.estimator import estimator
from stad_lite.nets.flow.pwcnet import PWCNet, small_pwcnet
from stad_lite.reproduce.experiments import flow as experiment
from stad_lite.reproduce.program import program
from stad_lite.reproduce.trained import FOLDER, halve, keep, kept

NAME = "pwc_net"


@dataclass(frozen=True, eq=False)
class TrainedFlow:
    """A trained flow network.

    net: in float32 and evaluation mode
    size: (height, width) at which it sees frames
    command: that made it
    figures: as the experiment's ``run`` gives them, of the weights that are kept
    """

    net: PWCNet
    size: tuple[int, int]
    command: str
    figures: dict[str, float]

    @property
    def estimator(self) -> Estimator:
        """Two frames of uint8 RGB to the flow from one to the other."""
        return estimator(self.net, self.size)


def load(folder: str | PathLike[str] = FOLDER) -> TrainedFlow:
    """Return the trained flow network.

    raises: MissingFileError where there is none, FormatError or TruncatedFileError for a damaged file
    """
    with kept(Path(folder) / f"{NAME}.pt", command()) as (weights, about):
        net = small_pwcnet()
        net.load_state_dict(weights)
        height, width = about["config"]["size"]
        return TrainedFlow(net.eval(), (height, width), about["command"], about["figures"])


def make(seed: int = 0, profile: str = "lesson", folder: str | PathLike[str] = FOLDER) -> Path:
    """Train the network and keep it. raises: FormatError for an unknown profile"""
    net, size = experiment.trained("base", seed, profile)
    halve(net)
    found = experiment.figures_of(estimator(net, size), profile)
    return keep(
        Path(folder) / f"{NAME}.pt",
        net,
        command=command(seed, profile),
        config={**experiment.VARIANTS["base"], "size": size, "seed": seed},
        figures={name: round(value, 3) for name, value in found.items()},
    )


def command(seed: int = 0, profile: str = "lesson") -> str:
    """Return the line that makes the trained network.

    >>> command()
    'python -m stad_lite.reproduce.trained_flow --seed 0 --profile lesson'
    """
    return f"python -m stad_lite.reproduce.trained_flow --seed {seed} --profile {profile}"


@program("trained_flow")
def main(arguments: list[str] | None = None) -> int:
    """Make the trained network from the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Train a small flow network for the chapters and keep it.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", choices=("smoke", "lesson"), default="lesson")
    parser.add_argument("--out", default=str(FOLDER), metavar="DIR", help="folder of what is kept")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    path = make(chosen.seed, chosen.profile, chosen.out)
    print(f"{path}: {path.stat().st_size:,} bytes, {load(chosen.out).figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
