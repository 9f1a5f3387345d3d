"""Part of SP-TAD -> the test that fails where the part is left out, or is fed its neighbour.

Each row spoils one place of the code and runs the test that holds it.
"""

from __future__ import annotations

import pytest

from stad_lite import matching
from stad_lite.nets import fpn
from stad_lite.sp_tad import backbone, criterion, interaction, model, pyramid, windows
from stad_lite.systems import seen
from tests.faults import Fault, before, check, reworded
from tests.sp_tad import (
    test_criterion,
    test_interaction,
    test_pipeline,
    test_pyramid,
    test_windows,
)
from tests.sp_tad import test_model as network

by_hand = test_criterion.test_loss_by_hand.hypothesis.inner_test
cheapest = test_criterion.test_matching_is_the_cheapest_of_all_permutations.hypothesis.inner_test
suppressed = test_windows.test_merging_is_soft_suppression_over_all_windows.hypothesis.inner_test
TWICE = [(10, 40, 0.9), (12, 40, 0.8), (60, 20, 0.7), (15, 30, 0.6)]
"""First place, length, score of segments that windows tell more than once."""
Head, Sparse = interaction.DetectionHead, interaction.SparseInteraction

FEATURES = {
    "the flow stream": reworded(
        backbone.I3DStages.forward, "for maps in found]", "for maps in found[:1] * 2]",
        network.test_stages_are_both_streams_pooled_over_space_and_side_by_side,
    ),
    "the mean over space": Fault(
        backbone, "over_space", lambda sound: lambda maps: maps.amax((3, 4)),
        network.test_stages_are_both_streams_pooled_over_space_and_side_by_side,
    ),
    "the stages in between": reworded(
        pyramid.TemporalPyramid.forward, "list(stages[self.first :])",
        "[stage.detach() for stage in stages[:-1]] + [stages[-1]]",
        test_pyramid.test_only_the_intermediate_pyramid_reads_all_stages,
        kind="intermediate", read={0, 1, 2},
    ),
    "the way from the top down": reworded(
        fpn.FeaturePyramid.forward, " + F.interpolate(merged[i + 1], size=merged[i].shape[2:])", "",
        test_pyramid.test_what_is_known_of_coarse_steps_reaches_the_finest_level,
    ),
    "the maximum of the highest level": reworded(
        fpn.FeaturePyramid.forward, "self.max_pool(out[-1]", "self.max_pool(-out[-1]",
        test_pyramid.test_what_is_known_of_coarse_steps_reaches_the_finest_level,
    ),
    "the segments that are learnt": reworded(
        model.SpTad.forward, 'to_segments(self.proposals["segments"])',
        'to_segments(self.proposals["segments"].detach())',
        network.test_parts_go_by_name_and_all_learn,
    ),
    "the features that are learnt": reworded(
        model.SpTad.forward, 'self.proposals["features"], "n c', 'self.proposals["features"].detach(), "n c',
        network.test_parts_go_by_name_and_all_learn,
    ),
}  # fmt: skip

