"""What a run starts from: published weights, read and compared before anything is built or written.

``weights`` reads and maps one network's file; here a system's streams get theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import nn

from stad_lite.errors import FormatError, MissingFileError
from stad_lite.nets import weights
from stad_lite.nets.flow.flownet import FlowNetS
from stad_lite.nets.flow.flownet2 import FlowNet2
from stad_lite.nets.flow.pwcnet import PWCNet
from stad_lite.nets.flow.spynet import SPyNet
from stad_lite.nets.i3d import I3D
from stad_lite.nets.vgg import VGG, DilatedVGG

WHERE = "[weights] in data_scripts/registry.toml says where they are"
ENDINGS = (".pt", ".pth", ".tar", ".npz")


@dataclass(frozen=True)
class Weights:
    """Where the networks of a run begin.

    rgb, flow: files with published weights of these streams, in any layout that is known
    folder: where both are looked for, in its part with the data's name first: rgb.pt, flow_imagenet.pth
    random: begin without any; then batch norms that would keep published statistics are trained
    raises: FormatError for weights and ``random`` at once
    """

    rgb: str = ""
    flow: str = ""
    folder: str = ""
    random: bool = False

    def __post_init__(self) -> None:
        if self.random and (self.rgb or self.flow or self.folder):
            raise FormatError("weights are named, and none are wanted", remedy="leave out one of the two")

    def file(self, stream: str, data: str) -> Path | None:
        """Return the file of a stream, None where none is named.

        data: name of the data set
        raises: MissingFileError, FormatError where a folder holds none, or several
        """
        if named := getattr(self, stream):
            return Path(named)
        if not self.folder:
            return None
        folders = (Path(self.folder) / Path(data).name, Path(self.folder))
        for folder in folders:
            there = sorted(folder.iterdir()) if folder.is_dir() else []
            found = [path for path in there if path.suffix in ENDINGS and _stem(path) == stream]
            if len(found) > 1:
                problem = f"{', '.join(path.name for path in found)} are all of {stream}"
                raise FormatError(problem, file=folder, remedy=f"name one: {stream}=FILE")
            if found:
                return found[0]
        raise MissingFileError(
            f"no weights of the stream {stream}", file=self.folder, remedy=f"put {stream}.pt there; {WHERE}"
        )


def _stem(path: Path) -> str:
    return path.name.partition(".")[0].partition("_")[0]


class Trunk(NamedTuple):
    """The networks of one stream that published weights fill, from one file.

    nets: I3D or VGG, and blocks of I3D in heads; or a network that estimates flow, of the stream flow
    fed: how its RGB is scaled, a name in ``inputs.PIXELS``
    reach: pixels a frame that become 1 in its flow, 0 for RGB
    behind: whether flow lies behind RGB in the first layer
    """

    nets: Sequence[nn.Module]
    fed: str = "unit"
    reach: float = 0.0
    behind: bool = False

    @property
    def published(self) -> bool:
        """Whether it has the width, depth and norms of a publication, so that weights fit it."""
        net = self.nets[0]
        if isinstance(net, VGG):
            return net.channels.get("conv5_3") == 512
        if isinstance(net, DilatedVGG):
            return net.channels == (512, 1024)
        return isinstance(net, I3D) and net.channels["Conv3d_1a_7x7"] == 64 and bool(norms(net))


def norms(net: nn.Module, frozen: bool = False) -> list[str]:
    """Return the names of a network's batch norms; with ``frozen`` of those that keep their statistics."""
    return [
        name
        for name, part in net.named_modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and not (frozen and part.training)
    ]


def read(
    network: nn.Module, trunks: Mapping[str, Trunk], start: Weights, paper: bool = False, data: str = ""
) -> dict[str, weights.State]:
    """Return the published tensors of every stream that has a file, after a look at whether they fit.

    network: in training mode, as it will be trained (its tensors may be on the meta device)
    trunks: stream -> its networks
    paper: whether a trunk of published size must have weights even if no norm is frozen
    data: name of the data set
    raises: FormatError for weights of a stream that is not there, for a stream without weights where it needs
        them, for frozen norms that none fill, and for what does not fit; what reading raises
    """
    if start.random:
        return {}
    for stream in ("rgb", "flow"):
        if getattr(start, stream) and stream not in trunks:
            known = ", ".join(trunks) or "none"
            raise FormatError(
                f"no network of this system takes weights of {stream}", remedy=f"its streams are {known}"
            )
    states = {}
    for stream, trunk in trunks.items():
        asks = (paper and trunk.published) or any(norms(net, frozen=True) for net in trunk.nets)
        path = start.file(stream, data)
        if path is not None:
            states[stream] = weights.read_state(path)
            try:
                _check(stream, trunk, states[stream])
            except FormatError as error:
                raise error.at(file=path) from None
        elif asks or start.rgb or start.flow:
            raise FormatError(f"no weights of the stream {stream}", remedy=_remedy(stream, trunk))
    filled = {id(part) for s in states for net in trunks[s].nets for part in net.modules()}
    parts = dict(network.named_modules())
    left = [name for name in norms(network, frozen=True) if id(parts[name]) not in filled]
    if left:
        raise FormatError(
            f"no published weights fill {left[0]}, whose statistics are frozen",
            remedy="train it (--weights none), or build it at the published width",
        )
    return states


def _remedy(stream: str, trunk: Trunk) -> str:
    named = {
        VGG: "vgg16",
        DilatedVGG: "vgg16",
        PWCNet: "pwc-net",
        FlowNetS: "flownet2-s",
        FlowNet2: "flownet2",
        SPyNet: "spynet",
    }
    kind = named.get(type(trunk.nets[0]), f"i3d-{stream}")
    return (
        f"fetch {kind} ({WHERE}) and give --weights {stream}=FILE, "
        "or begin without (--weights none), which trains batch norms too"
    )


def _check(stream: str, trunk: Trunk, state: weights.State) -> None:
    for net in trunk.nets:
        weights.refuse_misfits(weights.compare(net, state))
    layout = weights.find_layout(trunk.nets[0], state)
    if trunk.fed not in layout.fed:
        raise FormatError(
            f"the network was trained on pixels {' or '.join(layout.fed)} (layout {layout.name}) and is fed "
            f"{trunk.fed}",
            remedy=f"set model.normalise={layout.fed[0]}",
        )
    if stream == "flow" and layout.reach not in (0.0, trunk.reach):
        raise FormatError(
            f"the network was trained on flow cut at {layout.reach:g} pixels and {trunk.reach:g} are 1 here",
            remedy=f"set the scale of the flow to {layout.reach:g}",
        )


def fill(trunks: Mapping[str, Trunk], states: Mapping[str, weights.State]) -> list[str]:
    """Fill the streams' networks with what ``read`` gave; return a line for each stream."""
    lines = []
    for stream, state in states.items():
        trunk = trunks[stream]
        reports = [weights.load(net, state, behind=trunk.behind) for net in trunk.nets]
        first = reports[0]
        wide = f", {first.widened[0]}" if first.widened else ""
        count = sum(len(report.loaded) for report in reports)
        lines.append(f"{stream}: {count} tensors from layout {first.layout}, inputs {trunk.fed}{wide}")
    return lines
