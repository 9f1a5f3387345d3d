"""pyproject.toml, constraints.txt and environment.yml say the same."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from stad_lite import __version__

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = {k: v for k, v in PROJECT["optional-dependencies"].items() if k != "bench"}  # not in make env
CONDA_NAMES = {"torch": "pytorch", "opencv-python-headless": "py-opencv"}
CONDA_SPLIT = {"dask": {"distributed": "distributed"}}  # an extra that is a package of its own in conda
IN_CONDA = ("book", "video", "flow", "data", "cluster")


def pins() -> dict[str, str]:
    lines = (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
    matched = [re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][\w.!]*)", line) for line in lines]
    assert all(matched), [line for line, found in zip(lines, matched, strict=True) if not found]
    return {canonicalize_name(found[1]): found[2] for found in matched if found}


def wanted(*groups: str) -> list[Requirement]:
    lines = [*PROJECT["dependencies"], *(line for group in groups for line in EXTRAS[group])]
    return [Requirement(line) for line in lines]


def test_the_core_is_seven_packages():
    core = {"torch", "numpy", "scipy", "einops", "matplotlib", "msgspec", "pillow", "pyyaml"}
    assert {r.name for r in wanted()} == core
    assert set(PROJECT["optional-dependencies"]) == {*IN_CONDA, "dev", "bench"}


def test_every_dependency_is_pinned_within_its_bounds():
    known = pins()
    for requirement in wanted(*EXTRAS):
        name = canonicalize_name(requirement.name)
        assert name in known, f"constraints.txt does not pin {name}"
        assert requirement.specifier.contains(known[name]), f"{requirement} against {known[name]}"
    assert known["torch"] == "2.13.0"


def test_what_the_dependencies_need_is_pinned():
    known = pins()
    todo = [(canonicalize_name(r.name), frozenset(r.extras)) for r in wanted(*EXTRAS)]
    seen = set(todo)
    while todo:
        name, extras = todo.pop()
        assert name in known, f"constraints.txt does not pin {name}"
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            pytest.skip(f"{name} is not installed: the whole environment is needed here")
        for requirement in map(Requirement, lines):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                item = (canonicalize_name(requirement.name), frozenset(requirement.extras))
                if item not in seen:
                    seen.add(item)
                    todo.append(item)


def conda() -> dict[str, SpecifierSet]:
    """Return what environment.yml asks for; its match specs are parsed as conda parses them."""
    from rattler import MatchSpec

    found = {}
    for line in yaml.safe_load((REPOSITORY / "environment.yml").read_text("utf-8"))["dependencies"]:
        if isinstance(line, str):
            spec = MatchSpec(line)
            version = "" if spec.version is None else str(spec.version)
            name = spec.name.normalized if hasattr(spec.name, "normalized") else str(spec.name)
            found[name] = SpecifierSet("" if version == "*" else version)
    return found


def test_environment_yml_agrees():
    expected = {"python": SpecifierSet(PROJECT["requires-python"]), "pip": SpecifierSet()}
    for requirement in wanted(*IN_CONDA):
        name = CONDA_NAMES.get(requirement.name, requirement.name)
        expected[name] = expected.get(name, SpecifierSet()) & requirement.specifier
        for extra in requirement.extras:
            expected[CONDA_SPLIT[requirement.name][extra]] = SpecifierSet()
    assert conda() == expected


def test_environment_yml_installs_the_package_itself():
    document = yaml.safe_load((REPOSITORY / "environment.yml").read_text("utf-8"))
    pip = [line for line in document["dependencies"] if isinstance(line, dict)]
    assert pip == [{"pip": ["-e ."]}]
    assert document["channels"] == ["conda-forge", "nodefaults"]


def test_the_changelog_has_this_version_and_what_comes_next():
    text = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## \[(.+?)\](.*)$", text, re.MULTILINE)
    assert headings[0] == ("Unreleased", "")
    assert headings[1][0] == __version__ and re.fullmatch(r" - \d{4}-\d\d-\d\d", headings[1][1])
    cited = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == __version__


def test_hooks_take_their_tools_from_here():
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert [one["repo"] for one in hooks] == ["local"]
    for hook in hooks[0]["hooks"]:
        tool = hook["entry"].split()[2]
        assert hook["language"] == "system" and tool in {requirement.name for requirement in wanted("dev")}
