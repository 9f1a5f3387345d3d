"""Pretrained backbones: cached, repeatable, from other clips than those that are tested on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stad_lite.baselines import pretraining
from stad_lite.baselines.config import DenseConfig
from stad_lite.baselines.dense import DenseDetector, losses
from stad_lite.baselines.pretraining import pretrained, read_clips, train
from stad_lite.data.synthetic import SEEDS_PER_SPLIT, Settings, dataset
from stad_lite.data.synthetic.dataset import split_seeds
from stad_lite.errors import StadError
from stad_lite.schedule import TrainConfig

SMALL = Settings(frames=6, height=32, width=32, actors=(1, 2), span=(2, 4))
SHORT = TrainConfig(steps=2, batch=4, lr=2e-3)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def small(cache, modality="rgb", seed=0, **changes):
    settings = {"clips": 2, "settings": SMALL, "schedule": SHORT, "cache_dir": cache, **changes}
    return pretrained(modality, "smoke", seed, **settings)


def weights(network):
    return torch.cat([value.flatten() for value in network.state_dict().values()])


@pytest.mark.parametrize(("modality", "channels"), [("rgb", 3), ("flow", 2), ("early", 5)])
def test_the_backbone_has_the_agreed_form(cache, modality, channels):
    backbone = small(cache, modality)
    assert not backbone.training
    maps = backbone(torch.zeros(2, channels, 64, 48))
    assert {name: tuple(m.shape) for name, m in maps.items()} == {"conv3_2": (2, 32, 16, 12)}


def test_it_is_read_from_the_cache_and_made_anew_where_damaged(cache, monkeypatch):
    first = small(cache)
    monkeypatch.setattr(pretraining, "train", lambda *_: pytest.fail("trained again"))
    assert torch.equal(weights(first), weights(small(cache)))
    monkeypatch.undo()
    for file in (cache / "backbones").glob("rgb-*.pt"):
        file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(weights(first), weights(small(cache)))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"clips": [1, 2]},
        {"schedule": TrainConfig(steps=3, batch=4, lr=2e-3)},
        {"settings": Settings(frames=6, height=32, width=32, actors=(1, 2), span=(2, 4), noise=3.0)},
    ],
)
def test_other_settings_give_another_backbone(cache, changes):
    assert not torch.equal(weights(small(cache)), weights(small(cache, **changes)))


def test_training_leaves_the_random_state_alone(cache, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    small(cache, cache_dir=tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_clips_are_of_the_split_for_training(cache):
    ours = read_clips(SMALL, (3, 1), ("flow",), cache)
    wanted = dataset(SMALL, (3, 1), "train", cache)
    np.testing.assert_array_equal(ours.inputs["flow"], np.stack([clip.flow for clip in wanted]))
    tested = set(split_seeds("val", 100)) | set(split_seeds("test", 100))
    assert not tested & set(range(SEEDS_PER_SPLIT))  # "train" owns the first seeds
    for index, clip in enumerate(wanted):
        for number, tube in enumerate(clip.tubes):
            there = np.flatnonzero(ours.actors.present[index, number])
            assert there.tolist() == tube.frames.tolist()
            np.testing.assert_allclose(ours.actors.boxes[index, number, there], tube.boxes, rtol=1e-6)


def test_the_loss_falls(cache):
    config = DenseConfig(modality="rgb", channels=(8, 8, 8), hidden=8)
    frames = read_clips(SMALL, (0, 1, 2, 3), ("rgb",), cache)
    seen = []

    def watched(*arguments):
        terms = losses(*arguments)
        seen.append(sum(terms.values()).item())
        return terms

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining, "losses", watched)
        state = train(config, TrainConfig(steps=60, batch=8, lr=5e-3), frames)
    assert np.mean(seen[-10:]) < 0.6 * np.mean(seen[:5])
    assert state.keys() == DenseDetector(config, 6).backbones["rgb"].state_dict().keys()


def test_unknown_names_are_refused(cache):
    for arguments in (("sound", "lesson"), ("both", "smoke"), ("rgb", "paper")):
        with pytest.raises(StadError, match="choose rgb, flow, early"):
            pretrained(*arguments, cache_dir=cache)
