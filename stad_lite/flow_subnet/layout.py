"""How long the maps are, and where the default boxes stand on them (flow subnet Sec. 3.3, 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stad_lite.anchors import RFB300, DefaultBoxLayout

if TYPE_CHECKING:  # the settings ask for the lengths
    from stad_lite.flow_subnet.config import FlowSubnetConfig


def map_sides(backbone: str, side: int, levels: int) -> tuple[int, ...]:
    """Return the cells along each side of the levels' maps, finest first.

    backbone: ``rfb`` or ``small``
    side: of the square frame in pixels
    returns: nothing where the backbone has no such level; a length below 1 where the frame has no room

    >>> map_sides("rfb", 300, 6), map_sides("small", 64, 3)
    ((38, 19, 10, 5, 3, 1), (16, 8, 4))
    """
    if backbone == "small":
        return tuple(-(-(side // 4) // 2**level) for level in range(levels)) if levels <= 4 else ()
    fine = -(-(side // 4) // 2)  # the third pool rounds up, the others down
    sides = [fine, fine // 2]
    for _ in range(2):
        sides.append(-(-sides[-1] // 2))
    # two convolutions without padding
    return (*sides, sides[-1] - 2, sides[-1] - 4)[:levels]


def box_layout(config: FlowSubnetConfig) -> DefaultBoxLayout:
    """Return where the default boxes stand: at 300 pixels and six levels RFB Net's table.

    >>> from stad_lite.flow_subnet.config import FlowSubnetConfig
    >>> box_layout(FlowSubnetConfig.paper()) == RFB300
    True
    """
    side, cells = config.size[0], config.map_sides
    first = 4 if config.backbone == "small" else 8
    # the last two levels come from convolutions without padding, so their steps share out the frame
    steps = [first * 2**level if level < 4 else side / cells[level] for level in range(config.levels)]
    sides = [round(share * side, 6) for share in config.box_shares]
    ratios = RFB300.ratios[: config.levels]
    return DefaultBoxLayout(side, cells, tuple(steps), tuple(sides[:-1]), tuple(sides[1:]), ratios)
