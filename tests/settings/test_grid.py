"""From axes to members, programs and waves."""

import numpy as np
import pytest

from diffgeo.settings import Data, Grid, Settings, Train

AXES = {"increment": (0.5, 1.0), "base_channels": (32, 64), "periodic": (False, True), "seed": (3, 1, 2)}


def grid(**axes) -> Grid:
    return Grid(Settings(train=Train(steps=10, learning_rate=1e-3), axes=axes))


def test_members_are_row_major_in_the_order_of_the_axes():
    found = grid(**AXES)
    assert list(found.axes) == ["increment", "base_channels", "periodic", "seed"]
    assert found.shape == (2, 2, 2, 3)
    assert [member.index for member in found.members] == list(range(24))
    for member in found.members:
        place = np.unravel_index(member.index, found.shape)
        values = {name: values[i] for (name, values), i in zip(AXES.items(), place, strict=True)}
        assert member.coordinates == values
        assert list(member.coordinates) == list(AXES)


def test_a_members_settings_are_the_grids_with_its_values():
    found = grid(**AXES)
    for member in found.members:
        settings, values = member.settings, member.coordinates
        assert settings.data == Data(increment=values["increment"], periodic=values["periodic"])
        assert settings.model.base_channels == values["base_channels"]
        assert settings.train == found.settings.train
        assert dict(settings.axes) == {"seed": (values["seed"],)}
        assert member.seed == values["seed"]
        (alone,) = Grid(settings).members
        assert alone.settings == settings


def test_a_member_is_named_by_its_coordinates():
    assert str(grid(**AXES).members[1]) == "increment=0.5, base_channels=32, periodic=False, seed=1"


def test_programs_share_the_values_of_the_static_axes():
    programs = grid(**AXES).programs
    assert len(programs) == 4
    static = [{(m.coordinates["base_channels"], m.coordinates["periodic"]) for m in p} for p in programs]
    assert static == [{(32, False)}, {(32, True)}, {(64, False)}, {(64, True)}]
    assert all(len(program) == 6 for program in programs)
    assert sorted(member.index for program in programs for member in program) == list(range(24))
    assert all(p == sorted(p, key=lambda member: member.index) for p in programs)


@pytest.mark.parametrize(
    ("axes", "programs"),
    [
        ({"seed": (0, 1, 2)}, 1),
        ({"increment": (0.5, 1.0), "sigma": (1.0, 2.0), "kind": ("bump", "sos"), "seed": (0,)}, 1),
        ({"increment_x": (None, 0.5)}, 1),
        ({"size": (8, 16), "seed": (0, 1)}, 2),
        ({"learning_rate": (1e-3, 1e-4, 1e-5), "weight_decay": (0.0, 0.1)}, 1),
        ({"ema_decay": (0.0, 0.9, 0.99)}, 2),
        ({"batch_size": (4, 8), "steps": (5, 10)}, 2),
        ({"timesteps": (100, 200), "sampler_steps": (5, 10)}, 4),
    ],
)
def test_only_static_axes_make_programs(axes, programs):
    assert len(grid(**axes).programs) == programs


@pytest.mark.parametrize("at_once", [None, 1, 2, 4, 6, 7])
def test_waves_fill_up_within_a_program(at_once):
    found = grid(**AXES)
    waves = found.waves(at_once)
    width = at_once or 6
    sizes = [width] * (6 // width) + ([6 % width] if 6 % width else [])
    assert [len(wave) for wave in waves] == sizes * 4
    flat = [member.index for wave in waves for member in wave]
    assert flat == [member.index for program in found.programs for member in program]
    for wave in waves:
        assert len({(m.coordinates["base_channels"], m.coordinates["periodic"]) for m in wave}) == 1


def test_a_grid_without_a_seed_axis_has_seed_zero():
    found = grid(increment=(0.5, 1.0))
    assert found.shape == (2,)
    assert [member.seed for member in found.members] == [0, 0]
