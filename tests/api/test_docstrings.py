"""Every public name has a docstring whose example runs, and type checkers see the names that there are."""

import ast
import doctest
import importlib
import inspect

import pytest

import diffgeo as dg
from tests.support.programs import REPOSITORY

MODULES = ("api.saved_run", "api.train", "model.trained_member", "model.activations", "api.torch")
DECLARED = (
    *("Claim", "Dataset", "Experiment", "Factor", "Metric", "Plot", "UserError"),
    *("compare", "interval", "judge", "render"),
)
"""Names from below the interface, which a user's own file declares things by."""
NAMES = (
    *("load", "train", "extend", "merge", "measure", "SavedRun", "TrainedMember", "Activations"),
    *("from_torch", "to_torch"),
)


def examples(module):
    """Return the doctests of a module, all with the names of the interface."""
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


@pytest.fixture(scope="module")
def names(trained):
    """What an example may use: the names that `diffgeo` exports, and the points of a grid."""
    import numpy as np

    model = dg.load(trained / "runs/quickstart").member(increment=0.5, seed=1)
    grid = model.activations(x=np.arange(8)[:, None], y=np.arange(8))
    return {name: getattr(dg, name) for name in (*NAMES, "Experiment", "Metric")} | {"np": np, "grid": grid}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, names, trained, one_device, monkeypatch):
    monkeypatch.chdir(trained)
    module = importlib.import_module(f"diffgeo.{name}")
    found = examples(module)
    assert found
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in found:
        test.globs = dict(names)
        said = []
        runner.run(test, out=said.append)
        assert said == []


@pytest.mark.parametrize("name", DECLARED)
def test_examples_of_what_a_user_declares_run(name):
    import numpy as np

    home, own = importlib.import_module(getattr(dg, name).__module__), f"{getattr(dg, name).__module__}.{name}"
    found = [test for test in examples(home) if test.name == own or test.name.startswith(f"{own}.")]
    assert found
    for test in found:
        test.globs = {other: getattr(dg, other) for other in DECLARED} | {"np": np}
        said = []
        doctest.DocTestRunner(verbose=False).run(test, out=said.append)
        assert said == []


def public(name):
    """Yield a public object and, of a class of the interface, its public methods and properties."""
    exported = getattr(dg, name)
    yield name, exported
    if inspect.isclass(exported):
        for attribute, value in vars(exported).items():
            if not attribute.startswith("_") and (callable(value) or isinstance(value, property)):
                yield f"{name}.{attribute}", value


@pytest.mark.parametrize("name", NAMES)
def test_public_names_have_docstrings_and_functions_an_example(name):
    for full, each in public(name):
        text = inspect.getdoc(each) or ""
        assert text, full
        assert isinstance(each, property) or ">>>" in text, full
        assert inspect.isclass(each) or isinstance(each, property) or "Raises:" in text, full


def test_every_public_name_has_an_example():
    assert {*NAMES, *DECLARED} == {name for name in dg.__all__ if not inspect.ismodule(getattr(dg, name))}


def test_type_checkers_are_told_of_the_names_that_are_exported():
    stub = ast.parse((REPOSITORY / "diffgeo/__init__.pyi").read_text())
    declared = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert declared == set(dg.__all__)
    homes = {alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {name: home for name, home in homes.items() if home != "diffgeo"} == dg._HOMES
    for name in dg.__all__:
        assert getattr(dg, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'open'"):
        dg.open  # noqa: B018
