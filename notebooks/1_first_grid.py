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
# # A first grid
#
# Conditional diffusion models learn to draw one Gaussian bump at a given (x, y). This notebook trains four of them at
# once, two spacings of the training labels times two seeds, and looks at what came out: 4 minutes on two CPU cores the
# first time, seconds after that.

# %%
import matplotlib.pyplot as plt

import diffgeo as dg

# %% [markdown]
# `dg.train` trains what `python -m launch.quickstart` trains, into the same kind of folder. Interrupt the kernel to stop
# it: the state is saved, and the same line goes on from there.

# %%
run = dg.train("quickstart", workdir="../runs/quickstart")
run

# %% [markdown]
# A grid is an ordered mapping from axis to values; results have a dim for each. They are one xarray Dataset on disk, read
# when it is used.

# %%
print(run.settings.axes)
run.results[["accuracy", "loss", "samples", "label"]]

# %% [markdown]
# ## Accuracy over training, every seed
#
# A sample is right if the bump it shows is within a pixel of the label in x and in y.

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for axis, (name, label) in zip(axes, {"accuracy": "accuracy", "loss": "training loss"}.items()):
    for increment, color in zip(run.results.increment.values, ("C0", "C1")):
        for seed in run.results.seed.values:
            curve = run.results[name].sel(increment=increment, seed=seed)
            axis.plot(curve.step, curve, color=color, label=f"increment {increment}" if seed == 0 else None)
    axis.set(xlabel="training step", ylabel=label)
axes[1].set_yscale("log")
_ = axes[0].legend()

# %% [markdown]
# ## What the models draw
#
# Three labels, asked of the model with increment 0.25 and seed 0 at five steps of its training. The cross is the
# center that was asked for.

# %%
steps = [100, 300, 500, 800, 1600]
figure, axes = plt.subplots(3, len(steps), figsize=(8, 5), layout="constrained")
for column, step in zip(axes.T, steps):
    member = run.results.sel(increment=0.25, seed=0, step=step)
    column[0].set_title(f"step {step}")
    for axis, image, center in zip(column, member.samples.values, member.label.values):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.plot(*center, "x", color="tab:red")
        axis.set(xticks=[], yticks=[])

# %% [markdown]
# ## How sure is that?
#
# The unit is the seed. With two of them, Student's t gives a wide interval: more seeds are
# `dg.train(..., axes={"seed": [0, 1, 2, 3, 4]})`, in a folder of their own.

# %%
for increment in run.results.increment.values:
    last = run.results.accuracy.sel(increment=increment).isel(step=-1)
    low, high = dg.interval(last.values)
    print(f"increment {increment}: {last.values.round(3)} by seed, mean {last.mean().item():.3f} [{low:.3f}, {high:.3f}]")

# %% [markdown]
# `run.report("quickstart.html")` writes the page that `launch.report` writes. Next: [look inside a
# model](2_inside_a_model.ipynb), and [judge a claim yourself](3_judge_a_claim.ipynb).
