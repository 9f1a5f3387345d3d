"""Part of STEP -> the test that fails where the part is left out, or is fed its neighbour.

Each row rewords one place of the code and runs the test that holds it.
"""

from __future__ import annotations

import pytest

from stad_lite.step import (
    augment,
    classify,
    clips,
    criterion,
    extension,
    fusion,
    head,
    model,
    sampling,
    tubes,
)
from stad_lite.step.system import StepSystem
from stad_lite.systems import seen
from tests.faults import check, reworded
from tests.step import (
    test_augment,
    test_classify,
    test_criterion,
    test_extension,
    test_fusion,
    test_head,
    test_pipeline,
    test_sampling,
    test_truth,
)
from tests.step import test_model as network
from tests.step.test_pipeline import source  # noqa: F401 - a fixture of its tests

Net, Vector, Conv, Mixed = model.StepNetwork, head.VectorBranches, head.ConvBranches, head.MixedBranches

ALGORITHM_1 = {
    "the initial proposals": reworded(
        Net.propose, "self.initial[:, :1]", "self.initial.flip(0)[:, :1]",
        network.test_algorithm_1_step_by_step,
    ),
    "the last step's answer": reworded(
        Net.forward, "answers[-1] if", "answers[0] if", network.test_algorithm_1_step_by_step
    ),
    "the extension": reworded(
        Net.propose, "return extend(answer, self.config)",
        "return update(answer, self.config).repeat_interleave(3, 2)", network.test_algorithm_1_step_by_step,
    ),
    "the update": reworded(
        Net.propose, "return update(answer, self.config)", "return answer.proposals",
        network.test_algorithm_1_step_by_step,
    ),
    "the maximum of Eq. 1": reworded(
        Net.answer, "scores.argmax(-1)", "scores.argmin(-1)",
        network.test_answers_count_from_the_proposals_of_their_own_frames,
    ),
    "the update's class": reworded(
        model.update, "answer.best", "0 * answer.best", network.test_update_takes_the_best_classs_regression
    ),
    "the frame around the update": reworded(
        model.tidy, "(sides > SMALLEST)", "(sides > -1e9)",
        network.test_update_cuts_boxes_and_replaces_what_is_gone,
    ),
    "a head for each step": reworded(
        Net.raw, "self.heads[step]", "self.heads[-1]", test_criterion.test_steps_learn_alone_or_together
    ),
    "the clips that a step sees": reworded(
        Net.raw, "(maps.shape[1] - self.seen(step)) // 2", "0",
        network.test_early_steps_see_the_centre_clip_alone,
    ),
    "the proposals that a step counts from": reworded(
        Net.answer, "decode(raw.offsets, proposals[..., None, :])",
        "decode(raw.offsets, proposals[:, :, :1, None])",
        network.test_answers_count_from_the_proposals_of_their_own_frames,
    ),
    "the answer of the last step": reworded(
        StepSystem.predict, "(batch, check)[-1]", "(batch, check)[0]",
        network.test_predictions_are_the_last_steps,
    ),
    "the scores without the background": reworded(
        model.chances, "[..., :-1]", "[..., 1:]", network.test_scores_and_decoded_boxes
    ),
}  # fmt: skip

