"""Overriding settings from a command line: what changes, what is refused and how it is said."""

import dataclasses

import pytest

from diffgeo.settings import SECTIONS, Settings, override
from tests.support.settings import refused

PLAIN = Settings()
GRID = Settings(axes={"increment": (0.5, 1.0), "seed": (0, 1)})


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("train.steps=320_000", 320_000),
        ("train.batch_size=8", 8),
        ("train.learning_rate=1e-3", 1e-3),
        ("train.weight_decay=0", 0.0),
        ("data.sigma=2", 2.0),
        ("data.increment_x=0.25", 0.25),
        ("data.increment_x=none", None),
        ("data.increment_y=None", None),
        ("data.periodic=true", True),
        ("data.periodic=False", False),
        ("data.kind=sos", "sos"),
        ("data.dataset=a=b,c", "a=b,c"),
        ("model.conv_impl=lax", "lax"),
        ("diffusion.timesteps=50", 50),
        ("evaluation.label_source=grid", "grid"),
        ("evaluation.every_steps=1", 1),
    ],
)
def test_a_field_is_overridden_and_nothing_else(assignment, value):
    section, name = assignment.split("=")[0].split(".")
    changed = override(PLAIN, assignment)
    found = getattr(getattr(changed, section), name)
    assert found == value
    assert type(found) is type(value)
    expected = dataclasses.replace(getattr(PLAIN, section), **{name: value})
    assert changed == dataclasses.replace(PLAIN, **{section: expected})


@pytest.mark.parametrize(
    ("assignment", "name", "values"),
    [
        ("axes.seed=0,1_000,4294967295", "seed", (0, 1000, 2**32 - 1)),
        ("axes.increment=0.1,1", "increment", (0.1, 1.0)),
        ("axes.increment_x=none,0.5", "increment_x", (None, 0.5)),
        ("axes.periodic=false,true", "periodic", (False, True)),
        ("axes.kind=bump,sos", "kind", ("bump", "sos")),
        ("axes.size=8,16", "size", (8, 16)),
        ("axes.seed=7", "seed", (7,)),
    ],
)
def test_an_axis_is_overridden(assignment, name, values):
    changed = override(GRID, assignment)
    assert changed.axes[name] == values
    assert [type(v) for v in changed.axes[name]] == [type(v) for v in values]
    assert {k: v for k, v in changed.axes.items() if k != name} == {k: v for k, v in GRID.axes.items() if k != name}
    assert dataclasses.replace(changed, axes=GRID.axes) == GRID
    place = list(GRID.axes)
    assert list(changed.axes) == (place if name in place else [*place, name])


@pytest.mark.parametrize(
    ("assignment", "quoted"),
    [
        ("train.steps", "'train.steps'"),
        ("steps=3", "'steps=3'"),
        ("train.=3", "'train.=3'"),
        ("", "''"),
        ("trian.steps=3", "'trian.steps'; 'train'"),
        ("zzz.steps=3", "'zzz.steps'; model, data, diffusion, train, evaluation, axes"),
        ("train.step=3", "'train.step'; 'steps'"),
        ("train.sigma=3", "'train.sigma'; learning_rate"),
        ("data.build=3", "'data.build'"),
        ("axes.incremnt=3", "'incremnt'; 'increment'"),
        ("axes.sede=3", "'sede'; 'seed'"),
        ("axes.increment=", "axes.increment=''; leaves out"),
        ("axes.seed=", "axes.seed=''; leaves out"),
        ("axes.seed=0,,1", "axes.seed='0,,1'; leaves out"),
        ("axes.seed=0,1.5", "axes.seed; '1.5'"),
        ("axes.seed=0,1,0", "'seed'; twice; 0, 1, 0"),
        ("axes.increment=1,1.0", "'increment'; twice"),
        ("axes.seed=-1", "-1; 2**32 - 1"),
        ("axes.seed=4294967296", "4294967296; 2**32 - 1"),
        ("axes.size=8,12", "size 12; multiple of 8; 16"),
        ("axes.increment=0.5,-1", "increment=-1.0"),
        ("axes.sampler_steps=50,2000", "sampler_steps=2000; timesteps=1000"),
        ("axes.kind=bump,blob", "'blob'; bump, sos"),
        ("train.steps=3.5", "train.steps; '3.5'; int"),
        ("train.steps=1e4", "train.steps; '1e4'; int"),
        ("train.steps=none", "train.steps; 'none'"),
        ("train.learning_rate=fast", "train.learning_rate; 'fast'; float"),
        ("train.learning_rate=none", "'none'"),
        ("data.periodic=1", "data.periodic; '1'; true or false"),
        ("data.increment_x=wide", "data.increment_x; 'wide'; float"),
        ("data.size=12", "size 12; multiple of 8; 16"),
        ("data.kind=blob", "'blob'; bump, sos"),
        ("data.sigma=0", "sigma=0.0; positive"),
        ("train.learning_rate=1e400", "learning_rate=inf; finite"),
        ("train.weight_decay=inf", "weight_decay=inf; finite"),
        ("data.hole_center=inf", "hole_center=inf; finite number or none"),
        ("data.subset_seed=99999999999999999999", "subset_seed; at most"),
        ("diffusion.timesteps=1000000000000", "timesteps=1000000000000; at most"),
        ("model.base_channels=400000000000", "base_channels=400000000000; at most"),
        ("data.sigma=nan", "sigma=nan; finite"),
        ("data.increment_x=-2", "increment_x=-2.0; positive"),
        ("data.increment_y=0", "increment_y=0.0; positive"),
        ("data.margin=-1", "margin=-1.0; negative"),
        ("data.hole=lesoin", "'lesoin'; 'lesion'"),
        ("data.hole_width=0", "hole_width=0.0; positive"),
        ("data.hole_center=-3", "hole_center=-3.0; positive"),
        ("data.hole_area_fraction=1", "hole_area_fraction=1.0; between 0 and 1"),
        ("data.kept_fraction=0", "kept_fraction=0.0; at most 1"),
        ("data.kept_fraction=1.5", "kept_fraction=1.5; at most 1"),
        ("data.subset_seed=-1", "subset_seed=-1; negative"),
        ("axes.hole=square,crss", "'crss'; 'cross'"),
        ("diffusion.timesteps=0", "timesteps=0; positive"),
        ("diffusion.timesteps=20", "sampler_steps=50; timesteps=20"),
        ("diffusion.beta_end=1", "beta_end=1.0"),
        ("diffusion.beta_end=1e-5", "beta_end=1e-05; beta_start=0.0001"),
        ("train.steps=-1", "steps=-1; negative"),
        ("train.batch_size=0", "batch_size=0; positive"),
        ("train.steps=400_000_000", "steps=400000000; batch_size=16; 2**32"),
        ("train.warmup_fraction=1", "warmup_fraction=1.0"),
        ("train.ema_decay=1", "ema_decay=1.0"),
        ("train.weight_decay=-0.1", "weight_decay=-0.1"),
        ("train.schedule=constnat", "'constnat'; 'constant'"),
        ("evaluation.use_ema=true", "use_ema; ema_decay"),
        ("evaluation.sampler_steps=1001", "sampler_steps=1001; timesteps=1000"),
        ("evaluation.every_steps=0", "every_steps=0; positive"),
        ("evaluation.eta=1.5", "eta=1.5"),
        ("evaluation.eta=-0.1", "eta=-0.1"),
        ("evaluation.label_source=tain", "'tain'; 'train'"),
        ("evaluation.sampler=euler", "'euler'; ddim, ancestral"),
        ("evaluation.readout=eye", "'eye'; contour, darkest"),
        ("model.base_channels=6", "base_channels=6; heads=4"),
        ("model.conv_impl=fft", "'fft'"),
    ],
)
def test_what_is_refused_is_quoted(assignment, quoted):
    with refused(*quoted.split("; ")):
        override(PLAIN, assignment)


