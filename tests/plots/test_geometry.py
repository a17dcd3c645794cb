"""Pictures of representations are tested by what they draw."""

import numpy as np
import pytest
import xarray as xr
from mpl_toolkits.mplot3d.art3d import Line3DCollection

from diffgeo import plots, representation
from diffgeo.errors import UserError
from diffgeo.plots.clouds import color_map, label_neighbors, webs
from diffgeo.settings import Factor

SIDE = 6
LABELS = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), axis=-1).reshape(-1, 2).astype(float)
RNG = np.random.default_rng(0)
CLOUDS = {"model": representation.clifford_torus(SIDE, SIDE), "pixels": RNG.normal(size=(SIDE * SIDE, 9))}
FIELDS = {
    name: representation.analyze(points, LABELS, SIDE, which=("spectrum", "topology", "rings"))
    for name, points in CLOUDS.items()
}
STEPS = np.array([0, 100, 200])


def make_results(seeds=(0, 1)) -> xr.Dataset:
    shape = (len(seeds), len(STEPS))
    dims = ("seed", "step")
    wide = (*dims, "ring_pair", "ring_statistic")
    coords = {"seed": list(seeds), "step": STEPS, "ring_pair": list(representation.PAIRS)}
    coords["ring_statistic"] = ["angles", "residual"]
    variables = {
        "accuracy": (dims, RNG.random(shape)),
        "participation_ratio": (dims, 4 + 10 * RNG.random(shape)),
        "wasserstein_clifford": (wide, RNG.random((*shape, 3, 2))),
        "wasserstein_torus3d": (wide, RNG.random((*shape, 3, 2))),
    }
    return xr.Dataset(variables, coords)


def panels(figure) -> list:
    """Axes in drawing order, color bars left out."""
    figure.draw_without_rendering()
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def test_umap_views_show_every_cloud_by_x_and_by_y():
    clouds = {name: RNG.normal(size=(SIDE * SIDE, 3)) for name in ("model", "untrained", "pixels")}
    shown = panels(plots.umap_views(clouds, LABELS))
    assert [ax.get_title() for ax in shown] == [f"{name}, by {c}" for c in "xy" for name in clouds]
    for ax in shown:
        name, coordinate = ax.get_title().split(", by ")
        np.testing.assert_array_equal(ax.collections[0].get_array(), LABELS[:, "xy".index(coordinate)])
        np.testing.assert_allclose(np.array(ax.collections[0]._offsets3d).T, clouds[name])


def test_pca_views_show_the_components_named():
    clouds = {name: fields["pca"] for name, fields in FIELDS.items()}
    circular = [Factor(name, 0, SIDE, 1.0, "px", float(SIDE)) for name in "xy"]
    shown = panels(plots.pca_views(clouds, LABELS, circular))
    assert len(shown) == 2 * 4
    for ax in shown:
        name, coordinate = ax.get_title().split(", by ")
        first, second = (int(text.split()[-1]) - 1 for text in (ax.get_xlabel(), ax.get_ylabel()))
        np.testing.assert_allclose(ax.collections[0].get_offsets(), clouds[name][:, [first, second]])
        np.testing.assert_array_equal(ax.collections[0].get_array(), LABELS[:, "xy".index(coordinate)])
        assert ax.collections[0].get_clim() == (0.0, SIDE)  # one turn of the cyclic map
    with pytest.raises(UserError, match="'model' has 6 components, not 7"):
        plots.pca_views(clouds, LABELS, components=((1, 7),))


