"""Checkpoints as others published them: names and shapes of their layouts, numbers from a generator.

The names were read off pytorch-i3d (05783d1), kinetics_i3d_pytorch's port as STEP holds it (59da38a),
DeepMind's kinetics-i3d variables as that port reads them, torchvision's vgg16 and SSD's vgg16_reducedfc.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEM = {"Conv3d_1a_7x7": (3, 64, 7), "Conv3d_2b_1x1": (64, 64, 1), "Conv3d_2c_3x3": (64, 192, 3)}
MIXED = {
    "3b": (192, 64, 96, 128, 16, 32, 32), "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64), "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64), "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128), "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}  # fmt: skip
TF_BRANCHES = (
    "0/Conv3d_0a_1x1",
    "1/Conv3d_0a_1x1",
    "1/Conv3d_0b_3x3",
    "2/Conv3d_0a_1x1",
    "2/Conv3d_0b_3x3",
    "3/Conv3d_0b_1x1",
)


def units() -> list[tuple[str, str, str, int, int, int]]:
    """(pytorch-i3d's name, the port's, TensorFlow's, in, out, kernel) of all 57 convolutions."""
    found = [(name, name.lower(), name, *sizes) for name, sizes in STEM.items()]
    for block, (n, b0, b1a, b1b, b2a, b2b, b3b) in MIXED.items():
        sizes = [(n, b0, 1), (n, b1a, 1), (b1a, b1b, 3), (n, b2a, 1), (b2a, b2b, 3), (n, b3b, 1)]
        names = zip(
            ("b0", "b1a", "b1b", "b2a", "b2b", "b3b"),
            ("0", "1.0", "1.1", "2.0", "2.1", "3.1"),
            TF_BRANCHES,
            strict=True,
        )
        for (ours, port, tf), size in zip(names, sizes, strict=True):
            tf = tf.replace("0b_3x3", "0a_3x3") if (block, ours) == ("5b", "b2b") else tf
            found.append(
                (f"Mixed_{block}.{ours}", f"mixed_{block}.branch_{port}", f"Mixed_{block}/Branch_{tf}", *size)
            )
    return found


def i3d(inputs: int = 3, classes: int = 400, seed: int = 0) -> tuple[dict[str, Tensor], ...]:
    """The same I3D three times: as pytorch-i3d, as the port from TensorFlow, as TensorFlow's variables."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator) * 0.1

    torch_like, port, tensorflow = {}, {}, {}
    for name, port_name, tf_name, n, out, k in units():
        kernel = draw(out, inputs if name == "Conv3d_1a_7x7" else n, k, k, k)
        norm = {"bias": draw(out), "running_mean": draw(out), "running_var": 1 + draw(out)}
        norm["weight"] = torch.ones(out)  # TensorFlow's have none
        torch_like |= {f"{name}.conv3d.weight": kernel} | {f"{name}.bn.{k}": v for k, v in norm.items()}
        torch_like[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
        port |= {f"{port_name}.conv3d.weight": kernel} | {
            f"{port_name}.batch3d.{k}": v for k, v in norm.items()
        }
        tf_name = f"RGB/inception_i3d/{tf_name}"
        tensorflow[f"{tf_name}/conv_3d/w"] = kernel.permute(2, 3, 4, 1, 0).contiguous()
        for ours, theirs in (
            ("bias", "beta"),
            ("running_mean", "moving_mean"),
            ("running_var", "moving_variance"),
        ):
            tensorflow[f"{tf_name}/batch_norm/{theirs}"] = norm[ours].reshape(1, 1, 1, 1, out)
    weight, bias = draw(classes, 1024, 1, 1, 1), draw(classes)
    torch_like |= {"logits.conv3d.weight": weight, "logits.conv3d.bias": bias}
    port |= {"conv3d_0c_1x1.conv3d.weight": weight, "conv3d_0c_1x1.conv3d.bias": bias}
    logits = "RGB/inception_i3d/Logits/Conv3d_0c_1x1/conv_3d"
    tensorflow |= {f"{logits}/w": weight.permute(2, 3, 4, 1, 0).contiguous(), f"{logits}/b": bias}
    return torch_like, port, tensorflow


VGG_PLACES = {
    0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256),
    17: (256, 512), 19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512),
}  # fmt: skip


def vgg16(classifier: bool = True, seed: int = 0) -> dict[str, Tensor]:
    """torchvision's vgg16, its first two fully connected layers included (0.5 GB) or not."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for place, (n, out) in VGG_PLACES.items():
        state[f"features.{place}.weight"] = torch.rand(out, n, 3, 3, generator=generator)
        state[f"features.{place}.bias"] = torch.rand(out, generator=generator)
    if classifier:
        state["classifier.0.weight"] = (
            torch.arange(25088.0).expand(4096, 25088) + torch.arange(4096.0)[:, None] / 8192
        )
        state["classifier.0.bias"] = torch.arange(4096.0)
        state["classifier.3.weight"] = torch.arange(4096.0).expand(4096, 4096)
        state["classifier.3.bias"] = torch.arange(4096.0)
        state["classifier.6.bias"] = torch.zeros(1000)
    return state


def reduced_fc(seed: int = 0) -> dict[str, Tensor]:
    """SSD's vgg16_reducedfc: bare numbers, conv6 and conv7 at 31 and 33."""
    generator = torch.Generator().manual_seed(seed)
    state = {key.removeprefix("features."): value for key, value in vgg16(False, seed).items()}
    for place, (n, out, k) in {31: (512, 1024, 3), 33: (1024, 1024, 1)}.items():
        state[f"{place}.weight"] = torch.rand(out, n, k, k, generator=generator)
        state[f"{place}.bias"] = torch.rand(out, generator=generator)
    return state
