"""Documents agree with the code: the README's table and tree, links, names of settings, format, version, layers."""

import configparser
import fnmatch
import re

import pytest

import diffgeo
import experiments
from diffgeo.settings import migration
from launch import list as launch_list
from tests.support.programs import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "experiments/README.md",
    "experiments/CHOICES.md",
    *(f"docs/{path.name}" for path in sorted((REPOSITORY / "docs").glob("*.md"))),
)


def test_the_table_is_that_of_launch_list():
    table = launch_list.markdown([experiments.find(name) for name in experiments.names()])
    assert table in README
    assert README.count("\n|") == len(table.splitlines())


@pytest.mark.parametrize("name", experiments.names())
def test_every_experiment_declares_time_and_outcome(name):
    declared = experiments.find(name)
    assert re.fullmatch(r"\d+ (seconds|minutes)( beside other work)?", declared.time)
    assert declared.expect


def test_the_program_prints_the_table(launch):
    done = launch("list", "--markdown")
    assert done.returncode == 0
    assert done.stdout.strip() in README


def test_the_tree_of_twelve_lines_is_that_of_the_repository():
    (tree,) = re.findall(r"^```\n(diffgeo/.*?)^```", README, re.DOTALL | re.MULTILINE)
    rows = [re.split(r"\s{2,}", line.strip())[0] for line in tree.splitlines()]
    indented = [line.startswith(" ") for line in tree.splitlines()]
    inside = {name for row, inner in zip(rows, indented, strict=True) if inner for name in row.split()}
    top = {name for row, inner in zip(rows, indented, strict=True) if not inner for name in row.split()}
    assert len(rows) == 12
    assert top == {f"{name}/" for name in folders(REPOSITORY)}
    assert inside == {f"{name}/" for name in folders(REPOSITORY / "diffgeo")}


def test_it_has_at_most_120_lines():
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_of_the_repository(document):
    path = REPOSITORY / document
    links = re.findall(r"\]\(([^)#]+)", path.read_text())
    local = [link for link in links if not link.startswith("https://")]
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_the_documentation_names_no_setting_of_earlier_versions():
    old = {f"{section}.{name}" for section, names in migration.SETTINGS.items() for name in names}
    text = "".join((REPOSITORY / document).read_text() for document in DOCUMENTS if document != "CHANGELOG.md")
    assert {name for name in old if re.search(rf"{re.escape(name)}\b", text)} == set()


def test_the_changelog_lists_every_name_that_the_store_format_renames():
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    renamed = {
        f"{section}.{old}": f"{section}.{new}"
        for section, names in migration.SETTINGS.items()
        for old, new in names.items()
    }
    renamed |= migration.VARIABLES
    assert [
        old for old, new in renamed.items() if not re.search(rf"^\| `{old}`.* \| `{new}` \|$", text, re.MULTILINE)
    ] == []
    assert f"\n| {migration.STORE_FORMAT} | from" in text


def test_the_citation_is_of_this_version():
    assert f"\nversion: {diffgeo.__version__}\n" in (REPOSITORY / "CITATION.cff").read_text()


def test_the_layers_of_the_contributors_are_those_of_the_contract():
    contracts = configparser.ConfigParser()
    contracts.read(REPOSITORY / "setup.cfg")
    lines = contracts["importlinter:contract:line"]["layers"].strip().splitlines()
    short = [line.replace(" | diffgeo.", ", ") for line in lines]
    (written,) = re.findall(
        r"^```\n(launch\n.*?)^```", (REPOSITORY / "CONTRIBUTING.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert [re.split(r"\s{2,}", line)[0] for line in written.splitlines()] == short


def folders(parent):
    """Names of the folders that are part of the repository: neither hidden nor ignored by git."""
    ignored = [line.rstrip("/") for line in (REPOSITORY / ".gitignore").read_text().split()]
    names = [path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return [name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in ignored)]
