"""Published weights to this library's: one file of plain tensors under our names.

python data_scripts/convert_weights.py i3d-rgb rgb_imagenet.pt --out i3d_rgb.pt

Prints what was loaded, widened and left over. Sources are files in hand (nothing is downloaded): a
checkpoint, an .npz of TensorFlow's variables under their names, or for SPyNet the folder of its five files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from stad_lite.errors import StadError
from stad_lite.nets import weights
from stad_lite.nets.flow.flownet import FlowNetS
from stad_lite.nets.flow.flownet2 import FlowNet2
from stad_lite.nets.flow.pwcnet import PWCNet
from stad_lite.nets.flow.spynet import SPyNet
from stad_lite.nets.i3d import I3D
from stad_lite.nets.vgg import VGG, DilatedVGG, RFBBackbone
from stad_lite.records import atomic_write

CLASSIFIERS = ("logits.conv3d.bias", "conv3d_0c_1x1.conv3d.bias", "Logits/Conv3d_0c_1x1/conv_3d/b")


def _classes(state: Mapping[str, Tensor]) -> int | None:
    """Return how many classes an I3D was trained for, or None where its classifier is not in the file."""
    found = [value for name, value in state.items() if name.removesuffix(":0").endswith(CLASSIFIERS)]
    return found[0].numel() if found else None


NETWORKS: dict[str, Callable[[Mapping[str, Tensor]], nn.Module]] = {
    "i3d-rgb": lambda state: I3D(3, num_classes=_classes(state)),
    "i3d-flow": lambda state: I3D(2, num_classes=_classes(state)),
    "vgg16": lambda _: VGG(),
    "vgg16-flow": lambda _: VGG(15),
    "dilated-vgg": lambda _: DilatedVGG(),
    "rfb": lambda _: RFBBackbone(),
    "pwc-net": lambda _: PWCNet(),
    "flownet2-s": lambda _: FlowNetS(),
    "flownet2": lambda _: FlowNet2(),
    "spynet": lambda _: SPyNet(),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert one publication; 0 when the whole network was filled, 2 for bad input (nothing is written)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("source", type=Path, help="the published file, or the folder of SPyNet's")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--layout", help="how the source was published (default: found by its names)")
    options = parser.parse_args(arguments)
    try:
        read = weights.read_spynet if options.source.is_dir() else weights.read_state
        state = read(options.source)
        net = NETWORKS[options.network](state)
        report = weights.load(net, state, options.layout, strict=options.network != "rfb")
        atomic_write(options.out, lambda stream: torch.save(net.state_dict(), stream))
    except KeyboardInterrupt:
        print("stopped; nothing is written", file=sys.stderr)
        return 130
    except StadError as error:
        print(error, file=sys.stderr)
        return 2
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
