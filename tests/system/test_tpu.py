"""Real training steps compiled for TPU chips that are not here: they fit, share nothing, and do what is counted.

The paper preset takes a core about six minutes, its largest images five (both slow); all are skipped where libtpu
(extra `plan`) is not installed.
"""

import pytest

import experiments
from diffgeo.costs import by_hand, chips, plan
from diffgeo.settings import Grid
from diffgeo.training import Placement

pytest.importorskip("libtpu")


@pytest.mark.parametrize("preset", ["tiny", pytest.param("paper", marks=pytest.mark.slow)])
def test_a_training_step_on_every_chip(preset):
    members = Grid(experiments.find("p1_fig4").settings(preset)).members[:4]
    settings = members[0].settings
    target = chips.target("v5e:2x2", Placement())
    step = plan.training_step(members, 1, plan.ROWS, target)  # refuses what exceeds the memory
    assert step.collectives == {}
    assert 0 < step.hbm < target.chip.hbm / 4  # four members a chip at least
    counted = by_hand.TRAIN_PASSES * 2 * by_hand.forward_macs(settings) * settings.train.batch_size
    assert step.flops == pytest.approx(counted, rel=0.1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_longest_training_step_of_all_experiments():
    members = Grid(experiments.find("p2_fig5").settings("paper")).programs[-1][:4]
    assert members[0].settings.data.size == 48
    step = plan.training_step(members, 1, plan.ROWS, chips.target("v5e:2x2", Placement()))
    assert step.collectives == {}
