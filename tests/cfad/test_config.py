"""Settings: what cannot be, and what the profiles say."""

import pytest

from stad_lite.cfad.config import SCHEDULES, CfadConfig, schedule
from stad_lite.errors import FormatError
from tests.cfad.cases import tiny


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"samples": 1}, "samples is 1; give a whole number from 2 to"),
        ({"spans": 0}, "spans is 0"),
        ({"sigma": -0.1}, "sigma is -0.1"),
        ({"sigma": float("nan")}, "sigma is nan"),
        ({"order": -1}, "order is -1"),
        ({"alpha": 1.5}, "alpha is 1.5; give a number from 0 to 1"),
        ({"negative": 0.6}, "negative is 0.6 and positive is 0.5"),
        ({"box_negative": 0.6}, "box_negative is 0.6 and box_positive is 0.5"),
        ({"span_lengths": ()}, "span_lengths is ()"),
        ({"span_lengths": (4.0, 0.0)}, "span_lengths[1] is 0.0"),
        (
            {"backbone": "i3d", "length": 20},
            "length is 20 and backbone is 'i3d'; give a multiple of 8",
        ),
        ({"backbone": "i3d", "size": (48, 64)}, "size is (48, 64) and backbone is 'i3d'; give sides of 64"),
    ],
)
def test_what_cannot_be_is_refused(settings, problem):
    with pytest.raises(FormatError) as caught:
        tiny(**settings)
    assert problem in str(caught.value)


def test_profiles_have_schedules():
    assert set(SCHEDULES) == {"smoke", "lesson", "paper", "large"}
    assert schedule("paper").optimiser == "sgd" and schedule("paper").batch == 8  # CFAD Sec. 4.1
    with pytest.raises(FormatError, match="no profile 'huge'"):
        schedule("huge")
    assert CfadConfig.paper().epsilon == 0.8 and CfadConfig.paper().tube_nms == 0.2
