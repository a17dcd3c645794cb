"""Label tables against counts by hand."""

from fractions import Fraction

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from diffgeo.data import label_tables
from diffgeo.errors import UserError
from diffgeo.settings import Data
from diffgeo.settings.allowed import KINDS
from tests.support.settings import few, multiples_below

SIZES = (102_400, 25_600, 11_449, 6_400, 4_096, 2_916, 2_116, 1_600, 1_296, 1_024)  # d = 0.1, 0.2, ... 1.0


@pytest.mark.parametrize(("tenths", "size"), list(enumerate(SIZES, start=1)))
def test_sizes_of_the_papers_data_sets(tenths, size):
    table = label_tables.build_label_table(Data(size=32, increment=tenths / 10))
    along = multiples_below(32, f"{tenths}/10")
    assert table.count == len(table.centers) == len(along) ** 2 == size
    expected = [(float(x), float(y)) for x in along for y in along]
    np.testing.assert_allclose(table.centers, expected, rtol=1e-6)
    assert np.all((table.centers >= 0) & (table.centers < 32))
    assert len(np.unique(table.centers, axis=0)) == size


@few
@hypothesis.given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([8, 24, 32]))
def test_the_end_point_is_left_out_at_any_spacing(hundredths_x, hundredths_y, stop):
    along_x, along_y = (multiples_below(stop, Fraction(h, 100)) for h in (hundredths_x, hundredths_y))
    hypothesis.assume(len(along_x) * len(along_y) < 200_000)
    found = label_tables.lattice(stop, hundredths_x / 100, hundredths_y / 100)
    assert found.shape == (len(along_x) * len(along_y), 2)
    np.testing.assert_allclose(np.unique(found[:, 0]), np.array(along_x, float), rtol=1e-6)
    np.testing.assert_allclose(found[: len(along_y), 1], np.array(along_y, float), rtol=1e-6)


def test_a_spacing_off_by_rounding_adds_no_row():
    spacing = 1 - 0.9  # a little under 0.1
    assert 32 / spacing > 320
    assert len(label_tables.lattice(32, spacing, 1.0)) == 320 * 32


def test_spacings_may_differ_by_axis():
    assert label_tables.build_label_table(Data(increment=1.0, increment_x=0.1)).count == 320 * 32
    table = label_tables.build_label_table(Data(increment_x=2.0, increment_y=0.5))
    assert table.count == 16 * 64
    assert np.unique(table.centers[:, 0]).tolist() == list(range(0, 32, 2))
    assert np.unique(table.centers[:, 1]).tolist() == [0.5 * i for i in range(64)]


def test_a_table_holds_what_the_settings_say():
    table = label_tables.build_label_table(Data(size=8, kind="sos", sigma=0.7))
    assert set(table.kinds.tolist()) == {KINDS.index("sos")}
    np.testing.assert_allclose(table.sigma, [0.7, 0.7])
    assert table.origin.tolist() == [0, 0]
    types = (np.float32, np.int8, np.int32, np.float32, np.float32)
    assert tuple(leaf.dtype for leaf in table[:5]) == types
    assert (table.parameters, table.image_rows) == ({}, None)


def test_refused_tables_are_quoted():
    with pytest.raises(UserError, match=r"'gird'.*'grid'"):
        label_tables.build_label_table(Data(dataset="gird"))
    with pytest.raises(UserError, match="empty"):
        label_tables.make_table(np.zeros((0, 2)), "bump", 1.0)
    with pytest.raises(UserError, match="'blob'"):
        label_tables.make_table(np.zeros((1, 2)), "blob", 1.0)
    with pytest.raises(UserError, match=r"1e-05.*3200000"):
        label_tables.build_label_table(Data(increment=1e-5))


def test_stacked_tables_are_padded_at_the_end_and_small():
    tables = [label_tables.build_label_table(Data(increment=d, sigma=s)) for d, s in ((0.1, 1.0), (1.0, 2.0))]
    stacked = label_tables.stack(tables)
    assert stacked.centers.shape == (2, 102_400, 2)
    assert stacked.count.tolist() == [102_400, 1_024]
    for member, table in enumerate(tables):
        np.testing.assert_array_equal(stacked.centers[member, : table.count], table.centers)
        np.testing.assert_array_equal(stacked.kinds[member, : table.count], table.kinds)
        np.testing.assert_array_equal(stacked.sigma[member], table.sigma)
    assert not stacked.centers[1, 1_024:].any()
    assert [leaf.dtype for leaf in stacked[:5]] == [leaf.dtype for leaf in tables[0][:5]]
    assert sum(leaf.nbytes for leaf in stacked[:5]) / len(tables) < 2e6
    assert label_tables.stack(tables[1:], rows=3_000).kinds.shape == (1, 3_000)
