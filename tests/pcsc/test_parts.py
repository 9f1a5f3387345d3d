"""Part of PCSC -> the test that fails where the part is left out, or is fed the other stream.

Each row rewords one place of the code and runs the test that holds it.
"""

from __future__ import annotations

import pytest

from stad_lite.linking import trimming
from stad_lite.nets import fpn, rpn
from stad_lite.pcsc import actionness, clips, cooperation, detector, messages, model, trunks
from stad_lite.systems import truth
from tests.faults import Fault, check, instead, reworded
from tests.nets import test_fpn
from tests.pcsc import (
    test_actionness,
    test_cooperation,
    test_detector,
    test_messages,
    test_pipeline,
    test_trunks,
)
from tests.pcsc import test_model as network
from tests.pcsc.test_pipeline import maps, source, system  # noqa: F401 - fixtures of its tests

Net, Loss = model.PCSC, model.region_loss
thinned = network.test_a_stages_proposals_are_both_streams_boxes_the_helpers_thinned_more
helped = network.test_a_stage_adds_the_helpers_message_to_its_own_regions
in_the_image = network.test_the_image_message_goes_to_rgb_before_the_pyramid

PROPOSALS = {
    "the turns": reworded(
        cooperation.turn, "1 - stage % 2", "stage % 2",
        test_cooperation.test_the_schedule_of_figure_1,
        stage=1, stream="rgb", own=("rgb", 0), other=("flow", 0),
    ),
    "the own boxes of two stages ago": reworded(
        cooperation.turn, "max(0, stage - 2)", "0", test_cooperation.test_the_schedule_is_the_formula, stage=4
    ),
    "the other's boxes of the stage before": reworded(
        cooperation.turn, "(helper, stage - 1)", "(helper, max(0, stage - 3))",
        test_cooperation.test_the_schedule_is_the_formula, stage=4,
    ),
    "the own boxes": reworded(Net.joined, "return join(own, other)", "return other", thinned),
    "the other's boxes": reworded(Net.joined, "return join(own, other)", "return own", thinned),
    "whose boxes": reworded(Net.joined, "others = found[turn.other]", "others = found[turn.own]", thinned),
    "the lower threshold": reworded(Net.joined, "config.other_nms", "config.own_nms", thinned),
    "the confidence": reworded(
        cooperation.confident, "(scores > score)", "(scores > -1)",
        test_cooperation.test_only_confident_boxes_become_proposals_each_in_its_best_class,
    ),
    "the box of the best class": reworded(
        cooperation.confident, "repeat(label,", "repeat(1 - label,",
        test_cooperation.test_only_confident_boxes_become_proposals_each_in_its_best_class,
    ),
    "the suppression of proposals": reworded(
        cooperation.confident, "threshold, keep)", "1.0, keep)",
        test_cooperation.test_the_other_streams_boxes_are_thinned_more,
    ),
    "the detection head of stage 0": reworded(
        Net.cooperate, "self.stage(0, s, first[s]", 'self.stage(0, s, first["rgb"]',
        network.test_who_depends_on_which_stream,
        change={"messages": "none", "proposals": False}, changed="rgb", moved={"rgb0", "rgb1"},
    ),
    "a head for each stage": reworded(
        Net.stage, "head_of(stream, number)", "head_of(stream, min(number, 1))",
        network.test_losses_reach_every_part_but_frozen_ones_and_actionness,
    ),
    "the streams that may be helped": reworded(
        Net.helps, 'f"to_{turn.stream}"', 'f"to_{turn.helper}"',
        network.test_who_depends_on_which_stream,
        change={"directions": "to_rgb"}, changed="rgb", moved={"rgb0", "rgb1"},
    ),
}  # fmt: skip

