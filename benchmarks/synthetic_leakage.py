"""What one frame of the synthetic benchmark gives away, and how its tubes move.

A class is appearance x motion. One RGB frame should tell the appearance and not the motion, one frame
of flow the motion (in part) and not the appearance. Small networks on crops of the actors measure both,
trained and tested on different splits; the tubes' smoothness is the overlap with their best polynomials.

    OMP_NUM_THREADS=1 python -m benchmarks.synthetic_leakage --out benchmarks/results/synthetic_leakage.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stad_lite.boxes import iou
from stad_lite.data.synthetic import (
    CLASSES,
    MOTIONS,
    Clip,
    Settings,
    annotate,
    render,
)
from stad_lite.data.synthetic.dataset import split_seeds
from stad_lite.progress import progress

CROP = 24
COMMAND = (
    "OMP_NUM_THREADS=1 python -m benchmarks.synthetic_leakage --out benchmarks/results/synthetic_leakage.json"
)
PROTOTYPE = (0.582, 0.712, 0.759, 0.783, 0.811, 0.842, 0.866)
UCF101_24 = (0.569, 0.665, 0.719, 0.754, 0.781, 0.800, 0.817)


def crop(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the square around a box, nearest pixels. image: (h, w, c); returns: (CROP, CROP, c)"""
    centre, side = (box[:2] + box[2:]) / 2, 1.1 * (box[2:] - box[:2]).max()
    steps = ((np.arange(CROP) + 0.5) / CROP - 0.5) * side
    column = np.clip(np.floor(centre[0] + steps), 0, image.shape[1] - 1).astype(int)
    row = np.clip(np.floor(centre[1] + steps), 0, image.shape[0] - 1).astype(int)
    return image[row[:, None], column]


def tube_crops(
    clip: Clip, per_tube: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Return RGB crop, flow crop and class number of some frames of every tube of a clip."""
    assert clip.flow is not None
    rows = []
    for tube in clip.tubes:
        for place in rng.choice(len(tube), size=min(per_tube, len(tube)), replace=False):
            frame, box = tube.start + int(place), tube.boxes[place]
            rgb, flow = crop(clip.frames[frame], box), crop(clip.flow[frame], box)
            rows.append((rgb / 127.5 - 1.0, flow.astype(np.float32), CLASSES.index(tube.label)))
    return rows


def crops(settings: Settings, split: str, clips: int, per_tube: int) -> tuple[torch.Tensor, ...]:
    """Return RGB crops (n, 3, CROP, CROP), flow crops (n, 2, CROP, CROP) and class numbers (n,)."""
    rng = np.random.default_rng(0)
    rows: list[tuple[np.ndarray, np.ndarray, int]] = []
    for seed in progress(split_seeds(split, clips), desc=f"crops of {split}"):
        rows += tube_crops(render(settings, seed), per_tube, rng)
    rgb, flow, label = (np.stack(column) for column in zip(*rows, strict=True))
    images = (torch.from_numpy(x).float().permute(0, 3, 1, 2).contiguous() for x in (rgb, flow))
    return *images, torch.from_numpy(label).long()


def small_network(channels: int, classes: int) -> nn.Module:
    """Return a classifier of crops: three convolutions and a linear layer over what is left."""
    layers: list[nn.Module] = []
    for width_in, width_out in ((channels, 16), (16, 32), (32, 32)):
        layers += [nn.Conv2d(width_in, width_out, 3, padding=1), nn.BatchNorm2d(width_out), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * (CROP // 8) ** 2, classes))


def accuracy(
    train: tuple[torch.Tensor, ...], test: tuple[torch.Tensor, ...], classes: int, epochs: int
) -> float:
    """Train a small network and return its accuracy on the test crops. train, test: images, labels"""
    torch.manual_seed(0)
    network = small_network(train[0].shape[1], classes)
    steps = epochs * -(-len(train[0]) // 64)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(train[0])).split(64):
            loss = nn.functional.cross_entropy(network(train[0][batch]), train[1][batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        return float((network(test[0]).argmax(1) == test[1]).float().mean())


def leakage(settings: Settings, train_clips: int, test_clips: int, epochs: int) -> dict[str, float]:
    """Return the accuracy of either stream's single frames on either factor of the class."""
    train, test = crops(settings, "train", train_clips, 3), crops(settings, "test", test_clips, 1)
    figures: dict[str, float] = {"train_crops": len(train[2]), "test_crops": len(test[2])}
    for number, stream in enumerate(("rgb", "flow")):
        for factor in ("appearance", "motion"):
            classes = len(MOTIONS) if factor == "motion" else len(CLASSES) // len(MOTIONS)
            pair = []
            for part in (train, test):
                label = part[2] % len(MOTIONS) if factor == "motion" else part[2] // len(MOTIONS)
                pair.append((part[number], label))
            figures[f"{stream}_{factor}"] = round(accuracy(pair[0], pair[1], classes, epochs), 4)
    return figures


def polynomial_mean_iou(settings: Settings, tubes: int, orders: range = range(7)) -> dict[str, float]:
    """Return the mean over tubes of the mean box IoU with the least-squares polynomial of each order."""
    record = annotate(settings, tubes, "train")  # at least one tube a clip
    chosen = [tube for video in record.videos.values() for tube in video.tubes or ()][:tubes]
    figures = {}
    for order in orders:
        overlaps = []
        for tube in chosen:
            basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(tube)), order)
            fit = basis @ np.linalg.lstsq(basis, tube.boxes, rcond=None)[0]
            overlaps.append(float(iou(fit, tube.boxes).mean()))
        figures[str(order)] = round(float(np.mean(overlaps)), 4)
    return figures


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train-clips", type=int, default=1200)
    parser.add_argument("--test-clips", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    settings = Settings.lesson()
    result = {
        "command": COMMAND,
        "settings_key": settings.key,
        "chance": {"appearance": 0.5, "motion": 0.3333},
        "accuracy": leakage(settings, arguments.train_clips, arguments.test_clips, arguments.epochs),
        "polynomial_mean_iou": polynomial_mean_iou(settings, 300),
        "polynomial_prototype": dict(zip("0123456", PROTOTYPE, strict=True)),
        "polynomial_ucf101_24": dict(zip("0123456", UCF101_24, strict=True)),
        "cpu_seconds": round(time.process_time() - started, 1),
    }
    text = json.dumps(result, indent=1) + "\n"
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    part = arguments.out.with_suffix(".part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(arguments.out)
    print(text)


if __name__ == "__main__":
    main()