BRANCHES = {
    "the region of each frame": reworded(
        head.pool_regions, "+ torch.arange(length", "+ 0 * torch.arange(length",
        test_head.test_regions_are_those_of_single_frames,
    ),
    "the region of each frame, all at once": reworded(
        head.pool_regions, "roi_align_all(flat,", "roi_align_all(flat.roll(1, 0),",
        network.test_scores_and_decoded_boxes,
    ),
    "the three convolutions": reworded(
        Conv.forward, "in self.convs", "in self.convs[:2]",
        test_head.test_the_branches_of_three_dimensional_convolutions_layer_by_layer,
    ),
    "the maximum over time": reworded(
        Conv.forward, "hidden.amax(2)", "hidden.mean(2)",
        test_head.test_the_branches_of_three_dimensional_convolutions_layer_by_layer,
    ),
    "the scene": reworded(
        Conv.forward, "whole_frame(maps, stride, self.config)[item]", "regions",
        test_head.test_the_scene_reaches_the_classes_only_with_context, kind="conv3d",
    ),
    "the scene of the own clip": reworded(
        Conv.forward, "[item]", "[1 - item]",
        test_head.test_the_branches_of_three_dimensional_convolutions_layer_by_layer,
    ),
    "the global feature in the local branch": reworded(
        Conv.forward, "[regions, along]", "[regions, 0 * along]",
        test_head.test_the_local_branch_knows_the_whole_tubelet_and_its_own_frame, kind="conv3d",
    ),
    "the region in the local branch": reworded(
        Conv.forward, "[regions, along]", "[regions[:, :1].expand_as(regions), along]",
        test_head.test_the_branches_of_three_dimensional_convolutions_layer_by_layer,
    ),
    "the convolutions over time, of vectors": reworded(
        Vector.forward, "in self.temporal", "in self.temporal[:1]",
        test_head.test_the_branches_of_vectors_layer_by_layer,
    ),
    "the maximum over time, of vectors": reworded(
        Vector.forward, "hidden.amax(2)", "hidden.mean(2)",
        test_head.test_the_branches_of_vectors_layer_by_layer,
    ),
    "the scene, of vectors": reworded(
        Vector.forward, "self.scene is not None", "False",
        test_head.test_the_scene_reaches_the_classes_only_with_context, kind="vector",
    ),
    "the global feature in the local branch, of vectors": reworded(
        Vector.forward, " + self.joined(whole)[:, None]", "",
        test_head.test_the_local_branch_knows_the_whole_tubelet_and_its_own_frame, kind="vector",
    ),
    "the scene, of I3D's blocks": reworded(
        Mixed.forward, "scene[item]", "0 * scene[item]",
        test_head.test_the_scene_reaches_the_classes_only_with_context, kind="mixed",
    ),
    "the mean over time, of I3D's blocks": reworded(
        Mixed.forward, '"n t c -> n c", "mean"', '"n t c -> n c", "max"',
        test_head.test_the_branches_of_i3ds_blocks_layer_by_layer,
    ),
    "the global feature in the local branch, of I3D's blocks": reworded(
        Mixed.forward, "[regions, whole]", "[regions, 0 * whole]",
        test_head.test_the_local_branch_knows_the_whole_tubelet_and_its_own_frame, kind="mixed",
    ),
    "the regression of the own class": reworded(
        model.of_class, "label[..., None, None, None]", "0 * label[..., None, None, None]",
        network.test_update_takes_the_best_classs_regression,
    ),
}  # fmt: skip

EXTENSION = {
    "the motion of Eq. 4": reworded(
        extension.ahead, "last + part * (last - before)", "last + 0 * part",
        test_extension.test_exact_on_straight_motion_at_every_step, kind="closed", clip=6,
    ),
    "the K - 1 of Eq. 4": reworded(
        extension.ahead, "k / (clip - 1)", "k / clip",
        test_extension.test_exact_on_straight_motion_at_every_step, kind="closed", clip=6,
    ),
    "the clip before in order of time": reworded(
        extension.extrapolate, "_reversed(ahead(_reversed(tubelets), clip, kind))",
        "ahead(_reversed(tubelets), clip, kind)",
        test_extension.test_the_clip_before_is_the_clip_after_in_reversed_time,
    ),
    "the order of the clips": reworded(
        extension.concatenate, "[before, tubelets, after]", "[after, tubelets, before]",
        test_extension.test_exact_on_straight_motion_at_every_step, kind="closed", clip=6,
    ),
    "the regressed boxes that are extended": reworded(
        model.extend, "extrapolate(updated", "extrapolate(answer.proposals",
        network.test_extension_concatenates_in_order, kind="extrapolation",
    ),
    "the sides of the anticipation": reworded(
        model.extend, "of_class(answer.before, answer.best)", "of_class(answer.after, answer.best)",
        network.test_extension_concatenates_in_order, kind="anticipation",
    ),
    "the residual of Eq. 5": reworded(
        extension.anticipate, "first + before", "before",
        test_head.test_anticipation_starts_from_the_outermost_clips,
    ),
    "the features of the clip before": reworded(
        head.TwoBranchHead.forward, "self.before(local[:, :boxes])", "self.before(local[:, -boxes:])",
        test_head.test_each_neighbour_is_told_from_the_features_of_its_own_side, kind="conv3d",
    ),
    "the features of the clip after": reworded(
        head.TwoBranchHead.forward, "self.after(local[:, -boxes:])", "self.after(local[:, :boxes])",
        test_head.test_each_neighbour_is_told_from_the_features_of_its_own_side, kind="mixed",
    ),
    "the proposals of the clip before": reworded(
        Net.answer, "zip((raw.before, raw.after), ends", "zip((raw.before, raw.after), (ends[1], ends[1])",
        network.test_answers_count_from_the_proposals_of_their_own_frames,
    ),
    "the proposals of the clip after": reworded(
        Net.answer, "zip((raw.before, raw.after), ends", "zip((raw.before, raw.after), (ends[0], ends[0])",
        network.test_answers_count_from_the_proposals_of_their_own_frames,
    ),
}  # fmt: skip

