"""Published weights: reading their files, mapping their names to ours, and saying what was left over.

A layout is a way in which weights were published. ``load`` finds the layout by the names in the file, fills
a network and reports every key of the file that nothing took. No file is unpickled freely.
"""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stad_lite import packed, tensors
from stad_lite.errors import FormatError, MissingFileError, StadError, TruncatedFileError, UnsafePickleError
from stad_lite.nets.flow.flownet import FlowNetS
from stad_lite.nets.flow.flownet2 import FlowNet2
from stad_lite.nets.flow.pwcnet import PWCNet, from_pytorch_pwc
from stad_lite.nets.flow.spynet import SPyNet
from stad_lite.nets.i3d import END_POINTS, I3D, I3DBlocks
from stad_lite.nets.inputs import FLOW_REACH
from stad_lite.nets.vgg import VGG, DilatedVGG, RFBBackbone

State = dict[str, Tensor]
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Keys under which checkpoints keep the network beside epochs and optimisers."""

DAMAGE = (
    EOFError, RuntimeError, OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError,
    struct.error, zipfile.BadZipFile, zlib.error, OverflowError, MemoryError,
)  # fmt: skip
"""What reading a damaged file may end in."""


@dataclass(frozen=True)
class Layout:
    """How names and tensors of one publication become ours.

    key: published name -> ours, or None for what we do not have
    tensor: (our name, published tensor) -> our tensor
    fed: what RGB the network was trained on, a name in ``inputs.PIXELS``; several where publications share
        their names
    reach: pixels a frame that became 1 in its flow, and where flow was cut; 0 where no flow was published
    """

    name: str
    key: Callable[[str], str | None]
    tensor: Callable[[str, Tensor], Tensor] = field(default=lambda _, tensor: tensor)
    fed: tuple[str, ...] = ()
    reach: float = 0.0


@dataclass(frozen=True)
class Report:
    """What became of a file's tensors.

    layout: name of the layout
    loaded: our names that were filled
    unused: names in the file that nothing took
    missing: our names that the file does not have
    misfits: our names whose shapes differ, with both shapes
    widened: our first layers that were given more or fewer inputs than in the file
    """

    layout: str
    loaded: tuple[str, ...]
    unused: tuple[str, ...]
    missing: tuple[str, ...]
    misfits: tuple[str, ...]
    widened: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} tensors from layout {self.layout}"]
        for what in ("unused", "missing", "misfits", "widened"):
            names = getattr(self, what)
            lines.append(f"{what}: {len(names)}" + "".join(f"\n  {name}" for name in names))
        return "\n".join(lines)


def read_state(path: str | PathLike[str]) -> State:
    """Return the tensors of a checkpoint (.pt, .pth, .tar) or of an .npz of named arrays.

    A checkpoint may wrap its network (``state_dict``) and prefix all names with ``module.``.

    raises: MissingFileError, TruncatedFileError, UnsafePickleError for a file that holds more than plain
        tensors, FormatError for one without tensors
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("the weights are not there", file=path)
    try:
        content: Any
        if path.suffix == ".npz":
            content = {name: torch.from_numpy(array) for name, array in packed.arrays(path).items()}
        else:
            content = tensors.load(path)
    except StadError:
        raise
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked is None:
            raise TruncatedFileError("damaged weights", file=path, remedy="fetch them again") from error
        raise UnsafePickleError(
            f"the file asks for {asked[1]}, which is no plain tensor",
            file=path,
            remedy="save its state_dict alone where you trust it",
        ) from error
    except DAMAGE as error:
        raise TruncatedFileError("unreadable weights", file=path, remedy="fetch them again") from error
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    named = content.items() if isinstance(content, Mapping) else ()
    found = {name: value for name, value in named if isinstance(value, Tensor)}
    if not found:
        raise FormatError("no tensors in the file", file=path, remedy="give a checkpoint of a network")
    if all(name.startswith("module.") for name in found):
        found = {name.removeprefix("module."): value for name, value in found.items()}
    return found


