"""Labels needed for an accuracy and their growth with the image, on results of known exponents."""

import numpy as np
import pytest

from diffgeo.claims import scaling
from diffgeo.data import label_tables
from diffgeo.errors import UserError
from diffgeo.results import data_at
from tests.support.claims import flat, scaled
from tests.support.results import made_up


def test_exponents_are_those_put_in():
    found = made_up("p2_fig5", scaled({"2d": (0.4, 2), "2d+1d": (2.5, 1)}))
    counts = scaling.labels_of(found)
    for at in (
        {"size": 8, "dataset": "2d", "kept_fraction": 0.3},
        {"size": 16, "dataset": "2d+1d", "kept_fraction": 0.02},
    ):
        assert int(counts.sel(at)) == label_tables.build_label_table(data_at(found, **at)).count
    for name, power in (("2d", 2), ("2d+1d", 1)):
        exponent = scaling.scaling_exponent(scaling.bumps_needed(found, name, 0.6))
        np.testing.assert_allclose(exponent, power, atol=0.02)  # whole labels are counted
    for accuracy in (0.1, 0.9):  # never crossed, or over it already with the fewest
        nowhere = scaling.bumps_needed(made_up("p2_fig5", flat(accuracy)), "2d+1d", 0.6)
        with pytest.raises(UserError, match="a crossing of the threshold between two fractions at N = 8, 12, 16"):
            scaling.scaling_exponent(nowhere)


def test_the_smallest_data_set_stands_for_the_labels_needed_where_no_fraction_is_much_smaller():
    found = made_up("p2_fig5", flat(0.9))
    smallest = scaling.labels_of(found).isel(kept_fraction=0)
    stripes = scaling.lasting_labels(found).isel(kept_fraction=0)
    assert (stripes.sel(dataset="2d") == 0).all()
    assert stripes.sel(dataset="2d+1d").values.tolist() == [96, 144, 192]
    needed = scaling.labels_needed(found, "2d+1d", 0.6)
    np.testing.assert_allclose(needed, smallest.sel(dataset="2d+1d").broadcast_like(needed).transpose(*needed.dims))
    assert scaling.labels_needed(found, "2d", 0.6).isnull().all()
    many = found.assign_coords(
        kept_fraction=found["kept_fraction"] * 0 + np.linspace(0.5, 1.0, found.sizes["kept_fraction"])
    )
    assert scaling.labels_needed(many, "2d+1d", 0.6).isnull().all()  # half of the bumps beside the stripes
