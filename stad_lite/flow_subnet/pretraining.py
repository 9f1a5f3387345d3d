"""Small flow networks trained on the synthetic benchmark's exact flow, kept in the cache folder.

They stand for the published weights that the paper starts from (Sec. 4.3). The clips are of the split
``train``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from stad_lite.baselines.pretraining import pretrained
from stad_lite.data.synthetic import Settings, cache_folder, dataset
from stad_lite.flow_subnet.config import Motion
from stad_lite.flow_subnet.detector import SmallBackbone
from stad_lite.flow_subnet.model import FlowSubnetNetwork
from stad_lite.flow_subnet.motion import flow_network
from stad_lite.nets.flow.pwcnet import multi_scale_loss
from stad_lite.nets.flow.warping import end_point_error
from stad_lite.schedule import TrainConfig, config_hash
from stad_lite.training import checkpoint
from stad_lite.training.short import minimise

CLIPS = {"lesson": 200, "smoke": 4}
SCHEDULES = {
    "lesson": TrainConfig(steps=700, batch=16, lr=1e-3, warm_up=20, clip_norm=10.0),
    "smoke": TrainConfig(steps=4, batch=4, lr=1e-3),
}
"""Profile -> how a flow network is trained."""
VERSION = 1
"""Part of the cache key; to be raised with every change in how flow networks are trained."""


def pretrained_flow(config: Motion, profile: str, seed: int = 0, cache_dir: Path | None = None) -> nn.Module:
    """Return a small flow network, trained now if it is not in the cache yet.

    profile: ``lesson`` or ``smoke``
    cache_dir: instead of ``synthetic.cache_folder()``
    """
    plan, settings = replace(SCHEDULES[profile], seed=seed), getattr(Settings, profile)()
    kind = {name: getattr(config, name) for name in ("estimator", "flow_depth", "flow_width", "flow_reach")}
    key = config_hash({"version": VERSION, "clips": CLIPS[profile], **kind}, plan, settings.key)
    folder = cache_dir or cache_folder()

    def train_now() -> dict[str, Tensor]:
        frames, flows = read_pairs(settings, CLIPS[profile], cache_dir)
        return train(config, plan, frames, flows)

    state = checkpoint.kept(folder / "flow" / f"{config.estimator}-{key}.pt", train_now)
    with torch.random.fork_rng(devices=[]):
        net: nn.Module = flow_network(config)
    net.load_state_dict(state)
    return net


def fill(network: FlowSubnetNetwork, profile: str, seed: int = 0) -> None:
    """Let the small networks of a detector begin with pretrained weights.

    profile: ``lesson`` or ``smoke``
    """
    if isinstance(network.backbone, SmallBackbone):
        network.backbone.base.load_state_dict(pretrained("rgb", profile, seed).state_dict())
    motion = network.motion
    if motion is not None and motion.net is not None:
        motion.net.load_state_dict(pretrained_flow(network.config, profile, seed).state_dict())
        motion.reset_teacher()


def read_pairs(settings: Settings, count: int, cache_dir: Path | None = None) -> tuple[Tensor, Tensor]:
    """Return all frames (clips, t, 3, h, w) uint8 and flows (clips, t - 1, 2, h, w) of some clips."""
    clips = dataset(settings, tuple(range(count)), "train", cache_dir)
    frames = torch.stack([torch.as_tensor(clip.frames) for clip in clips])
    flows = torch.stack([torch.as_tensor(clip.flow)[: settings.frames - 1] for clip in clips])
    return rearrange(frames, "n t h w c -> n t c h w"), rearrange(flows, "n t h w c -> n t c h w")


def train(config: Motion, plan: TrainConfig, frames: Tensor, flows: Tensor) -> dict[str, Tensor]:
    """Train a flow network on pairs drawn at random, half of them mirrored, and return its weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        net = flow_network(config)

        def loss() -> dict[str, Tensor]:
            clip = torch.randint(len(frames), (plan.batch,))
            time = torch.randint(flows.shape[1], (plan.batch,))
            turned = (torch.rand(plan.batch) < 0.5)[:, None, None, None]
            one, two = (frames[clip, time + after].float() / 255 for after in (0, 1))
            one, two = (torch.where(turned, image.flip(3), image) for image in (one, two))
            flow = flows[clip, time].float()
            mirrored = flow.flip(3) * flow.new_tensor([-1.0, 1.0]).view(2, 1, 1)
            return {"flow": flow_loss(net, config, one, two, torch.where(turned, mirrored, flow))}

        minimise(net, loss, plan, f"flow ({config.estimator})")
    return {name: value.detach().contiguous() for name, value in net.state_dict().items()}


def flow_loss(net: nn.Module, config: Motion, one: Tensor, two: Tensor, truth: Tensor) -> Tensor:
    """Return Eq. 1 of a network with levels, the end-point error of SPyNet.

    one, two: (b, 3, h, w) RGB in [0, 1], sides that the network takes
    truth: (b, 2, h, w) pixels
    """
    if config.estimator == "spynet":
        return end_point_error(net(one, two), truth)
    if config.estimator == "pwcnet":
        one, two = one.flip(1), two.flip(1)
    return multi_scale_loss(net(one, two), truth)