LOSS = {
    "the background": reworded(
        criterion.class_loss, "labels.argmax(1), labels.shape[1]", "labels.argmax(1), 0",
        test_criterion.test_classification_is_cross_entropy_with_the_background_last,
    ),
    "the negatives": reworded(
        criterion.step_losses, "class_loss(raw.logits, labels, config, samples.counts)",
        "class_loss(raw.logits[positive], labels[positive], config)",
        test_criterion.test_a_clip_without_truth_teaches_background_alone,
    ),
    "lambda": reworded(
        criterion.step_losses, "config.box_weight * ", "",
        test_criterion.test_step_losses_are_zero_for_perfect_boxes_and_weighted_otherwise,
    ),
    "gamma": reworded(
        criterion.step_losses, "config.neighbour_weight * ", "",
        test_criterion.test_step_losses_are_zero_for_perfect_boxes_and_weighted_otherwise,
    ),
    "the smooth L1 of Eq. 3": reworded(
        criterion.box_losses, "F.smooth_l1_loss", "F.l1_loss", test_criterion.test_box_loss_by_hand
    ),
    "the own class's regression": reworded(
        criterion.box_losses, "(each * share[:, None]).sum(-1)", "each.mean(-1)",
        test_criterion.test_box_loss_by_hand,
    ),
    "the mean over the frames": reworded(
        criterion._mean, " / count.clamp(min=1)", "",
        test_criterion.test_step_losses_are_zero_for_perfect_boxes_and_weighted_otherwise,
    ),
    "the frames without a truth": reworded(
        criterion._mean, "(each * counted)", "(each * counted[:1, :1])",
        test_criterion.test_frames_without_a_box_do_not_count,
    ),
    "the order of the truth's frames": reworded(
        criterion.step_losses, "truth, first:last].to(", "truth, first:last].flip(1).to(",
        test_criterion.test_step_losses_are_zero_for_perfect_boxes_and_weighted_otherwise,
    ),
    "what the neighbours count from": reworded(
        criterion.step_losses, "[ends[0], anchors, ends[1]]", "[ends[1], anchors, ends[0]]",
        test_criterion.test_perfect_neighbours_cost_nothing_where_the_clips_differ,
    ),
    "the centre clip of the first term": reworded(
        criterion.step_losses, "middle[:, start : start + boxes]", "middle[:, boxes:-boxes]",
        test_criterion.test_perfect_neighbours_cost_nothing_where_the_clips_differ,
    ),
    "the losses of all steps": reworded(
        criterion.losses, "range(last + 1)", "range(1)",
        test_criterion.test_terms_of_all_steps, kind="extrapolation",
    ),
    "the joint training": reworded(
        Net.train_only, "step in (None, number)", "step == number",
        test_criterion.test_steps_learn_alone_or_together,
    ),
    "the mode of the inference pass": reworded(
        criterion.inferred, "network.eval()", "network.train()",
        test_criterion.test_the_inference_pass_is_in_evaluation_mode,
    ),
}  # fmt: skip

LABELS = {
    "the overlap on the target clip": reworded(
        criterion.input_overlaps, "centre(proposals, config.boxes)", "proposals[..., : config.boxes, :]",
        test_criterion.test_overlaps_are_told_on_the_centre_clip,
    ),
    "the mean of the overlaps": reworded(
        sampling.tubelet_overlaps, "each.sum(-1) / present.sum(-1).clamp(min=1)[:, None]", "each.amax(-1)",
        test_sampling.test_overlap_is_the_mean_over_the_frames_that_the_truth_has,
    ),
    "the positive of each truth": reworded(
        sampling.assign, "min(truths, count)", "0",
        test_sampling.test_every_truth_gets_a_proposal_of_its_own, seed=0, threshold=0.5,
    ),
    "the positives above the threshold": reworded(
        sampling.assign, "best > threshold", "best > 2", test_sampling.test_assignment_against_a_loop, seed=0
    ),
    "the truth of highest overlap": reworded(
        sampling.assign, "torch.where(best > threshold, truth, -1)",
        "torch.where(best > threshold, truth * 0, -1)",
        test_sampling.test_assignment_against_a_loop, seed=0,
    ),
    "the thresholds that grow": reworded(
        criterion.drawn, "config.thresholds[step]", "config.thresholds[0]",
        test_criterion.test_each_step_has_its_own_threshold,
    ),
    "the scores of the step before": reworded(
        criterion.drawn, "answer.scores.amax(-1)", "overlaps.amax(2)",
        test_criterion.test_the_first_step_samples_by_overlap_and_the_next_by_score,
    ),
    "the chances of the hard ones": reworded(
        sampling._keys, "scores.clamp(min=SMALLEST).log() - noise", "-noise",
        test_sampling.test_chances_are_proportional_to_the_scores, truth=-1,
    ),
    "the balance": reworded(
        sampling.draw, "negatives * taken.sum(1)", "taken.sum(1)",
        test_sampling.test_forced_positives_are_always_drawn_and_numbers_are_balanced, rule="paper",
    ),
    "the forced positives": reworded(
        sampling.draw, "1e4 + scores", "scores",
        test_sampling.test_forced_positives_are_always_drawn_and_numbers_are_balanced, rule="paper",
    ),
    "half of the clip": reworded(
        clips.clip_truth, ">= known", "> 0",
        test_truth.test_half_of_the_centre_clip_counts, start=7, counts=False,
    ),
    "the target clip's truth": reworded(
        clips.clip_truth, "middle[first : first + config.boxes]", "middle[:]",
        test_truth.test_half_of_the_centre_clip_counts, start=8, counts=True,
    ),
    "the key frame": reworded(
        clips.clip_truth, "first + config.boxes // 2", "first",
        test_truth.test_middle_supervision_takes_tubes_on_one_place,
    ),
    "the frame of I3D's place": reworded(
        clips.clip_truth, "slice(config.time_stride // 2,", "slice(0,",
        test_truth.test_i3d_has_one_place_for_four_frames,
    ),
}  # fmt: skip