def test_the_order_of_assignments_does_not_matter():
    few = ("diffusion.timesteps=20", "evaluation.sampler_steps=10")  # either alone, or first, may be refused
    assert override(PLAIN, *few) == override(PLAIN, *few[::-1])
    assert override(PLAIN, *few).evaluation.sampler_steps == 10
    with refused("sampler_steps=50", "timesteps=20"):
        override(PLAIN, few[0])


def test_axes_are_checked_together_at_every_point():
    both = override(PLAIN, "axes.timesteps=20,40", "axes.sampler_steps=10,20")
    other_order = {name: both.axes[name] for name in ("seed", "sampler_steps", "timesteps")}
    assert override(PLAIN, "axes.sampler_steps=10,20", "axes.timesteps=20,40") == dataclasses.replace(
        both, axes=other_order
    )
    assert both.at(timesteps=20, sampler_steps=20).evaluation.sampler_steps == 20
    assert (
        override(PLAIN, "axes.timesteps=20", "evaluation.sampler_steps=10").at(timesteps=20).diffusion.timesteps == 20
    )
    with refused("sampler_steps=20", "timesteps=10"):
        override(PLAIN, "axes.timesteps=10,40", "axes.sampler_steps=10,20")


def test_a_share_is_that_of_a_square():
    shared = override(PLAIN, "data.hole_area_fraction=0.2")
    assert override(shared, "data.hole=corner").data.hole_area_fraction == 0.2
    with refused("hole_area_fraction=0.2", "cross", "width"):
        override(shared, "data.hole=cross")


def test_a_field_that_is_an_axis_is_changed_as_one():
    with refused("'data.increment'", "--set=axes.increment=0.25"):
        override(GRID, "data.increment=0.25")
    assert override(GRID, "axes.increment=0.25").axes["increment"] == (0.25,)


def test_every_setting_can_be_overridden_by_its_own_value():
    for section in SECTIONS:
        for field in dataclasses.fields(getattr(PLAIN, section)):
            value = getattr(getattr(PLAIN, section), field.name)
            if field.name == "parameters":  # of a user's data set, each a setting of its own
                continue
            assert override(PLAIN, f"{section}.{field.name}={value}") == PLAIN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("data.width=3", "data.hole_width=3"),
        ("data.draw=2", "data.subset_seed=2"),
        ("data.fraction=0.5", "data.kept_fraction=0.5"),
        ("train.batch=8", "train.batch_size=8"),
        ("evaluation.every=7", "evaluation.every_steps=7"),
        ("model.compute=bfloat16", "model.dtype=bfloat16"),
        ("axes.width=3,5", "axes.hole_width=3,5"),
        ("axes.share=0.1,0.2", "axes.hole_area_fraction=0.1,0.2"),
    ],
)
def test_names_of_earlier_versions_are_taken(old, new):
    square = override(PLAIN, "data.hole=square")
    assert override(square, old) == override(square, new) != square


def test_an_old_name_of_an_axis_is_changed_as_one():
    swept = override(PLAIN, "axes.hole_width=3,5")
    assert override(swept, "axes.width=7").axes["hole_width"] == (7.0,)
    with refused("'data.width'", "axis of this grid"):
        override(swept, "data.width=7")
