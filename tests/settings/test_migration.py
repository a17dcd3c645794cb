"""Settings of earlier versions, as their runs and summaries hold them."""

import copy

import pytest

from diffgeo.settings import SECTIONS, Settings, migration, override

FORMAT_1 = {
    "model": {"base_channels": 8, "embedding": 24, "heads": 4, "conv": "lax", "compute": "bfloat16"},
    "data": {"size": 8, "dataset": "2d", "hole": "square", "width": 3.0, "share": None, "fraction": 0.5, "draw": 2},
    "diffusion": {"timesteps": 60, "beta_start": 1e-4, "beta_end": 0.02},
    "train": {"steps": 7, "batch": 4, "warmup": 0.2},
    "evaluation": {"every": 3, "labels": "grid", "count": 9, "keep": 2, "sampler_steps": 20},
    "axes": {"width": [3.0, 5.0], "seed": [0, 1]},
}


def test_a_tree_of_format_1_is_read_as_these_settings():
    expected = override(
        Settings(axes={"hole_width": (3.0, 5.0), "seed": (0, 1)}),
        *("model.base_channels=8", "model.embedding=24", "model.conv_impl=lax", "model.dtype=bfloat16"),
        *("data.size=8", "data.dataset=2d", "data.hole=square", "data.kept_fraction=0.5", "data.subset_seed=2"),
        *("diffusion.timesteps=60", "train.steps=7", "train.batch_size=4", "train.warmup_fraction=0.2"),
        *("train.log_every=3", "evaluation.every_steps=3", "evaluation.label_source=grid", "evaluation.num_samples=9"),
        *("evaluation.stored_images=2", "evaluation.sampler_steps=20"),
    )
    tree = copy.deepcopy(FORMAT_1)
    upgraded = migration.upgrade_settings(tree)
    assert tree == FORMAT_1  # the argument is left as it was
    expected_tree = expected.to_json() | {"data": expected.to_json()["data"] | {"hole_width": 3.0}}
    assert upgraded == expected_tree
    assert list(upgraded["data"]) == list(expected_tree["data"])
    assert Settings.from_json(upgraded) == Settings.from_json(expected_tree)


def test_fields_that_were_not_stored_have_their_default():
    tree = override(Settings(), "data.sigma=2").to_json()
    old = tree | {"data": {k: v for k, v in tree["data"].items() if k not in ("hole", "margin")}}
    old["model"] = {k: v for k, v in tree["model"].items() if k != "dtype"}
    assert migration.upgrade_settings(old) == tree
    assert list(migration.upgrade_settings(old)["data"]) == list(tree["data"])
    without = {name: {} for name in SECTIONS}
    assert migration.upgrade_settings({**without, "axes": {"seed": [0]}}) == Settings().to_json()


def test_the_loss_of_format_1_is_averaged_between_evaluations():
    assert migration.upgrade_settings(FORMAT_1)["train"]["log_every"] == 3
    with_field = FORMAT_1 | {"train": FORMAT_1["train"] | {"log_every": 5}}
    assert migration.upgrade_settings(with_field)["train"]["log_every"] == 5


def test_settings_of_this_version_stay_as_they_are():
    tree = override(Settings(), "axes.kept_fraction=0.1,0.2", "train.log_every=5").to_json()
    assert migration.upgrade_settings(tree) == tree


def test_the_names_of_a_users_conditionings_are_kept():
    tree = Settings().to_json() | {"conditionings": ["gated"]}
    assert migration.upgrade_settings(tree) == tree
    assert list(Settings.from_json(tree).conditionings) == ["gated"]


@pytest.mark.parametrize("section", migration.SETTINGS)
def test_new_names_are_fields_and_old_ones_are_not(section):
    fields = SECTIONS[section].__dataclass_fields__
    for old, new in migration.SETTINGS[section].items():
        assert new in fields
        assert old not in {name for kind in SECTIONS.values() for name in kind.__dataclass_fields__}
