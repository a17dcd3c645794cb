"""Labels that members are sampled at: drawn from the table, or the window pixel by pixel."""

import jax
import numpy as np
import pytest

from diffgeo.data import evaluation_labels, label_tables
from diffgeo.settings import Data


def test_training_labels_are_drawn_without_replacement():
    table = label_tables.build_label_table(Data(size=8, increment=0.5))  # 256 rows
    known = {tuple(row) for row in table.centers.tolist()}
    some, again, others = (
        evaluation_labels.evaluation_labels(table, jax.random.key(seed), "train", 100, 8) for seed in (0, 0, 1)
    )
    assert some.shape == (100, 2)
    assert len({tuple(row) for row in some.tolist()} & known) == 100
    np.testing.assert_array_equal(some, again)
    assert not np.array_equal(some, others)
    assert not np.array_equal(some, table.centers[:100])


def test_a_short_table_gives_all_its_labels_and_no_padding():
    table = label_tables.build_label_table(Data(size=8, increment=0.8))  # 100 rows
    padded = jax.tree.map(lambda leaf: leaf[0], label_tables.stack([table], rows=300))
    for one in (table, padded):
        labels = evaluation_labels.evaluation_labels(one, jax.random.key(0), "train", 500, 8)
        assert sorted(labels.tolist()) == sorted(table.centers.tolist())
        assert labels.tolist() != table.centers.tolist()


def test_grid_labels_are_the_window_pixel_by_pixel():
    table = label_tables.make_table(np.array([(20.0, 20.0)]), "bump", 1.0, 16.0)
    labels = evaluation_labels.evaluation_labels(table, jax.random.key(0), "grid", 3, 8)
    assert labels.tolist() == [[16 + x, 16 + y] for x in range(8) for y in range(8)]


def test_labels_of_another_source_are_refused():
    table = label_tables.build_label_table(Data(size=8))
    with pytest.raises(ValueError, match="train or grid, got 'uniform'"):
        evaluation_labels.evaluation_labels(table, jax.random.key(0), "uniform", 5, 8)
