"""Notebooks: their two files say the same, outputs are committed and small, and they use the public names alone."""

import ast
import json
import re

import pytest

import experiments
from diffgeo.run import Run
from diffgeo.run.folder import storage_of
from tests.support.programs import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
PLAN = REPOSITORY / "notebooks/5_plan.txt"
ALLOWED = {"diffgeo", "jax.numpy", "matplotlib.pyplot", "numpy"}
STANDARD = {"pathlib", "shutil", "subprocess", "sys", "time"}  # to start programs, as a shell would
MARKDOWN = "# %% [markdown]\n"


def cells(path):
    """Return (type, text) of a notebook's cells."""
    return [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(path.read_text())["cells"]]


def plain_cells(path):
    """Return (type, text) of the cells of a file in jupytext's percent format."""
    found = []
    for part in re.split(r"^(?=# %%)", path.read_text(), flags=re.MULTILINE)[1:]:
        if part.startswith(MARKDOWN):
            text = re.sub(r"^# ?", "", part.removeprefix(MARKDOWN), flags=re.MULTILINE)
            found.append(("markdown", text.strip()))
        else:
            found.append(("code", part.removeprefix("# %%\n").strip()))
    return found


def test_there_are_some():
    assert len(NOTEBOOKS) == 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_both_files_have_the_same_cells(path):
    assert cells(path) == plain_cells(path.with_suffix(".py"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_committed_without_errors_and_small(path):
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 1
    assert path.stat().st_size < 1e6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_import_the_public_names_alone(path):
    code = "\n".join(text for kind, text in cells(path) if kind == "code")
    imported = {
        alias.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import) for alias in node.names
    }
    assert "diffgeo" in imported
    assert imported <= ALLOWED | STANDARD
    assert not [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    assert not re.search(r"\b(dg|run|model)\._", code)


def test_the_plan_that_is_kept_says_the_bytes_of_today():
    """The rest of it is a compiler's, minutes of work; see its notebook."""
    settings = experiments.find("p1_fig8").settings("paper")
    lines = PLAN.read_text().splitlines()
    assert lines[2] == "90 members, 1 a device, 6 waves of 16"
    assert lines[-1] == str(storage_of(Run.of(experiments.find("p1_fig8"), "paper", settings), 16))
