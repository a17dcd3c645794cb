# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: -all
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
# ---

# %% [markdown]
# # A pod's run
#
# A figure of the papers on a pod: planned before anything runs, trained as an array of jobs, joined, extended by more
# seeds, killed on the way and continued. The plan is that of the papers' own grid. What is trained here is a tiny one, 8 x
# 8 images and 300 steps of batches of 4: it shows how the pieces fit, and its accuracies say nothing.

# %%
import pathlib
import shutil
import subprocess
import sys
import time

import matplotlib.pyplot as plt
import numpy as np

import diffgeo as dg


def launch(program, *flags):
    """Run `python -m launch.PROGRAM FLAGS`, from the repository as a shell would; return what it prints."""
    command = [sys.executable, "-m", f"launch.{program}", *flags]
    done = subprocess.run(command, cwd="..", capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


# %% [markdown]
# ## What will it cost?
#
# `launch.list` counts by hand, in seconds: models, operations, bytes of checkpoints.

# %%
print(launch("list", "--experiment=p1_fig8"))

# %% [markdown]
# `launch.plan` compiles the real programs for a topology that need not be there (`pip install 'diffgeo[plan]'`): memory
# and time of a chip, and the waves in which the models train. Members are independent, so that the last wave's spare chips
# repeat some. The papers' network takes the compiler minutes; its output is kept in a file, without which it is compiled
# again.

# %%
plan = pathlib.Path("5_plan.txt")
if not plan.exists():
    flags = "--experiment=p1_fig8", "--preset=paper", "--topology=v5e:4x4", "--members_per_device=1"
    plan.write_text(launch("plan", *flags))
print(plan.read_text())

# %% [markdown]
# The last line is the disk: `--keep=last` is the default of a grid whose checkpoints would take over 30 GB.
#
# ## An array of jobs
#
# Each job trains one seed into a folder of its own; a member's randomness comes from its own coordinates, so that it does
# not matter which job trains it. On a cluster the seed is the array's index, `--seeds=$SLURM_ARRAY_TASK_ID`; on several
# hosts each starts the same command. Scripts for SLURM, GKE and Cloud TPU are in
# [launch/pods](../launch/pods), and [docs/pods.md](../docs/pods.md) says the rest.

# %%
shutil.rmtree("../runs/pod", ignore_errors=True)  # of an earlier execution of this notebook
tiny = "--experiment=quickstart", "--preset=tiny", "--set=train.steps=300", "--set=evaluation.every_steps=100"
for seed in (0, 1):
    print(launch("train", *tiny, f"--workdir=runs/pod/seed{seed}", f"--seeds={seed}"))

# %% [markdown]
# `dg.merge` joins them: results are copied, checkpoints linked, and claims are judged from all seeds. Runs of other
# settings, unfinished ones, or members that differ between runs are refused.

# %%
joined = dg.merge(["../runs/pod/seed0", "../runs/pod/seed1"], "../runs/pod/both")
before = joined.results[["accuracy", "loss", "samples"]].load()
print(joined)
model = joined.member(increment=0.5, seed=1)
dict(model.sample(x=[2, 5], y=4, draws=3).sizes)

# %% [markdown]
# ## More seeds, and a job that is killed
#
# `launch.train --extend` adds members to a finished run. This one gets no chance to save: it is killed by SIGKILL as soon
# as the new models have been evaluated twice.


# %%
def evaluations(seed):
    """Return how many evaluations the results hold of each model of this seed."""
    accuracy = dg.load("../runs/pod/both").results.accuracy
    return accuracy.sel(seed=seed).notnull().sum("step").values if seed in accuracy.seed else np.zeros(2, int)


command = "launch.train", *tiny[:2], "--workdir=runs/pod/both", "--extend", "--seeds=2"
job = subprocess.Popen([sys.executable, "-m", *command], cwd="..", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while evaluations(2).min() < 2 and job.poll() is None:
    time.sleep(0.05)
job.kill()
print("status", job.wait(), "- evaluations of seed 2:", evaluations(2), "of", joined.results.sizes["step"])

# %% [markdown]
# The same command goes on from the last checkpoint, and so does `dg.extend`, from here. A preempted job (SIGTERM) saves
# first; of a killed one, what came after its last checkpoint is computed again, to the same bits.

# %%
grown = dg.extend("../runs/pod/both", {"seed": [2]})
print("evaluations of seed 2:", evaluations(2))
grown

# %% [markdown]
# The members that were there are untouched, to the bit.

# %%
assert grown.results[list(before)].sel(seed=[0, 1]).equals(before)
assert evaluations(2).min() == grown.results.sizes["step"]
figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
for seed in grown.results.seed.values:
    loss = grown.results.loss.sel(seed=seed, increment=0.5)
    axis.plot(loss.step, loss, "o-", label=f"seed {seed}" + (", killed on the way" if seed == 2 else ""))
axis.set(xlabel="training step", ylabel="training loss (of a tiny run)")
_ = axis.legend()

# %% [markdown]
# `python -m launch.report --workdir=runs/pod/both` writes the page of all seeds, and
# `python -m launch.analyze` adds, from the checkpoints, what a run has not measured.
