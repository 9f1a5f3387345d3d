"""Runs of any system: a folder that is trained into, and predicted from without knowing how it was made.

RUN/system.json holds the system's name, its settings, its classes and its data; the rest of the folder is
``training.run_folder``'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from stad_lite.catalogue import Entry, find
from stad_lite.data.source import DataConfig, VideoSource
from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.nets import published
from stad_lite.nets.published import Weights
from stad_lite.nets.weights import State
from stad_lite.records import Predictions, atomic_write
from stad_lite.records.exchange.text import read_json
from stad_lite.schedule import TrainConfig, plain
from stad_lite.settings import changed, from_plain
from stad_lite.systems.quick import quickly
from stad_lite.training import checkpoint, distributed, run_folder
from stad_lite.training.loop import Run, check_workers, fit, usual_workers

FORMAT = "stad-lite/run/1"
FINISHED = "finished.pt"
"""RUN/checkpoints/finished.pt: the weights after a system's last stage, where it has one."""


@dataclass(frozen=True)
class Spec:
    """All that decides a run.

    system: name in ``catalogue.ENTRIES``
    profile: what the settings started from
    model, train, data: settings of the detector, of its training, and of what it is trained on
    weights: where its networks begin
    classes: names, () as long as the data is not opened
    begin: the trained detector that its networks begin as, "" for none
    """

    system: str
    profile: str
    model: Any
    train: TrainConfig
    data: DataConfig
    classes: tuple[str, ...] = ()
    weights: Weights = field(default_factory=Weights)
    begin: str = ""

    @property
    def entry(self) -> Entry:
        """Where the system's parts are."""
        return find(self.system)


def make_spec(system: str, profile: str, texts: dict[str, str], **data: Any) -> Spec:
    """Return what a profile says, with some settings changed.

    texts: "model.x", "train.x", "data.x" or "weights.x" -> word; with "weights.random" all batch norms train
    data: fields of the data's settings, as values
    raises: FormatError for an unknown system, profile or key, and for a word that does not fit
    """
    entry = find(system)
    given = replace(entry.data(profile), **data)
    spec = Spec(system, profile, entry.config(profile), entry.schedule(profile), given)
    spec = with_texts(spec, texts)
    return replace(spec, model=spec.model.thawed()) if spec.weights.random else spec


def going_on(spec: Spec, word: str, earlier: Spec, texts: dict[str, str]) -> Spec:
    """Return a spec whose detector is one that was trained before, to be trained further.

    word: the trained detector, as messages name it
    earlier: what that was made of; its settings hold, changed by ``texts`` (``make_spec``)
    raises: FormatError for another system, or where published weights are asked for as well
    """
    if earlier.system != spec.system:
        problem = f"{word} is a detector of {earlier.system}, not of {spec.system}"
        raise FormatError(problem, remedy=f"train {earlier.system}")
    if spec.weights != Weights():
        remedy = "leave --weights out"
        raise FormatError(f"the networks begin as those of {word}, not with other weights", remedy=remedy)
    own = {key: text for key, text in texts.items() if key.startswith("model.")}
    return with_texts(replace(spec, model=earlier.model, begin=word), own)


def pairs(words: Iterable[str]) -> dict[str, str]:
    """Return ``KEY=VALUE`` words as a dictionary. raises: FormatError

    >>> pairs(["train.lr=1e-3", "model.size=48,48"])
    {'train.lr': '1e-3', 'model.size': '48,48'}
    """
    texts = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign:
            raise FormatError(f"the setting {word!r} has no value", remedy="write KEY=VALUE")
        texts[key.strip()] = value
    return texts


def with_texts(spec: Spec, texts: dict[str, str]) -> Spec:
    """Return a spec with settings changed by words (``make_spec``)."""
    for given, other in (("steps", "epochs"), ("epochs", "steps")):
        if f"train.{given}" in texts and f"train.{other}" not in texts:
            texts = {**texts, f"train.{other}": "0"}  # the length is one of the two
    parts: dict[str, dict[str, str]] = {"model": {}, "train": {}, "data": {}, "weights": {}}
    for key, text in texts.items():
        part, _, rest = key.partition(".")
        if part not in parts or not rest:
            known = ", ".join(f"{name}.KEY" for name in parts)
            raise FormatError(f"there is no setting {key}", remedy=f"settings are {known}")
        parts[part][rest] = text
    if "limit" in parts["data"] and spec.data.known == "synthetic" and "name" not in parts["data"]:
        raise FormatError("synthetic has no files that data.limit counts", remedy="set data.clips")
    settings = {name: changed(getattr(spec, name), given, name) for name, given in parts.items()}
    return replace(spec, **settings)


