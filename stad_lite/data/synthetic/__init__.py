"""The synthetic benchmark: rendered clips with exact tubes, classes and optical flow."""

from stad_lite.data.synthetic.dataset import SyntheticDataset, annotate, cache_folder, dataset
from stad_lite.data.synthetic.render import Clip, render
from stad_lite.data.synthetic.scene import Scene, build_scene
from stad_lite.data.synthetic.settings import (
    APPEARANCES,
    CLASSES,
    FPS,
    MOTIONS,
    SEEDS_PER_SPLIT,
    SPLITS,
    Settings,
)

__all__ = [
    "APPEARANCES",
    "CLASSES",
    "FPS",
    "MOTIONS",
    "SEEDS_PER_SPLIT",
    "SPLITS",
    "Clip",
    "Scene",
    "Settings",
    "SyntheticDataset",
    "annotate",
    "build_scene",
    "cache_folder",
    "dataset",
    "render",
]
