"""What CFAD costs a frame beside detect-and-link, by stages; full sizes; a step at the paper's sizes.

OMP_NUM_THREADS=1 python -m benchmarks.bench_cfad --json benchmarks/results/cfad.json

CPU times on one thread; ratios within one run, calls in turn. A time a frame is that of a whole video over
the video's own number of frames. The paper's is over T (7.6 ms against 25 ms, 3.3 times; Sec. 4.3), which
is the same only where a video has T frames.

``end_to_end`` compares whole inference, frames in memory to tubes, of two detectors on the same backbone:
the 2-D network of the lessons on RGB, with the same weights. "Same" holds for the network that sees a frame
and for nothing else, as the two ask different things of it:

- Detect-and-link (``stad_lite.baselines``) must see every frame of the video, and has a head, a suppression
  and a linker on every frame.
- CFAD sees the T = 32 frames that a video is resampled to, however long it is; a small network over time
  stands in for I3D's ("neck"). So the longer a video, the less it costs a frame. How much of that is owed to
  looking at fewer frames tells the row in which T is the number of frames: there the backbone sees as many as
  the rival's, and what is left of the ratio comes from not detecting and linking frame by frame. What CFAD's
  modules cost does not grow with the video (N samples of each proposal); at 32 frames both rows are of the
  same work and differ by the noise of the run.
- Where frames cannot be skipped, the last row is the fairest: CFAD's own backbone, neck and box proposals on
  every frame, with a linker in place of proposals, coarse tubes and keys.

Detectors are trained for it, for what is found decides how much there is to suppress, to refine and to link;
they are trained shortly, and their tubes are not judged. ``--small`` runs the same code at tiny sizes, whose
figures mean nothing. Without ``--only`` the comparison and the numbers of parameters are measured; ``--only
paper trimmed`` takes minutes. A part that is measured anew leaves the file's others.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from benchmarks.full_size import cut, once
from benchmarks.measure import measure_parts
from stad_lite import boxes as box_ops
from stad_lite.arrays import as_numpy
from stad_lite.baselines import detect_and_link
from stad_lite.baselines import system as dense
from stad_lite.baselines.config import DenseConfig
from stad_lite.baselines.config import schedule as dense_schedule
from stad_lite.baselines.system import DenseSystem
from stad_lite.catalogue import ENTRIES
from stad_lite.cfad import decoding
from stad_lite.cfad import system as cfad
from stad_lite.cfad.config import CfadConfig, schedule
from stad_lite.cfad.system import CfadSystem
from stad_lite.cfad.videos import item_of, video_run
from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.linking import link
from stad_lite.records import FrameBoxes, Predictions, VideoPredictions
from stad_lite.training.examples import CLASSES, LATE, Noise
from stad_lite.training.loop import fit
from stad_lite.training.profile import parameters
from stad_lite.tubes import Tube

TITLES = {
    "end_to_end": "a frame by frames of a video, CPU",
    "sizes": "parameters at the papers' own sizes",
    "paper": "UCF101-24's sizes, one video, CPU",
    "trimmed": "JHMDB-21's sizes, one video, CPU",
}
FULL = ("cfad", "step", "pcsc", "baseline")
JHMDB: dict[str, Any] = {"length": 32, "samples": 6, "order": 2, "trimmed": True}
"""What the paper sets otherwise for JHMDB-21 (Sec. 4.1 and Table 1)."""
RIVAL, SAME = "detect and link", "the same network on every frame, linked"


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    profile: of both detectors
    full: of the systems whose parameters are counted, and of CFAD's single step
    clips: that they are trained on
    steps: of CFAD's training and of its rival's
    frames: of the videos
    videos: of each length
    rounds: calls that are timed
    """

    profile: str = "lesson"
    full: str = "paper"
    clips: int = 60
    steps: tuple[int, int] = (120, 250)
    frames: tuple[int, ...] = (32, 64, 96, 192)
    videos: int = 2
    rounds: int = 3


SMALL = Sizes("smoke", "smoke", 3, (2, 2), (16, 24), 2, 1)