def train(
    spec: Spec,
    run_dir: str | PathLike[str],
    *,
    device: str | None = None,
    workers: int | None = 0,
    cache_dir: str | PathLike[str] | None = None,
    say: Callable[[str], object] = print,
    watch: Callable[[dict[str, Any]], object] | None = None,
    start: tuple[Any, Spec] | None = None,
) -> Run:
    """Train a system as a spec says; the same call again goes on where it was stopped.

    What hangs on the classes is made anew where those of the data are others than those of ``start``.

    run_dir, device, workers, say, watch: as in ``training.fit``; workers None for
        ``training.loop.usual_workers``
    start: the trained system that its networks begin as (``load``), and what it was made of
    raises: FormatError where the folder holds another run or the data has no truth, and what reading the
        weights, opening the data, building the system and ``fit`` raise
    """
    run, entry = Path(run_dir), spec.entry
    check_workers(workers or 0)
    with distributed.processes(device) as place, run_folder.alone(run):
        tell = say if distributed.rank() == 0 else _nothing
        _check_same(run, spec)
        if (done := _steps_done(run, spec)) is not None:
            if distributed.rank() == 0 and not (run / "curves.png").is_file():
                run_folder.plot_run(run)  # it was killed after its last checkpoint
            tell(f"{run} is finished: {done} of {done} steps are done")
            return Run(run, done, done)
        states = {} if start else _published(spec)
        source = distributed.first_alone(lambda: spec.data.open(spec.model.size, cache_dir))
        _check_truth(source)
        source = _with_classes(source, run, start[1].classes if start else ())
        checkpoint.seed_all(spec.train.seed)
        system, lines = _begun(spec, source.classes, place, start, states)
        system.network.to(place)
        data = entry.training_set(system, source)
        data.seed = spec.train.seed
        for line in [*(f"note: {note}" for note in (*source.notes, *getattr(data, "notes", ()))), *lines]:
            tell(line)
        if distributed.rank() == 0:  # not before the data has been found to fit
            _write(run, replace(spec, classes=source.classes))
        count = usual_workers(data) if workers is None else workers
        how: Any = {"device": device, "workers": count, "say": say, "watch": watch}
        done_run = fit(system, data, spec.train, run, collate=entry.collate, **how)
        if entry.finishes and distributed.rank() == 0:
            _finish(run, spec, system, source)
    return done_run


def load(
    run_dir: str | PathLike[str],
    texts: dict[str, str] | None = None,
    device: str | None = None,
    say: Callable[[str], object] = print,
) -> tuple[Any, Spec]:
    """Return the system of a run with its newest weights, and what the run was made of.

    A run that is not finished gives what it has; a damaged checkpoint is passed over for the one before.
    texts: settings to change (``make_spec``), such as ``model.min_score``
    raises: MissingFileError where there is no run or no checkpoint, TruncatedFileError where none is whole,
        FormatError where the weights do not fit the changed settings
    """
    run = Path(run_dir)
    spec = with_texts(read_spec(run), texts or {})
    finished = run / "checkpoints" / FINISHED
    if finished.is_file():
        state: dict[str, Any] | None = checkpoint.read(finished)
    else:
        state = checkpoint.read_newest(run / "checkpoints", say)
    if state is None:
        raise MissingFileError("the run has no checkpoint", file=run, remedy="train it first")
    return filled(spec, state["network"], run, device), spec


def filled(spec: Spec, weights: Any, file: str | PathLike[str], device: str | None = None) -> Any:
    """Return the system of a spec with weights, ready to predict.

    file: where the weights are from. raises: FormatError where they do not fit the settings
    """
    system = spec.entry.rebuild(spec.model, spec.classes)
    try:
        system.network.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError):
        problem = "the weights are of another network than the settings say"
        raise FormatError(problem, file=file, remedy="leave the network's settings as they are") from None
    with distributed.processes(device) as place:
        system.network.to(place).eval()
    return system


def read_spec(run: Path) -> Spec:
    """Return what a run is made of. raises: MissingFileError, FormatError"""
    path = run / "system.json"
    if not path.is_file():
        raise MissingFileError(
            "there is no run here", file=path, remedy="name the folder that was trained into"
        )
    try:
        told = read_json(path)
        if not isinstance(told, dict) or told.pop("format", None) != FORMAT:
            raise FormatError(f"not a description of a run ({FORMAT})")
        model = type(find(told["system"]).config("smoke"))
        return Spec(
            told["system"],
            told["profile"],
            from_plain(model, told["model"], "model"),
            from_plain(TrainConfig, told["train"], "train"),
            from_plain(DataConfig, told["data"], "data"),
            tuple(told["classes"]),
            from_plain(Weights, told.get("weights", {}), "weights"),
            str(told.get("begin", "")),
        )
    except StadError as error:
        raise error.at(file=path) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"the run's description is damaged ({error!r})", file=path) from None


def predict(system: Any, entry: Entry, source: VideoSource) -> Predictions:
    """Return what a system finds in all videos, in the source's order; processes share the videos.

    returns: the same in every process
    """
    mine = source.videos[distributed.rank() :: distributed.world()]
    place = next(system.network.parameters()).device
    detect = partial(entry.detect, system, source.subset(mine))
    found = dict(quickly(system.network, place, detect).videos) if mine else {}
    videos = {name: video for part in distributed.gather(found) for name, video in part.items()}
    return Predictions(system.classes, {name: videos[name] for name in source.videos})


