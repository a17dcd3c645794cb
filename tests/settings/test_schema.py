"""Settings: fields and axes, the points of a grid, programs, reading back from JSON."""

import dataclasses
import json

import hypothesis
import pytest
from hypothesis import strategies as st

from diffgeo.settings import (
    SECTIONS,
    Axes,
    Data,
    Diffusion,
    Evaluation,
    Model,
    Settings,
    Train,
    field_of,
    is_static,
    override,
)
from tests.support.settings import refused

PLAIN = Settings()
GRID = Settings(axes={"increment": (0.5, 1.0), "seed": (0, 1)})


def test_bare_names_are_unique_so_that_an_axis_means_one_setting():
    names = [f.name for section in SECTIONS.values() for f in dataclasses.fields(section)]
    assert len(set(names)) == len(names)
    assert "seed" not in names
    for section, kind in SECTIONS.items():
        for field in dataclasses.fields(kind):
            if field.name != "parameters":  # of a user's data set, each a setting of its own
                assert field_of(field.name)[0] == section
    with refused("'parameters'"):
        field_of("parameters")


def test_only_data_the_optimizers_numbers_and_the_seed_are_free_of_a_program():
    names = [f.name for section in SECTIONS.values() for f in dataclasses.fields(section) if f.name != "parameters"]
    free = {name for name in names if not is_static(name)}
    of_frame = {"margin", "hole", "hole_width", "hole_center", "hole_area_fraction", "kept_fraction", "subset_seed"}
    of_optimizer = {
        "learning_rate",
        "weight_decay",
        "beta1",
        "beta2",
        "warmup_fraction",
        "steps",
        "ema_decay",
        "stop_when",
    }
    of_images = {"dataset", "kind", "sigma", "increment", "increment_x", "increment_y"}
    assert free == of_images | of_frame | of_optimizer
    assert not is_static("seed")
    with refused("'incremnt'", "'increment'"):
        is_static("incremnt")


def test_axes_cannot_be_changed_in_place():
    values = {"seed": (0, 1)}
    made = Settings(axes=values)
    values["sigma"] = (1.0,)
    assert dict(made.axes) == {"seed": (0, 1)}
    with pytest.raises(TypeError):
        made.axes["seed"] = (3,)


def test_spacing_falls_back_to_the_increment_by_axis():
    assert Data(increment=0.5).spacing == (0.5, 0.5)
    assert Data(increment=0.5, increment_x=0.1).spacing == (0.1, 0.5)
    assert Data(increment=0.5, increment_y=0.1).spacing == (0.5, 0.1)


def test_one_point_of_a_grid():
    wide = dataclasses.replace(GRID, data=Data(sigma=2.0))
    point = wide.at(increment=0.25, timesteps=100, seed=9)
    assert point.data == Data(sigma=2.0, increment=0.25)
    assert point.diffusion == Diffusion(timesteps=100)
    assert (point.model, point.train, point.evaluation) == (GRID.model, GRID.train, GRID.evaluation)
    assert dict(point.axes) == {"seed": (9,)}
    assert dict(GRID.at(increment=0.25).axes) == {"seed": (0,)}
    assert dict(GRID.axes) == {"increment": (0.5, 1.0), "seed": (0, 1)}
    with refused("'incremnt'"):
        GRID.at(incremnt=1.0)


counts = st.integers(0, 200)


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(counts, st.integers(1, 250))
@hypothesis.example(0, 5)
@hypothesis.example(20, 5)
@hypothesis.example(21, 5)
@hypothesis.example(3, 5)
def test_evaluation_steps_hold_both_ends_once(steps, every):
    found = Settings(train=Train(steps=steps), evaluation=Evaluation(every_steps=every)).evaluation_steps
    assert set(found) == {i for i in range(steps + 1) if i % every == 0 or i == steps}
    assert list(found) == sorted(set(found))


def test_json_gives_the_same_settings_back():
    made = Settings(
        model=Model(base_channels=8, embedding=24),
        data=Data(size=8, periodic=True, kind="sos", increment_x=0.1),
        diffusion=Diffusion(timesteps=60, beta_start=1 / 3, beta_end=0.9),
        train=Train(steps=7, ema_decay=0.995),
        evaluation=Evaluation(use_ema=True, sampler="ancestral"),
        axes={"seed": (2**32 - 1,), "increment_y": (None, 0.1), "periodic": (True, False), "kind": ("sos",)},
    )
    text = json.dumps(made.to_json())
    back = Settings.from_json(json.loads(text))
    assert back == made
    assert list(back.axes) == list(made.axes)
    assert all(type(v) is tuple for v in back.axes.values())
    assert json.dumps(back.to_json()) == text
    assert back != PLAIN


def test_json_quotes_what_it_refuses():
    tree = PLAIN.to_json()
    tree["data"]["sigma"] = -1.0
    with refused("sigma=-1.0"):
        Settings.from_json(tree)


def test_program_is_what_members_share():
    at = GRID.at
    assert at(increment=0.5, seed=1).program == at(increment=1.0, seed=0).program == GRID.program
    others = [at(**{name: value}).program for name, value in (("size", 8), ("periodic", True), ("batch_size", 2))]
    assert len({GRID.program, *others}) == 4


@pytest.mark.parametrize(
    "assignment",
    [
        "evaluation.every_steps=7",
        "evaluation.num_samples=9",
        "evaluation.stored_images=3",
        "evaluation.label_source=grid",
        "evaluation.readout=darkest",
        "data.sigma=2",
    ],
)
def test_when_is_evaluated_and_what_is_read_and_stored_is_not_of_the_program(assignment):
    changed = override(PLAIN, assignment)
    assert changed != PLAIN
    assert changed.program == PLAIN.program


@pytest.mark.parametrize(
    "assignment",
    [
        "data.size=16",
        "evaluation.sampler_steps=20",
        "evaluation.eta=0.5",
        "train.batch_size=8",
        "train.log_every=10",
        "train.schedule=constant",
        "model.encoding=one_hot",
    ],
)
def test_what_changes_shapes_or_the_compiled_steps_is_of_the_program(assignment):
    assert override(PLAIN, assignment).program != PLAIN.program


def test_settings_axes_and_programs_are_keys_by_value():
    """What compiled programs are cached by: equal if read back from JSON, of another value if anything differs."""
    again = Settings.from_json(json.loads(json.dumps(GRID.to_json())))
    assert again is not GRID
    assert {GRID: 1, GRID.axes: 2, GRID.program: 3} == {again: 1, again.axes: 2, again.program: 3}
    others = {override(GRID, change) for change in ("train.steps=5", "axes.seed=0", "data.sigma=2")}
    assert len({GRID, again, *others}) == 4
    assert Axes({"seed": (0, 1), "sigma": (1.0,)}) != Axes({"sigma": (1.0,), "seed": (0, 1)})
    assert len({Axes({"seed": [0, 1]}), Axes({"seed": (0, 1)}), Axes({"seed": (0,)})}) == 2
