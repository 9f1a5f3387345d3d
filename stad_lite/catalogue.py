"""The systems by name: what is needed to train, run and measure any of them, without knowing which it is.

A system's package is imported when something of it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from stad_lite.data.source import DataConfig, VideoSource
from stad_lite.data.synthetic import Settings
from stad_lite.errors import FormatError, MissingExtraError
from stad_lite.records import Predictions
from stad_lite.schedule import TrainConfig

if TYPE_CHECKING:  # it needs torch, and ``stad-lite --help`` does not
    import torch

    from stad_lite.nets.published import Trunk

PROFILES = ("smoke", "lesson", "paper", "large")
"""Seconds, minutes, the paper's own sizes, and minutes on a GPU: from pixels, the backbone trained."""

DATA = {
    "smoke": DataConfig(clips=4, settings=Settings.smoke()),
    "lesson": DataConfig(clips=256),
    "paper": DataConfig(clips=1000, settings=Settings.large()),
    "large": DataConfig(clips=400, settings=Settings.large()),
}
"""Profile -> what is trained on where nothing else is said."""


def _unchanged(profile: str) -> Mapping[str, Any]:  # no lambda: workers are sent ``collate`` with its system
    return {}


@dataclass(frozen=True)
class Entry:
    """Where the parts of one system are.

    summary: one line
    chapter: the notebook below ``book`` that builds it
    configs: module and class of its settings, with the classmethods of ``PROFILES``
    system: module of ``build``, ``training_set``, ``collate`` and ``detect``
    detector: module of ``detect``, where it is another one
    config_changes, data_changes: profile -> fields that differ from the class's and from ``DATA``
    finishes: whether ``finish`` of that module is called when the network is trained
    streams: whether ``stream`` of that module takes frames one by one
    more: profiles beside ``PROFILES``
    pretrains: whether ``build`` may train a small backbone, and is told on which device
    """

    summary: str
    chapter: str
    configs: str
    system: str
    detector: str = ""
    config_changes: Callable[[str], Mapping[str, Any]] = _unchanged
    data_changes: Callable[[str], Mapping[str, Any]] = _unchanged
    finishes: bool = False
    streams: bool = False
    more: tuple[str, ...] = ()
    pretrains: bool = False

    @property
    def profiles(self) -> tuple[str, ...]:
        """The names of all its profiles."""
        return (*PROFILES, *self.more)

    def config(self, profile: str) -> Any:
        """Return the settings of a profile. raises: FormatError for an unknown one"""
        self._check_profile(profile)
        module, name = self.configs.split(":")
        return replace(getattr(getattr(_module(module), name), profile)(), **self.config_changes(profile))

    def schedule(self, profile: str) -> TrainConfig:
        """Return how a profile is trained. raises: FormatError for an unknown one"""
        self._check_profile(profile)
        found: TrainConfig = _module(self.configs.split(":")[0]).schedule(profile)
        return found

    def data(self, profile: str) -> DataConfig:
        """Return what a profile is trained on where nothing else is said. raises: FormatError"""
        self._check_profile(profile)
        return replace(DATA.get(profile, DATA["paper"]), **self.data_changes(profile))

    def build(self, config: Any, classes: Sequence[str], device: torch.device | None = None) -> Any:
        """Return a new system: ``network``, ``config``, ``classes``, ``loss``, ``predict``.

        device: that a small backbone is pretrained on; the system itself is on the CPU
        """
        build = _module(self.system).build
        return build(config, classes, device=device) if self.pretrains else build(config, classes)

    def rebuild(self, config: Any, classes: Sequence[str]) -> Any:
        """Return a new system whose weights will be loaded, so that none are pretrained for it."""
        if getattr(config, "pretrained", ""):
            config = replace(config, pretrained="")
        return self.build(config, classes)

    def trunks(self, system: Any) -> dict[str, Trunk]:
        """Return a system's networks that published weights fill, by stream."""
        found: dict[str, Trunk] = _module(self.system).trunks(system)
        return found

    def training_set(self, system: Any, source: VideoSource) -> Any:
        """Return what ``training.fit`` trains on."""
        return _module(self.system).training_set(system, source)

    def collate(self, items: Sequence[Any]) -> Any:
        """Return a batch of the training set's items."""
        return _module(self.system).collate(items)

    def finish(self, system: Any, source: VideoSource, seed: int) -> None:
        """Train what follows the network; nothing for most systems."""
        if self.finishes:
            _module(self.system).finish(system, source, seed=seed)

    def detect(self, system: Any, source: VideoSource) -> Predictions:
        """Return what a system finds in all videos of a source: boxes, tubes or segments."""
        found: Predictions = _module(self.detector or self.system).detect(system, source)
        return found

    def stream(self, system: Any, **how: Any) -> Any:
        """Return what takes a video's frames one by one. raises: FormatError where a system needs all"""
        if not self.streams:
            able = ", ".join(name for name, entry in ENTRIES.items() if entry.streams)
            raise FormatError("this system looks at whole videos", remedy=f"train one that streams: {able}")
        return _module(self.system).stream(system, **how)

    def _check_profile(self, profile: str) -> None:
        if profile not in self.profiles:
            remedy = f"choose from {', '.join(self.profiles)}"
            raise FormatError(f"no profile is called {profile!r}", remedy=remedy)


