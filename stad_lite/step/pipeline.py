"""STEP from a source of videos to predictions: data set, clips, suppression, linking, trimming.

config = StepConfig.lesson()
system = build(config, source.classes)
fit(system, training_set(system, source), schedule("lesson"), run_dir, collate=collate)
predictions = detect(system, other_source)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from stad_lite.baselines.pretraining import pretrained
from stad_lite.data.clips import FrameRun, neighbours, tubelets
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.linking import LabelSmoothing, TubeletConfig, link_tubelets
from stad_lite.linking.detections import Detections
from stad_lite.progress import progress
from stad_lite.records import FrameBoxes, Predictions, VideoPredictions
from stad_lite.step.augment import colours, cropped
from stad_lite.step.config import StepConfig
from stad_lite.step.criterion import losses
from stad_lite.step.features import FrameMaps, frame_maps, read_input, video_maps
from stad_lite.step.model import Answer, Dense, Found, StepNetwork, decode, dense
from stad_lite.step.truth import truth_of
from stad_lite.tubes import Tube

BATCH = 16
"""Clips that are looked at together in inference."""


class StepSystem:
    """STEP as the training loop sees it: network, criterion, decoding.

    classes: names
    raises: FormatError for no classes
    """

    def __init__(self, config: StepConfig, classes: Sequence[str]) -> None:
        if not classes:
            raise FormatError("STEP for no classes", remedy="give the class names")
        self.config, self.classes = config, tuple(classes)
        self.network = StepNetwork(config, len(self.classes))

    def maps(self, batch: dict[str, Tensor]) -> Tensor:
        """Return a batch's maps (b, t, c, h, w): those it brings along, or the backbone's of its frames."""
        if "maps" in batch:
            return batch["maps"].float()
        found: Tensor = self.network.features(batch["frames"])
        return found

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted terms of all steps (``criterion.losses``)."""
        return losses(self.network, self.maps(batch), batch)

    @torch.no_grad()
    def answers(self, batch: dict[str, Tensor]) -> list[Answer]:
        """Return the answer of every step."""
        self.network.eval()
        found: list[Answer] = self.network(self.maps(batch))
        return found

    def predict(self, batch: dict[str, Tensor]) -> list[Found]:
        """Return the last step's detections of every clip."""
        return decode(dense(self.answers(batch)[-1], self.config), self.config)


def build(config: StepConfig, classes: Sequence[str]) -> StepSystem:
    """Return a new system; a small backbone starts from its pretrained weights (``config.pretrained``).

    The caller sets the seed.
    raises: FormatError for no classes
    """
    from stad_lite.baselines.stacked import stacked_backbone

    system = StepSystem(config, classes)
    if config.pretrained and config.backbone == "small":
        known: nn.Module
        if config.stream == "early":
            known = stacked_backbone(config.pretrained)
        else:
            known = pretrained(config.stream, config.pretrained)
        system.network.backbone.load_state_dict(known.state_dict())
    return system


@dataclass
class Clips:
    """Clips with their neighbours as a torch-style data set.

    runs: the target clips
    maps: of all frames, None where the backbone sees the frames themselves
    flip: probability of the mirror image
    epoch: the training loop sets it; clips are mirrored by (seed, epoch, index)
    """

    config: StepConfig
    source: VideoSource
    runs: tuple[FrameRun, ...]
    maps: FrameMaps | None = None
    flip: float = 0.5
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.runs)

    def name(self, index: int) -> str:
        """Return what an item is called."""
        return f"{self.runs[index].video} from frame {self.runs[index].start}"

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        turned = rng.random() < self.flip and (self.maps is None or bool(self.maps.mirrored))
        return item_of(self.config, self.source, self.runs[index], self.maps, turned, rng)


def item_of(
    config: StepConfig,
    source: VideoSource,
    run: FrameRun,
    maps: FrameMaps | None,
    mirror: bool = False,
    rng: np.random.Generator | None = None,
) -> dict[str, Tensor]:
    """Return one clip: its maps or frames over all clips that the last step sees, and their truth.

    mirror: as a mirror shows it
    rng: frames (not maps) are cropped and coloured as the configuration says; None leaves them as they are
    returns: ``maps`` (t, c, h, w) or ``frames`` (t, channels, h, w), and what ``truth.Truth`` holds
    raises: FormatError, with the video
    """
    count = source.num_frames(run.video)
    around = neighbours(run, count, config.reach)
    numbers, inside = (np.concatenate([getattr(one, name) for one in around]) for name in ("frames", "valid"))
    truth = truth_of(source.annotations.videos[run.video], source.classes, numbers, inside, config)
    truth = truth.mirrored(config.size[1]) if mirror else truth
    if maps is not None:
        return {"maps": maps.clip(run.video, numbers, mirror), **truth.tensors()}
    recolour = partial(colours, rng=rng) if rng is not None and config.augment == "colour" else None
    seen = read_input(source, config, run.video, numbers, mirror, recolour)
    if rng is not None and config.augment != "flip":
        seen, truth = cropped(seen, truth, config, rng)
    return {"frames": seen, **truth.tensors()}


