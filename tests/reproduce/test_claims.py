"""The register of claims: whole, sound, and refused in a sentence where it is not."""

import ast
import shlex
from pathlib import Path

import pytest

from stad_lite.errors import FormatError, MissingFileError, StadError
from stad_lite.reproduce import claims
from stad_lite.reproduce.targets import resolve
from tests.test_commands import make, python, stad_lite

REPOSITORY = Path(__file__).resolve().parents[2]
IDS = [
    "cfad-order", "cfad-order-oracle", "cfad-refine", "cfad-sigma", "cfad-mabo", "cfad-diff",
    "cfad-keys", "cfad-greedy", "cfad-sparse", "cfad-segment", "cfad-speed", "cfad-size", "cfad-three",
    "cfad-ucf", "cfad-jhmdb", "cfad-sports", "cfad-flow", "step-steps", "step-joint", "step-extend",
    "step-drift", "step-input-iou", "step-fusion", "step-context", "step-hard", "step-iou",
    "step-proposals", "step-steps-speed", "step-initial", "step-stepwise", "step-context-late",
    "step-extrapolate", "step-ava-60", "step-ucf", "step-ava", "tad-heads", "tad-pyramid",
    "tad-backbone", "tad-cls", "tad-window", "tad-durations", "tad-98", "tad-anet-1.5", "tad-n",
    "tad-match", "tad-level", "tad-sparse-cost", "tad-fps", "tad-thumos", "tad-anet", "pcsc-stages",
    "pcsc-message", "pcsc-baseline", "pcsc-recall", "pcsc-complement", "pcsc-refine",
    "pcsc-message-residual", "pcsc-ucf", "pcsc-jhmdb", "flow-fusion", "flow-multiscale", "flow-subnet",
    "flow-joint", "flow-speed", "flow-big-targets", "flow-shared", "flow-ucf", "flow-ava", "flow-jhmdb",
]  # fmt: skip
"""The register that this project began with; a claim is never dropped."""
ALL = claims.read_claims()
SOUND = """
id: a-claim
kind: property
statement: It holds.
figure: none
source: Eq. 1
testable: Always.
command: python -m pytest tests
notebook: cfad/coarse_tubes
tests: [tests/test_x.py::test_y]
"""


def written(folder: Path, *entries: str, paper: str = "cfad") -> Path:
    """Write a register: the entries in one paper's file, the others empty."""
    for name in claims.PAPERS:
        own = entries if name == paper else ()
        items = "".join("  - " + entry.strip().replace("\n", "\n    ") + "\n" for entry in own)
        (folder / f"{name}.yaml").write_text(f"paper: {name}\nclaims:\n{items}" if own else
                                             f"paper: {name}\nclaims: []\n", encoding="utf-8")  # fmt: skip
    return folder


def test_every_claim_is_there():
    assert list(ALL) == IDS


def test_experiments_and_variants_exist():
    claims.check_variants(ALL.values())


@pytest.mark.parametrize("name", IDS)
def test_its_chapter_and_its_tests_exist(name):
    claim = ALL[name]
    assert (REPOSITORY / "book" / f"{claim.notebook}.ipynb").is_file()
    for node in claim.tests:
        path, _, test = node.partition("::")
        tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
        assert test in [one.name for one in tree.body if isinstance(one, ast.FunctionDef)], node


@pytest.mark.parametrize("name", IDS)
def test_its_command_is_taken(name):
    program, *words = shlex.split(ALL[name].command)
    {"python": python, "make": make, "stad-lite": stad_lite}[program](words)
    if words[0] == "reproduce":
        assert resolve(words[1:2]) == [(ALL[name].experiment, variant) for variant in ALL[name].variants]


def test_claims_are_chosen_by_id_paper_and_chapter():
    assert [one.id for one in claims.chosen(ALL, ["tad-n", "cfad-order"])] == ["tad-n", "cfad-order"]
    assert {one.paper for one in claims.chosen(ALL, ["pcsc"])} == {"pcsc"}
    assert [one.id for one in claims.chosen(ALL, ["step/extrapolation"])] == [
        "step-extend", "step-drift", "step-extrapolate"
    ]  # fmt: skip
    assert len(claims.chosen(ALL, [])) == len(IDS)
    with pytest.raises(StadError, match="no claim, paper or chapter 'tad-m'"):
        claims.chosen(ALL, ["tad-m"])


def test_a_sound_claim_is_read(tmp_path):
    (claim,) = claims.read_claims(written(tmp_path, SOUND)).values()
    assert (claim.paper, claim.tests) == ("cfad", ("tests/test_x.py::test_y",))


ORDERING = SOUND.replace("property", "ordering").replace("tests: [tests/test_x.py::test_y]", "")
WRONG = {
    "unknown kind 'proof'": SOUND.replace("property", "proof"),
    "no command tests it": SOUND.replace("command: python -m pytest tests\n", ""),
    "say either what makes it testable": SOUND.replace("testable: Always.\n", ""),
    "needs tests": SOUND.replace("tests: [tests/test_x.py::test_y]", ""),
    "needs comparisons": ORDERING,
    "an experiment go together": ORDERING + "comparisons: [{larger: a, smaller: b, figure: c}]",
    "does not say which figure": ORDERING + "experiment: step\ncomparisons: [{larger: 'a:b', smaller: a}]",
    "claim a-claim: Object contains unknown field `claim`": SOUND + "claim: It holds.",
    "missing required field `source`": SOUND.replace("source: Eq. 1\n", ""),
    "not YAML": SOUND + "  : [",
    "the key 'source' stands there twice": SOUND + "source: Eq. 2\n",
}


@pytest.mark.parametrize("told", list(WRONG))
def test_a_claim_that_does_not_fit_is_refused(told, tmp_path):
    with pytest.raises(FormatError, match=told) as caught:
        claims.read_claims(written(tmp_path, WRONG[told], paper="step"))
    assert "step.yaml" in str(caught.value)


def test_an_id_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"'a-claim' stands twice \(cfad.yaml, cfad.yaml\)"):
        claims.read_claims(written(tmp_path, SOUND, SOUND))


def test_a_file_of_another_paper_is_refused(tmp_path):
    (written(tmp_path, SOUND) / "pcsc.yaml").write_text("paper: step\nclaims: []\n", encoding="utf-8")
    with pytest.raises(FormatError, match="paper 'step' is not 'pcsc'"):
        claims.read_claims(tmp_path)


@pytest.mark.parametrize(
    ("experiment", "larger", "told"),
    [("stepp", "base", "no experiment is called 'stepp'"), ("step", "basis", "step has no variant 'basis'")],
)
def test_unknown_experiments_and_variants_are_refused(experiment, larger, told, tmp_path):
    side = f"comparisons: [{{larger: {larger}, smaller: steps1, figure: step1}}]"
    found = claims.read_claims(written(tmp_path, f"{ORDERING}experiment: {experiment}\n{side}"))
    with pytest.raises(FormatError, match=f"claim a-claim: {told}"):
        claims.check_variants(found.values())


def test_sides_are_variants_differences_and_numbers():
    one = claims.Comparison("a:x - b", "c - b:y", "z")
    assert claims.terms(one.larger, one.figure) == (("a", "x"), ("b", "z"))
    assert claims.terms("1.5") == () and claims.constant("1.5") == 1.5 and claims.constant("a") is None


def test_a_file_that_is_not_there_is_named(tmp_path):
    (written(tmp_path, SOUND) / "pcsc.yaml").unlink()
    with pytest.raises(MissingFileError, match=r"pcsc\.yaml"):
        claims.read_claims(tmp_path)
