"""Sources of data: the user's beside the papers', which must be one where a user declares the papers' own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo import images, readout
from diffgeo.data import batches, label_tables, regions
from diffgeo.data.nearest_seen import copied_hits
from diffgeo.data.sources import source_of
from diffgeo.errors import UserError
from diffgeo.settings import TINY, Data, Dataset, Factor, Settings, adapt

SIZE = 8
SPREAD = 0.8


def bumps(**changes):
    """Declare the papers' bumps as a user would."""
    fields = {
        "name": "bumps",
        "factors": [Factor("x", 0.0, SIZE), Factor("y", 0.0, SIZE)],
        "table": lambda size, sigma: label_tables.lattice(size, 0.5, 0.5),
        "render": lambda labels, size, sigma: images.render(labels, sigma, size=size),
        "read": lambda gray, sigma: readout.predict_centers(gray, "subpixel", sigma=sigma),
        "regions": {"left": lambda labels: labels[:, 0] < 4},
        "parameters": {"sigma": SPREAD},
    }
    return Dataset(**{**fields, **changes})


def declared(dataset):
    return Settings(data=Data(size=SIZE), dataset=dataset)


def test_a_declared_copy_of_the_papers_bumps_is_the_papers():
    own = source_of(declared(bumps()))
    papers = source_of(Settings(data=Data(size=SIZE, increment=0.5, sigma=SPREAD)))
    table, reference = own.table(), papers.table()
    np.testing.assert_array_equal(table.centers, reference.centers)
    assert table.count == reference.count
    rows = jnp.arange(5)
    mine, labels = jax.jit(lambda t: batches.render_rows(t, rows, SIZE, False, bumps()))(table)
    theirs, same = batches.render_rows(reference, rows, SIZE, False)
    np.testing.assert_allclose(mine, theirs, atol=1e-6)
    np.testing.assert_array_equal(labels, same)
    at = np.random.default_rng(0).uniform(1, 6, (20, 2)).astype(np.float32)
    np.testing.assert_allclose(own.images(at, table.origin), papers.images(at, reference.origin), atol=1e-6)
    gray = images.to_uint8(own.images(at, table.origin))
    read, other = own.read(gray, at, "own"), papers.read(gray, at, "subpixel")
    np.testing.assert_array_equal(read.predicted, other.predicted)
    np.testing.assert_array_equal(read.hits, other.hits)
    summary, reference_summary = readout.summarize(read), readout.summarize(other)
    assert summary == {name: reference_summary[name] for name in ("accuracy", "accuracy_x", "accuracy_y")}
    masks = own.masks(at, ("all", "left"))
    assert masks["all"].all()
    np.testing.assert_array_equal(masks["left"], at[:, 0] < 4)
    assert regions.names([declared(bumps())]) == ("all", "left")


def test_parameters_of_members_are_stacked_arguments():
    tables = [
        source_of(Settings(data=Data(size=SIZE, parameters={"sigma": s}), dataset=bumps())).table() for s in (0.5, 1.0)
    ]
    stacked = label_tables.stack(tables, 300)
    assert stacked.centers.shape == (2, 300, 2)
    np.testing.assert_array_equal(stacked.parameters["sigma"], np.float32([0.5, 1.0]))
    rows = jnp.arange(3)
    drawn, labels = jax.jit(jax.vmap(lambda t: batches.render_rows(t, rows, SIZE, False, bumps())))(stacked)
    for index, sigma in enumerate((0.5, 1.0)):
        np.testing.assert_allclose(drawn[index], images.render(labels[index], sigma, size=SIZE), atol=1e-6)


