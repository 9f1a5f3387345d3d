"""Draw the picture of the README: a tube through a synthetic clip (``make picture``)."""

from __future__ import annotations

import sys

from notebooks import BOOK
from stad_lite.data.synthetic import CLASSES, Settings, render
from stad_lite.plots import style
from stad_lite.plots.tubes import prism

CLIP = 4


def main() -> int:
    """Write book/images/tube.png; the same bytes every time."""
    style.use()
    clip = render(Settings.lesson(), CLIP)
    axes = prism(clip.frames, clip.tubes, classes=CLASSES)
    folder = BOOK / "images"
    folder.mkdir(exist_ok=True)
    (folder / "tube.png").write_bytes(style.png(axes.figure))
    print("book/images/tube.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