class Account:
    """CPU seconds of a call, and of the stages within it.

    stages: name -> functions, as (object or module, attribute); none is called by another one

    >>> from types import SimpleNamespace
    >>> room = SimpleNamespace(work=lambda: 3)
    >>> Account({"stage": [(room, "work")]}).call(lambda: room.work() + 1)
    4
    """

    def __init__(self, stages: Mapping[str, Sequence[tuple[Any, str]]]) -> None:
        self.stages = stages
        self.seconds: Counter[str] = Counter()

    def call(self, work: Callable[[], Any]) -> Any:
        """Call it once and return what it returns; ``seconds`` then holds its stages and the rest."""
        self.seconds = Counter(dict.fromkeys(self.stages, 0.0))
        with ExitStack() as patches:
            for stage, places in self.stages.items():
                for place, name in places:
                    timed = partial(self._timed, stage, getattr(place, name))
                    patches.enter_context(mock.patch.object(place, name, timed))
            began = time.process_time()
            found = work()
            whole = time.process_time() - began
        self.seconds["the rest"] = whole - sum(self.seconds.values())
        return found

    def _timed(self, stage: str, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        began = time.process_time()
        found = work(*given, **named)
        self.seconds[stage] += time.process_time() - began
        return found


def cfad_account(system: CfadSystem) -> Account:
    """Return the account of ``cfad.detect``."""
    network = system.network
    return Account(
        {
            "backbone": [(network, "maps")],
            "neck": [(network, "features")],
            "proposals": [(network.proposals, "forward"), (decoding, "propose")],
            "coarse": [
                (network, "sampled"),
                (network.coarse, "forward"),
                (decoding, "coarse_tubes"),
                (decoding, "suppress_tubes"),
            ],
            "refinement": [(decoding, "refine_tubes")],
            "interpolation": [(decoding, "final_tube"), (cfad, "frame_boxes")],
        }
    )


def rival_account(system: DenseSystem) -> Account:
    """Return the account of ``detect_and_link.detect``."""
    return Account(
        {
            "backbone": [(system.network, "features")],
            "head": [(system.network, "head")],
            "suppression": [(detect_and_link, "decode")],
            "linking": [(detect_and_link, "link_found")],
        }
    )


class OnEveryFrame:
    """CFAD's backbone, neck and box proposals on every frame, then the baseline's linker.

    system: with T frames for videos of T frames
    """

    def __init__(self, system: CfadSystem) -> None:
        self.system = system

    @torch.no_grad()
    def detect(self, source: VideoSource) -> Predictions:
        """Return frame boxes and tubes of all videos."""
        system, network = self.system, self.system.network.eval()
        found = {}
        for video in source.videos:
            run = video_run(source, video, system.config)
            frames = cfad.collate([item_of(source, system.config, run)])["frames"]
            found[video] = VideoPredictions(frames=self.boxes(network.features(network.maps(frames))))
        return self.linked(Predictions(system.classes, found))

    def boxes(self, features: Tensor) -> FrameBoxes:
        """Return the box proposals of all frames of features (1, c, t, h, w)."""
        network, least = self.system.network, self.system.config.box_score
        logits, offsets = network.refine.proposals(rearrange(features, "1 c t h w -> t c h w"))
        boxes, scores = box_ops.decode(offsets, network.anchors(*features.shape[3:])), logits.sigmoid()
        frame, anchor, label = (scores >= least).nonzero(as_tuple=True)
        columns = (frame, label, boxes[frame, anchor], scores[frame, anchor, label])
        return FrameBoxes(*(as_numpy(column) for column in columns))

    def linked(self, found: Predictions) -> Predictions:
        """Return the boxes of frames with their tubes; the linker suppresses too, class by class."""
        return link(found, "online")

    def account(self) -> Account:
        """Return the account of ``detect``."""
        network = self.system.network
        return Account(
            {
                "backbone": [(network, "maps")],
                "neck": [(network, "features")],
                "head": [(self, "boxes")],
                "linking": [(self, "linked")],
            }
        )


def trained(sizes: Sizes) -> tuple[CfadSystem, DenseSystem]:
    """Return both detectors; the second one begins with the first one's backbone, which stays as it is."""
    config = replace(getattr(CfadConfig, sizes.profile)(), stream="rgb")
    settings = getattr(Settings, sizes.profile)()
    source = synthetic_source(settings, sizes.clips, "train")
    torch.manual_seed(0)
    ours = cfad.build(config, source.classes)
    small = DenseConfig(modality="rgb", size=config.size)
    theirs = dense.build(small, source.classes)
    backbone = ours.network.backbone
    theirs.network.backbones["rgb"].load_state_dict(backbone.state_dict())
    still = (("backbones", 0.0),)
    plans = schedule(sizes.profile), replace(dense_schedule(sizes.profile), lr_factors=still)
    systems = ((ours, cfad), (theirs, dense))
    for (system, room), plan, steps in zip(systems, plans, sizes.steps, strict=True):
        plan = replace(plan, steps=steps, checkpoint_every=10**6)
        with tempfile.TemporaryDirectory() as folder:
            data = room.training_set(system, source)
            fit(system, data, plan, folder, collate=room.collate, device="cpu", say=lambda line: None)
    return ours, theirs


def at_length(system: CfadSystem, length: int) -> CfadSystem:
    """Return the same detector for videos resampled to another T, its 1-D anchors as much longer."""
    scale = length / system.config.length
    lengths = tuple(scale * one for one in system.config.span_lengths)
    other = CfadSystem(replace(system.config, length=length, span_lengths=lengths), system.classes)
    other.network.load_state_dict(system.network.state_dict())
    return other


def in_memory(settings: Settings, count: int) -> VideoSource:
    """Return clips of the split ``test`` whose frames have been read."""
    source = synthetic_source(replace(settings, flow=False), count, "test")
    kept = {video: source.frames(video, range(source.num_frames(video))) for video in source.videos}
    return replace(source, read_frames=lambda video, numbers: kept[video][numbers], read_flow=None)


def end_to_end(sizes: Sizes) -> dict[str, Any]:
    """Return CPU ms a frame, whole and by stage, for each length of video."""
    ours, theirs = trained(sizes)
    settings = getattr(Settings, sizes.profile)()
    found = {}
    for frames in sizes.frames:
        source = in_memory(replace(settings, frames=frames), sizes.videos)
        whole = at_length(ours, frames)
        same = OnEveryFrame(whole)
        works = {
            f"CFAD, T = {ours.config.length}": (cfad_account(ours), partial(cfad.detect, ours, source)),
            f"CFAD, T = {frames}, all frames": (cfad_account(whole), partial(cfad.detect, whole, source)),
            RIVAL: (rival_account(theirs), partial(detect_and_link.detect, theirs, source)),
            SAME: (same.account(), partial(same.detect, source)),
        }
        found[f"{frames} frames"] = rows(works, frames * sizes.videos, sizes)
    return found


def rows(
    works: Mapping[str, tuple[Account, Callable[[], Predictions]]], frames: int, sizes: Sizes
) -> dict[str, Any]:
    """Return the figures of calls that take their turn: medians over the rounds of all stages.

    frames: that a call sees in all
    """
    taken: dict[str, list[Counter[str]]] = {name: [] for name in works}
    tubes = {}
    for number in range(sizes.rounds + 1):
        for name, (account, work) in works.items():
            predictions = account.call(work)
            tubes[name] = sum(len(video.tubes or ()) for video in predictions.videos.values())
            if number:  # the first call warms up
                taken[name].append(account.seconds)
    found: dict[str, Any] = {}
    whole = {name: statistics.median(sum(one.values()) for one in some) for name, some in taken.items()}
    for name, some in taken.items():
        parts = {stage: statistics.median(one[stage] for one in some) for stage in some[0]}
        found[name] = {
            "ms a frame": _ms(whole[name], frames),
            f"{RIVAL}, times this": round(whole[RIVAL] / whole[name], 2),
            f"{SAME}, times this": round(whole[SAME] / whole[name], 2),
            "tubes a video": round(tubes[name] / sizes.videos, 1),
            **{f"{stage}, ms a frame": _ms(seconds, frames) for stage, seconds in parts.items()},
        }
    return found


def _ms(seconds: float, frames: int) -> float:
    return round(1e3 * seconds / frames, 3)


def sizes_of(profile: str) -> dict[str, Any]:
    """Return the parameters of each system for 24 classes, whole and without its backbone (CFAD Fig. 6b).

    The backbone is what published weights fill; a system of two streams has two.
    """
    found = {}
    for name in FULL:
        entry = ENTRIES[name]
        with torch.device("meta"):
            system = entry.rebuild(entry.config(profile), CLASSES)
        trunks = entry.trunks(system)
        own = sum(parameters(net)[0] for trunk in trunks.values() for net in trunk.nets)
        total = parameters(system.network)[0]
        found[name] = {
            "streams": ", ".join(trunks),
            "parameters": total,
            "of the backbone": own,
            "without the backbone": total - own,
        }
    return found


def noise(config: CfadConfig) -> VideoSource:
    """Return a video of noise of T frames in which one action happens, on all frames where it is trimmed."""
    source = Noise(tuple(config.size)).source()
    (known,) = source.annotations.videos.values()
    first = known.tubes[0] if known.tubes else None
    assert first is not None
    start, length = (0, config.length) if config.trimmed else (config.length // 4, config.length // 2)
    tube = Tube(start, np.tile(first.boxes[:1], (length, 1)), first.label)
    video = replace(known, num_frames=config.length, duration=None, tubes=(tube,))
    return replace(source, annotations=replace(source.annotations, videos={"noise": video}))


def full_step(config: CfadConfig) -> dict[str, Any]:
    """Return parameters, time and memory of one prediction and one training step on one video (``noise``)."""
    torch.manual_seed(0)
    system = CfadSystem(config, CLASSES)
    data = cfad.training_set(system, noise(config))
    data.epoch = LATE
    batch = cfad.collate([data[0]])
    batch["count"] = torch.tensor([config.length])
    about = {name: getattr(config, name) for name in ("length", "samples", "order", "trimmed")}
    plan = schedule("paper" if config.backbone == "i3d" else "smoke")
    return {**about, "size": list(config.size), "classes": len(CLASSES)} | once(
        system, batch, plan, cut(system.network, ["backbone"])
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print, and write the figures where a path is given."""

    def at(part: str, small: bool) -> dict[str, Any]:
        return measured(part, SMALL if small else Sizes())

    measure_parts("bench_cfad", __doc__, TITLES, at, arguments)


def measured(part: str, sizes: Sizes) -> dict[str, Any]:
    """Return the figures of one part."""
    if part == "end_to_end":
        return end_to_end(sizes)
    if part == "sizes":
        return sizes_of(sizes.full)
    config: CfadConfig = replace(getattr(CfadConfig, sizes.full)(), pretrained="", frozen=False)
    changes = {name: value for name, value in JHMDB.items() if sizes.full == "paper" or name != "length"}
    return full_step(replace(config, **changes) if part == "trimmed" else config)


if __name__ == "__main__":
    main()