def test_rows_of_arrays_are_gathered():
    random = np.random.default_rng(0)
    stored = random.integers(0, 256, (6, SIZE, SIZE, 3)).astype(np.uint8)
    labels = np.arange(6.0)[:, None]
    dataset = Dataset.from_arrays(stored, labels, lambda gray: gray[:, 0, 0, :1], [Factor("u", 0, 5)])
    source = source_of(adapt(TINY, None, dataset, evaluation={"label_source": "train", "num_common": 0}))
    table = source.table()
    drawn, at = batches.render_rows(table, jnp.array([4, 1]), SIZE, False, dataset, jnp.asarray(stored.reshape(6, -1)))
    np.testing.assert_array_equal(images.to_uint8(drawn), stored[[4, 1]])
    np.testing.assert_array_equal(at, [[4], [1]])
    shown = source.images(np.array([[1.2], [4.9]]), table.origin)
    np.testing.assert_array_equal(images.to_uint8(shown), stored[[1, 5]])
    two = label_tables.stack([table, table], 8)
    np.testing.assert_array_equal(two.image_rows[1], [0, 1, 2, 3, 4, 5, 0, 0])
    nearest = source.labeled(np.array([[1.2], [4.9]], np.float32))
    np.testing.assert_array_equal(nearest.image_rows, [1, 5])


def test_uniform_labels_fill_ranges_and_take_values():
    factors = [Factor("u", -2.0, 3.0), Factor("v", 0.0, 1.0, values=(0.0, 1.0))]
    source = source_of(declared(bumps(factors=factors)))
    labels = source.uniform_labels(4_000, np.zeros(2))
    assert labels[:, 0].min() >= -2
    assert labels[:, 0].max() <= 3
    np.testing.assert_allclose(np.histogram(labels[:, 0], 5, (-2, 3))[0] / 4_000, 0.2, atol=0.03)
    assert {*labels[:, 1].tolist()} == {0.0, 1.0}
    assert abs(labels[:, 1].mean() - 0.5) < 0.03
    np.testing.assert_array_equal(source.uniform_labels(100, np.zeros(2)), labels[:100])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"render": lambda labels, size, sigma: labels}, r"returns \[20, 2\]: return \[20, 8, 8, 1\]"),
        ({"render": None}, "declared in a file of its user"),
    ],
)
def test_renderers_of_another_shape_are_refused(changes, message):
    source = source_of(declared(bumps(**changes)))
    with pytest.raises(UserError, match=message):
        source.images(np.zeros((20, 2), np.float32), np.zeros(2))


def test_regions_that_are_no_masks_are_refused():
    source = source_of(declared(bumps(regions={"left": lambda labels: labels[:, 0]})))
    with pytest.raises(UserError, match=r"region 'left' of 'bumps' returns float32\[3\]: return bool\[3\]"):
        source.masks(np.zeros((3, 2), np.float32), ("left",))


def test_hits_and_copies_use_each_factors_tolerance_and_period():
    """Against loops over samples and factors."""
    random = np.random.default_rng(1)
    factors = [Factor("u", 0, 4, 0.5), Factor("v", 0, 1, 0.1, period=1.0), Factor("w", 0, 9, 2.0)]
    scale = np.array([4.0, 1.0, 9.0])
    asked, drawn, seen = (random.uniform(size=(count, 3)) * scale for count in (50, 50, 12))

    def error(one, other):
        plain = np.abs(one - other)
        plain[1] = min(plain[1], 1.0 - plain[1])
        return plain

    tolerances = np.array([0.5, 0.1, 2.0])
    expected = np.array([error(p, t) < tolerances for p, t in zip(drawn, asked, strict=True)])
    read = readout.compare(drawn, asked, factors)
    np.testing.assert_array_equal(read.hits, expected)
    assert readout.summarize(read) == {
        "accuracy": expected.all(axis=1).mean(),
        **{f"accuracy_{name}": expected[:, k].mean() for k, name in enumerate("uvw")},
    }
    copied = copied_hits(asked, seen, [f.tolerance for f in factors], [f.period for f in factors])
    for label, hit in zip(asked, copied, strict=True):
        distance = [np.linalg.norm(error(label, other) / tolerances) for other in seen]
        nearest = error(label, seen[int(np.argmin(distance))]) < tolerances
        np.testing.assert_array_equal(hit, [nearest.all(), *nearest])
