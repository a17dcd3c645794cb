"""Pages of docs/: commands, names and extras on them are those that there are. `make docs` checks their links."""

import configparser
import inspect
import re

import pytest

import diffgeo as dg
from launch.__main__ import NAMES
from tests.support.programs import REPOSITORY

PAGES = sorted((REPOSITORY / "docs").glob("*.md"))
SHARED = (REPOSITORY / "launch/program.py").read_text()
FLAG = re.compile(r"(?:DEFINE_\w+|define_paths)\(\s*\"(\w+)\"")
CODE = re.compile(r"```\w*\n(.*?)```|`([^`]+)`", re.DOTALL)
COMMAND = re.compile(r"^(?:diffgeo |python -m launch\.)([a-z]+)(.*)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_have_programs_and_flags_that_there_are(page):
    code = "\n".join(block or inline.replace("\n", " ") for block, inline in CODE.findall(page.read_text()))
    for name, given in COMMAND.findall(code.replace("\\\n", " ")):
        assert name in NAMES, name
        known = FLAG.findall((REPOSITORY / f"launch/{name}.py").read_text() + SHARED)
        assert {*re.findall(r"--(\w+)", given)} <= {*known, "help", "noanalyze"}, (name, given)


def test_the_reference_has_every_public_name():
    named = re.findall(r"^::: diffgeo\.(\w+)$", (REPOSITORY / "docs/reference.md").read_text(), re.MULTILINE)
    assert len({*named}) == len(named)
    assert {*named} <= {*dg.__all__}
    assert {name for name in dg.__all__ if not inspect.ismodule(getattr(dg, name))} <= {*named}


def test_every_extra_is_on_the_first_page():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    page = (REPOSITORY / "docs/start.md").read_text()
    rows = "".join(line for line in page.splitlines() if line.startswith("|"))
    assert [name for name in config["options.extras_require"] if f"`{name}`" not in rows] == []


def test_every_page_and_example_is_linked():
    site = (REPOSITORY / "docs/mkdocs.yml").read_text()
    assert [page.name for page in PAGES if f"docs/{page.name}" not in site] == []
    extending = (REPOSITORY / "docs/extending.md").read_text()
    assert [path.name for path in (REPOSITORY / "docs/examples").glob("*.py") if path.name not in extending] == []
