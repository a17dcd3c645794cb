"""A grid trained in a folder, and what is left to `analyze`, with a small network."""

import dataclasses
import shutil
from functools import partial

import jax
import numpy as np
import pytest

from diffgeo import plots
from diffgeo.experiment import Plot
from diffgeo.results import open_results
from diffgeo.results.checkpoint_files import read_member, stored_steps
from diffgeo.results.schema import MISSING
from diffgeo.run import analyze
from tests.support.runs import WAVE
from tests.support.trained import assert_same_members, small, train

pytestmark = pytest.mark.usefixtures("small_network")


def test_measures_and_figures_may_be_left_to_analyze_which_needs_no_checkpoint(tmp_path):
    curves = Plot("curves", partial(plots.learning_curves, metrics="accuracy"))
    run = dataclasses.replace(small("spectrum", increment=(0.5,), seed=(0, 1)), plots=(curves,))
    whole = train(run, tmp_path / "whole")
    apart = train(dataclasses.replace(run, finish=False), tmp_path / "apart")
    assert (open_results(apart)["group_complete"].sel(group="layer4/spectrum") == MISSING).all()
    assert not (apart / "figures").exists()
    shutil.rmtree(apart / "checkpoints")
    analyze(run, apart, say=[].append)
    assert (open_results(whole)["group_complete"].sel(group="layer4/spectrum") != MISSING).all()
    assert (apart / "figures/curves.png").exists()
    assert_same_members(whole, apart)


def test_last_parameters_that_were_not_stored_beside_their_state_are_stored_when_the_run_goes_on(tmp_path):
    run = small(seed=(0,))
    whole, cut = train(run, tmp_path / "whole"), train(run, tmp_path / "cut")
    last = stored_steps(cut / WAVE)[-1]
    shutil.rmtree(cut / WAVE / f"params/{last}")  # as after a kill, or a full disk, between the two
    train(run, cut)
    found, wanted = read_member(cut / WAVE, 0, last), read_member(whole / WAVE, 0, last)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    assert_same_members(whole, cut)
