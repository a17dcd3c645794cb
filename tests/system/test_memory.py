"""Peak memory of real runs: what one more member costs."""

import json
import subprocess
import sys

import pytest

from tests.support.programs import CACHE, REPOSITORY, environment

MIB = 2**20
FEW, MANY = 4, 10

# a run of so many members in its own process: its peak above what was held before, and the sizes of one member
CODE = """
import ctypes, gc, json, sys, jax
from pathlib import Path
from diffgeo import run
from diffgeo.bench import cases
from diffgeo.run.waves import build_tables, plan_waves
from diffgeo.training import Placement
from diffgeo.settings import Data, Diffusion, Evaluation, Model, Settings, Train

members, folder, cache = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jax.config.update("jax_compilation_cache_dir", cache)

def run_of(members, steps):
    settings = Settings(
        model=Model(base_channels=32, embedding=24),
        data=Data(size=8),
        diffusion=Diffusion(timesteps=10),
        train=Train(steps=steps, batch_size=2, log_every=2),
        evaluation=Evaluation(every_steps=2, num_samples=64, sampler_steps=2, stored_images=2, readout="darkest"),
        axes={"seed": tuple(range(members))},
    )
    return run.Run("made-up", "none", settings, Placement(mapping="loop"), analyses=("spectrum",))

own = run_of(members, 4)
# compiled, and every library loaded, before it is measured
run.execute(run_of(1, 4), Path(folder) / "first", say=lambda _: None)
grid = run_of(1, 4).grid
(wave,) = plan_waves(grid, build_tables(grid), {})
loop = Placement(mapping="loop").place(wave.members, wave.tables)
state = loop.abstract_state._asdict()
sizes = {name: sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree)) for name, tree in state.items()}
sizes["activations"] = loop.lower().compile().memory_analysis().temp_size_in_bytes
del loop
gc.collect()
ctypes.CDLL(None).malloc_trim(0)  # or what compiling freed would be taken up again unseen
cases.reset_peak()
before = cases.peak_bytes()
run.execute(own, Path(folder) / "run", say=lambda _: None)
print(json.dumps(sizes | {"peak": cases.peak_bytes() - before}))
"""


def measured(members: int, folder) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(members), str(folder / str(members)), CACHE],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_one_more_member_costs_its_state_and_at_most_one_members_activations(tmp_path):
    few, many = measured(FEW, tmp_path), measured(MANY, tmp_path)
    growth = (many["peak"] - few["peak"]) / (MANY - FEW)
    state = few["params"] + few["optimizer"]
    report = f"{growth / MIB:.1f} MiB a member; {few}; {many}"
    assert few["activations"] < 1.2 * state, "a second copy of the state, or all members' tensors, must be seen"
    # within the last term: parts of a checkpoint that wait for their file, and what allocators hold back
    assert 0.9 * state < growth < state + few["activations"], report
