"""Roles of data sets: the names that comparisons select them by."""

import pytest

import experiments
from diffgeo.data.label_tables import role_of, with_role
from tests.support.settings import refused


@pytest.mark.parametrize(
    ("dataset", "role"),
    [("2d", "2d"), ("1d+0d", "1d"), ("2d+1d+0d", "2d+1d"), ("1d+rim+0d", "1d+rim"), ("grid", "grid"), ("0d", "0d")],
)
def test_a_role_does_not_tell_of_0d_labels(dataset, role):
    assert role_of(dataset) == role


@pytest.mark.parametrize("name", ["p2_fig4", "p2_fig5"])
def test_a_role_is_found_at_every_preset(name):
    presets = experiments.find(name).presets
    values = {preset: settings.axes["dataset"] for preset, settings in presets.items()}
    assert set(values["paper"]) != set(values["laptop"])
    for role in map(role_of, values["laptop"]):
        assert [role_of(with_role(found, role)) for found in values.values()] == [role] * len(values)


def test_a_role_that_is_not_there_or_twice_is_refused():
    with refused("0 of", "'2d+1d'"):
        with_role(("2d", "1d+0d"), "2d+1d")
    with refused("2 of", "'1d'"):
        with_role(("1d", "1d+0d"), "1d")
