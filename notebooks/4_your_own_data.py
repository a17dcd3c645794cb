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
# # Your own data set and metric
#
# A white and a dark bump on gray: four factors in place of two, a new axis of the grid, and a metric of our own. Nothing of
# diffgeo changes. The same declaration in a file is run by `python -m launch.train --experiment=FILE`; see
# [docs/extending.md](../docs/extending.md).

# %%
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import diffgeo as dg

SIZE, BORDER = 8, 1.0

# %% [markdown]
# ## Three functions
#
# `table` returns the labels of the training data, `render` draws them within the train step (JAX), `read` reads generated
# images on the host. Parameters of the data set reach all three by name; `rows` is the number of training labels.


# %%
def table(size, rows):
    return np.random.default_rng(0).uniform(BORDER, size - 1 - BORDER, (int(rows), 4))


def render(labels, size, rows):
    pixels = jnp.arange(size)

    def bump(x, y):
        along_x, along_y = (jnp.exp(-((pixels - u[:, None]) ** 2) / 2) for u in (x, y))
        return along_y[:, :, None] * along_x[:, None, :]

    x1, y1, x2, y2 = labels.T
    return (bump(x1, y1) - bump(x2, y2))[..., None]


def read(images, rows):
    signed, pixels, centers = images / 127.5 - 1, np.arange(images.shape[1]), []
    for part in (np.maximum(signed - 0.3, 0), np.maximum(-signed - 0.3, 0)):
        mass = part.sum(axis=(1, 2))
        mass = np.where(mass > 0, mass, np.nan)
        centers += [(part.sum(axis=1) * pixels).sum(axis=1) / mass, (part.sum(axis=2) * pixels).sum(axis=1) / mass]
    return np.stack(centers, axis=1)


# %%
two_bumps = dg.Dataset(
    name="two_bumps",
    factors=[dg.Factor(name, BORDER, SIZE - 1 - BORDER, unit="px") for name in ("x1", "y1", "x2", "y2")],
    table=table,
    render=render,
    read=read,
    regions={"apart": lambda labels: np.hypot(*(labels[:, :2] - labels[:, 2:]).T) > 3},
    parameters={"rows": 4096},
)

# %% [markdown]
# ## A metric
#
# Does a model draw as much light as darkness? The mean gray value of its samples, in units of [-1, 1], is near 0 if so. It
# is stored beside the built-in scores at every evaluation.

# %%
balance = dg.Metric("balance", lambda images, labels, settings: images.mean() / 127.5 - 1, description="mean of images")

experiment = dg.Experiment(
    name="two_bumps_notebook",
    figure="none of the papers",
    claim="more training labels, right places",
    presets={
        "laptop": dg.settings.adapt(
            dg.settings.LAPTOP,
            {"rows": (64, 4096), "seed": (0,)},
            two_bumps,
            data={"size": SIZE},
            train={"steps": 2_400},
            evaluation={"every_steps": 400, "num_samples": 64},
        )
    },
    plots=(dg.Plot("curves", lambda results: dg.plots.learning_curves(results, axis="rows")),),
    metrics=(balance,),
)
run = dg.train(experiment, workdir="../runs/two_bumps_notebook")

# %% [markdown]
# ## What was learned
#
# Labels common to both models are uniform over the factors' ranges, on no table. All four factors must be within a pixel.
# The read-out fails where the bumps cover each other: `readout_ceiling` is its accuracy on true images.

# %%
common = dg.results.select_scores(run.stored, "common").sel(region="all", seed=0)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for rows, color in zip(common.rows.values, ("C0", "C1")):
    left.plot(common.step, common.accuracy.sel(rows=rows), "o-", color=color, label=f"{rows:.0f} labels")
    right.plot(common.step, common.metric_balance.sel(rows=rows), "o-", color=color)
left.set(xlabel="training step", ylabel="accuracy of all four factors", ylim=(0, 1))
right.set(xlabel="training step", ylabel="balance")
_ = left.legend()

# %% [markdown]
# Scores carry the factors' names, and copying the nearest label of the table is the baseline of a model that does not
# interpolate.

# %%
last = common.isel(step=-1)
print("rows        ", last.rows.values)
for name in ("accuracy", "accuracy_x1", "accuracy_y1", "accuracy_x2", "accuracy_y2"):
    print(f"{name:12} {last[name].values.round(2)}   copying {last['copied_' + name].values.round(2)}")

# %% [markdown]
# ## Sample it
#
# At labels on no table. Crosses are what was asked for: red for the white bump, orange for the dark one.

# %%
model = run.member(rows=4096, seed=0)
samples = model.sample(x1=[2, 3, 4, 5], y1=2, x2=[5, 4, 3, 2], y2=5)
assert last.accuracy.sel(rows=4096) > 0.8
figure, axes = plt.subplots(1, 4, figsize=(8, 2.2), layout="constrained")
for axis, image, label in zip(axes, samples.images.values, samples.label.values):
    axis.imshow(image, cmap="gray", vmin=-1, vmax=1)
    axis.plot(*label[:2], "x", color="tab:red")
    axis.plot(*label[2:], "x", color="tab:orange")
    axis.set(xticks=[], yticks=[])
