"""Declared data sets in settings: checks, overrides, axes, what is stored of them."""

import dataclasses
import json

import numpy as np
import pytest

from diffgeo.errors import UserError
from diffgeo.settings import LAPTOP, TINY, Data, Dataset, Factor, Grid, Settings, adapt, override
from tests.support.settings import refused

FACTORS = (Factor("a", 0.0, 2.0), Factor("b", -1.0, 1.0, 0.25, "m", period=2.0, values=(-1.0, 0.0)))


def table(size, gap, rows):
    return np.full((rows, 2), gap)


DATASET = Dataset("made_up", FACTORS, table, None, None, parameters={"gap": 2.0, "rows": 3})


def test_parameters_are_settings_and_axes_of_one_program():
    settings = adapt(TINY, {"gap": (1.0, 2.0), "size": (8, 16)}, DATASET)
    grid = Grid(settings)
    assert [member.settings.data.parameters["gap"] for member in grid.members] == [1.0] * 4 + [2.0] * 4
    assert [member.settings.data.size for member in grid.members] == [8, 8, 16, 16] * 2
    assert [{m.settings.data.size for m in program} for program in grid.programs] == [{8}, {16}]
    changed = override(adapt(LAPTOP, None, DATASET), "data.rows=7", "axes.gap=1,3")
    assert changed.data.parameters == {"gap": 2.0, "rows": 7}
    assert changed.axes["gap"] == (1.0, 3.0)
    assert changed.dataset is DATASET
    assert changed.at(gap=3.0).dataset is DATASET


def test_a_periodic_encoding_needs_a_circular_factor():
    override(adapt(LAPTOP, None, DATASET), "model.encoding=periodic")  # 'b' is one
    flat = dataclasses.replace(DATASET, factors=tuple(dataclasses.replace(f, period=None) for f in FACTORS))
    with refused("encoding='periodic' is of circular factors", "a, b have no period"):
        override(adapt(LAPTOP, None, flat), "model.encoding=periodic")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("data.gip=3", "unknown setting 'data.gip': did you mean 'gap'"),
        ("data.sigma=3", "data.sigma=3.0 is a setting of the papers' data sets, which 'made_up' does not read"),
        ("data.hole=cross", "data.hole=cross is a setting of the papers'"),
        ("data.gap=wide", "data.gap='wide' is not a number"),
        ("data.gap=inf", "data.gap=inf must be a finite number"),
        ("evaluation.label_source=grid", "label_source='grid' is the unit grid of the papers' images"),
        ("axes.gip=1,2", "unknown axis 'gip': did you mean 'gap'"),
        ("model.encoding=one_hot", "begins at label 0, and the data's go down to -1.0"),
        ("model.embedding=5", "embedding=5 must be at least 6: 3 pairs"),
    ],
)
def test_settings_that_a_data_set_does_not_read_are_refused(assignment, message):
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        override(adapt(LAPTOP, None, DATASET), assignment)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Factor("a b", 0, 1), "factor 'a b' is not a Python identifier"),
        (lambda: Factor("a", 1, 1), "low=1, high=1"),
        (lambda: Factor("a", 0, 1, 0), "tolerance=0"),
        (lambda: Factor("a", 0, 1, period=-1), "period=-1"),
        (lambda: Factor("a", 0, 1, values=(2,)), "outside"),
        (lambda: Dataset("x", ()), "has no factors"),
        (lambda: Dataset("x", (FACTORS[0], FACTORS[0])), "a factor twice: a, a"),
        (lambda: Dataset("x", FACTORS, channels=0), "channels=0"),
        (lambda: Dataset("x", FACTORS, parameters={"gap": "wide"}), "is 'wide': give a finite number"),
        (lambda: Dataset("grid!", FACTORS), "is not a Python identifier"),
        (lambda: Dataset("x", FACTORS, lambda size: np.zeros((3, 1))).build(8, {}), r"is \[3, 1\]: return \[rows, 2\]"),
        (lambda: Dataset("x", FACTORS, lambda size: np.full((3, 2), np.nan)).build(8, {}), "not finite"),
        (
            lambda: Dataset("x", FACTORS, read=lambda images: images[:, 0, 0]).read_out(np.zeros((3, 8, 8)), {}),
            r"returns \[3\], not \[3, 2\]",
        ),
    ],
)
def test_bad_declarations_are_refused(build, message):
    with pytest.raises(UserError, match=message):
        build()


def test_what_is_stored_has_no_code_and_reads_back():
    settings = adapt(TINY, {"gap": (1.0, 2.0)}, DATASET)
    tree = json.loads(json.dumps(settings.to_json()))
    assert Settings.from_json(tree, DATASET) == settings
    described = Settings.from_json(tree)
    assert described.factors == FACTORS
    assert described.axes["gap"] == (1.0, 2.0)
    assert described.to_json() == settings.to_json()
    with pytest.raises(UserError, match="name that file by --experiment"):
        described.dataset.build(8, described.data.parameters)


def test_the_papers_settings_have_x_and_y_and_are_stored_as_before():
    factors = Settings(data=Data(size=16, periodic=True)).factors
    assert [(f.name, f.low, f.high, f.tolerance, f.unit, f.period) for f in factors] == [
        ("x", 0.0, 16.0, 1.0, "px", 16.0),
        ("y", 0.0, 16.0, 1.0, "px", 16.0),
    ]
    tree = Settings().to_json()
    assert "dataset" not in tree
    assert "parameters" not in tree["data"]


def test_arrays_are_checked_and_digested():
    images, labels = np.zeros((4, 8, 8), np.uint8), np.zeros((4, 2))
    first = Dataset.from_arrays(images, labels, lambda images: labels, FACTORS)
    assert first.images.shape == (4, 8, 8, 1)
    assert first.digest != Dataset.from_arrays(images + np.uint8(1), labels, lambda images: labels, FACTORS).digest
    assert first.digest != Dataset.from_arrays(images, labels + 1, lambda images: labels, FACTORS).digest
    own = {"label_source": "train", "num_common": 0}
    assert adapt(TINY, None, first, evaluation=own).data.size == 8
    with pytest.raises(UserError, match="num_common=0"):
        adapt(TINY, None, first)
    with pytest.raises(UserError, match=r"data\.size=16 but the images' side is 8"):
        first.build(16, {})
    for bad, message in (((images.astype(float), labels), "images are float64"), ((images, labels[:2]), "labels are")):
        with pytest.raises(UserError, match=message):
            Dataset.from_arrays(*bad, lambda images: labels, FACTORS)
