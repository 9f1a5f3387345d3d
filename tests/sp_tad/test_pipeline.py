"""Feeding, decoding, detecting: from a source to a predictions record and its score."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from stad_lite.data.source import synthetic_source
from stad_lite.data.synthetic import Settings
from stad_lite.errors import FormatError, NotFiniteError
from stad_lite.metrics import evaluate
from stad_lite.records import Segment, exchange
from stad_lite.sp_tad.config import Backbone, SpTadConfig, schedule
from stad_lite.sp_tad.model import Outputs
from stad_lite.sp_tad.system import (
    build,
    collate,
    detect,
    test_windows,
    training_set,
)
from stad_lite.sp_tad.windows import FoundSegments, Window, decode, merged
from stad_lite.systems.seen import fed_volume
from stad_lite.systems.truth import segment_truth
from stad_lite.training.loop import fit
from tests.sp_tad.small import CLASSES, SMOKE, clips, frames_config, sequences, stored

test_windows.__test__ = False


def system(config=SMOKE, classes=CLASSES, seed=0):
    torch.manual_seed(seed)
    return build(config, classes)


def shown(item):
    """What the backbone of a detector on frames makes of an item's clips: (channels, t, h, w)."""
    return {name: fed_volume(clip, name, 4.0) for name, clip in item.inputs.items()}


