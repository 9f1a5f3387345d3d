"""Small flow networks trained on the synthetic benchmark's exact flow, kept in the cache folder.

They stand for the published weights that the paper starts from (Sec. 4.3). The clips are of the split
``train``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from stad_lite.baselines.pretraining import pretrained
from stad_lite.data.synthetic import Settings, cache_folder, dataset
from stad_lite.flow_subnet.config import FlowSubnetConfig
from stad_lite.flow_subnet.detector import SmallBackbone
from stad_lite.flow_subnet.model import FlowSubnetNetwork
from stad_lite.flow_subnet.motion import MotionNetwork, flow_network
from stad_lite.schedule import config_hash
from stad_lite.training import checkpoint
from stad_lite.training.flow import SCHEDULES, pairs_of, train

CLIPS = {"lesson": 120, "smoke": 4}
"""Profile -> clips that a flow network is trained on."""
VERSION = 1
"""Part of the cache key; to be raised with every change in how flow networks are trained."""
DECISIVE = ("estimator", "flow_depth", "flow_width", "flow_reach", "normalised", "enlarged")
"""The settings that decide what a flow network learns."""


def pretrained_flow(
    config: FlowSubnetConfig,
    profile: str,
    seed: int = 0,
    cache_dir: Path | None = None,
    device: torch.device | None = None,
) -> nn.Module:
    """Return a small flow network, trained now if it is not in the cache yet (lesson: two minutes).

    profile: ``lesson`` or ``smoke``
    cache_dir: instead of ``synthetic.cache_folder()``
    device: to train on, as in ``baselines.pretraining.pretrained``
    """
    plan, settings = replace(SCHEDULES[profile], seed=seed), getattr(Settings, profile)()
    kind = {name: getattr(config, name) for name in DECISIVE}
    key = config_hash({"version": VERSION, "clips": CLIPS[profile], **kind}, plan, settings.key)
    folder = cache_dir or cache_folder()

    def train_now() -> dict[str, Tensor]:
        pairs = pairs_of(dataset(settings, tuple(range(CLIPS[profile])), "train", cache_dir))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            motion = MotionNetwork(config)
            train(motion.net, pairs, plan, motion.input_size(settings.height, settings.width), device)
        return {name: value.detach().cpu().contiguous() for name, value in motion.net.state_dict().items()}

    path = checkpoint.place_of(folder / "flow" / f"{config.estimator}-{key}.pt", device)
    state = checkpoint.kept(path, train_now)
    with torch.random.fork_rng(devices=[]):
        net: nn.Module = flow_network(config)
    net.load_state_dict(state)
    return net


def fill(network: FlowSubnetNetwork, profile: str, seed: int = 0, device: torch.device | None = None) -> None:
    """Let the small networks of a detector begin with pretrained weights.

    profile: ``lesson`` or ``smoke``
    device: that they are trained on where the cache lacks them
    """
    if isinstance(network.backbone, SmallBackbone):
        network.backbone.base.load_state_dict(pretrained("rgb", profile, seed, device=device).state_dict())
    motion = network.motion
    if motion is not None and motion.net is not None:
        known = pretrained_flow(network.config, profile, seed, device=device)
        motion.net.load_state_dict(known.state_dict())
        motion.reset_teacher()