def clip_runs(source: VideoSource, config: StepConfig, stride: int = 1) -> tuple[FrameRun, ...]:
    """Return the clips of all videos.

    Where a video's annotation names the frames that count (AVA), there is one clip around each, with the
    key frame as the first of its right half; else clips start every ``stride`` frames, the last one at the
    video's end. A video shorter than a clip gives one, filled up with its last frame.
    """
    found: list[FrameRun] = []
    for name in source.videos:
        found += video_runs(source, name, config, stride)
    return tuple(found)


def video_runs(source: VideoSource, video: str, config: StepConfig, stride: int) -> list[FrameRun]:
    """Return the clips of one video (``clip_runs``)."""
    count, keys = source.num_frames(video), source.annotations.videos[video].evaluated_frames
    if keys is None:
        return tubelets(video, count, config.clip, stride)
    places = np.asarray(keys)[:, None] - config.clip // 2 + np.arange(config.clip)
    return [
        FrameRun(video, row.clip(0, count - 1), (row >= 0) & (row < count), int(row[0])) for row in places
    ]


def training_set(
    system: StepSystem, source: VideoSource, maps: FrameMaps | None = None, empty: bool = False
) -> Clips:
    """Return the clips of a source that hold an action.

    maps: of all frames; for a frozen backbone they are computed now unless they are given
    empty: take clips without an action too
    raises: FormatError where classes or size are not the system's, or no clip holds an action
    """
    config = system.config
    check_source(system, source, truth=True)
    runs = clip_runs(source, config)
    if not empty:
        runs = tuple(run for run in runs if has_truth(source, run, config))
    if not runs:
        raise FormatError(
            "no clip holds an annotated action",
            file=source.annotations.dataset,
            remedy="choose another subset",
        )
    if maps is None and config.frozen:
        maps = frame_maps(system.network, source, mirror=True)
    return Clips(config, source, runs, maps)


def has_truth(source: VideoSource, run: FrameRun, config: StepConfig) -> bool:
    """Tell whether a clip holds a truth that counts."""
    video = source.annotations.videos[run.video]
    alone = truth_of(video, source.classes, run.frames, run.valid, config)
    return bool(alone.valid.any())


def check_source(system: StepSystem, source: VideoSource, truth: bool = False) -> None:
    """Refuse a source that the system cannot read. raises: FormatError"""
    flow = system.config.stream != "rgb"
    source.check(system.config.size, flow, system.classes if truth else None)


