"""Models of a finished run measured by another experiment: what is copied, what is measured, what is refused."""

import hashlib
import json
import shutil

import jax
import numpy as np
import pytest
import zarr

from diffgeo import growth, run
from diffgeo.errors import UserError
from diffgeo.experiment import Metric
from diffgeo.results import open_results
from diffgeo.run import Run
from diffgeo.settings import TINY, adapt
from tests.support.trained import OneDevice

WEIGHT = Metric("weight", lambda model: sum(leaf.sum() for leaf in jax.tree.leaves(model.params)), of_model=True)
QUIET = [].append


def asked(**parts):
    return Run("asked", "tiny", TINY, OneDevice("loop"), **parts)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    run.execute(Run("made_up", "tiny", TINY, OneDevice("loop"), analyses=("spectrum",)), folder, say=QUIET)
    return folder


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_both_have_is_copied_and_the_rest_measured(trained, tmp_path):
    before = digests(trained)
    question = asked(metrics=(WEIGHT,), rules={"rules": json.dumps({"ours": "0" * 16})})
    growth.borrow(question, trained, tmp_path / "asked", provenance={"command": "asking"})
    said = []
    found = run.analyze(question, tmp_path / "asked", said.append)
    assert not any("step 2" in text for text in said), "nothing is sampled again"
    old = open_results(trained)
    for name in ("accuracy", "loss", "samples", "prediction", "label", "error"):
        np.testing.assert_array_equal(found[name], old[name])
    assert "pca_scores" in old
    assert "pca_scores" not in found
    assert found["metric_weight"].notnull().all()
    assert found.attrs["experiment"] == "asked"
    assert json.loads(found.attrs["rules"]) == {"ours": "0" * 16}
    (source,) = json.loads(found.attrs["sources"])
    assert source["workdir"] == str(trained)
    assert (tmp_path / "asked/checkpoints/wave_000").is_symlink()
    assert digests(trained) == before
    copy = shutil.copytree(trained, tmp_path / "copy")
    directly = run.analyze(Run("made_up", "tiny", TINY, OneDevice("loop"), metrics=(WEIGHT,)), copy, QUIET)
    np.testing.assert_array_equal(found["metric_weight"], directly["metric_weight"])
    said.clear()
    assert growth.borrow(question, trained, tmp_path / "asked") == tmp_path / "asked", "begun: gone on with"
    run.analyze(question, tmp_path / "asked", said.append)
    assert any("analyzed already" in text for text in said)


def test_what_only_the_question_has_is_sampled_again(trained, tmp_path):
    brightness = Metric("brightness", lambda images, labels, settings: images.mean())
    question = asked(metrics=(brightness,), analyses=("spectrum",))
    growth.borrow(question, trained, tmp_path / "asked", copy=True)
    assert not (tmp_path / "asked/checkpoints/wave_000").is_symlink()
    found = run.analyze(question, tmp_path / "asked", QUIET)
    old = open_results(trained)
    np.testing.assert_array_equal(found["samples"], old["samples"])
    np.testing.assert_array_equal(found["participation_ratio"], old["participation_ratio"])
    np.testing.assert_allclose(
        found["metric_brightness"].isel(step=-1),
        [old["samples"].isel(step=-1, seed=seed).values.mean() for seed in range(old.sizes["seed"])],
        atol=2.0,  # the stored images are the first of those measured
    )


@pytest.mark.parametrize(
    ("words", "question"),
    [
        ("is not at the settings of the models", Run("asked", "tiny", adapt(TINY, data={"sigma": 2.0}))),
        ("trains nothing, so it measures no models", asked(compute=lambda settings: None)),
    ],
)
def test_what_does_not_fit_is_refused(trained, tmp_path, words, question):
    with pytest.raises(UserError, match=words):
        growth.borrow(question, trained, tmp_path / "asked")
    assert not (tmp_path / "asked").exists()


def test_models_of_another_run_are_not_taken_for_those_that_were_begun_with(trained, tmp_path):
    growth.borrow(asked(), trained, tmp_path / "asked")
    store = zarr.open_group(str(shutil.copytree(trained, tmp_path / "other") / "results.zarr"), mode="r+")
    store["loss"][:] = store["loss"][:] + np.float32(0.5)
    with pytest.raises(UserError, match=r"measures other models than those in .*other"):
        growth.borrow(asked(), tmp_path / "other", tmp_path / "asked")


def test_folders_that_cannot_be_are_refused(trained, tmp_path):
    with pytest.raises(UserError, match="exists: choose a new folder"):
        growth.borrow(asked(), trained, trained)
    with pytest.raises(UserError, match="no run in"):
        growth.borrow(asked(), tmp_path / "nothing", tmp_path / "asked")
