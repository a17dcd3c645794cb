"""Names of earlier versions: the one table by which their runs, checkpoints and summaries are still read.

Format 1 is everything written before `STORE_FORMAT` was stored; CHANGELOG.md lists the formats. Names of
formats 2 and 3 are equal; the latter has more settings and dims.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from diffgeo.settings.checks import check_axes, check_keys
from diffgeo.settings.schema import Settings
from diffgeo.settings.sections import SECTIONS

STORE_FORMAT = 3
"""Format of what this version writes: names of settings, variables, dims and checkpoint leaves."""

SETTINGS = {
    "model": {"compute": "dtype", "conv": "conv_impl"},
    "data": {
        "width": "hole_width",
        "share": "hole_area_fraction",
        "fraction": "kept_fraction",
        "draw": "subset_seed",
    },
    "train": {"batch": "batch_size", "warmup": "warmup_fraction"},
    "evaluation": {
        "every": "every_steps",
        "labels": "label_source",
        "count": "num_samples",
        "keep": "stored_images",
    },
}
"""Section -> old field -> new field."""

AXES = {old: new for names in SETTINGS.values() for old, new in names.items()}
"""Old -> new name of a grid's axis, in settings and as a dim of results."""

VARIABLES = {
    "scores": "pca_scores",
    "ceiling": "readout_ceiling",
    "excess": "joint_minus_product",
    "excess_low": "joint_minus_product_low",
    "excess_high": "joint_minus_product_high",
    "frozen_step": "nonfinite_step",
    "neighbour_r2": "neighbor_r2",
    "neighbour_r2_x": "neighbor_r2_x",
    "neighbour_r2_y": "neighbor_r2_y",
    "mass": "largest_fraction",
    "mass_nested": "largest_fraction_nested",
}
"""Old -> new name of a results variable."""

DIMS = AXES | {"coordinate": "factor"}
"""Old -> new name of a dim of results."""

CHECKPOINT_LEAVES = {"frozen_step": "nonfinite_step"}
"""Old -> new name of an entry of a stored training state."""


def upgrade_settings(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return `Settings.to_json`'s tree as this version writes it.

    Renames fields and axes, and gives fields that are new since, in this format too, their default; `train.log_every`
    that of the evaluation interval, by which earlier versions averaged the loss.

    Raises:
      UserError: for an unknown key, or no axes.
    """
    check_keys("settings", tree, [*SECTIONS, "axes", "dataset", "conditionings"], ["axes"])
    check_axes(tree["axes"])
    for name, kind in SECTIONS.items():
        fields = [*SETTINGS.get(name, {}), *(field.name for field in dataclasses.fields(kind))]
        check_keys(f"settings.{name}", tree.get(name, {}), fields)
    stored = {name: rename(tree.get(name, {}), SETTINGS.get(name, {})) for name in SECTIONS}
    defaults = Settings().to_json()
    if "every_steps" in stored["evaluation"]:
        stored["train"] = {"log_every": stored["evaluation"]["every_steps"]} | stored["train"]
    sections = {name: defaults[name] | stored[name] for name in SECTIONS}
    return {**tree, **sections, "axes": rename(tree["axes"], AXES)}


def rename(tree: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a mapping with its old keys replaced; order and new keys stay."""
    return {names.get(name, name): value for name, value in tree.items()}
