"""One flat dict of known shapes."""

import numpy as np
import pytest

from diffgeo import representation
from diffgeo.errors import UserError

SIDE = 8
RNG = np.random.default_rng(2)
LABELS = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), axis=-1).reshape(-1, 2) * 0.1
TORUS = representation.clifford_torus(SIDE, SIDE) @ RNG.normal(size=(4, 300)) + 0.05 * RNG.normal(size=(64, 300))
QUICK = ("spectrum", "topology", "rings")


@pytest.fixture(scope="module")
def everything():
    return representation.analyze(TORUS.astype(np.float32), LABELS.astype(np.float32), 0.8, seed=3)


def test_shapes_are_those_promised(everything):
    assert set(everything) == set(representation.FIELDS)
    for name, value in everything.items():
        assert value.shape == representation.field_shape(name, 64), name
        assert value.dtype == np.float32
        assert name == "bars" or np.isfinite(value).all(), name
    for dim, values in representation.coordinates().items():
        assert len(values) == representation.LENGTHS[dim]
    assert {field.group for field in representation.FIELDS.values()} == set(representation.GROUPS)


def test_values_are_those_of_the_single_functions(everything):
    scores = representation.gram_scores(TORUS.astype(np.float32))
    assert everything["participation_ratio"] == pytest.approx(representation.participation_ratio(scores), rel=1e-5)
    assert everything["total_variance"] == pytest.approx(TORUS.var(axis=0).sum(), rel=1e-5)
    assert everything["spectrum"].sum() == pytest.approx(everything["total_variance"], rel=1e-5)
    np.testing.assert_allclose(
        everything["explained_variance"][3], everything["spectrum"][:4].sum() / everything["total_variance"], rtol=1e-5
    )
    assert everything["explained_variance"][-1] == pytest.approx(1.0)
    np.testing.assert_allclose(everything["pca"], scores[:, :6], atol=1e-4)
    result = representation.persistence(scores)
    assert tuple(everything["betti"]) == result.betti == (1, 2, 1)
    assert everything["bar_threshold"] == pytest.approx(result.threshold, rel=1e-4)
    reading = representation.read_bars(everything["bars"], float(everything["bar_threshold"]))
    assert tuple(reading.betti) == result.betti
    assert everything["intrinsic_dimension"] == pytest.approx(representation.intrinsic_dimension(TORUS), rel=1e-3)
    assert everything["additive_share"] == pytest.approx(representation.additive_share(TORUS, (SIDE, SIDE)), rel=1e-4)
    angles = everything["ring_mean"][:, 0]
    assert angles[0] - angles[1] == pytest.approx(representation.ring_contrast(TORUS, (SIDE, SIDE)), rel=1e-3)
    for name, null in (
        ("ring_contrast_null", representation.shuffled_contrasts),
        ("ring_contrast_gaussian", representation.gaussian_contrasts),
    ):
        contrasts = null(scores, (SIDE, SIDE), seed=3)
        np.testing.assert_allclose(everything[name], [contrasts.mean(), contrasts.std(ddof=1)], rtol=1e-3)
    literal = representation.ring_statistics(TORUS, (SIDE, SIDE), literal=True)
    np.testing.assert_allclose(
        everything["ring_mean_literal"], [literal[pair]["angles"].mean() for pair in representation.PAIRS], rtol=1e-3
    )
    np.testing.assert_allclose(everything["ring_angles_literal"].sum(axis=1), 1.0, rtol=1e-5)
    assert everything["probe_r2"] == pytest.approx(representation.probe_r2(TORUS, LABELS, 0.8, seed=3).mean, abs=1e-4)
    assert everything["neighbor_r2_y"] == pytest.approx(representation.neighbor_r2(TORUS, LABELS, 0.8).y, abs=1e-4)
    assert everything["r2"] == pytest.approx((everything["r2_x"] + everything["r2_y"]) / 2, abs=1e-6)
    regression = representation.regression_r2(everything["umap"], LABELS, 0.8)
    assert everything["r2_x"] == pytest.approx(regression.x, abs=1e-4)
    statistics = representation.ring_statistics(TORUS, (SIDE, SIDE))
    np.testing.assert_allclose(everything["ring_mean"][1, 1], statistics["x_on_x"]["residual"].mean(), rtol=1e-3)
    ideal = representation.ideal_statistics("torus3d", (SIDE, SIDE))
    expected = representation.ring_distances(statistics, ideal)
    np.testing.assert_allclose(everything["wasserstein_torus3d"], expected, rtol=1e-3)


def test_groups_are_asked_for_separately(everything):
    for group in QUICK:
        found = representation.analyze(TORUS.astype(np.float32), LABELS, 0.8, which=(group,), seed=3)
        assert set(found) == {name for name, field in representation.FIELDS.items() if field.group == group}
        for name, value in found.items():
            np.testing.assert_array_equal(value, everything[name])
    with pytest.raises(UserError, match="unknown analysis 'shape'"):
        representation.analyze(TORUS, LABELS, which=("shape",))


def test_any_number_of_factors_has_scores_by_name():
    labels = np.stack([LABELS[:, 0], LABELS[:, 1], LABELS.sum(axis=1)], axis=-1)
    which, names = ("spectrum", "manifold"), ("u", "v", "w")
    found = representation.analyze(TORUS, labels, [0.8, 0.8, None], which, factors=names)
    fields = representation.fields_of(names)
    assert set(found) == {name for name, field in fields.items() if field.group in which}
    each = [found[f"probe_r2_{name}"] for name in names]
    np.testing.assert_allclose(each, representation.probe_r2(TORUS, labels, [0.8, 0.8, None]).each, atol=1e-4)
    assert found["r2"] == pytest.approx(np.mean([found[f"r2_{name}"] for name in names]), abs=1e-6)
    assert representation.fields_of(("x", "y")) == representation.FIELDS
    constant = np.where(np.arange(3) == 1, 2.0, labels)
    with pytest.raises(UserError, match="all labels have v = 2, so no score of v exists"):
        representation.analyze(TORUS, constant, which=("manifold",), factors=names)
    assert "pca" in representation.analyze(TORUS, constant, which=("spectrum",), factors=names)


def test_the_order_of_the_samples_does_not_matter():
    order = RNG.permutation(64)
    one = representation.analyze(TORUS, LABELS, 0.8, which=QUICK)
    other = representation.analyze(TORUS[order], LABELS[order], 0.8, which=QUICK)
    for name in set(one) - {"pca", "covering_radius"}:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-3, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(np.abs(one["pca"][order, :3]), np.abs(other["pca"][:, :3]), atol=1e-3)


def test_rings_need_a_full_grid():
    order, shape = representation.grid_order(LABELS[:, ::-1][: SIDE * 5])
    assert shape == (SIDE, 5)
    np.testing.assert_array_equal(LABELS[:, ::-1][: SIDE * 5][order][:5, 1], np.arange(5) * 0.1)
    with pytest.raises(UserError, match="63 labels with 8 values of x and 8 of y are no full grid"):
        representation.analyze(TORUS[1:], LABELS[1:], which=("rings",))
    twice = LABELS.copy()
    twice[5] = twice[4]
    with pytest.raises(UserError, match="no full grid"):
        representation.grid_order(twice)
    # without rings, any labels will do
    assert "betti" in representation.analyze(TORUS[1:], LABELS[1:], which=("topology",))