HEAD = {
    "the self-attention": reworded(
        Head.forward, "features + self.self_attention(features, features, features, need_weights=False)[0]",
        "features", test_interaction.test_the_head_is_its_parts_in_their_order,
    ),
    "what the interaction is added to": reworded(
        Head.forward, "self.norm2(features + seen)", "self.norm2(seen)",
        test_interaction.test_the_head_is_its_parts_in_their_order,
    ),
    "the interaction": reworded(
        Head.forward, "self.norm2(features + seen)", "self.norm2(features)",
        test_interaction.test_the_head_is_its_parts_in_their_order,
    ),
    "the feed-forward network": reworded(
        Head.forward, "self.norm3(features + self.feed_forward(features))", "self.norm3(features)",
        test_interaction.test_the_head_is_its_parts_in_their_order,
    ),
    "the layers of the branches": Fault(
        interaction, "_tower", before(lambda channels, layers, normed: (channels, 2 * layers, normed)),
        network.test_published_sizes,
        {"dataset": "thumos14", "classes": 20, "window": 256, "proposals": 50},
    ),
    "the wider segment": reworded(
        interaction.segment_features, "segment_ops.expand(flat, eta)", "flat",
        test_interaction.test_a_segment_of_a_ramp_by_hand,
    ),
    "the level of Eq. 1": reworded(
        interaction.segment_features, "pyramid_level(flat[:, 1] - flat[:, 0], len(levels.maps))",
        "0 * flat[:, 0].long()", test_interaction.test_every_proposal_reads_its_own_level_and_item,
    ),
    "the level of the segment before it widens": reworded(
        interaction.segment_features, "pyramid_level(flat[:, 1] - flat[:, 0]",
        "pyramid_level((flat[:, 1] - flat[:, 0]) * 1.4",
        test_interaction.test_every_proposal_reads_its_own_level_and_item,
    ),
    "the floor of Eq. 1": reworded(
        pyramid.pyramid_level, ".floor()", ".round()", test_pyramid.test_level_follows_equation_one
    ),
    "the highest level of Eq. 1": reworded(
        pyramid.pyramid_level, "levels - 1", "levels", test_pyramid.test_level_follows_equation_one
    ),
    "the window that a proposal reads": reworded(
        interaction.segment_features, " + item * size", "",
        test_interaction.test_every_proposal_reads_its_own_level_and_item,
    ),
    "the first of the dynamic layers": reworded(
        Sparse.forward, 'rearrange(down, "b n (c h)', 'rearrange(up, "b n (c h)',
        test_interaction.test_interaction_is_two_convolutions_that_the_proposal_makes,
    ),
    "the second of the dynamic layers": reworded(
        Sparse.forward, 'rearrange(up, "b n (h c)', 'rearrange(down, "b n (h c)',
        test_interaction.test_interaction_is_two_convolutions_that_the_proposal_makes,
    ),
    "the proposal that makes the layers": reworded(
        Sparse.forward, "self.parameters_of(features)", "self.parameters_of(features.mean(1, keepdim=True))",
        test_interaction.test_interaction_is_two_convolutions_that_the_proposal_makes,
    ),
    "the segment that is read": reworded(
        Head.forward, "segment_features(levels, segments,", "segment_features(levels, segments * 0 + 0.5,",
        test_interaction.test_the_head_is_its_parts_in_their_order,
    ),
    "the places of the global attention": reworded(
        interaction.GlobalAttention.forward, "values[-1] + place + ", "values[-1] + ",
        test_interaction.test_global_attention_tells_places_apart,
    ),
    "the shift in lengths": reworded(
        interaction.refine, "/ DELTA_WEIGHTS[0] * length", "/ DELTA_WEIGHTS[0]",
        test_interaction.test_refining_moves_and_stretches, shift=2.0, factor=1.0,
    ),
    "the segments of the head before": reworded(
        model.SpTad.forward, "head(levels, segments, features",
        'head(levels, to_segments(self.proposals["segments"])[None].expand(size, -1, -1), features',
        network.test_every_head_starts_from_what_the_one_before_found,
    ),
    "the features of the head before": reworded(
        model.SpTad.forward, "logits, segments, features = head(", "logits, segments, _ = head(",
        network.test_every_head_starts_from_what_the_one_before_found,
    ),
    "the end of the gradient between heads": reworded(
        model.SpTad.forward, "segments = segments.detach()", "pass",
        network.test_stacked_heads_start_from_the_segments_before_without_their_gradient,
    ),
    "a head for each stage": reworded(
        model.SpTad.forward, "for head in self.heads:", "for head in [self.heads[0]] * len(self.heads):",
        network.test_parts_go_by_name_and_all_learn,
    ),
    "the prior": reworded(
        model.SpTad._initialise, 'name.endswith("classes.bias")', "False",
        network.test_scores_begin_at_the_prior_and_proposals_where_they_are_put,
    ),
    "the stages of the clip head": reworded(
        backbone.ClipHead.forward, "for stage in stages]", "for stage in reversed(stages)]",
        network.test_the_clip_head_is_one_layer_on_the_mean_of_every_stage,
    ),
    "the mean of the clip head": Fault(
        backbone.F, "adaptive_avg_pool1d", lambda sound: lambda stage, _: stage.amax(2, keepdim=True),
        network.test_the_clip_head_is_one_layer_on_the_mean_of_every_stage,
    ),
}  # fmt: skip
LOSS = {
    "one proposal for a truth": reworded(
        matching.hungarian, "linear_sum_assignment(table[number, :, :count])",
        "(table[number, :, :count].argmin(0), torch.arange(count).numpy())",
        cheapest, seed=3,
    ),
    "the class in the cost": reworded(
        criterion.matching_cost, "config.cls_cost * by_class + ", "", cheapest, seed=0
    ),
    "the distance in the cost": reworded(
        criterion.matching_cost, " + config.l1_cost * apart", "", cheapest, seed=0
    ),
    "GIoU in the cost": reworded(
        criterion.matching_cost, " - config.giou_cost * overlap", "", cheapest, seed=0
    ),
    "the classes' gradient": reworded(
        criterion.set_loss, "sigmoid_focal(outputs.logits,", "sigmoid_focal(outputs.logits.detach(),",
        test_criterion.test_gradients_are_those_of_the_definitions, term="cls",
    ),
    "the distance's gradient": reworded(
        criterion.set_loss, "(found - wanted)", "(found.detach() - wanted)",
        test_criterion.test_gradients_are_those_of_the_definitions, term="l1",
    ),
    "GIoU's gradient": reworded(
        criterion.set_loss, "segment_giou(found, wanted)", "segment_giou(found.detach(), wanted)",
        test_criterion.test_gradients_are_those_of_the_definitions, term="giou",
    ),
    "the gap of GIoU": reworded(
        criterion.segment_ops.giou, " - ratio(hull - union, hull)", "",
        test_criterion.test_gradients_are_those_of_the_definitions, term="giou",
    ),
    "the clip head's gradient": reworded(
        criterion.set_loss, "cross_entropy(outputs.clip,", "cross_entropy(outputs.clip.detach(),",
        test_criterion.test_gradients_are_those_of_the_definitions, term="clip",
    ),
    "the positives": reworded(
        criterion.set_loss, "targets[head, item, proposal, labels] = 1", "pass", by_hand, seed=0
    ),
    "the weight of the easy": reworded(
        criterion.set_loss, "config.alpha, config.gamma", "config.alpha, 0.0", by_hand, seed=0
    ),
    "the number of the positives": reworded(
        criterion.set_loss, "sum(truth.counts)", "len(truth.counts)", by_hand, seed=1
    ),
    "the losses of the heads before": reworded(
        criterion.set_loss, "torch.full_like(found.item, h)", "torch.full_like(found.item, len(matches) - 1)",
        test_criterion.test_every_head_is_paid,
    ),
    "the classes of the clip": reworded(
        criterion.clip_targets, "labels[:count]", "labels",
        test_criterion.test_clip_targets_are_the_classes_that_occur,
    ),
    "lambda of the clip head": reworded(
        criterion.set_loss, "config.clip_weight * ", "",
        test_criterion.test_weights_are_factors_and_the_clip_head_can_be_left_out,
    ),
}  # fmt: skip

