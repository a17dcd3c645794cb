"""Wheel and source archive, installed where there is no checkout; and one name for each module in a checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile

import pytest
from setuptools import find_packages

from tests.support.programs import REPOSITORY, assert_refused

PARTS = ("diffgeo", "experiments", "launch", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
NAMES = {"quickstart", "list", "train", "watch", "analyze", "report", "verify", "merge", "reproduce", "plan", "bench"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a wheel, built from an unpacked source archive, and that archive."""
    folder = tmp_path_factory.mktemp("built")
    source, sdist = folder / "source", folder / "sdist"
    source.mkdir()
    for name in PARTS:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__", "gallery"))
        else:
            shutil.copy(path, source)
    build = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"
    made = {"sdist": (source, sdist), "wheel": (folder / "unpacked", folder / "wheel")}
    for kind, (where, out) in made.items():
        out.mkdir()
        if kind == "wheel":
            with tarfile.open(next(sdist.iterdir())) as archive:
                archive.extractall(folder, filter="data")
            next(path for path in folder.glob("diffgeo-*")).rename(where)
        done = subprocess.run([sys.executable, "-c", build.format(kind), str(out)], cwd=where, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
    return folder / "wheel"


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Run a command of an environment that has the wheel, and the packages of this one but for the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(folder / "bin/python"),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, *map(str, built.glob("*.whl"))], check=True)
    # a line of a .pth is a folder; what such files of that folder would run, as an editable install's, is not run
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "JAX_NUM_CPU_DEVICES")}

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess:
        given = [str(folder / "bin" / program), *arguments]
        return subprocess.run(given, cwd=elsewhere, env=inherited, capture_output=True, text=True)

    run.site = site
    return run


def test_the_packages_are_those_of_the_tree():
    lines = (REPOSITORY / "setup.cfg").read_text().partition("packages =\n")[2].splitlines()
    listed = [line.strip() for line in lines[: next(i for i, line in enumerate(lines) if line[:1] != " ")]]
    there = find_packages(str(REPOSITORY), include=["diffgeo", "diffgeo.*"])
    assert listed == sorted([*there, "diffgeo.experiments", "diffgeo.launch"])


def test_the_wheel_has_one_top_level_name_and_every_module(built):
    (wheel,) = built.glob("*.whl")
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in files} == {"diffgeo"}
    there = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "diffgeo").rglob("*.py")}
    for name in ("experiments", "launch"):
        there |= {f"diffgeo/{path.relative_to(REPOSITORY)}" for path in (REPOSITORY / name).glob("*.py")}
    assert {name for name in files if name.endswith(".py")} == there
    assert {"diffgeo/py.typed", "diffgeo/__init__.pyi"} <= files


def test_the_command_works_in_another_folder(installed):
    assert {path.name for path in installed.site.iterdir() if path.is_dir()} >= {"diffgeo"}
    assert not {"experiments", "launch"} & {path.name for path in installed.site.iterdir()}
    found = installed("python", "-c", "import diffgeo, diffgeo.experiments as e; print(diffgeo.__file__, *e.names())")
    assert found.stdout.startswith(str(installed.site)), found.stderr
    assert "p1_fig4" in found.stdout.split()
    shown = installed("diffgeo", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert {line.split()[0] for line in shown.stdout.splitlines() if line.startswith("  ")} == NAMES
    listed = installed("diffgeo", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.startswith("Try first: diffgeo quickstart, ")
    assert "launch." not in listed.stdout
    of_train = installed("diffgeo", "train", "--help")
    assert of_train.returncode == 0
    assert "diffgeo train --experiment=p1_fig4" in of_train.stdout
    assert "launch." not in of_train.stdout
    assert_refused(installed("diffgeo", "trian"), "unknown command 'trian': did you mean 'train'?")
    assert_refused(installed("diffgeo", "watch", "none"), "start one there with diffgeo train first")
    assert_refused(installed("diffgeo", "train", "--experiment=p1_fig44", "--workdir=run"), "did you mean 'p1_fig4'?")


ONE_NAME = """
import sys
import experiments
import diffgeo.experiments
from diffgeo.declared import experiments as declared
assert experiments is diffgeo.experiments is declared
assert experiments.find("p1_fig4") is diffgeo.experiments.p1_fig4.EXPERIMENT
print(*sorted(name for name in sys.modules if name.startswith("experiments.")))
"""


def test_a_checkout_has_one_copy_of_the_declarations():
    done = subprocess.run([sys.executable, "-c", ONE_NAME], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