def _begun(
    spec: Spec,
    classes: tuple[str, ...],
    place: torch.device,
    start: tuple[Any, Spec] | None,
    states: dict[str, State],
) -> tuple[Any, list[str]]:
    """Return a system with the weights that its training begins with, and lines that say so."""
    if start:
        system = spec.entry.rebuild(spec.model, classes)
        return system, _carried(system, start, spec)
    system = distributed.first_alone(lambda: spec.entry.build(spec.model, classes, place))
    return system, list(published.fill(spec.entry.trunks(system), states))


def _carried(system: Any, start: tuple[Any, Spec], spec: Spec) -> list[str]:
    """Give a system what an earlier one has learnt; return a line that says what is made anew."""
    earlier, known = start[0].network.state_dict(), start[1].classes
    own = system.network.state_dict()
    fits = {key for key, value in own.items() if key in earlier and earlier[key].shape == value.shape}
    if tuple(system.classes) != known:
        with torch.device("meta"):
            more = spec.entry.rebuild(spec.model, (*system.classes, "one more")).network.state_dict()
        fits -= {key for key in fits if more[key].shape != own[key].shape}
    if not fits:
        remedy = "leave the network's settings as they are"
        raise FormatError(f"nothing of {spec.begin} fits this network", remedy=remedy)
    system.network.load_state_dict({**own, **{key: earlier[key] for key in fits}})
    anew = [key for key in own if key not in fits]
    line = f"{len(fits)} of {len(own)} tensors begin as those of {spec.begin}"
    return [f"{line}; made anew for {len(system.classes)} classes: {', '.join(anew)}" if anew else line]


def _write(run: Path, spec: Spec) -> None:
    text = json.dumps({"format": FORMAT, **plain(spec)}, indent=2) + "\n"
    atomic_write(run / "system.json", lambda stream: stream.write(text.encode()))


def _check_same(run: Path, spec: Spec) -> None:
    """Refuse the folder of another run before any work is done."""
    if not (run / "system.json").is_file() or not run_folder.begun(run):
        return
    earlier, asked = plain(read_spec(run)), plain(spec)
    asked["classes"] = earlier["classes"]
    differing = _differing(earlier, asked)
    if differing:
        raise FormatError(
            f"the run in this folder had another {', '.join(differing)}",
            file=run,
            remedy="choose another folder, or the earlier settings to go on",
        )


def _differing(earlier: Any, asked: Any, name: str = "") -> list[str]:
    if isinstance(earlier, dict) and isinstance(asked, dict):
        keys = sorted({*earlier, *asked})
        parts = (_differing(earlier.get(k), asked.get(k), f"{name}.{k}" if name else k) for k in keys)
        return [key for part in parts for key in part]
    return [] if earlier == asked else [name]


def _published(spec: Spec) -> dict[str, State]:
    """The published weights that a run begins with, compared with its networks, which take no memory yet."""
    with torch.device("meta"):
        system = spec.entry.rebuild(spec.model, ("any",))
    trunks = spec.entry.trunks(system)
    return published.read(
        system.network.train(), trunks, spec.weights, spec.profile == "paper", spec.data.name
    )


def _steps_done(run: Path, spec: Spec) -> int | None:
    """The steps of a run that is finished, without a look at its data; None where it is not."""
    path, folder = run / "config.json", run / "checkpoints"
    if not path.is_file() or (spec.entry.finishes and not (folder / FINISHED).is_file()):
        return None
    try:
        total = spec.train.total_steps(run_folder.read_object(path)["data"]["items"])
        return total if checkpoint.read(folder / "last.pt")["step"] == total else None
    except (StadError, OSError, ValueError, KeyError, TypeError):
        return None


def _check_truth(source: VideoSource) -> None:
    videos = source.annotations.videos.values()
    if not any(video.tubes or video.frames or video.segments for video in videos):
        raise FormatError(
            "there is nothing annotated to train on",
            file=source.annotations.dataset,
            remedy="put a record into the folder (annotations.json), or choose another data set",
        )


def _with_classes(source: VideoSource, run: Path, begin: tuple[str, ...]) -> VideoSource:
    """The source with its classes in the order in which they were learnt before, by this run or ``begin``."""
    if sorted(begin) == sorted(source.classes):
        source = replace(source, annotations=source.annotations.ordered(begin))
    if not (run / "system.json").is_file():
        return source
    earlier = read_spec(run).classes
    if earlier and sorted(earlier) != sorted(source.classes):
        raise FormatError(
            f"the run knows the classes {', '.join(earlier)} and the data has {', '.join(source.classes)}",
            file=run, remedy="choose another folder, or go on with the data of the run",
        )  # fmt: skip
    return replace(source, annotations=source.annotations.ordered(earlier)) if earlier else source


def _nothing(line: str) -> None:
    """What other processes than the first say."""


def _finish(run: Path, spec: Spec, system: Any, source: VideoSource) -> None:
    """Train the system's last stage in this process and keep the weights."""
    torch.manual_seed(spec.train.seed)
    spec.entry.finish(system, source, spec.train.seed)
    checkpoint.write_weights(run / "checkpoints" / FINISHED, system.network)
