"""Experiments of a user's own: taken from the file that the user names, and from nowhere else."""

import hashlib
import sys

import pytest

import experiments
from diffgeo.experiment import Experiment
from tests.support.own import OWN, write_own
from tests.support.settings import refused


def test_a_file_is_run_and_its_digest_recorded(tmp_path):
    declared = experiments.resolve(str(write_own(tmp_path)))
    assert (declared.name, declared.settings("tiny").axes["sigma"]) == ("mine", (0.5, 1.0))
    assert declared.source.record == {
        "experiment_file": "mine.py",
        "experiment_sha256": hashlib.sha256(OWN.encode()).hexdigest(),
    }


def test_a_name_is_that_of_a_built_in_experiment():
    assert experiments.resolve("p1_fig4") is experiments.find("p1_fig4")
    assert experiments.find("p1_fig4").source is None


def test_the_only_experiment_needs_no_name_and_one_of_several_does(tmp_path):
    renamed = OWN.replace("EXPERIMENT =", "ours =")
    assert experiments.resolve(str(write_own(tmp_path, renamed))).name == "mine"
    second = renamed + '\nimport dataclasses\ntheirs = dataclasses.replace(ours, name="other")\n'
    path = write_own(tmp_path, second, "two.py")
    with refused("two.py' declares several Experiments (ours, theirs): call one of them EXPERIMENT"):
        experiments.resolve(str(path))
    write_own(tmp_path, second + "EXPERIMENT = theirs\n", "two.py")
    assert experiments.resolve(str(path)).name == "other"


def test_a_module_is_imported_by_its_name(tmp_path, monkeypatch):
    write_own(tmp_path, OWN.replace("EXPERIMENT =", "ours ="), "own_module_of_a_test.py")
    monkeypatch.syspath_prepend(tmp_path)
    declared = experiments.resolve("own_module_of_a_test:ours")
    assert declared.source.file == "own_module_of_a_test.py"
    with refused("names no Experiment: choose one of ours"):
        experiments.resolve("own_module_of_a_test:theirs")
    with refused("no module 'own_module_of_another'"):
        experiments.resolve("own_module_of_another:ours")


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("x = 1\ny = (\n", ["cannot be read, line 2"]),
        ("x = 1\n\nraise ValueError('no\\nluck')\n", ["cannot be run, line 3: ValueError: no luck"]),
        ("import a_package_that_is_not_there\n", ["cannot be run, line 1", "a_package_that_is_not_there"]),
        ("import sys\nsys.exit(3)\n", ["cannot be run, line 2: SystemExit"]),
        (OWN.replace("(0.5, 1.0)", "(0.5, -1.0)"), ["cannot be run, line 10: sigma=-1.0 must be positive"]),
        ("x = 1\n", ["declares no Experiment: assign one to EXPERIMENT"]),
        (OWN.replace('"mine"', '"p1_fig4"'), ["named like the built-in 'p1_fig4': rename it"]),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, code, parts):
    before = set(sys.modules)
    with refused("mine.py", *parts):
        experiments.resolve(str(write_own(tmp_path, code)))
    if "p1_fig4" not in code and "cannot be" in parts[0]:
        assert not [name for name in set(sys.modules) - before if name.startswith("diffgeo_own")]


def test_no_such_file(tmp_path):
    for name in (str(tmp_path / "none.py"), "folder/none"):
        with refused(f"no file {name!r}", "path/to/file.py or package.module:NAME"):
            experiments.resolve(name)


def stored(declared: Experiment) -> dict[str, str]:
    """Return what a run records of its experiment."""
    return {"experiment": declared.name, **declared.source.record}


def test_a_run_is_opened_by_the_file_that_made_it(tmp_path):
    path = write_own(tmp_path)
    record = stored(experiments.resolve(str(path)))
    assert experiments.of_run(record, "runs/x", [str(path)]).name == "mine"
    with refused("the run in 'runs/x' was made by a file of the user's, 'mine.py': name it by --experiment"):
        experiments.of_run(record, "runs/x")
    write_own(tmp_path, OWN + "\n# another version\n")
    with refused("'mine.py' has changed since the run in 'runs/x'", "--allow_changed_experiment"):
        experiments.of_run(record, "runs/x", [str(path)])
    assert experiments.of_run(record, "runs/x", [str(path)], allow_changed=True).name == "mine"
    write_own(tmp_path, OWN.replace('"mine"', '"other"'))
    with refused("is of experiment 'mine'", "declares 'other'"):
        experiments.of_run(record, "runs/x", [str(path)])


def test_runs_of_several_experiments_take_each_its_own(tmp_path):
    path = str(write_own(tmp_path))
    assert experiments.of_run({"experiment": "p1_fig4"}, "runs/x", [path]) is experiments.find("p1_fig4")
    assert experiments.of_run(stored(experiments.resolve(path)), "runs/x", ["p1_fig4", path]).name == "mine"


@pytest.mark.parametrize("form", ["{path}", "evil:EXPERIMENT", "../evil", "evil.EXPERIMENT"])
def test_what_a_folder_names_is_never_run(tmp_path, monkeypatch, form):
    path = write_own(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')\n" + OWN, "evil.py")
    monkeypatch.syspath_prepend(tmp_path)
    for record in ({}, {"experiment_file": str(path), "experiment_sha256": "0" * 64}):
        with refused("'"):
            experiments.of_run({"experiment": form.format(path=path), **record}, "runs/x")
    assert not (tmp_path / "ran").exists()