FULL_MODEL = {
    "the flow of the early fusion": reworded(
        seen.fed_streams, "in seen.items()]", "in list(seen.items())[:1]]",
        test_pipeline.test_streams_and_their_mirror_images, stream="early", channels=7,
    ),
    "the stacked flow": reworded(
        clips.read_seen, "int(number), config.flow_depth", "0, config.flow_depth",
        test_pipeline.test_streams_and_their_mirror_images, stream="flow", channels=4,
    ),
    "the mean fusion": reworded(
        fusion.fuse, "np.mean(columns, axis=0)", "columns[0]", test_fusion.test_mean_by_cuboid
    ),
    "the union fusion": reworded(
        fusion.fuse, "np.concatenate(columns, axis=1)", "np.concatenate(columns[:1] * 2, axis=1)",
        test_fusion.test_union_offers_everything,
    ),
    "the crop of the truth": reworded(
        augment.cropped, "boxes=inside.boxes", "boxes=truth.boxes",
        test_augment.test_the_box_frames_the_square_after_every_crop,
    ),
    "the flow of a crop": reworded(
        seen.enlarged, "_before(factor.float(), larger)", "1",
        test_augment.test_the_box_frames_the_square_after_every_crop,
    ),
    "the boxes of the first task": reworded(
        classify.filled, ".argmin(2)", ".argmax(2)",
        test_classify.test_boxes_fill_up_from_the_nearest_frame,
    ),
    "the labels of the first task": reworded(
        classify.Classification.logits, 'batch["labels"][item, actor]', 'batch["labels"][item, 1 - actor]',
        test_classify.test_the_loss_is_that_of_true_boxes,
    ),
    "what the first task hands over": reworded(
        classify.Classification.hand_over, "branches[-1]", "branches[0]",
        test_classify.test_it_learns_and_hands_over_the_global_branch_alone,
    ),
    "the centre clip of the detections": reworded(
        model.dense, "centre(regressed, config.boxes)", "regressed[..., : config.boxes, :]",
        network.test_dense_keeps_the_centre_clip_in_the_frame,
    ),
    "the suppression within a class": reworded(
        model.select, "sure[labels[sure] == label]", "sure", network.test_suppression_stays_within_the_classes
    ),
    "the clip of a frame": reworded(
        tubes.on_frames, ".argmin(1)", ".argmin(1) * 0",
        test_pipeline.test_a_frame_takes_its_boxes_from_the_nearest_clip,
    ),
    "the frames of I3D's boxes": reworded(
        tubes.every_frame, "(np.arange(config.clip) - stride // 2) / stride",
        "np.arange(config.clip) // stride",
        test_pipeline.test_boxes_of_i3d_are_interpolated,
    ),
    "the boxes of a key frame": reworded(
        tubes.on_keys, "config.clip // 2", "0", test_pipeline.test_key_frame_boxes_are_those_of_the_key_frame
    ),
    "the linking within a class": reworded(
        tubes.link_clips, "boxes, every.labels,", "boxes, 0 * every.labels,",
        test_pipeline.test_tubes_follow_their_class_alone,
    ),
    "the trimming": reworded(
        tubes.link_clips, "linking, classes, trim)", "linking, classes)",
        test_pipeline.test_trimming_cuts_what_is_unsure,
    ),
}  # fmt: skip

SPOILT = {**ALGORITHM_1, **BRANCHES, **EXTENSION, **LOSS, **LABELS, **FULL_MODEL}


@pytest.mark.parametrize("part", SPOILT)
def test_a_spoilt_part_fails_the_test_that_holds_it(part, request):
    check(SPOILT[part], request)
