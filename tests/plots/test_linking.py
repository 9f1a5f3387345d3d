import matplotlib.pyplot as plt
import numpy as np

from stad_lite.plots import linking, style
from stad_lite.tubes import Tube


def tube(start: int, x: float) -> Tube:
    return Tube(start, np.tile([x, 0.0, x + 10, 20], (4, 1)), "0")


def test_a_tube_runs_along_the_middle_of_its_boxes_and_dots_lie_there() -> None:
    dots = np.array([2, 3]), np.array([[0.0, 0, 4, 4], [10, 0, 20, 4]]), np.array([0.1, 0.9])
    ax = linking.from_the_side([tube(0, 0.0)], dots, [tube(3, 40.0)], title="one")
    (line,) = ax.lines
    assert line.get_xydata().tolist() == [[frame, 45] for frame in range(3, 7)]
    area, points = ax.collections
    assert points.get_offsets().tolist() == [[2, 2], [3, 15]]
    edges = area.get_paths()[0].vertices
    assert (edges[:, 1].min(), edges[:, 1].max()) == (0, 10)
    pale, dark = points.to_rgba(points.get_array())[:, 0]
    assert dark < pale < 0.95, "the lowest score can still be seen"


def test_a_lattice_has_a_weight_on_each_edge_and_paths_go_through_their_boxes() -> None:
    ax = linking.lattice(np.arange(8).reshape(2, 2, 2) / 4, [[0, 3, 4]], plt.figure().subplots())
    assert {text.get_text() for text in ax.texts} == {f"{n / 4:.2f}" for n in range(8)}
    path = next(line for line in ax.lines if line.get_marker() == "o")
    assert path.get_xydata().tolist() == [[0, 0], [1, 1], [2, 0]]
    middle = {text.get_text(): text.get_position() for text in ax.texts}
    assert middle["0.25"] == (0.3, 0.3), "from A on the first frame to B on the second"


def test_spans_stand_in_rows_and_only_the_first_has_no_colour_of_the_palette() -> None:
    ax = linking.spans({"truth": [(2, 5)], "found": [(1, 3), (4, 6)]}, plt.figure().subplots())
    first, second = ax.collections
    assert [path.get_extents().bounds[:3:2] for path in second.get_paths()] == [(1, 2), (4, 2)]
    assert first.get_paths()[0].get_extents().y0 > second.get_paths()[0].get_extents().y1
    tone = style.rgb(style.colour(0))
    assert np.allclose(second.get_facecolor()[0, :3] * 255, tone)
    assert not np.allclose(first.get_facecolor()[0, :3] * 255, tone)
