"""Modules of a user's own by their names: chosen as a setting, swept as an axis, stored without code."""

import json

import pytest

from diffgeo.errors import UserError
from diffgeo.experiment import Experiment
from diffgeo.settings import TINY, Grid, Settings, adapt, override
from tests.support.settings import refused


class Own:
    """Stand for a flax module, which settings do not look into."""


def test_a_program_holds_the_module_that_its_settings_name():
    settings = adapt(TINY, {"conditioning": ("concat", "own")}, conditionings={"own": Own})
    programs = [members[0].settings.program for members in Grid(settings).programs]
    assert [program.conditioner for program in programs] == [None, Own]
    assert override(adapt(TINY, conditionings={"own": Own}), "model.conditioning=own").program.conditioner is Own
    assert TINY.program.conditioner is None


def test_names_are_stored_and_no_code():
    settings = adapt(TINY, conditionings={"own": Own}, model={"conditioning": "own"})
    tree = json.loads(json.dumps(settings.to_json()))
    assert tree["conditionings"] == ["own"]
    assert "conditionings" not in TINY.to_json()
    assert Settings.from_json(tree, None, {"own": Own}) == settings
    described = Settings.from_json(tree)
    assert described.to_json() == settings.to_json()
    with pytest.raises(UserError, match="name that file by --experiment=FILE"):
        described.program.conditioner(name="conditioning")


def test_bad_ones_are_refused():
    with refused("conditioning", "'gated'", "concat, sum, film"):
        adapt(TINY, model={"conditioning": "gated"})
    with refused("conditioning", "'owm'", "'own'"):
        adapt(TINY, {"conditioning": ("concat", "owm")}, conditionings={"own": Own})
    with refused("'my own' is not a Python identifier"):
        adapt(TINY, conditionings={"my own": Own})
    with refused("'film' is one of concat, sum, film: rename it"):
        adapt(TINY, conditionings={"film": Own})
    with refused("conditioning 'own' is 3: give the class"):
        adapt(TINY, conditionings={"own": 3})
    presets = {"tiny": TINY, "laptop": adapt(TINY, conditionings={"own": Own})}
    with refused("presets of 'mine' have different conditionings"):
        Experiment("mine", "figure", "claim", presets, ())
