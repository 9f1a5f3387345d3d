"""What the papers print: read as printed, and nothing that does not fit is let through."""

from __future__ import annotations

import ast
import re
from fractions import Fraction

import pytest

from stad_lite.errors import FormatError, MissingFileError
from stad_lite.reproduce.printed import DASH, TABLES, UNREAD, read_paper, read_printed
from tests.names import REPOSITORY, code_of
from tests.reproduce.papers import lines_of

PAPERS = ["cfad", "flow_subnet", "pcsc", "sp_tad", "step"]
TABLE_NUMBERS = {
    "cfad": ["1", "2", "3"],
    "flow_subnet": ["1", "2", "3", "4", "5", "6"],
    "pcsc": ["1", "2", "3", "4", "5", "6"],
    "sp_tad": ["1", "2", "3", "4", "5", "6", "7", "8"],
    "step": ["1a", "1b", "2", "3"],
}
DASHES = {"–", "_"}  # how the copies of the papers write the dash of an empty cell
SMALL = """
paper: small
tables:
  - table: "1"
    about: mAP
    section: "4"
    data: synthetic
    metric: frame-mAP
    columns: [{name: a, threshold: "0.3"}, {name: b, threshold: "0.5"}, {name: mean}]
    rows:
      - {name: ours, values: 3.0 1.0 2.0}
      - {name: theirs, values: 2.0 _ null, unread: {mean: blurred}}
text:
  - {name: lead, value: 1.0, section: "4", data: synthetic, metric: frame-mAP}
relations:
  - {name: lead, kind: difference, of: [table 1 / ours / a, table 1 / theirs / a], printed: text / lead}
  - {name: mean, kind: mean, table: "1", columns: [a, b], printed: mean}
"""


def small(folder, old="", new=""):
    assert old in SMALL
    (folder / "small.yaml").write_text(SMALL.replace(old, new, 1), encoding="utf-8")
    return read_printed(folder)


def test_all_tables_of_all_papers_are_there():
    printed = read_printed()
    assert list(printed.papers) == PAPERS
    for name, paper in printed.papers.items():
        assert [table.table for table in paper.tables] == TABLE_NUMBERS[name]


@pytest.mark.parametrize(
    "address, value",
    [
        ("cfad / table 2 / CFAD / UCF 0.5", "62.7"),
        ("cfad / table 2 / Li [17] / JHMDB 0.5:0.95", "59.1"),
        ("step / table 1a / 4 steps / step 3", "62.8"),
        ("step / table 3 / ACRN* [32] / 0.5", "17.4"),
        ("sp_tad / table 8 / 320 / Avg", "49.9"),
        ("sp_tad / table 2 / TAL-Net [8] / 0.75", "18.30"),
        ("pcsc / table 2 / Peng [17] / 0.75", "02.7"),
        ("pcsc / table 5 / stage 4 / PCSC", "76.7"),
        ("flow_subnet / table 6 / Yang [37] / FPS", "23"),
        ("flow_subnet / text / least lead in frame-mAP", "31.9"),
    ],
)
def test_figures_stand_as_printed(address, value):
    figure = read_printed().figure(address)
    assert figure.printed == value and figure.address == address and figure.section


def test_protocols():
    figure = read_printed().figure("cfad / table 2 / CFAD / JHMDB 0.75")
    assert (figure.data, figure.metric, figure.threshold, figure.unit) == (
        "jhmdb21",
        "video-mAP",
        "0.75",
        "%",
    )
    figure = read_printed().figure("flow_subnet / table 5 / STEP [37] / FPS")
    assert (figure.data, figure.metric, figure.threshold, figure.unit) == ("ava", "speed", "", "fps")


def test_only_three_cells_cannot_be_read():
    unread = [figure for figure in read_printed().figures if figure.printed == UNREAD]
    assert [figure.place for figure in unread] == [
        f"table 2 / {row} / frame-mAP" for row in ("M-Sum", "M-Average", "STFP")
    ]
    assert all(figure.note and not figure.readable for figure in unread)


def test_half_of_the_last_digit(tmp_path):
    printed = read_printed()
    halves = {
        "pcsc / table 2 / Saha [20] / 0.75": Fraction(1, 200),
        "sp_tad / table 3 / SP-TAD, V100 / FPS": Fraction(1, 2),
        "flow_subnet / table 5 / I3D* [15] / FPS": Fraction(1, 2),
        "step / text / videos of UCF101-24": Fraction(0),
    }
    assert {address: printed.figure(address).half for address in halves} == halves
    assert printed.figure("flow_subnet / table 5 / I3D* [15] / FPS").value == 1


def test_a_higher_threshold_never_scores_higher():
    """A slip of the pen in a row of thresholds would show here."""
    for paper in read_printed().papers.values():
        for table in paper.tables:
            for row in table.rows:
                found: dict[tuple[str, str], list[tuple[float, Fraction]]] = {}
                for column in table.columns:
                    figure = paper.cell(table.table, row.name, column.name)
                    if figure.readable and re.fullmatch(r"0\.\d+", column.threshold):
                        values = found.setdefault((figure.data, figure.metric), [])
                        values.append((float(column.threshold), figure.value))
                for values in found.values():
                    scores = [value for _, value in sorted(values)]
                    assert scores == sorted(scores, reverse=True), (paper.name, table.table, row.name)


