"""Draw the pictures of the README and of the first page, by the trained detectors (``make picture``).

    python book/_tools/picture.py [NAME ...]

Each is one clip of the split ``test``; the same bytes every time on one machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
import torch
from matplotlib.figure import Figure

from notebooks import BOOK
from stad_lite.cfad import system as cfad_system
from stad_lite.cfad.videos import item_of, video_run
from stad_lite.data.drawn import Drawn
from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import CLASSES, Settings, render
from stad_lite.data.synthetic.sequences import sequence_source
from stad_lite.pcsc.clips import clips as key_clips
from stad_lite.pcsc.cooperation import union
from stad_lite.pcsc.model import decode, output_after
from stad_lite.plots import flow, live, refinement, style
from stad_lite.plots.cuboids import refinement as closing_in
from stad_lite.plots.frames import show
from stad_lite.plots.matching import lanes
from stad_lite.plots.tubes import prism
from stad_lite.reproduce import trained
from stad_lite.reproduce.experiments import pcsc as pcsc_experiment
from stad_lite.reproduce.experiments import sp_tad as sp_tad_experiment
from stad_lite.sp_tad import system as sp_tad_system
from stad_lite.sp_tad.criterion import match
from stad_lite.step import clips as step_clips
from stad_lite.step import criterion
from stad_lite.step import system as step_system
from stad_lite.step.config import clip_settings
from stad_lite.step.model import update
from stad_lite.systems.detect import dialled
from stad_lite.systems.maps import frame_maps
from stad_lite.systems.truth import boxes_on
from stad_lite.tubes import tube_iou

CLIP = 4
STRONG = 0.3
"""Score from which a box is drawn."""


def tube() -> Figure:
    """A tube through a synthetic clip."""
    clip = render(Settings.lesson(), CLIP)
    return prism(clip.drawn(), clip.tubes, classes=CLASSES).figure


def cfad(clip: int = 21) -> Figure:
    """The coarse tube, and what looking at its key timestamps makes of it."""
    system = trained.load("cfad").system
    source = synthetic_source(Settings.lesson(), [clip], "test")
    (video,) = source.videos
    batch = cfad_system.collate([item_of(source, system.config, video_run(source, video, system.config))])
    true = max(source.annotations.videos[video].tubes or (), key=len)
    drawn = {}
    for name, selection in (("coarse", "none"), ("refined", system.config.selection)):
        (found,) = dialled(system, selection=selection).predict(batch)
        drawn[name] = max(found, key=lambda one: tube_iou(one, true))
    some = np.linspace(true.start, true.end - 1, 5).round().astype(int).tolist()
    return refinement.along(_frames(source), {"truth": true, **drawn}, some, columns=5)


def step(clip: int = 3) -> Figure:
    """Proposals that close in on the actors from step to step."""
    system = trained.load("step").system
    config = system.config
    source = synthetic_source(clip_settings("lesson"), [clip], "test")
    maps = frame_maps(system, source)
    runs = list(step_clips.clip_runs(source, config, config.stride))
    run = max(runs, key=lambda run: step_clips.item_of(config, source, run, maps)["present"].sum())
    batch = step_system.collate([step_clips.item_of(config, source, run, maps)])
    answers = system.answers(batch)
    rows = [answers[0].proposals, *(update(answer, config) for answer in answers)]
    true = np.where(batch["present"][0][..., None], batch["truth"][0], np.nan)
    owned = criterion.input_overlaps(rows[-1], batch, config)[0]
    near = sorted(set(owned[:, batch["valid"][0]].argmax(0).tolist()))
    names = ["cuboids", *(f"step {number + 1}" for number in range(config.steps))]
    some = np.linspace(0, config.clip - 1, 3).round().astype(int)
    return closing_in(
        source.drawn(run.video, run.frames[some]),
        [one[0].numpy()[:, some] for one in rows],
        true[batch["valid"][0].numpy()][:, some],
        near,
        names,
        width=4.0,
    )


def sp_tad(video: int = 2) -> Figure:
    """Learned proposals in time, before the first head and after the last."""
    system = trained.load("sp_tad").system
    settings = sp_tad_experiment.sequences("lesson", {})
    source = sequence_source(settings, [video], "test")
    windows = sp_tad_system.test_windows(system, source)
    places = range(len(windows))
    window = max(places, key=lambda place: len(windows.truth(windows.places[place])[1]))
    spans, labels = windows.truth(windows.places[window])
    batch = sp_tad_system.collate(
        [windows[window]._replace(segments=torch.tensor(spans).float(), labels=torch.tensor(labels))]
    )
    outputs = system.network(batch.inputs)
    held = match(outputs, batch.truth, system.config)[-1]
    pairs = list(zip(held.proposal.tolist(), held.truth.tolist(), strict=True))
    shown = sorted(proposal for proposal, _ in pairs) + [
        place for place in range(outputs.segments.shape[2]) if place not in held.proposal
    ]
    shown = shown[:12]
    ties = [(shown.index(proposal), truth) for proposal, truth in pairs if proposal in shown]
    figure = _row(2, 3.0)
    for ax, (name, head) in zip(figure.axes, {"first head": 0, "last head": -1}.items(), strict=True):
        lanes(spans, outputs.segments[head, 0, shown].numpy(), ties, ax, xlabel="share of the window")
        ax.set(title=f"after the {name}", xlim=(0, 1))
    return figure


def pcsc(clip: int = 11) -> Figure:
    """What each stream finds by itself, and what they find together."""
    system = trained.load("pcsc").system
    config = system.config
    source = pcsc_experiment.open_clips(pcsc_experiment.settings("lesson", {}), [clip], "test")
    (video,) = source.videos
    (tube, *_) = sorted(source.annotations.videos[video].tubes or (), key=len, reverse=True)
    frame = (tube.start + tube.end) // 2
    for numbers, streams in key_clips(source, config, video, frame_maps(system, source), 16):
        if frame in numbers:
            outputs = system.network(streams["rgb"], streams["flow"])
            row = int(np.flatnonzero(numbers == frame)[0])
            break
    figure = _row(4, 2.2)
    left, *rest = figure.axes
    flow.wheel(source.flow(video, [frame])[0], left)
    left.set_title("flow")
    alone = {stage.stream: stage for stage in reversed(outputs.stages)}
    shown = {
        "RGB alone": union([alone["rgb"].found], config.min_score, config.nms, config.keep),
        "flow alone": union([alone["flow"].found], config.min_score, config.nms, config.keep),
        "together": output_after(outputs, config, config.stages),
    }
    for ax, (name, output) in zip(rest, shown.items(), strict=True):
        found = decode(output)[row]
        strong = found.scores > STRONG
        boxes = found.boxes[strong], found.labels[strong]
        _on_frame(ax, source.drawn(video, [frame])[0], *boxes, source.classes, name)
    style.class_legend(figure, source.classes)
    return figure


def flow_subnet(clip: int = 15) -> Figure:
    """A frame, the flow that the network makes for itself, and what it finds by both."""
    system = trained.load("flow_subnet").system
    network, config = system.network, system.config
    source = synthetic_source(Settings.lesson(), [clip], "test")
    (video,) = source.videos
    (tube, *_) = sorted(source.annotations.videos[video].tubes or (), key=len, reverse=True)
    frame = (tube.start + tube.end) // 2
    three = torch.from_numpy(source.frames(video, range(frame - 1, frame + 2))).movedim(-1, 1)
    first, second = (network.motion.features(image[None] / 255) for image in three[1:])
    field = network.motion.field(network.motion.between(first, second)[0], config.size)[0]
    (found,) = system.predict({"frames": three[None]})
    strong = found.scores > STRONG
    true, labels = boxes_on(source.annotations.videos[video], frame, source.classes)
    image = source.drawn(video, [frame])[0]
    figure = _row(3, 2.6)
    middle = figure.axes[1]
    flow.wheel(field.movedim(0, -1).numpy(), middle)
    middle.set_title("its own flow")
    boxes = found.boxes[strong], found.labels[strong]
    _on_frame(figure.axes[0], image, true, labels, source.classes, "truth")
    _on_frame(figure.axes[2], image, *boxes, source.classes, "found by both")
    style.class_legend(figure, source.classes)
    return figure


DRAWN: dict[str, Callable[[], Figure]] = {
    one.__name__: one for one in (tube, cfad, step, sp_tad, pcsc, flow_subnet)
}


def _frames(source: VideoSource) -> Drawn:
    (video,) = source.videos
    return source.drawn(video, range(source.num_frames(video)))


def _row(count: int, height: float) -> Figure:
    figure: Figure = style.figure(count, width=7.5, height=height, squeeze=False)[0]
    return figure


def _on_frame(ax, image, boxes, labels, classes, title) -> None:  # type: ignore[no-untyped-def]
    show(ax, image)
    live.boxes(ax, boxes, labels, classes)
    ax.set_title(title)


def main(arguments: list[str] | None = None) -> int:
    """Write book/images/NAME.png."""
    parser = argparse.ArgumentParser(description="Draw the pictures of the README and of the first page.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(DRAWN)}; all without it")
    names = parser.parse_args(arguments).names or list(DRAWN)
    if unknown := [name for name in names if name not in DRAWN]:
        print(f"no picture {', '.join(unknown)}; there are: {', '.join(DRAWN)}", file=sys.stderr)
        return 2
    style.use()
    torch.set_num_threads(1)
    folder = BOOK / "images"
    folder.mkdir(exist_ok=True)
    with torch.no_grad():
        for name in names:
            torch.manual_seed(0)
            (folder / f"{name}.png").write_bytes(style.png(DRAWN[name]()))
            print(f"book/images/{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
