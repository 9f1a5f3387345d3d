"""Pictures are drawn without a screen and in the house style, and closed after each test."""

from collections.abc import Iterator

import matplotlib
import pytest

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _house_style() -> Iterator[None]:
    import matplotlib.pyplot as plt

    from stad_lite.plots import style

    with matplotlib.rc_context():
        style.use()
        yield
    plt.close("all")