WINDOWS = {
    "the rate": reworded(
        windows.timeline, "rate or fps, times", "fps, times", test_windows.test_published_windows
    ),
    "the stride": reworded(
        windows.slide, "length, stride)]", "length, length)]", test_windows.test_published_windows
    ),
    "tIoA": reworded(
        windows.window_truth, "segment_ops.ioa(spans", "segment_ops.iou(spans",
        test_windows.test_what_counts_in_a_window, span=(12, 14), expected=[0.2, 0.4],
    ),
    "the instances that hardly count": reworded(
        windows.window_truth, ">= least", "> 0",
        test_windows.test_what_counts_in_a_window, span=(7.9, 12), expected=None,
    ),
    "the cut at the window's ends": reworded(
        windows.window_truth, "segment_ops.clip(spans, 0.0, 1.0)", "spans",
        test_windows.test_what_counts_in_a_window, span=(8.1, 12), expected=[0.0, 0.2],
    ),
    "the whole video in a window": reworded(
        windows.WindowReader.read, "whole = self.config.whole_video", "whole = False",
        test_pipeline.test_a_whole_video_is_squeezed_into_one_window,
    ),
    "the crop": reworded(
        seen.read_clip, "int(generator.integers(width - w + 1))", "0",
        test_pipeline.test_training_draws_crop_and_flip_by_seed_and_epoch,
    ),
    "the mirror image": reworded(
        seen.read_clip, "generator.random() < 0.5", "generator.random() < 0",
        test_pipeline.test_training_draws_crop_and_flip_by_seed_and_epoch,
    ),
    "the last head": reworded(
        windows.decode, "outputs.logits[head]", "outputs.logits[0]",
        test_pipeline.test_decoding_multiplies_by_the_clip_and_keeps_the_best_pairs,
    ),
    "the last head's segments": reworded(
        windows.decode, "outputs.segments[head]", "outputs.segments[0]",
        test_pipeline.test_decoding_multiplies_by_the_clip_and_keeps_the_best_pairs,
    ),
    "the clip's classes": reworded(
        windows.decode, "scores * outputs.clip.float().sigmoid()[:, None]", "scores",
        test_pipeline.test_decoding_multiplies_by_the_clip_and_keeps_the_best_pairs,
    ),
    "soft-NMS": reworded(windows.merge, "if sigma:", "if False:", suppressed, rows=TWICE),
    "soft-NMS within a class": reworded(
        windows.merge, "min_score, labels, most)", "min_score, 0 * labels, most)",
        test_windows.test_classes_do_not_suppress_each_other_and_the_best_are_kept,
    ),
    "the way back to seconds": reworded(
        windows.to_seconds, "window.start + ", "", test_windows.test_there_and_back
    ),
}  # fmt: skip

SPOILT = {**FEATURES, **HEAD, **LOSS, **WINDOWS}


@pytest.mark.parametrize("part", SPOILT)
def test_a_spoilt_part_fails_the_test_that_holds_it(part, request):
    check(SPOILT[part], request)