def load(
    net: nn.Module,
    state: Mapping[str, Tensor],
    layout: str | None = None,
    strict: bool = True,
    behind: bool = False,
) -> Report:
    """Fill a network with published weights.

    net: an I3D, I3DBlocks, VGG, DilatedVGG, RFBBackbone, PWCNet, FlowNetS, FlowNet2 or
        SPyNet
    state: as ``read_state`` returns it
    layout: a name in ``LAYOUTS`` (None: the one that fills most of the network)
    strict: whether missing tensors and other shapes are errors, before anything is changed
    behind: as in ``widen_input``
    returns: what became of every tensor
    raises: FormatError for a layout that does not exist, and where ``strict`` for what does not fit
    """
    mapped, report = _match(net, state, find_layout(net, state, layout), behind)
    if strict:
        refuse_misfits(report)
    net.load_state_dict(mapped, strict=False)
    return report


def refuse_misfits(report: Report) -> None:
    """Raise FormatError where a network would not be filled whole."""
    if report.missing or report.misfits:
        wrong = [*report.misfits, *(f"{name} is missing" for name in report.missing)]
        raise FormatError(
            f"the weights (layout {report.layout}) do not fit: {'; '.join(wrong[:3])}"
            + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""),
            remedy="give the file of this network, and build it at the published width and depth",
        )


def compare(net: nn.Module, state: Mapping[str, Tensor], layout: str | None = None) -> Report:
    """Return what ``load`` would do, without doing it (works for a network on the meta device)."""
    return _match(net, state, find_layout(net, state, layout))[1]


def find_layout(net: nn.Module, state: Mapping[str, Tensor], name: str | None = None) -> Layout:
    """Return the layout that fills most of a network, or that of a name. raises: FormatError for another"""
    layouts = LAYOUTS.get(type(net), (SAME,))
    if name is None:
        ours = set(net.state_dict())
        return max(layouts, key=lambda layout: sum(layout.key(key) in ours for key in state))
    for layout in layouts:
        if layout.name == name:
            return layout
    raise FormatError(
        f"no layout {name!r} of {type(net).__name__}", remedy=f"use {', '.join(one.name for one in layouts)}"
    )


def _match(
    net: nn.Module, state: Mapping[str, Tensor], layout: Layout, behind: bool = False
) -> tuple[State, Report]:
    ours = net.state_dict()
    mapped: State = {}
    misfits: dict[str, str] = {}
    unused, widened = [], []
    for key, value in state.items():
        name = layout.key(key)
        if name is None or name not in ours:
            unused.append(key)
            continue
        value, wanted = layout.tensor(name, value), ours[name].shape
        if name in INPUT_LAYERS and value.shape[1:2] != wanted[1:2] and value.shape[2:] == wanted[2:]:
            widened.append(f"{name}: {value.shape[1]} inputs to {wanted[1]}")
            value = widen_input(value, wanted[1], behind)
        if value.shape == wanted:
            mapped[name] = value
        else:
            misfits[name] = f"{name} is {tuple(value.shape)} in the file, {tuple(wanted)} here"
    for name in ours:  # TensorFlow's batch norms have no factor
        if layout is I3D_TENSORFLOW and name.endswith("bn.weight") and name[:-6] + "bias" in mapped:
            mapped.setdefault(name, torch.ones_like(ours[name]))
    there = {*misfits, *mapped}
    missing = [name for name in ours if name not in there and not name.endswith("num_batches_tracked")]
    found = (tuple(names) for names in (mapped, unused, missing, misfits.values(), widened))
    return mapped, Report(layout.name, *found)


INPUT_LAYERS = ("Conv3d_1a_7x7.conv3d.weight", "features.0.weight", "0.weight", "base.0.weight")
"""First convolutions, which ``load`` may widen."""


