"""What runs that train nothing compute, against its parts."""

import dataclasses

import numpy as np
import pytest

from diffgeo import images, percolation
from diffgeo.data import computed, label_tables
from diffgeo.errors import UserError
from diffgeo.settings import Data, Settings, Train

PLAIN = Settings(data=Data(size=8, margin=4.0, sigma=0.5, hole_width=2.0), train=Train(steps=0))


def with_axes(**axes):
    return dataclasses.replace(PLAIN, axes=axes)


def test_the_image_is_the_middle_of_the_frame():
    found = computed.example_images(
        PLAIN, {"a": ("sos", 0.25, 0.5), "b": ("bump", 0.5, 0.75), "c": ("sos", -0.75, 0.5)}
    )
    np.testing.assert_array_equal(found["whole"][:, 4:12, 4:12], found["image"].values)
    assert found["label"].values.tolist() == [[6, 8], [8, 10], [1, 8]]
    assert found["part"].values.tolist() == ["2d", "2d", "1d"]
    bump = found["image"].sel(example="b").values
    assert np.argwhere(bump == bump.min()).tolist() == [[6, 4]]  # row y, column x
    with pytest.raises(UserError, match=r"margin=2.5"):
        computed.example_images(dataclasses.replace(PLAIN, data=Data(size=8, margin=2.5)), {"a": ("sos", 0.5, 0.5)})


def test_tables_are_those_that_members_are_trained_on():
    changes = {
        "cross": {"dataset": "2d+1d", "hole": "cross", "kind": "sos"},
        "all": {"dataset": "2d+rim+1d+0d"},
        "few": {"dataset": "grid", "margin": 0.0, "kept_fraction": 0.25},
    }
    found = computed.label_tables(PLAIN, changes)
    for name, fields in changes.items():
        data = dataclasses.replace(PLAIN.data, **fields)
        assert computed.data_of(found, name) == data
        table, one = label_tables.build_label_table(data), found.sel(table=name)
        length = int(table.count)
        np.testing.assert_array_equal(one["label"].values[:length], table.centers)
        np.testing.assert_array_equal(one["kind"].values[:length], table.kinds)
        assert np.isnan(one["label"].values[length:]).all()
        assert set(one["part"].values[length:].tolist()) <= {-1}
        parts = np.array(list(label_tables.PARTS))[one["part"].values[:length]]
        assert set(parts.tolist()) == {"grid": {"2d"}, "2d+1d": {"2d", "1d"}}.get(data.dataset, set(label_tables.PARTS))
    with pytest.raises(UserError, match=r"'none'.*cross, all, few"):
        computed.data_of(found, "none")


def test_neighbors_of_small_bumps_have_a_cusp_at_half_a_pixel():
    increments = tuple(i / 50 for i in range(1, 76))
    found = computed.neighbor_overlap(with_axes(sigma=(0.1, 1.0), increment=increments))["overlap"]
    small, wide = (found.sel(divisor="off_pixel", sigma=sigma) for sigma in (0.1, 1.0))
    assert increments[int(np.argmax(small.values))] == pytest.approx(0.5, abs=0.03)
    assert float(small.max()) > 1
    bend = np.abs(np.diff(np.log(small.values), 2))
    assert increments[1 + int(np.argmax(bend))] == pytest.approx(0.5, abs=0.03)
    assert np.all(np.diff(wide.values) < 0)
    assert np.all(np.diff(found.sel(divisor="on_pixel").values, axis=1) < 0)
    continuum = np.exp(-(np.array(increments) ** 2) / 16)
    np.testing.assert_allclose(wide, continuum, rtol=0.02)
    for divisor, pair in (("on_pixel", ((4, 4), (4.5, 4))), ("off_pixel", ((4.5, 4), (4, 4)))):
        value = float(found.sel(divisor=divisor, sigma=0.1, increment=0.5))
        assert value == images.overlap(*pair, 0.1, 8)
    with pytest.raises(UserError, match=r"axis 'increment'.*--set=axes.increment"):
        computed.neighbor_overlap(with_axes(sigma=(0.1,)))


def test_nested_masses_are_of_the_points_that_members_are_trained_on():
    axes = {"sigma": (0.2, 0.5), "kept_fraction": (0.3, 0.7), "subset_seed": (0, 4)}
    found = computed.cluster_masses(with_axes(**axes), (0.05, 0.5))
    assert (
        found["largest_fraction"].dims
        == found["largest_fraction_nested"].dims
        == ("threshold", "sigma", "kept_fraction", "subset_seed")
    )
    assert found["kept"].values.tolist() == [19, 45]
    for draw in axes["subset_seed"]:
        for fraction in axes["kept_fraction"]:
            points = label_tables.build_label_table(Data(size=8, kept_fraction=fraction, subset_seed=draw)).centers
            for sigma in axes["sigma"]:
                for threshold in (0.05, 0.5):
                    value = float(
                        found["largest_fraction_nested"].sel(
                            subset_seed=draw, kept_fraction=fraction, sigma=sigma, threshold=threshold
                        )
                    )
                    assert value == percolation.largest_cluster(points, sigma, 8, threshold)
    assert not np.array_equal(
        found["largest_fraction"].sel(subset_seed=0), found["largest_fraction"].sel(subset_seed=4)
    )
    assert not np.array_equal(found["largest_fraction"], found["largest_fraction_nested"])