def test_webs_join_neighboring_labels():
    lattice = np.stack(np.meshgrid(np.arange(4), np.arange(5)), axis=-1).reshape(-1, 2).astype(float)
    pairs = label_neighbors(lattice)
    assert len(pairs) == 3 * 5 + 4 * 4
    np.testing.assert_array_equal(np.linalg.norm(lattice[pairs[:, 0]] - lattice[pairs[:, 1]], axis=1), 1)
    scattered = np.random.default_rng(0).uniform(0, 8, (40, 2))
    own = {tuple(pair) for pair in label_neighbors(scattered).tolist()}
    apart = np.linalg.norm(scattered[:, None] - scattered[None], axis=-1) ** 2
    for i, j in np.argwhere(np.triu(np.ones((40, 40)), 1)):
        others = np.delete(apart[i] + apart[j], [i, j])
        assert ((i, j) in own) == bool((others > apart[i, j]).all()), "no third label sees the two at over 90 degrees"
    embedding = np.random.default_rng(1).normal(size=(40, 3))
    shown = panels(webs({"early": embedding, "late": 2 * embedding}, scattered))
    assert [ax.get_title() for ax in shown] == ["early", "late"]
    for ax in shown:
        (threads,) = [artist for artist in ax.collections if isinstance(artist, Line3DCollection)]
        assert len(threads.get_array()) == len(own)


def test_periodic_colors_meet():
    cyclic = color_map(8.0)
    np.testing.assert_allclose(cyclic(0.0), cyclic(1.0), atol=0.02)
    assert np.abs(np.subtract(color_map(None)(0.0), color_map(None)(1.0))).max() > 0.3
    assert max(sum(cyclic(place)[:3]) for place in np.linspace(0, 1, 50)) < 2.4  # seen on white


def test_ideal_tori_have_their_outlines():
    shown = panels(plots.ideal_tori(12, 12))
    radii = [np.linalg.norm(ax.collections[0].get_offsets(), axis=1) for ax in shown]
    assert radii[0].min() == pytest.approx(1.0)  # R - r
    assert radii[0].max() == pytest.approx(3.0)  # R + r
    np.testing.assert_allclose(radii[4], 1.0)  # the circle of x
    np.testing.assert_allclose(radii[6], 1.0)  # the circle of y


def test_phases_stand_above_their_manifolds():
    images = RNG.integers(0, 256, (3, 4, 8, 8))
    embeddings = RNG.normal(size=(3, SIDE * SIDE, 3))
    titles = ["step 1", "step 2", "step 3"]
    shown = panels(plots.manifold_phases(images, LABELS[:4], embeddings, LABELS, titles))
    assert [ax.get_title() for ax in shown[:3]] == titles
    for place in range(3):
        drawn = [picture.get_array() for picture in shown[place].images]
        np.testing.assert_array_equal(drawn, images[place])
        np.testing.assert_allclose(np.array(shown[3 + place].collections[0]._offsets3d).T, embeddings[place])
    with pytest.raises(UserError, match="images of 3 steps, embeddings of 3 and 2 titles"):
        plots.manifold_phases(images, LABELS[:4], embeddings, LABELS, titles[:2])


def test_spectra_show_shares_and_notes():
    fields = {**FIELDS["model"], "accuracy": 0.5}
    shown = panels(plots.spectra({"model": fields, "pixels": FIELDS["pixels"]}, count=6))
    np.testing.assert_allclose([bar.get_height() for bar in shown[0].patches], [0.25] * 4 + [0.0] * 2, atol=1e-6)
    assert shown[0].texts[0].get_text() == "first 4: 100 %\ndimension 4.0\naccuracy 0.50"
    assert "accuracy" not in shown[1].texts[0].get_text()


def test_dimension_shows_seeds_controls_and_the_ideal():
    results = make_results()
    top, bottom = panels(plots.effective_dimension(results, controls={"pixels": FIELDS["pixels"]}))
    thin = [line.get_ydata() for line in bottom.lines if line.get_linewidth() == 0.8]
    np.testing.assert_allclose(thin, results["participation_ratio"])
    levels = {
        line.get_ydata()[0] for line in bottom.lines if line.get_marker() == "None" and len(line.get_ydata()) == 2
    }
    assert levels == {4.0, float(FIELDS["pixels"]["participation_ratio"])}
    (dots,) = [line for line in bottom.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots.get_ydata(), results["participation_ratio"].sel(step=0))
    assert (dots.get_xdata() == 0).all()
    assert len(top.lines) == 3