def test_features_of_a_window_are_slices_of_the_video():
    source = stored(200, [Segment("run", 1, 3), Segment("jump", 17, 19)])
    data = training_set(system(classes=("run", "jump")), source)
    assert [w.start for w in data.places] == [0, 128, 136]
    for item in (data[0], data[1]):
        for number, stride in enumerate((2, 4, 8)):
            first = item.window.start // stride
            expected = source.stages["a"][number][:, first : first + 64 // stride]
            np.testing.assert_array_equal(item.inputs[str(number)].numpy(), expected)
    assert data[0].labels.tolist() == [0] and data[1].labels.tolist() == [1]
    np.testing.assert_allclose(data[1].segments.numpy(), [[(170 - 128) / 64, (190 - 128) / 64]], rtol=1e-6)
    assert data.name(1) == "a, frames 128 to 191"


def test_a_video_shorter_than_a_window_is_filled_with_zeros():
    data = training_set(system(classes=("run", "jump")), stored(40, [Segment("run", 0, 2)]))
    (item,) = [data[i] for i in range(len(data))]
    assert item.inputs["0"].shape == (8, 32) and not item.inputs["0"][:, 20:].any()
    assert item.inputs["0"][:, :20].all()


def test_a_whole_video_is_squeezed_into_one_window():
    config = replace(SMOKE, whole_video=True)
    source = stored(256, [Segment("run", 6.4, 12.8)])
    data = training_set(system(config, ("run", "jump")), source)
    assert len(data) == 1 and data[0].inputs["2"].shape == (8, 8)
    np.testing.assert_allclose(data[0].segments.numpy(), [[0.25, 0.5]], rtol=1e-6)
    ramp = replace(source, stages={"a": tuple(np.tile(np.arange(256.0 // s), (8, 1)) for s in (2, 4, 8))})
    squeezed = training_set(system(config, ("run", "jump")), ramp)[0].inputs["0"]
    np.testing.assert_allclose(squeezed[0].numpy(), np.arange(32) * 4 + 1.5)


def test_frames_are_cropped_scaled_and_read_at_the_rate():
    source = clips(frames=200, fps=30.0)
    data = test_windows(system(frames_config(), ("run", "jump")), source)
    assert [w.start for w in data.places] == [0, 2]  # 66 frames at 10 a second
    item = data[0]
    expected = source.frames("a", np.arange(64) * 3)[:, :, 2:26] / 127.5 - 1
    np.testing.assert_allclose(shown(item)["rgb"], expected.transpose(3, 0, 1, 2), rtol=1e-5, atol=1e-6)
    flow = source.flow("a", np.arange(64) * 3)[:, :, 2:26].clip(-4, 4) / 4
    np.testing.assert_allclose(shown(item)["flow"], flow.transpose(3, 0, 1, 2))


def test_training_draws_crop_and_flip_by_seed_and_epoch():
    source = clips()
    data = training_set(system(frames_config(), ("run", "jump")), source)
    same, again = shown(data[0]), shown(data[0])
    torch.testing.assert_close(same, again, rtol=0, atol=0)
    whole = source.frames("a", np.arange(64)) / 127.5 - 1
    motion = source.flow("a", np.arange(64)).clip(-4, 4) / 4
    seen = set()
    for epoch in range(24):
        data.epoch = epoch
        item = shown(data[0])
        rgb, flow = (item[name].numpy().transpose(1, 2, 3, 0) for name in ("rgb", "flow"))
        for left in range(5):
            plain, cut = whole[:, :, left : left + 24], motion[:, :, left : left + 24]
            if np.allclose(rgb, plain, atol=1e-5):
                seen.add((left, False))
                np.testing.assert_allclose(flow, cut)
            elif np.allclose(rgb, plain[:, :, ::-1], atol=1e-5):
                seen.add((left, True))
                np.testing.assert_allclose(flow, cut[:, :, ::-1] * [-1, 1])
    assert len(seen) >= 5 and {flipped for _, flipped in seen} == {True, False}
    data.epoch = 0
    torch.testing.assert_close(shown(data[0]), same, rtol=0, atol=0)


def test_what_is_not_trained_on_is_told():
    spans = [Segment("run", 1, 3), Segment("run", 5, 5), Segment("run", 0, 14)]
    data = training_set(system(classes=("run", "jump")), stored(200, spans))
    assert data.notes == [
        "instances without length, not trained on: 1",
        "instances too long for a window, not trained on: 1",
    ]
    assert all(len(data[i].segments) for i in range(len(data)))


def test_nothing_to_train_on_and_too_much_are_refused():
    with pytest.raises(FormatError, match="no window holds an instance"):
        training_set(system(classes=("run", "jump")), stored(200, [Segment("run", 5, 5)]))
    crowd = [Segment("run", 0.5 * i, 0.5 * i + 0.4) for i in range(12)]
    with pytest.raises(FormatError, match=r"video a: .* holds 12 instances for 8 proposals"):
        training_set(system(classes=("run", "jump")), stored(200, crowd))
    with pytest.raises(FormatError, match="no classes"):
        build(SMOKE, ())


def test_features_of_nan_are_refused_with_their_video():
    source = stored(200, [Segment("run", 1, 3)])
    source.stages["a"][1][3, 7] = np.nan
    data = training_set(system(classes=("run", "jump")), source)
    with pytest.raises(NotFiniteError, match=r"video a: .*stage 1.* step 7"):
        data[0]


def test_sources_that_do_not_fit_the_backbone_are_refused():
    with pytest.raises(FormatError, match="gives frames, the backbone features takes features"):
        test_windows(system(classes=("run", "jump")), clips())
    with pytest.raises(FormatError, match="gives features"):
        test_windows(system(frames_config(), ("run", "jump")), stored(64, []))
    other = SpTadConfig.smoke(Backbone("features", channels=(8, 8, 9)))
    with pytest.raises(FormatError, match="backbone expects"):
        test_windows(system(other, ("run", "jump")), stored(64, []))
    with pytest.raises(FormatError, match="smaller than the crop"):
        test_windows(system(frames_config(), ("run", "jump")), clips(size=(24, 20)))


def test_decoding_multiplies_by_the_clip_and_keeps_the_best_pairs():
    logits, clip = torch.randn(2, 1, 4, 3), torch.randn(1, 3)
    segments = torch.rand(2, 1, 4, 2)
    config = replace(SMOKE, pairs=5)
    (one,) = decode(Outputs(logits, segments, clip), [Window("a", 0, 64)], config)
    table = logits[-1, 0].sigmoid() * clip[0].sigmoid()
    order = table.flatten().argsort(descending=True)[:5]
    np.testing.assert_allclose(one.scores, table.flatten()[order].numpy(), rtol=1e-6)
    assert one.labels.tolist() == (order % 3).tolist()
    np.testing.assert_array_equal(one.segments, segments[-1, 0, order // 3].numpy())
    (plain,) = decode(Outputs(logits, segments, None), [Window("a", 0, 64)], config, head=0)
    assert plain.scores[0] == pytest.approx(float(logits[0].sigmoid().max()))


def test_tubes_become_segments_for_the_metrics():
    source = synthetic_source(replace(Settings.smoke(), flow=False), 2, "val")
    truth = segment_truth(source)
    for name, video in source.annotations.videos.items():
        ours = truth.videos[name]
        assert ours.tubes is None and len(ours.segments) == len(video.tubes)
        for segment, tube in zip(ours.segments, video.tubes, strict=True):
            assert (segment.label, segment.start * 25, segment.end * 25) == (
                tube.label, pytest.approx(tube.start), pytest.approx(tube.end),
            )  # fmt: skip
    own = stored(64, [Segment("run", 1, 2)])
    assert segment_truth(own).videos["a"].segments == (Segment("run", 1, 2),)


def test_a_perfect_detector_scores_hundred():
    """The truth of every window, through decoding's form and merging, is the truth of every video."""
    source = sequences(6)
    ours = system()
    data = training_set(ours, source)
    found = {name: [] for name in source.videos}
    for window in data.places:
        spans, labels = data.truth(window)
        found[window.video].append(FoundSegments(window, spans, np.full(len(spans), 0.9), labels))
    predictions = merged(found, data.lines, ours)
    result = evaluate(source.annotations, predictions, "temporal-map", convention="thumos14")
    assert result.iou[0.3] > 95 and result.iou[0.7] > 90  # cut instances rank behind whole ones


def test_training_lowers_the_loss_and_detection_is_written_as_activitynet_json(tmp_path):
    source = sequences(4)
    ours = system()
    data = training_set(ours, source)
    batch = collate([data[i] for i in range(4)])
    before = sum(float(term.detach()) for term in ours.loss(batch).values())
    config = replace(schedule("smoke"), steps=60, lr=5e-3, log_every=60, checkpoint_every=60)
    fit(ours, data, config, tmp_path / "run", collate=collate, device="cpu", say=lambda _: None)
    after = sum(float(term.detach()) for term in ours.loss(batch).values())
    assert after < 0.7 * before
    predictions = detect(ours, source)
    assert list(predictions.videos) == list(source.videos) and predictions.classes == CLASSES
    duration = {name: video.duration for name, video in source.annotations.videos.items()}
    for name, video in predictions.videos.items():
        assert video.segments and len(video.segments) <= ours.config.most
        assert all(0 <= s.start < s.end <= duration[name] for s in video.segments)
    exchange.write(predictions, tmp_path / "result.json", "activitynet")
    assert set(json.loads((tmp_path / "result.json").read_text("utf-8"))["results"]) == set(source.videos)
    back = exchange.read(tmp_path / "result.json", "activitynet", "predictions", source.annotations).record
    scores = [
        evaluate(source.annotations, each, "temporal-map", convention="activitynet").iou
        for each in (predictions, back)
    ]
    assert scores[0] == pytest.approx(scores[1])


def test_detection_does_not_depend_on_the_batch():
    source, ours = sequences(3, "val"), system()
    assert [len(v.segments) for v in detect(ours, source, batch=1).videos.values()] == [
        len(v.segments) for v in detect(ours, source, batch=5).videos.values()
    ]
    assert ours.network.training


def test_end_to_end_from_frames(tmp_path):
    source = clips()
    ours = system(frames_config(), ("run", "jump"))
    data = training_set(ours, source)
    config = replace(schedule("smoke"), steps=2, batch=1, lr_factors=(("backbone", 0.0),))
    still = [p.clone() for p in ours.network.backbone.parameters()]
    head = ours.network.heads[0].deltas.weight.clone()
    fit(ours, data, config, tmp_path / "run", collate=collate, device="cpu", say=lambda _: None)
    assert all(torch.equal(a, b) for a, b in zip(still, ours.network.backbone.parameters(), strict=True))
    assert not torch.equal(head, ours.network.heads[0].deltas.weight)
    assert detect(ours, source).videos["a"].segments