@pytest.mark.parametrize("name", PAPERS)
def test_rows_stand_so_in_the_paper(name):
    found = [[cell.strip() for cell in line.split("\t")] for line in lines_of(name)]
    for table in read_paper(TABLES / f"{name}.yaml").tables:
        if table.note:
            continue  # pieced together: the note says from what
        for row in table.rows:
            cells = [{DASH: "-"}.get(v, v.replace("~", "~ ")) for v in row.values.split()]
            wide = len(cells)
            lines = (["-" if cell in DASHES else cell for cell in line] for line in found)
            assert any(line[i : i + wide] == cells for line in lines for i in range(len(line))), row


def quoted(paper):
    """Yield the tuples of numbers in the cells of a reproduction that hold what the paper prints."""
    for source in code_of(REPOSITORY / "book" / "reproduce" / f"{paper}.ipynb"):
        if re.search(r"^PRINTED \|?=", source, re.MULTILINE):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Tuple):
                    values = [one.value for one in node.elts if isinstance(one, ast.Constant)]
                    if numbers := [value for value in values if isinstance(value, float)]:
                        yield numbers


def in_order(values, line):
    rest = iter(line)
    return all(value in rest for value in values)


@pytest.mark.parametrize("name", PAPERS)
def test_reproductions_quote_what_is_printed(name):
    """Each tuple stands, in its order, in a row or a column of one of the paper's tables."""
    paper = read_paper(TABLES / f"{name}.yaml")
    lines = []
    for table in paper.tables:
        cells = [
            [paper.cell(table.table, row.name, column.name) for column in table.columns] for row in table.rows
        ]
        readable = [[float(cell.value) if cell.readable else None for cell in row] for row in cells]
        lines += [*readable, *map(list, zip(*readable, strict=True))]
    found = list(quoted(name))
    assert len(found) > 5
    assert [values for values in found if not any(in_order(values, line) for line in lines)] == []


def test_the_small_file_is_sound(tmp_path):
    paper = small(tmp_path).papers["small"]
    assert [figure.printed for figure in paper.figures.values()] == [
        "3.0",
        "1.0",
        "2.0",
        "2.0",
        "_",
        "null",
        "1.0",
    ]


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ("paper: small", "paper: other", "it holds 'other'"),
        ("    about: mAP\n", "", "table 1: Object missing required field `about`"),
        (
            "{name: ours,",
            "{name: ours, colour: red,",
            "table 1, row ours: Object contains unknown field `colour`",
        ),
        ("{name: ours,", "{name: ours, name: ours,", "the key 'name' stands there twice"),
        ("name: theirs", "name: ours", "table 1 / ours / a stands there twice"),
        ("3.0 1.0 2.0", "3.0 1.0", "table 1, row ours: 2 values for 3 columns"),
        ("3.0 1.0 2.0", "3.0 nan 2.0", "table 1, row ours, column b: 'nan' is no finite number"),
        ("3.0 1.0 2.0", "3.0 1e3 2.0", "table 1, row ours, column b: '1e3' is no finite number"),
        ("value: 1.0", "value: inf", "text lead: 'inf' is no finite number"),
        ("value: 1.0", "value: _", "text lead: '_' is no finite number"),
        (
            ", unread: {mean: blurred}",
            "",
            "table 1, row theirs, column mean: 'null' and its note do not agree",
        ),
        ("{mean: blurred}", "{mode: blurred}", "table 1, row theirs: there is no column 'mode' to be unread"),
        ("    metric: frame-mAP\n", "", "table 1, column a: data or metric is missing"),
        ("kind: difference", "kind: quotient", "relation lead, kind: Invalid enum value"),
        ("kind: difference", "kind: largest", "relation 'lead': kind largest has of, printed"),
        (
            "table 1 / ours / a",
            "table 1 / ours / c",
            "relation 'lead': small has no figure 'table 1 / ours / c'",
        ),
        ("columns: [a, b]", "columns: [a, c]", "relation 'mean': small has no figure"),
        ('kind: mean, table: "1"', 'kind: mean, table: "2"', "relation 'mean': small has no table '2'"),
        ("relations:", "relations: [", "not YAML"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, old, new, problem):
    with pytest.raises(FormatError) as caught:
        small(tmp_path, old, new)
    assert problem in str(caught.value) and "small.yaml" in str(caught.value)


def test_a_table_given_twice_is_named(tmp_path):
    table = SMALL[SMALL.index("  - table") : SMALL.index("text:")]
    again = table.replace("ours", "mine").replace("theirs", "yours")
    with pytest.raises(FormatError, match="table 1 stands there twice"):
        small(tmp_path, "text:", f"{again}text:")


def test_no_files(tmp_path):
    with pytest.raises(MissingFileError):
        read_printed(tmp_path)
    with pytest.raises(MissingFileError):
        read_paper(tmp_path / "small.yaml")


def test_unknown_places_name_the_known_ones():
    printed = read_printed()
    with pytest.raises(FormatError, match=r"there are .*table 8 / 224 / 0\.3"):
        printed.figure("sp_tad / table 8 / 224 / 0.9")
    with pytest.raises(FormatError, match="no paper 'table 8'"):
        printed.figure("table 8 / 224 / 0.3")