def _sp_tad_config(profile: str) -> dict[str, Any]:
    """Small networks read frames here, where the chapter has sequences of features."""
    if profile not in ("smoke", "lesson"):
        return {}
    from stad_lite.nets.inputs import FLOW_SCALE
    from stad_lite.sp_tad.config import Backbone

    smoke = profile == "smoke"
    stem, channels = ((8, 8, 16), (8, 8, 8)) if smoke else ((16, 24, 32), (24, 32, 48))
    crop = (40, 40) if smoke else (56, 56)
    sizes: dict[str, Any] = {"stem": stem, "channels": channels, "crop": crop}
    return {"backbone": Backbone("light", **sizes, norm="group", flow_reach=FLOW_SCALE)}


def _sp_tad_data(profile: str) -> dict[str, Any]:
    """Longer clips, so that actions are found in time."""
    if profile == "smoke":
        return {"settings": replace(Settings.smoke(), frames=64, span=(8, 40))}
    settings = Settings(frames=128, span=(12, 96))
    if profile == "large":
        return {"settings": replace(settings, height=112, width=112), "clips": 200}
    return {"settings": settings, "clips": 128 if profile == "lesson" else 1000}


def _step_data(profile: str) -> dict[str, Any]:
    """Actors as small beside STEP's cuboids as real ones, and as many clips as its ablations take."""
    settings = _module("stad_lite.step.config").clip_settings(profile)
    return {"settings": settings, **({"clips": 400} if profile == "lesson" else {})}


def _pcsc_data(profile: str) -> dict[str, Any]:
    """Few clips: actionness is trained on what is found around each of their frames."""
    return {"clips": 96} if profile == "large" else {}


def _cfad_data(profile: str) -> dict[str, Any]:
    """As many clips as its lesson is measured on."""
    return {"clips": 400} if profile == "lesson" else {}


ENTRIES = {
    "baseline": Entry(
        summary="dense detector on every frame or tubelet, linked into tubes",
        chapter="ground/from_frames_to_a_detector",
        configs="stad_lite.baselines.config:DenseConfig",
        system="stad_lite.baselines.system",
        detector="stad_lite.baselines.detect_and_link",
    ),
    "step": Entry(
        summary="STEP: cuboids refined in steps that see more and more frames",
        chapter="step/progressive_refinement",
        configs="stad_lite.step.config:StepConfig",
        system="stad_lite.step.system",
        data_changes=_step_data,
        more=("paper_ava",),
        pretrains=True,
    ),
    "sp_tad": Entry(
        summary="SP-TAD: learnable proposals that find actions in time",
        chapter="sp_tad/sparse_proposals",
        configs="stad_lite.sp_tad.config:SpTadConfig",
        system="stad_lite.sp_tad.system",
        config_changes=_sp_tad_config,
        data_changes=_sp_tad_data,
        more=("paper_activitynet",),
    ),
    "pcsc": Entry(
        summary="PCSC: an RGB and a flow detector that help each other stage by stage",
        chapter="pcsc/proposals_and_boundaries",
        configs="stad_lite.pcsc.config:PCSCConfig",
        system="stad_lite.pcsc.system",
        data_changes=_pcsc_data,
        finishes=True,
        pretrains=True,
    ),
    "cfad": Entry(
        summary="CFAD: coarse tubes as polynomials, refined at key timestamps, never linked",
        chapter="cfad/coarse_tubes",
        configs="stad_lite.cfad.config:CfadConfig",
        system="stad_lite.cfad.system",
        data_changes=_cfad_data,
        pretrains=True,
    ),
    "flow_subnet": Entry(
        summary="flow subnet: one network from frames to boxes, flow inside, in real time",
        chapter="flow_subnet/fusion_and_speed",
        configs="stad_lite.flow_subnet.config:FlowSubnetConfig",
        system="stad_lite.flow_subnet.system",
        streams=True,
        more=("released",),
        pretrains=True,
    ),
}
"""Name -> entry."""

ALL_PROFILES = tuple(dict.fromkeys(name for entry in ENTRIES.values() for name in entry.profiles))
"""The profiles of any system."""


def find(name: str) -> Entry:
    """Return the entry of a name. raises: FormatError for an unknown one

    >>> find("baseline").summary
    'dense detector on every frame or tubelet, linked into tubes'
    """
    if name not in ENTRIES:
        raise FormatError(f"no system is called {name!r}", remedy=f"choose from {', '.join(ENTRIES)}")
    return ENTRIES[name]


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{name} needs {error.name}, which is not there") from None
