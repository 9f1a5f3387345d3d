"""``stad-lite predict RUN INPUT --out predictions.json``: what a trained system finds in videos.

``trained:NAME`` in place of RUN is the small detector of the book's chapters (``book/trained``), which knows
the classes of the synthetic benchmark.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from stad_lite import runs
from stad_lite.cli.check import describe
from stad_lite.cli.output import claim
from stad_lite.data import video
from stad_lite.data.location import SETS, set_name
from stad_lite.data.source import DataConfig, VideoSource, as_published, scaled
from stad_lite.errors import FormatError, MissingExtraError
from stad_lite.records import Annotations, Predictions, write
from stad_lite.reproduce import trained
from stad_lite.systems.truth import segments_of
from stad_lite.training import distributed

DEFAULT_CLIPS = 64
"""Clips of the synthetic benchmark, unless ``--set data.clips=N`` says otherwise."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "folder", metavar="RUN", help="folder that was trained into, or trained:cfad and the like"
    )
    parser.add_argument("input", metavar="INPUT", help=f"video, folder of videos, or {', '.join(SETS)}")
    parser.add_argument("--out", required=True, metavar="P", help="predictions: .json, .json.gz or .npz")
    parser.add_argument("--subset", default="test", help="of a data set: train, val or test")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of the detector (model.KEY) or of the data (data.KEY)",
    )
    parser.add_argument("--truth", metavar="T", help="write the input's annotations too, for evaluate")
    parser.add_argument("--render", metavar="OUT", help="write the video with its boxes (.mp4)")
    parser.add_argument("--min-score", type=float, default=0.0, metavar="S", help="draw no weaker boxes")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="without it the GPU where there is one")


def run(arguments: argparse.Namespace) -> int:
    """Detect in every video; the first process writes, each file whole or not at all."""
    _claim_all(arguments)
    with distributed.processes(arguments.device):
        texts = runs.pairs(arguments.settings)
        about_data = {key: texts.pop(key) for key in list(texts) if key.startswith("data.")}
        system, spec = trained.open_run(arguments.folder, texts, arguments.device)
        kept = replace(spec, data=_data(arguments, spec.data))
        data = runs.with_texts(kept, about_data).data
        source = distributed.first_alone(lambda: data.open(spec.model.size))
        if not source.videos:
            problem = f"{arguments.input} with these settings holds no video"
            raise FormatError(problem, remedy="ask for one or more, or leave data.limit out")
        if arguments.render and len(source.videos) != 1:
            problem = f"{arguments.input} holds {len(source.videos)} videos and one can be rendered"
            least = "data.clips=1" if data.known == "synthetic" else "data.limit=1"
            raise FormatError(problem, remedy=f"name one file, or --set {least}")
        found = runs.predict(system, spec.entry, source)
        if distributed.rank() == 0:
            _write_all(arguments, found, source)
    return 0


def _claim_all(arguments: argparse.Namespace) -> None:
    """No output is an input, or another output, before any work is done."""
    inputs, given = [*Path(arguments.folder).rglob("*")], Path(arguments.input)
    if set_name(arguments.input) is None:
        inputs += [given, *(path for path in (given.rglob("*") if given.is_dir() else ()) if path.is_file())]
    for out in (arguments.out, arguments.truth, arguments.render):
        if distributed.rank() == 0:
            claim(out, *inputs)
        inputs += [Path(out)] if out else []


def _data(arguments: argparse.Namespace, trained: DataConfig) -> DataConfig:
    """All videos of the input, opened as those of the training were."""
    known = set_name(arguments.input)
    name, subset = (known, arguments.subset) if known else (arguments.input, "all")
    files = trained.files if name == trained.name else ""
    return replace(trained, name=name, subset=subset, clips=DEFAULT_CLIPS, limit=0, files=files)


def _write_all(arguments: argparse.Namespace, found: Predictions, source: VideoSource) -> None:
    for note in source.notes:
        print(f"note: {note}")
    published = as_published(found, source)
    write(published, arguments.out)
    print(f"{arguments.out}: {describe(published)}")
    if arguments.truth:
        write(_truth(found, source), arguments.truth)
    if arguments.render:
        print(_render(arguments, published, found, source))


def _truth(found: Predictions, source: VideoSource) -> Annotations:
    """The source's annotations as published; beside tubes their segments where segments were predicted."""
    timed = any(one.segments is not None for one in found.videos.values())
    videos = {}
    for name, known in source.annotations.videos.items():
        videos[name] = scaled(known, source.published.get(name, source.size))
        if timed:
            videos[name] = replace(videos[name], segments=segments_of(known, source.fps(name)))
    return Annotations(source.annotations.dataset, source.classes, videos)


def _render(
    arguments: argparse.Namespace, published: Predictions, found: Predictions, source: VideoSource
) -> Path:
    """Draw over the file itself, or over the frames of a set's only video."""
    try:
        from stad_lite.plots.render import render_video
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed", remedy="pip install 'stad_lite[video]'"
        ) from None
    (name,) = source.videos
    out, least = arguments.render, arguments.min_score
    if Path(arguments.input).is_file():
        return render_video(arguments.input, published, out, video_id=name, least=least)
    with tempfile.TemporaryDirectory() as folder:
        frames = source.drawn(name, range(source.num_frames(name)))
        times = source.annotations.videos[name].times
        plain = video.write(Path(folder) / "video.mp4", frames.pixels, source.fps(name), times=times)
        return render_video(plain, found, out, video_id=name, least=least, size=frames.size)
