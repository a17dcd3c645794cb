"""Rules of the layout, read from the source: sizes of files and packages, counts of parameters, imports of tests."""

import ast
import dataclasses
import inspect

import pytest

from diffgeo import run
from diffgeo.run import session
from tests.support.programs import REPOSITORY

LIBRARY = REPOSITORY / "diffgeo"
SOURCES = sorted(
    path
    for folder in ("diffgeo", "experiments", "launch", "tests")
    for path in (REPOSITORY / folder).rglob("*.py")
    if not path.name.startswith(".")
)
LINES = 400
MODULES_AT_THE_TOP, MODULES_OF_A_PACKAGE = 8, 14
PARAMETERS, PARAMETERS_OF_RUN, PARAMETERS_OF_A_WAVE = 7, 6, 4
MANY_PARAMETERS = ("plots", "settings")
"""Packages whose functions may have more parameters: those of pictures, and fields of settings."""
KERNELS = {"diffgeo/unet/tpu_attention.py: _backward_row has 9"}
"""Pallas kernels, which have a parameter for each array."""


def functions(path):
    """Yield (name, number of parameters) of every function and method of a file, without self and cls."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            positional = [*given.posonlyargs, *given.args]
            bound = bool(positional) and positional[0].arg in ("self", "cls")
            rest = [*given.kwonlyargs, *(one for one in (given.vararg, given.kwarg) if one)]
            yield node.name, len(positional) - bound + len(rest)


def too_many(package: str, limit: int) -> list[str]:
    """Return the functions of a package's files that have more parameters."""
    return [
        f"{path.relative_to(REPOSITORY)}: {name} has {count}"
        for path in sorted((LIBRARY / package).rglob("*.py"))
        if package or path.relative_to(LIBRARY).parts[0] not in MANY_PARAMETERS
        for name, count in functions(path)
        if count > limit
    ]


def test_functions_have_few_parameters():
    assert len(list(functions(LIBRARY / "images.py"))) > 1, "functions are seen at all"
    assert set(too_many("", PARAMETERS)) == KERNELS


def test_functions_of_a_run_have_fewer():
    assert too_many("run", PARAMETERS_OF_RUN) == []


@pytest.mark.parametrize("function", [run.train_wave, run.analyze_wave])
def test_a_wave_needs_its_session_itself_and_an_ensemble(function):
    assert len(inspect.signature(function).parameters) <= PARAMETERS_OF_A_WAVE


def test_a_session_is_frozen_and_entered_by_with():
    assert dataclasses.is_dataclass(session.Session)
    assert session.Session.__dataclass_params__.frozen
    assert {"__enter__", "__exit__"} <= set(vars(session.Session))


def test_no_file_is_long():
    lines = {str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {"diffgeo/images.py", "tests/conftest.py", "launch/train.py"} <= set(lines)
    assert {path: count for path, count in lines.items() if count > LINES} == {}


def test_packages_have_few_modules():
    modules = {
        package: [path.stem for path in package.glob("*.py") if path.stem != "__init__"]
        for package in (LIBRARY, *(path.parent for path in LIBRARY.rglob("*/__init__.py")))
    }
    assert len(modules) > 10
    assert len(modules.pop(LIBRARY)) <= MODULES_AT_THE_TOP
    assert {package.name: names for package, names in modules.items() if len(names) > MODULES_OF_A_PACKAGE} == {}


def imported(path):
    """Yield the full names of all modules that a file imports, and of what it imports from them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(REPOSITORY).with_suffix("").parts[: -node.level] if node.level else ()
            module = ".".join((*package, node.module)) if node.module else ".".join(package)
            yield module
            yield from (f"{module}.{one.name}" for one in node.names)


def test_tests_import_what_they_share_from_support_alone():
    tests = [path for path in SOURCES if path.is_relative_to(REPOSITORY / "tests")]
    own = {
        f"{path.relative_to(REPOSITORY)}: {name}"
        for path in tests
        for name in imported(path)
        if name.split(".")[0] in ("tests", "conftest") or name.split(".")[0].startswith("test_")
        if name != "tests.support" and not name.startswith("tests.support.")
    }
    assert own == set()
    assert any(name == "tests.support.programs" for path in tests for name in imported(path))


def test_shared_test_code_holds_no_test():
    for path in (REPOSITORY / "tests/support").glob("*.py"):
        assert not path.name.startswith("test_")
        assert [name for name, _ in functions(path) if name.startswith("test_")] == []