FEATURES = {
    "the narrow layer of a message": reworded(
        messages.Message.forward, "F.relu(self.reduce(helper))", "self.reduce(helper)",
        test_messages.test_the_message_is_the_formula,
    ),
    "the addition of Eq. 1": reworded(
        messages.receive, "own + message(helper)", "message(helper)",
        test_messages.test_it_depends_on_the_helper_and_adds_to_the_own_features,
    ),
    "the helper of Eq. 1": reworded(
        messages.receive, "own + message(helper)", "own + message(own)",
        test_messages.test_it_depends_on_the_helper_and_adds_to_the_own_features,
    ),
    "the message of the image": reworded(
        Net.features, 'maps["flow"], self.image_messages', 'maps["flow"], None', in_the_image
    ),
    "the sender of the image's message": reworded(
        Net.features, 'receive_levels(maps["rgb"], maps["flow"]', 'receive_levels(maps["rgb"], maps["rgb"]',
        in_the_image,
    ),
    "the receiver of the image's message": reworded(
        Net.features, 'maps["rgb"] = messages', 'maps["flow"] = messages', in_the_image
    ),
    "the top-down path": reworded(
        fpn.FeaturePyramid.forward, " + F.interpolate(merged[i + 1], size=merged[i].shape[2:])", "",
        test_fpn.test_top_down_path_by_hand,
    ),
    "the mean over time": Fault(
        trunks, "over_time", instead(lambda levels: levels[:, :, -1]),
        test_trunks.test_i3ds_maps_are_averaged_over_time,
    ),
    "the frames around the key frame": reworded(
        trunks.StackTrunk.forward, "rearrange(maps,", "rearrange(maps[:, 2:3].expand_as(maps),",
        test_trunks.test_the_stack_sees_every_frame_in_its_place,
    ),
    "a pyramid for each stream": reworded(
        Net.features, "self.pyramids[stream]", 'self.pyramids["rgb"]', in_the_image
    ),
    "the sender of a stage's message": reworded(
        Net.region_features, "levels[helper_of(stream)]", "levels[stream]", helped
    ),
    "the message of a stage": reworded(
        Net.region_features, "name not in self.roi_messages", "True", helped
    ),
    "the regions of a stage": reworded(
        Net.region_features, "levels[stream]", 'levels["rgb"]', helped
    ),
    "the level of a region": reworded(
        detector.level_of, ".floor()", ".round()",
        test_detector.test_levels_are_those_of_the_pyramids_paper, side=223, level=1,
    ),
    "the frame of a region": reworded(
        detector.pool, "item[chosen]", "0 * item[chosen]",
        test_detector.test_pooling_takes_each_box_from_its_level_and_frame,
    ),
}  # fmt: skip

LOSS = {
    "the losses of all stages": reworded(
        model.criterion, "*parts, *([terms[name]] if name in terms else [])", "*parts",
        network.test_the_losses_are_those_of_all_stages,
    ),
    "the positives of the RPN": reworded(
        Loss, "targets.labels.clamp(max=1)", "targets.labels * 0", network.test_the_rpns_loss_by_hand
    ),
    "the offsets of the RPN": reworded(
        Loss, "torch.where(positive, targets.boxes, everywhere)", "everywhere",
        network.test_the_rpns_loss_by_hand,
    ),
    "the objectness of the RPN": reworded(
        rpn.rpn_loss, "= marked(chosen)\n", "= marked(chosen & (labels == 1))\n",
        network.test_the_rpns_loss_by_hand,
    ),
    "the overlap of a positive": reworded(
        detector.label, "best > overlap", "best > 0.7", test_detector.test_the_half_rule
    ),
    "the class of a positive": reworded(
        detector.label, "truth.labels.gather(1, nearest) + 1", "truth.labels.gather(1, nearest)",
        test_detector.test_the_half_rule,
    ),
    "the truth of a positive": reworded(
        detector.label, "truth.boxes.gather(1, place)", "truth.boxes.gather(1, 0 * place)",
        test_detector.test_the_half_rule,
    ),
    "the share of positives": reworded(
        detector.sample, "kinds, count, share", "kinds, count, 1.0",
        test_detector.test_sampling, count=8, share=0.25, positives=2, total=8,
    ),
    "the true boxes beside": reworded(
        detector.with_truth, "torch.cat([proposals.valid, there], 1)",
        "torch.cat([proposals.valid, there & False], 1)",
        test_detector.test_true_boxes_stand_beside_the_proposals,
    ),
    "the class whose box is learnt": reworded(
        detector.head_loss, "(targets.labels[places] - 1)", "(targets.labels[places] * 0)",
        test_detector.test_only_the_class_of_a_positive_learns_its_box,
    ),
    "the negatives": reworded(
        detector.head_loss, "targets.labels >= 0", "targets.labels > 0",
        test_detector.test_the_losses_of_a_head_by_hand,
    ),
    "the positives alone": reworded(
        detector.head_loss, "boxes.sum() / number", "boxes.mean()",
        test_detector.test_the_losses_of_a_head_by_hand,
    ),
    "the code of the offsets": reworded(
        detector.detections, " / offsets.new_tensor(CODER, dtype=torch.float32)", "",
        test_detector.test_decoding_undoes_the_targets,
    ),
    "what the offsets count from": reworded(
        detector.detections, "proposals.boxes[:, :, None]", "proposals.boxes.flip(1)[:, :, None]",
        test_detector.test_decoding_undoes_the_targets,
    ),
    "the probabilities of the classes": reworded(
        detector.detections, "[..., 1:]", "[..., :-1]", test_detector.test_decoding_undoes_the_targets
    ),
}  # fmt: skip

