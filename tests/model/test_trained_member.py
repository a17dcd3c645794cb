"""One model sampled and looked into: equal to the run's own evaluation, independent of what is drawn beside it."""

import functools

import jax
import numpy as np
import pytest

import diffgeo as dg
from diffgeo import images, readout, representation
from diffgeo.model import programs
from diffgeo.settings import TINY, adapt
from diffgeo.settings.allowed import LAYER, LAYERS
from diffgeo.training import sampling
from tests.support.settings import refused


@pytest.fixture(scope="module")
def run(trained):
    return dg.load(trained / "runs/quickstart")


@pytest.fixture(scope="module")
def model(run):
    return run.member(increment=0.5, seed=1)


@pytest.mark.parametrize("step", [0, 6])
def test_the_runs_own_labels_and_noise_give_the_stored_images(run, step):
    for increment, seed in ((0.5, 0), (1.0, 1)):
        stored = run.stored.sel(increment=increment, seed=seed, step=step)
        drawn = run.member(increment=increment, seed=seed, step=step).sample()
        np.testing.assert_array_equal(drawn.label.values, stored.label.values)
        gray = images.to_uint8(drawn.images.values[..., None])
        assert gray.std() > 1, "blank images would pass with any noise"
        # the program is that of more labels, so sums may round differently
        assert np.abs(gray.astype(int) - stored.samples.values[: len(gray)]).max() <= 1
        predicted = stored.prediction.sel(readout="subpixel")
        np.testing.assert_array_equal(np.isnan(drawn.prediction), np.isnan(predicted))
        np.testing.assert_allclose(drawn.prediction, predicted, atol=0.05)


def test_a_sample_does_not_depend_on_those_drawn_beside_it(model):
    alone, many = model.sample(x=2, y=4), model.sample(x=np.linspace(2, 5, 20), y=4)
    np.testing.assert_allclose(alone.images[0], many.images[0], atol=1e-4)
    again = model.sample(x=[2, 5], y=4, draws=2)
    np.testing.assert_allclose(alone.images[0], again.images[0], atol=1e-4)
    assert np.abs(again.images[2] - again.images[0]).max() > 0.1, "each draw has noise of its own"


def test_seeds_name_the_noise(model):
    own, same, other = (model.sample(x=2, y=4, seed=seed).images.values for seed in (None, 1, 2))
    np.testing.assert_array_equal(own, same)
    assert np.abs(own - other).max() > 0.1


def test_labels_are_broadcast_and_draws_come_one_after_another(model):
    drawn = model.sample(x=np.array([1.0, 2.0])[:, None], y=[3, 4, 5], draws=2)
    labels = [[x, y] for x in (1, 2) for y in (3, 4, 5)]
    assert drawn.label.values.tolist() == 2 * labels
    assert drawn.draw.values.tolist() == [0] * 6 + [1] * 6


def test_the_readings_are_those_of_the_read_out(model):
    drawn = model.sample(x=np.linspace(1, 6, 9), y=4, draws=2)
    gray = images.to_uint8(drawn.images.values[..., None])
    read = readout.score(gray, drawn.label.values, "subpixel", sigma=model.settings.data.sigma)
    np.testing.assert_array_equal(drawn.prediction, read.predicted)
    np.testing.assert_array_equal(drawn.hit, read.hits)
    assert drawn.outcome.values.tolist() == [readout.OUTCOMES[code] for code in read.outcomes]
    expected = np.linalg.norm(read.predicted - drawn.label.values, axis=1)
    np.testing.assert_allclose(drawn.error, expected, rtol=1e-5)


def test_labels_of_an_extended_frame_are_those_of_the_frame(run, monkeypatch):
    settings = adapt(TINY, {"seed": (0,)}, data={"margin": 3.0, "dataset": "2d", "sigma": 0.7})
    params = run.member(increment=0.5, seed=1).params
    framed = dg.TrainedMember(settings, {"seed": 0}, 0, params)
    shown = framed.activations(x=[4.0, 6.0], y=5.0, layer="pixels").values
    gray = images.to_uint8(shown)
    centers = readout.predict_centers(gray, "subpixel", sigma=0.7)
    np.testing.assert_allclose(centers, [[1.0, 2.0], [3.0, 2.0]], atol=0.05)
    # a model that draws perfectly
    monkeypatch.setattr(programs, "draw", lambda *drawn: programs.true_images(settings, drawn[1]))
    drawn = framed.sample(x=[4.0, 6.0], y=5.0)
    np.testing.assert_allclose(drawn.prediction, drawn.label, atol=0.05)
    assert drawn.hit.values.all()
    assert float(drawn.error.max()) < 0.05
    assert drawn.outcome.values.tolist() == ["correct"] * 2


