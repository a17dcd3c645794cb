"""One model of a large run: its four lines in a fresh interpreter, and the memory and time of one model."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

import diffgeo as dg
from diffgeo.run import Run
from diffgeo.run.checkpoints import Checkpoints
from diffgeo.settings import TINY, adapt
from diffgeo.training.ensemble import abstract_member
from tests.support.programs import CACHE, environment

FOUR_LINES = """
import diffgeo as dg
run = dg.load("runs/quickstart")
model = run.member(increment=0.5, seed=1)
samples = model.sample(x=[2.0, 5.5], y=4.0, draws=8)
"""
FEW, MANY = 1, 90
MIB = 2**20
TINY_WIDE = adapt(TINY, {"seed": (0,)}, model={"base_channels": 8})


def python(code: str, folder) -> str:
    """Run code in a fresh interpreter in a folder; return what it prints."""
    given = environment(JAX_COMPILATION_CACHE_DIR=CACHE)
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_four_lines_sample_a_member_in_a_fresh_interpreter(trained):
    printed = python(FOUR_LINES + "print(samples.label.values.tolist())", trained)
    assert json.loads(printed) == 8 * [[2.0, 4.0], [5.5, 4.0]]


def test_opening_a_run_and_judging_it_loads_no_jax(trained):
    code = """
import sys
import diffgeo as dg
heavy = {"jax", "flax", "orbax", "xarray", "matplotlib"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
run = dg.load("runs/quickstart")
run.results.accuracy.mean().item(), run.settings, run.claims(), repr(run), run._repr_html_()
print(sorted({"jax", "flax", "orbax"} & set(sys.modules)))
"""
    assert python(code, trained) == "[]\n"


def test_weights_of_pytorch_are_opened_on_the_devices_that_a_program_would_use(trained):
    code = """
import jax
import diffgeo as dg
jax.config.update("jax_platforms", "no_such_platform")
model = dg.load("runs/quickstart").member(increment=0.5, seed=1)
try:
    dg.from_torch(dg.to_torch(model, numpy=True), model.settings)
except dg.UserError as error:
    print(error)
"""
    assert "JAX finds no device of platform no_such_platform" in python(code, trained)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Folder with runs of one member and of many, each of 1.6 MB, as their checkpoints alone."""
    folder = tmp_path_factory.mktemp("wide")
    for count in (FEW, MANY):
        settings = adapt(TINY_WIDE, {"seed": tuple(range(count))})
        run = Run("quickstart", "tiny", settings)
        parameters = abstract_member(settings.program).params

        def stacked(leaf, count=count):
            rng = np.random.default_rng(leaf.size)  # noise: chunks do not compress
            return rng.normal(size=(count, *leaf.shape)).astype(np.float32)

        own = dg.results.open_workdir(folder / str(count))
        with own, Checkpoints(own.checkpoints(0)) as checkpoints:
            own.write_config(run.identity | {"members_at_once": count})
            checkpoints.save_params(6, jax.tree.map(stacked, parameters))
    return folder


MEASURED = """
import json, time
import diffgeo as dg
from diffgeo.bench import cases
import diffgeo.run.checkpoints
run = dg.load({count!r})
dg.load("1").member(seed=0)  # threads and caches of the library
cases.reset_peak()
before = cases.peak_bytes()
model = run.member(seed={seed})
peak, taken = cases.peak_bytes() - before, []
for _ in range(5):  # the processor's time of all threads: other programs run, too
    start = time.process_time()
    run.member(seed={seed})
    taken.append(time.process_time() - start)
seconds = min(taken)
print(json.dumps([peak, seconds, float(model.params["outc"]["dense"]["kernel"][0, 0])]))
"""


def test_one_of_many_is_read_in_the_memory_and_time_of_one(wide):
    few, many = (json.loads(python(MEASURED.format(count=str(count), seed=count - 1), wide)) for count in (FEW, MANY))
    size = sum(4 * leaf.size for leaf in jax.tree.leaves(abstract_member(TINY_WIDE.program).params))
    assert MANY * size > 100 * MIB
    assert few[2] != many[2]
    assert many[0] < few[0] + 8 * MIB, (few, many)
    assert many[1] < 3 * few[1] + 0.5, (few, many)
