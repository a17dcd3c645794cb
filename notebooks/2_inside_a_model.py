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
# # Look inside a model
#
# One model of the quickstart's run: sampled where no evaluation sampled it, and its activations beside the two controls
# that every claim about geometry needs, the untrained network and the images themselves.

# %%
import matplotlib.pyplot as plt
import numpy as np

import diffgeo as dg

run = dg.train("quickstart", workdir="../runs/quickstart")

# %% [markdown]
# `member` reads the parameters of one model and of no other. Its training labels lie on a lattice of 0.25 pixels.

# %%
model = run.member(increment=0.25, seed=0)
model

# %% [markdown]
# ## Sample anywhere
#
# Labels need not be on the lattice. Images are 8 x 8; we ask for centers on a circle, eight draws each.

# %%
angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
samples = model.sample(x=3.6 + 2 * np.cos(angle), y=3.6 + 2 * np.sin(angle), draws=8)
print(f"accuracy {samples.hit.all('factor').mean().item():.2f}, median error {samples.error.median().item():.2f} pixels")
samples

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", width_ratios=[1.6, 1])
first = samples.isel(sample=slice(12))
framed = np.pad(first.images.values, ((0, 0), (0, 1), (0, 1)), constant_values=1)
tiles = framed.reshape(2, 6, 9, 9).transpose(0, 2, 1, 3).reshape(18, 54)
left.imshow(tiles, cmap="gray", vmin=-1, vmax=1)
for index, (asked, drawn) in enumerate(zip(first.label.values, first.prediction.values)):
    corner = 9 * np.array([index % 6, index // 6])
    left.plot(*(asked + corner), "o", mfc="none", color="tab:red", label="asked" if index == 0 else None)
    left.plot(*(drawn + corner), "x", color="tab:blue", label="drawn" if index == 0 else None)
left.set(xticks=[], yticks=[], title="one draw of each label")
left.legend(loc="lower center", bbox_to_anchor=(0.5, -0.2), ncols=2)
right.plot(*samples.prediction.values.T, "x", color="tab:blue", ms=4, label="drawn")
right.plot(*samples.label.values.T, "o", mfc="none", color="tab:red", label="asked")
right.set(aspect="equal", xlabel="x (pixels)", ylabel="y (pixels), downward as in images", title="eight draws of each")
right.invert_yaxis()

# %% [markdown]
# ## The representation, beside its controls
#
# Activations of layer 4 at diffusion step t = 1, on true images of a 14 x 14 grid of labels. The papers embed them by
# UMAP. An ordered embedding alone shows little: pixels are ordered too, and so is the network before its first step,
# into which the label is fed.

# %%
grid = {"x": np.linspace(0.5, 7, 14)[:, None], "y": np.linspace(0.5, 7, 14)}
untrained = run.member(increment=0.25, seed=0, step=0)
clouds = {
    "trained": model.activations(**grid),
    "untrained": untrained.activations(**grid),
    "pixels": model.activations(**grid, layer="pixels"),
}

figure, axes = plt.subplots(2, 3, figsize=(9, 6), layout="constrained")
for column, (name, cloud) in zip(axes.T, clouds.items()):
    embedded = cloud.umap(components=2)
    for axis, factor, values in zip(column, "xy", cloud.labels.T):
        dots = axis.scatter(*embedded.T, c=values, s=8, cmap="viridis")
        axis.set(xticks=[], yticks=[], title=f"{name}, colored by {factor}")
_ = figure.colorbar(dots, ax=axes, label="label (pixels)", shrink=0.6)

# %% [markdown]
# Numbers that do not depend on an embedding. `additive share` is the share of the variance in a function of x plus a
# function of y: 1 if the two are coded apart.

# %%
print(f"{'':12}{'effective dimension':>20}{'linear probe R^2':>18}{'additive share':>16}")
for name, cloud in clouds.items():
    numbers = cloud.participation_ratio(), cloud.probe_r2().mean, cloud.additive_share()
    print(f"{name:12}{numbers[0]:20.1f}{numbers[1]:18.2f}{numbers[2]:16.2f}")

# %% [markdown]
# ## Persistence
#
# Labels in a square have no hole, and neither should their representation: Betti numbers (1, 0, 0), points joined and no
# loop or void. Bars far from the diagonal would be holes.

# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for axis, (name, cloud) in zip(axes, clouds.items()):
    found = cloud.persistence()
    for degree, bars in enumerate(found.diagrams):
        finite = np.minimum(bars, found.threshold) / found.threshold
        axis.scatter(*finite.T, s=10, label=f"$H_{degree}$")
    axis.plot([0, 1], [0, 1], color="0.7", lw=1)
    axis.set(title=f"{name}: {found.betti}", xlabel="birth / threshold", aspect="equal")
axes[0].set_ylabel("death / threshold")
_ = axes[0].legend()

# %% [markdown]
# ## Along the network
#
# Every block can be read. The label enters each Down and Up block, so compare with the untrained network.

# %%
layers = ["inc", "layer1", "bottleneck1", "layer3", "layer4_pre_embedding", "layer4", "layer5"]
figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", sharex=True)
for name, one in {"trained": model, "untrained": untrained}.items():
    seen = [one.activations(**grid, layer=layer) for layer in layers]
    axes[0].plot(layers, [cloud.participation_ratio() for cloud in seen], "o-", label=name)
    axes[1].plot(layers, [cloud.additive_share() for cloud in seen], "o-", label=name)
for axis, label in zip(axes, ("effective dimension", "additive share")):
    axis.set_ylabel(label)
    axis.tick_params(axis="x", rotation=60)
_ = axes[0].legend()

# %% [markdown]
# ## Move what a layer has of x
#
# Is what one sees in a layer used? Its activations have a part that depends on x alone, its main effect. We add the main
# effect of x = 5 less that of x = 3 while the model draws bumps at (3, 4), in one layer at a time. If the layer's code of
# x is used, and apart from that of y, bumps move toward (5, 4). The dots without and with the edit start from the same
# noise. `experiments/interventions.py` asks this of five models, beside random directions of the same norm.

# %%
values = np.arange(1, 7)
plain = model.sample(x=3, y=4, draws=24).prediction.values
figure, axes = plt.subplots(1, 4, figsize=(10, 3), layout="constrained", sharex=True, sharey=True)
for axis, layer in zip(axes, ["layer1", "bottleneck1", "layer3", "layer4"]):
    of_x, _ = model.activations(x=values[:, None], y=values, layer=layer, t=300).main_effects()
    edit = of_x[values == 5] - of_x[values == 3]
    moved = model.edited({layer: edit}).sample(x=3, y=4, draws=24).prediction.values
    axis.plot(*plain.T, "o", color="0.6", ms=4, label="as asked")
    axis.plot(*moved.T, "o", color="C0", ms=4, label="edited")
    axis.plot([3, 5], [4, 4], "x", color="tab:red", ms=8)
    axis.set(xlim=(0, 7), ylim=(0, 7), xlabel="drawn x (pixels)", title=layer, aspect="equal")
axes[0].set_ylabel("drawn y (pixels)")
_ = axes[0].legend()

# %% [markdown]
# ## Scale the label
#
# Every block takes the conditioning, a code of the diffusion step and the label. We move it away from its mean over all
# labels, to 1.5 and 2 times as far, and count right samples at every checkpoint. If a plain label hid an ability that is
# there, the orange line would be ahead. `experiments/trajectories.py` asks this of
# labels in a hole of the data.

# %%
labels = np.random.default_rng(0).uniform(1, 6, size=(32, 2))
asked = {"x": labels[:, 0], "y": labels[:, 1]}
steps = run.results.step.values
right = {1.0: [], 1.5: [], 2.0: []}
for step in steps:
    one = run.member(increment=0.25, seed=1, step=int(step))
    mean = one.activations(**grid, layer="conditioning").values.mean(axis=0)
    away = one.activations(**asked, layer="conditioning").values - mean
    for scale, shares in right.items():
        hits = one.edited({"conditioning": (scale - 1) * away}).sample(**asked).hit
        shares.append(float(hits.all("factor").mean()))
figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
for (scale, shares), color in zip(right.items(), ("black", "tab:orange", "tab:red")):
    axis.plot(steps, shares, "o-", color=color, ms=3, label=f"label times {scale:g}")
axis.set(xlabel="training step", ylabel="share of samples right in x and y")
_ = axis.legend()

# %% [markdown]
# ## Kernel regression by its tangent kernel
#
# A network that only ever moved linearly in its parameters would draw what kernel ridge regression by its tangent kernel
# does: a weighted sum of the training images. Here the kernel is given 64 labels with none in the middle, and asked for
# (3.5, 3.5). `experiments/kernels.py` asks it of a hole in the data, beside models that were trained with that hole.

# %%
known = model.training_labels
known = np.random.default_rng(0).permutation(known[np.abs(known - 3.5).max(axis=1) > 1.5])[:64]
together = np.vstack([known, [[3.5, 3.5]]])
pictures = model.true_images(x=known[:, 0], y=known[:, 1])
shown = {"asked for": model.true_images(x=3.5, y=3.5)[0]}
for name, one in {"untrained kernel": untrained, "trained kernel": model}.items():
    kernel = one.tangent_kernel(x=together[:, 0], y=together[:, 1], t=300, draws=1).astype(float)
    among = kernel[:-1, :-1] + 1e-5 * np.trace(kernel) / len(kernel) * np.eye(len(known))
    weights = np.linalg.solve(among, (pictures - pictures.mean(axis=0)).reshape(len(known), -1))
    shown[name] = (kernel[-1, :-1] @ weights).reshape(pictures[0].shape) + pictures.mean(axis=0)
shown["the model's sample"] = model.sample(x=3.5, y=3.5).images[0]
figure, axes = plt.subplots(1, 4, figsize=(9, 2.6), layout="constrained")
for axis, (name, picture) in zip(axes, shown.items()):
    axis.imshow(picture, cmap="gray", vmin=-1, vmax=1)
    axis.set(title=name, xticks=[], yticks=[])