def test_sampler_settings_replace_the_runs(model):
    own = model.sample(x=[2, 4], y=4)
    assert np.array_equal(own.images, model.sample(x=[2, 4], y=4, sampler="ddim", sampler_steps=4).images)
    ancestral = model.sample(x=[2, 4], y=4, sampler="ancestral")
    assert not np.allclose(own.images, ancestral.images, atol=0.01)
    with refused("sampler_steps=21 exceeds timesteps=20"):
        model.sample(x=2, y=4, sampler_steps=21)
    with refused("unknown sampler 'ddpm'"):
        model.sample(x=2, y=4, sampler="ddpm")


@pytest.mark.parametrize(
    ("given", "quoted"),
    [
        ({"x": 2}, ("give y too",)),
        ({"x": 2, "z": 3}, ("unknown factor 'z'", "x, y")),
        ({"x": [1, 2], "y": [1, 2, 3]}, ("x (2,) and y (3,)",)),
        ({"x": np.nan, "y": 2}, ("not finite",)),
        ({"x": [], "y": 2}, ("no label",)),
        ({"x": "left", "y": 2}, ("x='left' is neither a number",)),
        ({"x": [[1, 2], [3]], "y": 2}, ("x=[[1, 2], [3]] is neither a number",)),
        ({"x": 2, "y": 2, "draws": 0}, ("draws=0",)),
        ({"x": 2, "y": 2, "draws": 1.5}, ("draws=1.5 must be an integer",)),
        ({"x": 2, "y": 2, "seed": -1}, ("seed=-1",)),
        ({"x": 2, "y": 2, "seed": 1.5}, ("seed=1.5 must be an integer",)),
    ],
)
def test_labels_that_cannot_be_drawn_are_refused(model, given, quoted):
    with refused(*quoted):
        model.sample(**given)


def test_layer_4_of_true_images_is_the_runs_own_proxy(model):
    found = model.activations()
    labels = programs.own_labels(model.settings)
    encoder = jax.jit(sampling.make_encoder(model.settings.program))
    shown = programs.true_images(model.settings, labels)
    expected = encoder(model.params, np.uint32(1), np.int32(model.step), shown, labels)[LAYER]
    assert np.ptp(found.values) > 0.1
    np.testing.assert_allclose(found.values, expected, atol=1e-4)
    np.testing.assert_array_equal(found.labels, labels)


def test_activations_at_samples_are_of_their_images(model):
    drawn = model.sample(x=[2, 3, 4], y=4)
    pixels = model.activations(drawn, layer="pixels")
    np.testing.assert_array_equal(pixels.values[..., 0], drawn.images)
    from_images, from_truth = model.activations(drawn), model.activations(x=[2, 3, 4], y=4)
    np.testing.assert_array_equal(from_images.labels, from_truth.labels)
    assert not np.allclose(from_images.values, from_truth.values, atol=1e-3)


@pytest.mark.parametrize("layer", [LAYERS[0], "bottleneck1", LAYERS[-1]])
def test_layers_from_the_first_to_the_last_are_read(model, layer):
    values = model.activations(x=[2, 3], y=4, layer=layer, t=10).values
    assert values.dtype == np.float32
    assert len(values) == 2
    assert values.shape[1] == values.shape[2]
    assert np.ptp(values) > 0


def test_the_diffusion_step_reaches_the_network(model):
    cloud = functools.partial(model.activations, x=np.arange(8), y=4)
    assert not np.allclose(cloud(t=1).values, cloud(t=20).values, atol=1e-3)
    with refused("t=21 is no diffusion step: choose one from 1 to 20"):
        cloud(t=21)
    with refused("t=1.5 must be an integer"):
        cloud(t=1.5)
    with refused("unknown layer 'layer44'", "did you mean 'layer4'?"):
        cloud(layer="layer44")
    with refused("leave out x"):
        model.activations(model.sample(x=2, y=4), x=3)


def test_analyses_are_those_of_the_representation(model):
    order = np.random.default_rng(0).permutation(64)
    x, y = (values.ravel()[order] for values in np.meshgrid(np.arange(8), np.arange(8), indexing="ij"))
    cloud = model.activations(x=x, y=y, layer="layer4")
    points = np.empty((64, cloud.values[0].size))
    points[8 * x + y] = cloud.values.reshape(64, -1)  # another way to the grid's order
    assert cloud.additive_share() == pytest.approx(representation.additive_share(points, (8, 8)), abs=1e-5)
    rings = representation.ring_statistics(points, (8, 8))
    for pair, found in cloud.rings().items():
        np.testing.assert_allclose(found["residual"], rings[pair]["residual"], atol=1e-4)
    assert cloud.participation_ratio() == pytest.approx(representation.participation_ratio(points), rel=1e-4)
    np.testing.assert_allclose(cloud.pca(2).explained, representation.pca(points).explained[:2], rtol=1e-4)
    assert cloud.probe_r2().x == pytest.approx(representation.probe_r2(cloud.points, cloud.labels).x)
    assert cloud.persistence(maxdim=1).betti == representation.persistence(cloud.points, 1).betti
    with refused("no full grid"):
        model.activations(x=np.arange(8), y=np.arange(8)).rings()
