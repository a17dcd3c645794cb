"""Measures on true images in an evaluation: the labels that they are asked for, and where they are stored."""

import json

import numpy as np
import pytest

from diffgeo.data.evaluation_labels import common_labels
from diffgeo.errors import UserError
from diffgeo.results import Results, open_results, open_workdir, template
from diffgeo.results.schema import COMPLETE, LAYER_FIELDS, MISSING, VALIDATION
from diffgeo.run import Run, Session
from diffgeo.run.analyze_grid import _missing_steps
from diffgeo.run.evaluation import empty_results, evaluate
from diffgeo.run.waves import build_tables, plan_waves
from diffgeo.settings import Data, Diffusion, Evaluation, Grid, Settings, Train, override
from diffgeo.settings.allowed import LAYERS
from diffgeo.training import Ensemble, Sampled, make_layer_geometry, make_validation_loss


class Measured(Ensemble):
    """Members that draw the true images, and whose measures are made up."""

    max_pending, abstract_state = 1, None

    def __init__(self, wave):
        self.wave, self.asked = wave, {}

    def sample(self, params, step, labels, record=False, images=None, indices=None):
        for index in range(len(self.wave.members)):
            yield Sampled(self.wave.true_images(index), {}, {})

    def measure(self, build, params, tables):
        self.asked[build] = tables
        shape = {make_validation_loss: (2,), make_layer_geometry: (2, len(LAYERS), 2, 2)}[build]
        return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def settings_with(label_source="grid", num_validation=30, layer_fields=True):
    return Settings(
        data=Data(size=8, increment=0.5, dataset="2d", margin=2.0, kind="sos"),
        diffusion=Diffusion(timesteps=100),
        train=Train(steps=10),
        evaluation=Evaluation(
            every_steps=10,
            label_source=label_source,
            num_samples=12,
            readout="darkest",
            num_common=0,
            stored_images=4,
            num_validation=num_validation,
            layer_fields=layer_fields,
        ),
        axes={"sigma": (0.5, 0.8), "seed": (0,)},
    )


def evaluated(folder, settings):
    """Return the results of an evaluation at step 10, the tables that were asked for, and the missing steps."""
    run = Run("test", "none", settings)
    (wave,) = plan_waves(run.grid, build_tables(run.grid), {})
    path, members = open_workdir(folder).results, Measured(wave)
    Results.create(path, empty_results(run, [wave], {}))
    with Session(run, open_workdir(folder), (wave,), Results(path, run.grid)) as session:
        evaluate(session, wave, members, None, 10)
    return open_results(folder).load(), members.asked, session


def test_measures_are_stored_by_layer_and_timestep(tmp_path):
    found, asked, _ = evaluated(tmp_path, settings_with())
    share, ratio = found["layer_additive_share"], found["layer_participation_ratio"]
    assert share.dims == ratio.dims == ("sigma", "seed", "step", "layer", "timestep")
    assert found["layer"].values.tolist() == list(LAYERS)
    assert found["timestep"].values.tolist() == [1, 100]
    at = {"sigma": 0.8, "seed": 0, "step": 10, "layer": "inc", "timestep": 100}
    assert (share.sel(at), ratio.sel(at)) == (2 * 2 * len(LAYERS) + 2, 2 * 2 * len(LAYERS) + 3)
    assert found["val_loss"].dims == ("sigma", "seed", "step")
    np.testing.assert_array_equal(found["val_loss"].sel(step=10, seed=0), [0, 1])
    assert np.isnan(found["val_loss"].sel(step=0)).all()
    recorded = found["group_complete"].sel(group=[VALIDATION, LAYER_FIELDS])
    assert (recorded.sel(step=10) == COMPLETE).all()
    assert (recorded.sel(step=0) == MISSING).all()

    own, validation = asked[make_layer_geometry], asked[make_validation_loss]
    assert own.centers.shape == (2, 64, 2)
    np.testing.assert_array_equal(own.centers[1], found["label"].isel(sigma=1, seed=0))
    np.testing.assert_allclose(own.sigma, [[0.5, 0.5], [0.8, 0.8]], rtol=1e-6)
    assert (own.kinds == 1).all()
    assert (own.origin == 2).all()
    np.testing.assert_array_equal(validation.centers[0], common_labels(30, 8, np.full(2, 2.0, np.float32)))
    np.testing.assert_array_equal(validation.centers[0], validation.centers[1])
    assert validation.count.tolist() == [30, 30]


def test_only_grids_have_an_additive_share(tmp_path):
    found, asked, _ = evaluated(tmp_path, settings_with("train", num_validation=0))
    assert np.isnan(found["layer_additive_share"]).all()
    assert np.isfinite(found["layer_participation_ratio"].sel(step=10)).all()
    assert set(asked) == {make_layer_geometry}
    assert "val_loss" not in found


def test_what_is_not_asked_for_is_neither_measured_nor_stored(tmp_path):
    found, asked, _ = evaluated(tmp_path, settings_with(num_validation=0, layer_fields=False))
    assert not asked
    assert not {"layer", "timestep"} & {*found.dims}
    assert not {VALIDATION, LAYER_FIELDS} & {*found["group"].values}


@pytest.mark.parametrize("group", [VALIDATION, LAYER_FIELDS])
def test_a_checkpoint_that_lacks_one_of_them_is_analyzed(tmp_path, monkeypatch, group):
    _, _, session = evaluated(tmp_path, settings_with())

    class Saved:
        params_steps = (0, 10)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(Session, "checkpoints", lambda own, wave: Saved())
    (wave,) = session.waves
    assert _missing_steps(session, wave) == [0]
    session.store.record(wave.members, 10, group, MISSING)
    assert _missing_steps(session, wave) == [0, 10]


def test_they_are_settings_of_the_whole_grid():
    for axis in ("num_validation=4,8", "layer_fields=false,true"):
        name = axis.partition("=")[0]
        with pytest.raises(UserError, match=f"axis {name!r} is the same for all members"):
            template(Grid(override(settings_with(), f"axes.{axis}")), 64, {})
    with pytest.raises(UserError, match="num_validation=-1"):
        Evaluation(num_validation=-1)


def test_a_run_of_this_format_from_before_these_settings_goes_on(tmp_path):
    run = Run("test", "tiny", settings_with(num_validation=0, layer_fields=False))
    tree = json.loads(json.dumps(run.identity))
    del tree["settings"]["evaluation"]["num_validation"], tree["settings"]["evaluation"]["layer_fields"]
    (tmp_path / "config.json").write_text(json.dumps({"store_format": 3} | tree))
    config = open_workdir(tmp_path).read_config()
    assert {name: config[name] for name in run.identity} == run.identity
