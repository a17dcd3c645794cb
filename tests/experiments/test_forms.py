"""What experiments that compare forms of a network ask, and how they draw it."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt

import experiments
from diffgeo.data.sources import source_of
from experiments import _forms
from experiments._held_out import ASKED, asked_labels
from tests.support.claims import half_at
from tests.support.claims_beyond import formed
from tests.support.results import made_up

SIZE = 16
LABELS = np.array([(x, y) for x in range(SIZE) for y in range(SIZE)], np.float32)
HOLE = (np.abs(LABELS - 8) < 2.6).all(axis=1)
NAMES = ("attention", "conditionings", "encodings", "objectives")


class Copies:
    """A model that draws the nearest training label, exactly."""

    settings = SimpleNamespace(data=SimpleNamespace(size=SIZE))
    training_labels = LABELS[~HOLE]

    def sample(self, x, y):
        asked = np.stack([x, y], axis=1)
        nearest = np.abs(asked[:, None] - self.training_labels[None]).max(axis=-1).argmin(axis=1)
        return xr.Dataset({"hit": (("sample", "factor"), np.abs(self.training_labels[nearest] - asked) < 1)})


def test_copying_is_right_at_seen_labels_and_never_in_the_hole():
    shares = _forms.composed(Copies())
    np.testing.assert_array_equal(shares[1], 1.0)
    assert shares[0, 2] == 0
    held_out, seen = asked_labels(Copies(), apart=1.0)
    assert held_out.shape == seen.shape == (ASKED, 2)
    np.testing.assert_array_equal(held_out, np.round(held_out))  # one-hot codes have no labels between
    assert len(np.unique(held_out, axis=0)) == 9


@pytest.mark.parametrize("name", NAMES)
def test_models_differ_in_one_setting_and_all_values_are_seen(name):
    laptop = experiments.find(name).settings("laptop")
    (axis,) = (axis for axis in laptop.axes if axis != "seed")
    points = [laptop.at(**{axis: value, "seed": 0}) for value in laptop.axes[axis]]
    assert len({point.data for point in points}) == len({point.train for point in points}) == 1
    assert len({(point.model, point.diffusion) for point in points}) == len(points)
    table = source_of(points[0]).table()
    labels = table.centers[: int(table.count)]
    assert len(labels) == SIZE**2 - 25
    for column in labels.T:
        assert set(column) == set(range(SIZE))  # each x and each y of the hole is seen outside


@pytest.mark.parametrize("name", NAMES)
def test_pictures_show_every_model(name):
    declared = experiments.find(name)
    (axis,) = (axis for axis in declared.settings("laptop").axes if axis != "seed")
    results = made_up(name, half_at(lambda at: 0.3), formed(axis), seeds=(0, 1, 2))
    count = results.sizes[axis] * 3
    for draw, panel, shown in ((_forms.draw_composed, 0, 2 * count), (_forms.draw_additive, 1, count)):
        figure = draw(results, axis)
        drawn = sum(len(line.get_xdata()) for line in figure.axes[panel].lines)
        assert drawn == shown
        plt.close(figure)