def widen_input(weight: Tensor, channels: int, behind: bool = False) -> Tensor:
    """Return a first convolution's weight for other inputs, such that what comes out keeps its size.

    Where the number is a multiple (five flow maps of three channels) the weights repeat, else all inputs get
    their mean; equal inputs give the same output as before. With others ``behind`` its own (flow behind RGB)
    the first inputs keep their weights, the others get the mean, and both kinds, each at the size that RGB
    had, have half of the output's variance.

    weight: (out, in, ...)
    returns: (out, channels, ...)

    >>> widen_input(torch.tensor([[[3.0], [0.0], [3.0]]]), 5, behind=True)[0, :, 0]
    tensor([2.1213, 0.0000, 2.1213, 2.1213, 2.1213])
    """
    inputs = weight.shape[1]
    mean = weight.mean(1, keepdim=True) * inputs
    if behind and channels > inputs:
        more = channels - inputs
        other = mean.expand(-1, more, *weight.shape[2:]) / more
        return torch.cat([weight, other], 1) * 0.5**0.5
    if channels > inputs and channels % inputs == 0:
        return torch.cat([weight] * (channels // inputs), 1) * (inputs / channels)
    return mean.expand(-1, channels, *weight.shape[2:]) / channels


SAME = Layout("same", lambda key: key)
"""Our own names, which are those of one publication for every network."""

_PORT_BRANCHES = {
    "branch_0": "b0",
    "branch_1.0": "b1a",
    "branch_1.1": "b1b",
    "branch_2.0": "b2a",
    "branch_2.1": "b2b",
}
_PORT_BRANCHES["branch_3.1"] = "b3b"


def _from_port(key: str) -> str | None:
    """mixed_3b.branch_1.0.batch3d.weight, or STEP's base_model.5.branch_1.0..., to Mixed_3b.b1a.bn.weight."""
    place = re.match(r"base_model\.(\d+)\.", key)
    if place and int(place[1]) < len(END_POINTS):
        key = END_POINTS[int(place[1])] + key[place.end() - 1 :]
    key = key.replace(".batch3d.", ".bn.")
    if key.startswith("conv3d_0c_1x1."):
        return key.replace("conv3d_0c_1x1", "logits", 1)
    key = re.sub(r"^(conv3d|mixed)_", lambda found: found[0].capitalize(), key)
    branch = re.search(r"branch_(0|\d\.\d)(?=\.)", key)
    if branch is None:
        return key
    ours = _PORT_BRANCHES.get(branch[0])
    return None if ours is None else key[: branch.start()] + ours + key[branch.end() :]


_TENSORFLOW_BRANCHES = {
    "Branch_0/Conv3d_0a_1x1": "b0",
    "Branch_1/Conv3d_0a_1x1": "b1a",
    "Branch_1/Conv3d_0b_3x3": "b1b",
    "Branch_2/Conv3d_0a_1x1": "b2a",
    "Branch_2/Conv3d_0b_3x3": "b2b",
    "Branch_2/Conv3d_0a_3x3": "b2b",  # so misnamed in Mixed_5b
    "Branch_3/Conv3d_0b_1x1": "b3b",
}
_TENSORFLOW_PARTS = {
    "conv_3d/w": "conv3d.weight",
    "conv_3d/b": "conv3d.bias",
    "batch_norm/beta": "bn.bias",
    "batch_norm/gamma": "bn.weight",
    "batch_norm/moving_mean": "bn.running_mean",
    "batch_norm/moving_variance": "bn.running_var",
}


def _from_tensorflow(key: str) -> str | None:
    """RGB/inception_i3d/Mixed_3b/Branch_1/Conv3d_0a_1x1/conv_3d/w to Mixed_3b.b1a.conv3d.weight."""
    found = re.fullmatch(r"(?:\w+/)?inception_i3d/(.+)/(\w+/\w+?)(?::0)?", key)
    if found is None or found[2] not in _TENSORFLOW_PARTS:
        return None
    unit, _, branch = found[1].partition("/")
    if unit == "Logits":
        unit, branch = "logits", ""
    elif branch:
        if branch not in _TENSORFLOW_BRANCHES:
            return None
        branch = "." + _TENSORFLOW_BRANCHES[branch]
    return f"{unit}{branch}.{_TENSORFLOW_PARTS[found[2]]}"


def _tensor_from_tensorflow(name: str, tensor: Tensor) -> Tensor:
    """Kernels (t, h, w, in, out) to (out, in, t, h, w); statistics (1, 1, 1, 1, c) to (c)."""
    return tensor.permute(4, 3, 0, 1, 2) if name.endswith("conv3d.weight") else tensor.flatten()


_OF_I3D: dict[str, Any] = {"fed": ("unit",), "reach": FLOW_REACH}
I3D_TENSORFLOW = Layout("tensorflow", _from_tensorflow, _tensor_from_tensorflow, **_OF_I3D)
I3D_LAYOUTS = (
    Layout("pytorch-i3d", lambda key: key, **_OF_I3D),
    Layout("tensorflow-port", _from_port, **_OF_I3D),
    I3D_TENSORFLOW,
)


def _prefixed(prefix: str) -> Callable[[str], str | None]:
    return lambda key: prefix + key


def _features_to(prefix: str) -> Callable[[str], str | None]:
    """torchvision's features.N and its first two fully connected layers to the dilated network's numbers."""
    places = {"classifier.0": "31", "classifier.3": "33"}

    def key(name: str) -> str | None:
        layer, _, part = name.rpartition(".")
        number = places.get(layer) or (
            layer.removeprefix("features.") if layer.startswith("features.") else None
        )
        return None if number is None else f"{prefix}{number}.{part}"

    return key


def _decimated(name: str, tensor: Tensor) -> Tensor:
    """Fully connected layers to dilated convolutions: every fourth unit, every third place of 7 x 7.

    Source: Chen et al., DeepLab, Sec. 3.1 (subsampling fc6 and fc7), with SSD's factors.
    """
    layer, _, part = name.removeprefix("base.").rpartition(".")
    if layer not in ("31", "33") or tensor.shape[0] != 4096:
        return tensor
    if part == "bias":
        return tensor[::4]
    if layer == "31":
        return tensor.reshape(4096, 512, 7, 7)[::4, :, ::3, ::3]
    return tensor.reshape(4096, 4096, 1, 1)[::4, ::4]


TORCHVISION = ("imagenet", "bgr")
"""Its own VGG16, and conversions of Caffe's to its names."""
LAYOUTS: dict[type[nn.Module], tuple[Layout, ...]] = {
    I3D: I3D_LAYOUTS,
    I3DBlocks: I3D_LAYOUTS,
    VGG: (
        Layout("torchvision", lambda key: key, fed=TORCHVISION),
        Layout("reduced-fc", _prefixed("features."), fed=("bgr",)),
    ),
    DilatedVGG: (
        Layout("reduced-fc", lambda key: key, fed=("bgr",)),
        Layout("torchvision", _features_to(""), _decimated, fed=TORCHVISION),
    ),
    RFBBackbone: (
        Layout("rfb-net", lambda key: key, fed=("bgr",)),
        Layout("reduced-fc", _prefixed("base."), fed=("bgr",)),
        Layout("torchvision", _features_to("base."), _decimated, fed=TORCHVISION),
    ),
    PWCNet: (
        Layout("pwc-net", lambda key: key, fed=("bgr01",)),
        Layout("pytorch-pwc", from_pytorch_pwc, fed=("bgr01",)),
    ),
    FlowNetS: (Layout("flownet2", lambda key: key, fed=("rgb01",)),),
    FlowNet2: (Layout("flownet2", lambda key: key, fed=("rgb01",)),),
    SPyNet: (Layout("spynet", lambda key: key, fed=("imagenet",)),),
}
"""Network -> the layouts of its weights that are known. The flow networks take RGB in [0, 1] and turn it into
what they were trained on themselves."""


def read_spynet(folder: str | PathLike[str], levels: Iterable[int] = range(1, 6)) -> State:
    """Return SPyNet's tensors from its files, one a level: model1.pth (coarsest) to model5.pth.

    raises: as ``read_state``
    """
    state: State = {}
    for i, level in enumerate(levels):
        part = read_state(Path(folder) / f"model{level}.pth")
        state |= {f"levels.{i}.{key}": value for key, value in part.items()}
    return state
