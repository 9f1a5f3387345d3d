"""Part of the network -> the test that fails where the part is left out, or is fed the wrong input.

Each row spoils one part and runs the tests that hold it: at least one of them has to fail.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod
from typing import Any

import pytest
import torch

from stad_lite.cfad import coarse, criterion, decoding, model, proposals, refine
from stad_lite.nets.blocks import Hourglass1d, NonLocal
from tests.cfad import (
    test_coarse,
    test_criterion,
    test_decoding,
    test_proposals,
    test_refine,
)
from tests.cfad import test_model as network
from tests.faults import Fault, after, before, check, instead


def of_maps(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Any], Any]:
    """Return what changes what a method sees besides ``self``."""
    return lambda sound: lambda own, maps: sound(own, change(maps))


def one_head(own: Any, features: torch.Tensor) -> torch.Tensor:
    """The first branch alone."""
    found: torch.Tensor = own.heads["direct"](features).mean(2)
    return found


def largest(own: Any, features: torch.Tensor) -> torch.Tensor:
    """The maximum over time in place of the mean."""
    change = coarse.temporal_difference(features)
    return own.heads["direct"](features).amax(2) + own.heads["difference"](change).amax(2)


def unpooled(own: Any, features: torch.Tensor) -> torch.Tensor:
    """The selector sees one cell in place of their mean."""
    return own.hourglass(features[..., 0, 0])[:, 0]


def neighbour(sound: Callable[..., Any]) -> Callable[..., Any]:
    """The box proposals see the sample after each key."""
    return lambda features, chosen: sound(features, chosen.roll(1, 1))


IDENTITY = instead(lambda own, maps: maps)
SPOILT = {
    "the neck's view of time": Fault(
        model.Neck,
        "__init__",
        lambda sound: partialmethod(sound, gaps=()),
        network.test_maps_are_of_single_frames_and_features_are_not,
        {"stream": "rgb"},
    ),
    "the proposals' view of time": Fault(
        proposals.SpanNetwork,
        "forward",
        of_maps(lambda maps: maps.mean(2, keepdim=True).expand_as(maps)),
        test_proposals.test_scores_follow_what_happens_in_time_and_not_where,
        {"factorised": True},
    ),
    "the offsets of proposals": Fault(
        proposals,
        "decode_spans",
        instead(lambda offsets, anchors: anchors + 0 * offsets),
        test_criterion.test_the_detector_sees_true_spans_and_proposals,
    ),
    "the suppression of proposals": Fault(
        proposals.segments,
        "nms",
        instead(lambda spans, scores, most: scores.argsort(descending=True)),
        test_proposals.test_proposals_are_whole_spans_inside_the_video_that_overlap_little,
    ),
    "the interpolation of features": Fault(
        test_coarse,
        "sample_features",
        before(lambda maps, item, times, gap: (maps, item, times.round(), gap)),
        test_coarse.test_samples_are_interpolated_between_the_middles_of_steps,
        {"stride": 1},
    ),
    "the difference branch's difference": Fault(
        coarse,
        "temporal_difference",
        instead(lambda maps: maps[:, :, 1:]),
        test_coarse.test_only_the_difference_branch_is_blind_to_what_stands_still,
    ),
    "the difference branch": Fault(
        coarse.CoarseModule,
        "pooled",
        instead(one_head),
        test_coarse.test_both_branches_are_averaged_over_time_and_added,
    ),
    "the temporal pooling": Fault(
        coarse.CoarseModule,
        "pooled",
        instead(largest),
        test_coarse.test_both_branches_are_averaged_over_time_and_added,
    ),
    "the non-local block": Fault(
        NonLocal, "forward", IDENTITY, test_coarse.test_a_cell_sees_beyond_its_convolutions
    ),
    "the order of the anchors": Fault(
        coarse.CoarseModule,
        "forward",
        after(lambda found: found._replace(theta=found.theta.flip(1))),
        test_coarse.test_outputs_stand_in_the_order_of_the_anchors,
    ),
    "the selector's pooling": Fault(
        refine.RefineModule,
        "importance",
        instead(unpooled),
        test_refine.test_importance_pools_space_and_looks_along_time,
    ),
    "the selector's view of time": Fault(
        Hourglass1d,
        "forward",
        instead(lambda own, steps: steps[:, :1]),
        test_refine.test_importance_pools_space_and_looks_along_time,
    ),
    "the selector's alpha": Fault(
        test_refine,
        "choose_keys",
        before(lambda chances, config, *seed: (chances > 0, config, *seed)),
        test_refine.test_selections_cost_the_same_and_learned_goes_by_alpha,
    ),
    "the selector's labels": Fault(
        test_refine,
        "key_labels",
        after(lambda labels: labels * 0 + 1),
        test_refine.test_still_tubes_need_their_ends_alone,
    ),
    "the timestamp of the refinement": Fault(
        decoding,
        "flat",
        neighbour,
        test_decoding.test_each_key_is_refined_by_its_own_sample_and_nothing_else_is,
    ),
    "the refinement itself": Fault(
        decoding,
        "replace_boxes",
        instead(lambda coarse, boxes, scores, config: (coarse, scores.amax(1))),
        test_decoding.test_each_key_is_refined_by_its_own_sample_and_nothing_else_is,
    ),
    "the keys of the refinement": Fault(
        decoding,
        "choose_keys",
        instead(lambda chances, config, seed: torch.arange(len(chances)).numpy()),
        test_decoding.test_each_key_is_refined_by_its_own_sample_and_nothing_else_is,
    ),
    "the class of the box proposals": Fault(
        criterion,
        "box_targets",
        after(lambda found: (found[0], found[1].roll(1, 1), found[2])),
        test_criterion.test_a_box_proposal_that_says_the_truth_costs_nothing,
    ),
    "the search area": Fault(
        refine,
        "search_area",
        instead(lambda boxes, sigma: boxes),
        test_refine.test_the_best_score_inside_wins_and_suppression_changes_nothing,
    ),
    "the suppression of tubes": Fault(
        test_decoding,
        "suppress_tubes",
        instead(lambda tubes, config: tubes),
        test_decoding.test_suppression_is_the_literal_rule,
        {"suppression": "class", "most_in": "proposal", "most": 3},
    ),
    "the interpolation through refined boxes": Fault(
        decoding,
        "interpolate",
        before(lambda times, boxes, at, kind: (times[[0, -1]], boxes[[0, -1]], at, kind)),
        test_decoding.test_the_tube_goes_through_all_its_boxes_exactly,
        {"interpolation": "linear"},
    ),
    "the score of the refined boxes": Fault(
        decoding,
        "joined_score",
        instead(lambda score, box_scores: score),
        test_decoding.test_the_tube_goes_through_all_its_boxes_exactly,
        {"interpolation": "spline"},
    ),
    "the whole tube in the loss": Fault(
        criterion,
        "tube_regression_loss",
        before(
            lambda theta, anchors, tubes, lengths, n: (theta, anchors, tubes[:, :3], lengths.clamp(max=3), n)
        ),
        test_criterion.test_the_whole_tube_is_regressed_and_not_its_first_segment,
    ),
}


@pytest.mark.parametrize("part", SPOILT)
def test_a_spoilt_part_fails_the_test_that_holds_it(part, request):
    check(SPOILT[part], request)
