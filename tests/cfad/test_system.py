"""From a source to predictions: items, mirror, resampling, anchors, training, what cannot be read."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from stad_lite.cfad import system as cfad
from stad_lite.cfad.config import CfadConfig, schedule
from stad_lite.cfad.matching import TrueTubes
from stad_lite.cfad.videos import Videos, true_tubes, video_run
from stad_lite.data.source import VideoSource, synthetic_source
from stad_lite.data.synthetic import CLASSES, Settings
from stad_lite.errors import FormatError
from stad_lite.metrics import evaluate
from stad_lite.records import Annotations, VideoAnnotation, read_predictions, write
from stad_lite.systems.maps import FrameMaps, frame_maps
from stad_lite.systems.seen import fed_streams
from stad_lite.training.loop import fit
from stad_lite.tubes import Tube
from tests.cfad.cases import moving, tiny


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> VideoSource:
    return synthetic_source(Settings.smoke(), 3, "train", tmp_path_factory.mktemp("clips"))


def true_of(source: VideoSource) -> TrueTubes:
    return true_tubes(source, tiny(), video_run(source, "v", tiny()))


def unlike(data: Videos, **settings) -> Videos:
    """The same data set, made otherwise."""
    return replace(data, make=partial(data.make, **settings))


def make(**settings) -> cfad.CfadSystem:
    torch.manual_seed(0)
    return cfad.CfadSystem(tiny(**settings), CLASSES)


def walker(count: int, tubes: list[Tube], size: tuple[int, int] = (48, 48)) -> VideoSource:
    """A source of one black video whose frames are never looked at."""
    video = VideoAnnotation(width=size[1], height=size[0], num_frames=count, tubes=tuple(tubes))
    black = lambda name, numbers: np.zeros((len(numbers), *size, 3), np.uint8)  # noqa: E731
    return VideoSource(Annotations("walk", CLASSES, {"v": video}), size, black)


@pytest.mark.parametrize("stream", ["rgb", "early"])
def test_kept_maps_are_those_of_the_frames_and_of_their_mirror_images(source, stream):
    one = make(stream=stream)
    data = cfad.training_set(one, source)
    assert len(data) == 3
    frames = unlike(data, maps=None)
    for index in range(3):
        for epoch in range(3):
            data.epoch = frames.epoch = epoch
            kept, read = data[index], frames[index]
            maps = one.network.maps(cfad.collate([read])["frames"])[0]
            torch.testing.assert_close(kept["maps"].float(), maps, atol=2e-2, rtol=2e-2)
            for name in ("boxes", "spans", "labels", "keys"):
                assert torch.equal(kept[name], read[name])


def test_a_mirror_turns_frames_flow_and_boxes_alike(source):
    one = make(stream="early")
    data = unlike(cfad.training_set(one, source), maps=None)
    plain, turned = unlike(data, flip=0.0)[0], unlike(data, flip=1.0)[0]
    assert plain["frames"]["rgb"].values.dtype == torch.uint8
    front, back = (fed_streams(item["frames"], one.config.flow_scale) for item in (plain, turned))
    back = back.flip(-1)
    torch.testing.assert_close(back[:, :3], front[:, :3])
    torch.testing.assert_close(back[:, 3], -front[:, 3])  # flow along x
    torch.testing.assert_close(back[:, 4], front[:, 4])
    there = (plain["boxes"] != 0).any(-1)
    assert torch.equal(there, (turned["boxes"] != 0).any(-1))
    torch.testing.assert_close(turned["boxes"][there][:, 0], 48 - plain["boxes"][there][:, 2])
    torch.testing.assert_close(turned["boxes"][there][:, [1, 3]], plain["boxes"][there][:, [1, 3]])


@pytest.mark.parametrize(
    ("count", "start", "length"), [(16, 3, 9), (48, 9, 20), (5, 1, 3), (160, 33, 2), (3, 0, 1)]
)
def test_truth_stands_on_the_resampled_frames(count, start, length):
    tube = Tube(start, moving(0, length, 0.2), CLASSES[4])
    one = true_of(walker(count, [tube]))
    frames = ((np.arange(16) + 0.5) * count / 16).astype(int)
    inside = [place for place, frame in enumerate(frames) if tube.start <= frame < tube.end]
    if not inside:  # it falls between two of them
        middle = start + (length - 1) / 2
        inside = [int(np.abs(frames - middle).argmin())]
    assert one.spans.tolist() == [[inside[0], inside[-1] + 1]] and one.labels.tolist() == [4]
    for place in range(16):
        if place in inside:
            wanted = tube.boxes[np.clip(frames[place] - start, 0, length - 1)]
            np.testing.assert_allclose(one.boxes[0, place], wanted, atol=1e-5)
        else:
            assert not one.boxes[0, place].any()
    assert one.keys.shape == (1, 6) and one.keys[0, 0] == one.keys[0, -1] == 1


def test_collate_fills_up_truths_and_says_so(source):
    data = cfad.training_set(make(), source)
    items = [data[i] for i in range(3)]
    batch = cfad.collate(items)
    counts = [len(item["labels"]) for item in items]
    assert batch["valid"].sum(1).tolist() == counts
    for row, count in enumerate(counts):
        for name in ("boxes", "spans", "labels", "keys"):
            assert torch.equal(batch[name][row, :count], items[row][name])


def test_items_are_warm_in_the_first_epochs(source):
    data = cfad.training_set(make(proposal_epochs=2), source)
    for epoch, warm in enumerate((True, True, False)):
        data.epoch = epoch
        assert bool(data[1]["warm"]) is warm
    assert data.name(1) == source.videos[1]


def test_anchors_are_clustered_from_the_true_boxes(source):
    one = make()
    before = one.network.sizes.clone()
    cfad.training_set(one, source)
    sizes = one.network.sizes
    assert not torch.equal(sizes, before) and (sizes.prod(1).diff() > 0).all()
    still = Tube(2, moving(0, 9, 0.0), CLASSES[0])
    one = make()
    cfad.training_set(one, walker(16, [still]), FrameMaps({}))  # boxes of a single size
    shares = one.network.sizes / torch.tensor([14.0, 21.0])
    torch.testing.assert_close(shares, 1.1 ** torch.arange(-3.0, 3)[:, None].expand(-1, 2))


def test_what_cannot_be_trained_on_is_refused(source):
    with pytest.raises(FormatError, match="no video holds an annotated action"):
        cfad.training_set(make(), walker(16, []))
    with pytest.raises(FormatError, match="CFAD for no classes"):
        cfad.CfadSystem(tiny(), ())
    with pytest.raises(FormatError, match="frames of"):
        cfad.training_set(make(size=(64, 64)), source)
    with pytest.raises(FormatError, match="no flow"):
        cfad.detect(make(stream="early"), walker(16, []))


@pytest.mark.parametrize("count", [1, 4, 16, 50])
def test_videos_of_any_length_are_detected_in(count, tmp_path):
    one = make(min_score=0.0, span_score=0.0)
    source = walker(count, [])
    found = cfad.detect(one, source)
    tubes = found.videos["v"].tubes
    assert tubes and all(0 <= tube.start < tube.end <= count for tube in tubes)
    write(found, tmp_path / "found.json")
    assert read_predictions(tmp_path / "found.json").videos["v"].tubes == tubes


def test_no_proposal_is_an_empty_and_valid_prediction(source, tmp_path):
    found = cfad.detect(make(span_score=1.0), source)
    write(found, tmp_path / "found.json")
    again = read_predictions(tmp_path / "found.json")
    assert set(again.videos) == set(source.videos)
    assert all(video.tubes == () and len(video.frames.frame) == 0 for video in again.videos.values())
    assert float(evaluate(source.annotations, again, "video-map", iou=0.5).iou[0.5]) == 0


def test_it_trains_and_what_it_learns_is_there_again(source, tmp_path):
    torch.manual_seed(0)
    one = cfad.build(tiny(), CLASSES)
    data = cfad.training_set(one, source)
    plan = replace(schedule("smoke"), steps=10, batch=3)
    fit(one, data, plan, tmp_path / "run", collate=cfad.collate, device="cpu", say=lambda text: None)
    found = cfad.detect(one, source, frame_maps(one, source))
    torch.manual_seed(1)
    other = cfad.build(tiny(), CLASSES)
    other.network.load_state_dict(one.network.state_dict())
    again = cfad.detect(other, source)
    for video in source.videos:
        ours, theirs = found.videos[video].tubes, again.videos[video].tubes
        assert [tube.label for tube in ours] == [tube.label for tube in theirs]


def test_it_learns_three_videos_by_heart(source):
    """Coarse tubes on true spans come to lie on the truth, and the losses fall."""
    torch.manual_seed(0)
    one = cfad.build(tiny(width=24, train_spans=0, proposal_epochs=0), CLASSES)
    data = unlike(cfad.training_set(one, source), flip=0.0)
    batch = cfad.collate([data[i] for i in range(3)])
    optimiser = torch.optim.AdamW(one.network.parameters(), 3e-3)
    first: dict[str, float] = {}
    for _ in range(80):
        terms = one.loss(batch)
        first = first or {name: float(value.detach()) for name, value in terms.items()}
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
    for name, value in terms.items():
        assert float(value.detach()) < 0.5 * first[name], name


def test_profiles_are_built():
    for profile in ("smoke", "lesson"):
        config = replace(getattr(CfadConfig, profile)(), pretrained="")
        assert cfad.build(config, CLASSES).network.config == config