TUBES = {
    "the boxes of the stages before": reworded(
        model.output_after, "stage.number <= number", "stage.number == number",
        network.test_the_output_of_a_stage_joins_those_before,
    ),
    "the suppression of the union": reworded(
        cooperation.union, "score, threshold, keep", "score, 1.0, keep",
        test_cooperation.test_the_output_of_a_stage_holds_what_earlier_stages_found,
    ),
    "the other stream's vote": reworded(
        cooperation.boost, "side[:, None] != side", "side[:, None] == side",
        test_cooperation.test_streams_vote_as_in_the_plain_loop, seed=0,
    ),
    "the features of actionness": reworded(
        Net.describe, "self.config.stages", "min(2, self.config.stages)", helped
    ),
    "both streams in actionness": reworded(
        Net.describe, "torch.cat(parts, 1)", "torch.cat(parts[:1] * 2, 1)", helped
    ),
    "the overlap of actionness": reworded(
        actionness.targets, "shared > overlap", "shared > 0.2",
        test_actionness.test_boxes_are_labelled_frame_by_frame,
    ),
    "the class of actionness": reworded(
        actionness.targets, " & (label == classes.index(tube.label))", "",
        test_actionness.test_boxes_are_labelled_frame_by_frame,
    ),
    "a classifier for each class": reworded(
        actionness.train_actionness, ".gather(1, label[chosen][:, None])",
        ".gather(1, 0 * label[chosen][:, None])", test_actionness.test_each_class_has_its_own_classifier,
    ),
    "the classifier of a tube's class": reworded(
        actionness.scores_along, "[:, label].sigmoid()", "[:, 0].sigmoid()",
        test_actionness.test_scores_along_a_tube_are_linear_in_its_holes,
    ),
    "the detections between which scores are linear": reworded(
        actionness.scores_along, "np.interp(tube.frames, frame,", "np.interp(tube.frames - 1, frame,",
        test_actionness.test_scores_along_a_tube_are_linear_in_its_holes,
    ),
    "the median": reworded(
        trimming.median_scores, "size=width", "size=1", test_actionness.test_a_noisy_step
    ),
    "actionness in the trimming": reworded(
        actionness.refine, "evidence=list(actionness)", "evidence=[one * 0 + 1 for one in actionness]",
        test_actionness.test_a_noisy_step,
    ),
}  # fmt: skip

INPUT = {
    "the key frame in the middle": reworded(
        clips.key_clip, "frame, config.frames", "frame + 1, config.frames",
        test_pipeline.test_items_are_clips_around_the_key_frame,
    ),
    "the mirror image of the boxes": reworded(
        clips.key_clip, "box_ops.mirrored(boxes, config.size[1])", "boxes",
        test_pipeline.test_a_mirror_turns_clips_flow_and_boxes,
    ),
    "the frames that hold an action": reworded(
        truth.key_frames, "if frame % every == 0", "if frame % every < 2",
        test_pipeline.test_key_frames_are_the_frames_that_hold_an_action,
    ),
}  # fmt: skip

SPOILT = {**PROPOSALS, **FEATURES, **LOSS, **TUBES, **INPUT}


@pytest.mark.parametrize("part", SPOILT)
def test_a_spoilt_part_fails_the_test_that_holds_it(part, request):
    check(SPOILT[part], request)