def test_every_infinite_bar_is_shown():
    bars = [np.array([[0.0, np.inf], [0.0, 1.0]]), np.array([[1.0, np.inf], [1.0, np.inf], [np.nan, np.nan]])]
    figure = plots.persistence_diagrams({"one": {"bars": bars, "bar_threshold": 2.0, "betti": (1, 0)}})
    (ax,) = panels(figure)
    assert "alive at the threshold\nH0: 1, H1: 2" in ax.texts[0].get_text()
    assert "Betti numbers 1, 2" in ax.get_title(), "of the bars shown, whatever rule the stored numbers are of"
    dots = [np.asarray(found.get_offsets()) for found in ax.collections]
    np.testing.assert_allclose(dots[0], [[0.0, 0.5]])  # the finite bar of H0, relative to the threshold
    alive = np.concatenate(dots[1::2])
    assert len(alive) == 3
    assert len({tuple(dot) for dot in alive}) == 3  # none hides another
    assert (alive[:, 1] > 1.0).all()
    in_results = xr.Dataset({"bars": (("homology", "bar", "end"), FIELDS["model"]["bars"]), "bar_threshold": 2.0})
    assert len(panels(plots.persistence_diagrams({"model": in_results}))) == 1
    stored = plots.persistence_diagrams(FIELDS)
    assert len(panels(stored)) == 2


def test_ring_histograms_draw_the_shares():
    shown = panels(plots.ring_histograms(FIELDS))
    assert len(shown) == 2 * 3 * 2
    for place, ax in enumerate(shown):
        name, field = list(FIELDS)[place % 2], "ring_angles" if place < 6 else "ring_residual"
        row = place % 6 // 2
        np.testing.assert_allclose(ax.patches[0].get_data().values, FIELDS[name][field][row])
        assert ax.lines[0].get_xdata()[0] == pytest.approx(FIELDS[name]["ring_mean"][row, place // 6])


def test_literal_angles_draw_their_shares_and_means():
    shown = panels(plots.literal_angles(FIELDS))
    assert len(shown) == 3 * 2
    for place, ax in enumerate(shown):
        fields, row = list(FIELDS.values())[place % 2], place // 2
        np.testing.assert_allclose(ax.patches[0].get_data().values, fields["ring_angles_literal"][row])
        assert ax.lines[0].get_xdata()[0] == pytest.approx(fields["ring_mean_literal"][row])


def test_wasserstein_curves_show_every_seed_and_control():
    results = make_results()
    shown = panels(plots.wasserstein_curves(results, {"pixels": FIELDS["pixels"]}))
    for place, ax in enumerate(shown):
        pair, statistic = place % 3, place // 3
        assert ax.get_title() == ("" if statistic else representation.PAIRS[pair].replace("_", " "))
        thin = [line.get_ydata() for line in ax.lines if line.get_linewidth() == 0.8]
        expected = np.concatenate([results[f"wasserstein_{i}"][:, :, pair, statistic] for i in ("clifford", "torus3d")])
        np.testing.assert_allclose(thin, expected)
        levels = [line.get_ydata()[0] for line in ax.lines if len(line.get_ydata()) == 2]
        wanted = [FIELDS["pixels"][f"wasserstein_{i}"][pair, statistic] for i in ("clifford", "torus3d")]
        np.testing.assert_allclose(levels, wanted)
    with pytest.raises(UserError, match="no 'wasserstein_torus3d' in these results"):
        plots.wasserstein_curves(results.drop_vars("wasserstein_torus3d"))


def test_missing_fields_and_clouds_are_refused():
    with pytest.raises(UserError, match="'model' has no field 'bars'"):
        plots.persistence_diagrams({"model": {}})
    with pytest.raises(UserError, match="no cloud to draw"):
        plots.spectra({})
    with pytest.raises(UserError, match="'model' has 35 points for 36 labels"):
        plots.umap_views({"model": np.zeros((35, 3))}, LABELS)
