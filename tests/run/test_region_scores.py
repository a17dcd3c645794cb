"""Scores of a run in each region, on made-up samples: nothing is compiled."""

import numpy as np
import pytest

from diffgeo import results
from diffgeo.images import render
from diffgeo.results import Results, open_workdir
from diffgeo.results.schema import EVALUATION
from diffgeo.run import Run, Session
from diffgeo.run.evaluation import evaluate
from diffgeo.run.waves import build_tables, plan_waves
from diffgeo.settings import Data, Evaluation, Grid, Settings
from diffgeo.training import Ensemble, Sampled
from tests.support.regions import names_at


class OneSided(Ensemble):
    """Members that draw perfect images, but of a bump at (2, 2) for every label with x >= 12."""

    max_pending, abstract_state = 1, None

    def __init__(self):
        pass

    def sample(self, params, step, labels, record=False, images=None, indices=None):
        for own in labels:
            drawn = render(np.where(own[:, :1] < 12, own, 2.0), 1.0, size=16)
            yield Sampled(np.asarray(drawn), {}, {})


class Kept(Results):
    """A store that keeps what is written."""

    def due(self, members, step):
        return list(range(len(members)))

    def __init__(self):
        self.values = {}

    def label_sets(self):
        return ["own"]

    def write(self, members, values, step=None, group=None):
        self.values.update(values)


@pytest.fixture
def scored_run(tmp_path):
    """A run, its wave, and its scores on 16 x 16 labels."""
    settings = Settings(
        data=Data(size=16, hole_width=4.0, kind="bump"),
        evaluation=Evaluation(label_source="grid", num_common=0, readout="darkest"),
        axes={"hole": ("none", "cross", "square"), "seed": (0,)},
    )
    run = Run("test", "tiny", settings)
    (wave,) = plan_waves(run.grid, build_tables(run.grid), {})
    with Session(run, open_workdir(tmp_path), (wave,), Kept()) as session:
        evaluate(session, wave, OneSided(), None, 0)
    return run, wave, session.store.values


def test_scores_have_a_region_for_every_hole_of_the_grid(scored_run):
    _, wave, values = scored_run
    names = ("all", "id", "ood", "vertical", "horizontal", "intersection")
    assert wave.regions == names
    labels = wave.labels[0].astype(int)
    right = labels[:, 0] < 12
    for member, hole in enumerate(("none", "cross", "square")):
        found = dict(zip(names, values["accuracy"][member].values[0, 0], strict=True))
        member_of = [names_at(x, y, hole, 6.0, 10.0, 16) for x, y in labels]
        for name in names:
            mask = np.array([name in own for own in member_of])
            expected = right[mask].mean() if mask.any() else np.nan
            np.testing.assert_equal(found[name], expected, err_msg=f"{hole} {name}")
    y_right = right | (labels[:, 1] == 2)  # where the stray bump is
    assert values["accuracy_y"][1].values[0, 0, 0] == y_right.mean()
    assert values["wrong_place"][1].values[0, 0, 0] == 1 - right.mean()


def test_results_label_the_regions(scored_run, tmp_path):
    run, wave, values = scored_run
    empty = results.template(run.grid, 256, {})
    assert empty.accuracy.dims == ("hole", "seed", "step", "label_set", "readout", "region")
    assert empty.several_bumps.dims == empty.accuracy.dims
    assert empty.loss.dims == ("hole", "seed", "step")
    assert empty.region.values.tolist() == list(wave.regions)
    results.Results.create(tmp_path / "results.zarr", empty)
    store = results.Results(tmp_path / "results.zarr", run.grid)
    assert store.missing(wave.members) == list(empty.step.values)
    store.write(wave.members, values, 0, EVALUATION)
    found = results.select_scores(results.open_results(tmp_path).load())
    assert found.accuracy.sel(hole="square", region="ood", step=0).item() == 1.0
    assert found.accuracy.sel(hole="cross", region="horizontal", step=0).item() == pytest.approx(7 / 11)
    assert np.isnan(found.accuracy.sel(hole="none", region="ood", step=0)).all()
    assert 0 not in store.missing(wave.members)


def test_without_a_hole_scores_have_no_region(tmp_path):
    grid = Grid(Settings(data=Data(size=8)))
    assert results.template(grid, 64, {}).accuracy.dims == ("seed", "step", "label_set", "readout")