def collate(items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return a batch: what is seen stacked, truths padded to the largest number (``valid`` False)."""
    most = max(1, *(len(item["valid"]) for item in items))
    batch = {}
    for name in items[0]:
        if name in ("maps", "frames"):
            batch[name] = torch.stack([item[name] for item in items])
        else:
            batch[name] = torch.stack([_padded(item[name], most) for item in items])
    return batch


def _padded(values: Tensor, length: int) -> Tensor:
    return torch.cat([values, values.new_zeros(length - len(values), *values.shape[1:])])


@torch.no_grad()
def look(
    system: StepSystem, source: VideoSource, maps: FrameMaps | None = None
) -> Iterator[tuple[str, list[FrameRun], list[Dense]]]:
    """Yield every video's clips with what each step says of them, nothing left out yet.

    maps: of all frames; computed video by video where they are not given, each frame once for all clips that
        see it (but for I3D, whose maps belong to clips)
    returns: video, its n clips, and for each step boxes (n, m, classes, t, 4) and scores (n, m, classes)
    raises: FormatError
    """
    check_source(system, source)
    config, network = system.config, system.network.eval()
    device = next(network.parameters()).device
    for video in progress(source.videos, desc="detecting"):
        known = maps
        if maps is None and (config.frozen or config.backbone != "i3d"):
            known = FrameMaps({video: video_maps(network, source, video)})
        runs = video_runs(source, video, config, config.stride)
        parts: list[list[Dense]] = [[] for _ in range(config.steps)]
        for first in range(0, len(runs), BATCH):
            items = [item_of(config, source, run, known) for run in runs[first : first + BATCH]]
            batch = {name: values.to(device) for name, values in collate(items).items()}
            for place, answer in zip(parts, system.answers(batch), strict=True):
                place.append(dense(answer, config))
        yield video, runs, [Dense(*map(np.concatenate, zip(*part, strict=True))) for part in parts]


def on_frames(
    runs: Sequence[FrameRun], found: Sequence[Found], num_frames: int, config: StepConfig
) -> FrameBoxes:
    """Return the boxes of every frame: those of the clip whose middle is nearest, the earlier of two.

    runs: clips of one video
    found: the detections of each
    """
    middles = np.array([run.start + (config.clip - 1) / 2 for run in runs])
    frames = np.arange(num_frames)
    nearest = np.abs(frames[:, None] - middles).argmin(1)
    boxes = [every_frame(one.boxes, config) for one in found]
    columns: list[tuple[np.ndarray, ...]] = []
    for frame, place in enumerate(nearest):
        one, offset = found[place], frame - runs[place].start
        if 0 <= offset < config.clip:
            columns.append((np.full(len(one), frame), one.labels, boxes[place][:, offset], one.scores))
    empty = (np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0))
    return FrameBoxes(*(np.concatenate(column) for column in zip(empty, *columns, strict=True)))


def every_frame(boxes: np.ndarray, config: StepConfig) -> np.ndarray:
    """Return boxes on each frame of a clip: those of I3D stand for 4 frames and are interpolated.

    boxes: (n, config.boxes, 4)
    returns: (n, config.clip, 4)
    """
    stride = config.time_stride
    if stride == 1:
        return boxes
    places = (np.arange(config.clip) - stride // 2) / stride
    weights = np.stack([np.interp(places, np.arange(config.boxes), row) for row in np.eye(config.boxes)], 1)
    return np.einsum("fb,nbs->nfs", weights, boxes)


def link_clips(
    runs: Sequence[FrameRun], found: Sequence[Found], num_frames: int, system: StepSystem
) -> tuple[Tube, ...]:
    """Return the tubes of one video: tubelets linked within each class, then trimmed in time.

    No suppression crosses the classes. A tube's score is the mean of its boxes'; one of which the trimming
    would leave nothing stays whole.
    Source: STEP Sec. 3.5; Kalogeiton et al. for the linking, Saha et al. for the trimming.
    """
    config = system.config
    sizes = [len(one) for one in found]
    start = np.repeat([max(0, run.start) for run in runs], sizes).astype(np.int64)
    boxes = np.concatenate([every_frame(one.boxes, config) for one in found])
    label, score = (np.concatenate([getattr(one, name) for one in found]) for name in ("labels", "scores"))
    if not len(score):
        return ()
    tubelet = Detections(start, boxes, label, score, np.arange(len(score)), len(system.classes))
    reach = max(config.stride, config.clip - 1)
    linking = TubeletConfig(min_score=None, nms=None, keep=10, overlap=config.link_overlap, reach=reach)
    trim = LabelSmoothing(alpha=config.trim_alpha, empty="keep")
    linked = link_tubelets(tubelet, linking, system.classes, trim)
    return tuple(cut for tube in linked.tubes for cut in _inside(tube, num_frames))


def _inside(tube: Tube, num_frames: int) -> list[Tube]:
    """A tube without the frames that only fill up a clip."""
    length = num_frames - tube.start
    if length <= 0:
        return []
    scores = None if tube.box_scores is None else tube.box_scores[:length]
    return [Tube(tube.start, tube.boxes[:length], tube.label, tube.score, scores)]


def detect(system: StepSystem, source: VideoSource, maps: FrameMaps | None = None) -> Predictions:
    """Return the last step's detections on frames, and the tubes that they are linked to.

    Where only some frames count (AVA), there are boxes on those and no tubes.
    """
    return assemble(
        system, source, ((video, runs, steps[-1]) for video, runs, steps in look(system, source, maps))
    )


def assemble(
    system: StepSystem, source: VideoSource, looks: Iterator[tuple[str, list[FrameRun], Dense]]
) -> Predictions:
    """Return the predictions of what was seen of each video's clips."""
    videos = {}
    for video, runs, seen in looks:
        found, count = decode(seen, system.config), source.num_frames(video)
        keys = source.annotations.videos[video].evaluated_frames
        if keys is None:
            frames = on_frames(runs, found, count, system.config)
            videos[video] = VideoPredictions(link_clips(runs, found, count, system), frames)
        else:
            videos[video] = VideoPredictions(frames=_on_keys(np.asarray(keys), found, system.config))
    return Predictions(system.classes, videos)


def _on_keys(keys: np.ndarray, found: Sequence[Found], config: StepConfig) -> FrameBoxes:
    sizes = [len(one) for one in found]
    boxes = np.concatenate([every_frame(one.boxes, config)[:, config.clip // 2] for one in found])
    label, score = (np.concatenate([getattr(one, name) for one in found]) for name in ("labels", "scores"))
    return FrameBoxes(np.repeat(keys, sizes), label, boxes, score)


def detect_steps(system: StepSystem, source: VideoSource, maps: FrameMaps | None = None) -> list[Predictions]:
    """Return the boxes on frames that each step would give were it the last."""
    videos: list[dict[str, VideoPredictions]] = [{} for _ in range(system.config.steps)]
    for video, runs, steps in look(system, source, maps):
        for place, seen in zip(videos, steps, strict=True):
            frames = on_frames(runs, decode(seen, system.config), source.num_frames(video), system.config)
            place[video] = VideoPredictions(frames=frames)
    return [Predictions(system.classes, place) for place in videos]
