"""The clips that STEP sees: a target clip with its neighbours, what is true in it, how its frames look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from stad_lite.data.clips import FrameRun, flow_stack, neighbours, tubelets
from stad_lite.data.source import VideoSource
from stad_lite.data.transforms import Augment
from stad_lite.records import VideoAnnotation
from stad_lite.step.augment import cropped
from stad_lite.step.config import Input, StepConfig
from stad_lite.systems.detect import look
from stad_lite.systems.items import Items, first_frame, read_stream
from stad_lite.systems.maps import FrameMaps, can_mirror, maps_of
from stad_lite.systems.seen import Seen, fed_streams
from stad_lite.systems.truth import Truth, truth_of


def read_seen(
    source: VideoSource,
    config: Input,
    video: str,
    numbers: np.ndarray,
    mirror: bool = False,
    colours: Tensor | None = None,
) -> dict[str, Seen]:
    """Return the streams of frames of a video as they are stored.

    numbers: (t,) frame numbers; a frame's flow is stacked from it on, the last map repeats at the end
    mirror: as a mirror shows it
    colours: (3, 4) that the frames are shown in
    raises: FormatError for a source without flow where the stream needs it
    """
    found, turned = {}, torch.tensor(mirror)
    if config.stream != "flow":
        frames = torch.from_numpy(read_stream(source, "rgb", video, numbers))
        found["rgb"] = Seen(frames, turned, colours=colours)
    if config.stream != "rgb":
        count = source.num_frames(video)
        wanted = np.stack([flow_stack(count, int(number), config.flow_depth) for number in numbers])
        flow = torch.from_numpy(read_stream(source, "flow", video, wanted.ravel()))
        flow = rearrange(flow, "(t depth) h w c -> t h w (depth c)", depth=config.flow_depth)
        found["flow"] = Seen(flow, turned)
    return found


def shown(seen: Mapping[str, Seen] | Tensor, config: Input) -> Tensor:
    """Return the backbone's input (..., t, channels, h, w) of streams as they are stored."""
    return fed_streams(seen, config.flow_scale, config.normalise, config.backbone == "i3d")


def clip_truth(
    video: VideoAnnotation,
    classes: Sequence[str],
    numbers: np.ndarray,
    inside: np.ndarray,
    config: StepConfig,
) -> Truth:
    """Return the truth of a run of an odd number of clips.

    A tube counts in the centre clip where it has a box on half of the places that are in the video, or more:
    the label is taken to be constant in a clip (STEP Sec. 3.1). With AVA's supervision only the clip's middle
    place is seen.

    numbers: (frames,) frame numbers of the run
    inside: (frames,) False where a frame only fills up
    returns: t places, one for every ``config.time_stride`` frames: the later of the two in their middle
    """
    every = slice(config.time_stride // 2, None, config.time_stride)
    truth = truth_of(video, classes, numbers[every], inside[every])
    first = (truth.present.shape[1] - config.boxes) // 2
    middle = np.zeros(truth.present.shape[1], dtype=bool)
    if config.supervision == "middle":
        middle[first + config.boxes // 2] = True
        present = truth.present & middle
        return replace(truth, present=present, valid=np.asarray(present.any(1)))
    middle[first : first + config.boxes] = True
    known = max(1, int(inside[every][middle].sum()))
    return replace(truth, valid=np.asarray(2 * truth.present[:, middle].sum(1) >= known))


def item_of(
    config: StepConfig,
    source: VideoSource,
    run: FrameRun,
    maps: FrameMaps | None,
    mirror: bool = False,
    rng: np.random.Generator | None = None,
) -> dict[str, Any]:
    """Return one clip: its maps or frames over all clips that the last step sees, and their truth.

    mirror: as a mirror shows it
    rng: frames (not maps) are cropped and coloured as the configuration says; None leaves them as they are
    returns: ``maps`` (t, c, h, w) or ``frames``, the streams as they are stored, and what ``Truth`` holds
    raises: FormatError, with the video
    """
    count = source.num_frames(run.video)
    around = neighbours(run, count, config.reach)
    numbers, inside = (np.concatenate([getattr(one, name) for one in around]) for name in ("frames", "valid"))
    truth = clip_truth(source.annotations.videos[run.video], source.classes, numbers, inside, config)
    truth = truth.mirrored(config.size[1]) if mirror else truth
    if maps is not None:
        return {"maps": maps.clip(config.stream, run.video, numbers, mirror).float(), **truth.tensors()}
    colours = None
    if rng is not None and config.augment == "colour":
        colours = torch.from_numpy(Augment().colours(rng))
    seen: Mapping[str, Seen] = read_seen(source, config, run.video, numbers, mirror, colours)
    if rng is not None and config.augment != "flip":
        seen, truth = cropped(seen, truth, source.size, config, rng)
    return {"frames": seen, **truth.tensors()}


def training_item(
    run: FrameRun,
    rng: np.random.Generator,
    config: StepConfig,
    source: VideoSource,
    maps: FrameMaps | None,
    flip: float = 0.5,
) -> dict[str, Any]:
    """Return one clip (``item_of``) as it is seen in training.

    flip: probability of the mirror image
    """
    turned = rng.random() < flip and can_mirror(maps)
    return item_of(config, source, run, maps, turned, rng)


def clip_runs(source: VideoSource, config: Input, stride: int = 1) -> tuple[FrameRun, ...]:
    """Return the clips of all videos.

    Where a video's annotation names the frames that count (AVA), there is one clip around each, with the
    key frame as the first of its right half; else clips start every ``stride`` frames, the last one at the
    video's end. A video shorter than a clip gives one, filled up with its last frame.
    """
    return tuple(run for name in source.videos for run in video_runs(source, name, config, stride))


def video_runs(source: VideoSource, video: str, config: Input, stride: int) -> list[FrameRun]:
    """Return the clips of one video (``clip_runs``)."""
    count, keys = source.num_frames(video), source.annotations.videos[video].evaluated_frames
    if keys is None:
        return tubelets(video, count, config.clip, stride)
    places = np.asarray(keys)[:, None] - config.clip // 2 + np.arange(config.clip)
    return [
        FrameRun(video, row.clip(0, count - 1), (row >= 0) & (row < count), int(row[0])) for row in places
    ]


def clips_with_truth(source: VideoSource, config: StepConfig, stride: int = 0) -> tuple[FrameRun, ...]:
    """Return the clips of all videos that hold a truth that counts.

    stride: the configuration's unless told
    """
    runs = clip_runs(source, config, stride or config.stride)
    return tuple(run for run in runs if has_truth(source, run, config))


def has_truth(source: VideoSource, run: FrameRun, config: StepConfig) -> bool:
    """Tell whether a clip holds a truth that counts."""
    video = source.annotations.videos[run.video]
    return bool(clip_truth(video, source.classes, run.frames, run.valid, config).valid.any())


def asked(
    system: Any,
    source: VideoSource,
    maps: FrameMaps | None,
    collate: Callable[[list[Any]], Any],
    answer: Callable[..., Any],
) -> Iterator[tuple[str, Items, list[Any]]]:
    """Yield every video with its clips and what a system answers to their batches (``detect.look``).

    maps: of all frames; computed video by video where they are not given (but for I3D: they are a clip's)
    raises: FormatError, NotFiniteError
    """
    config = system.config
    source.check(config.size, config.stream != "rgb")

    def clips(video: str) -> Items:
        known = maps_of(system, source, video, maps)
        runs = video_runs(source, video, config, config.stride)
        return Items(runs, lambda run, _: item_of(config, source, run, known))

    return look(system.network, source, clips, collate, answer, first_frame)
