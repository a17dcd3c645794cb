"""Pictures of single members: which evaluations they show."""

import json

import numpy as np
import pytest
import xarray as xr

from diffgeo.plots import members, tables
from diffgeo.settings import Data, Evaluation, Settings, Train
from diffgeo.settings.allowed import LAYER


def member(steps: int) -> xr.Dataset:
    """Return a run whose epoch is 64 labels / batches of 16 = 4 steps, evaluated every 70 steps."""
    settings = Settings(
        data=Data(size=8), train=Train(steps=steps, batch_size=16), evaluation=Evaluation(every_steps=70)
    )
    at = np.array(settings.evaluation_steps)
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "accuracy": (("seed", "step"), np.linspace(0, 1, len(at))[None]),
            "label": (("seed", "sample", "factor"), rng.uniform(0, 7, (1, 5, 2))),
            "samples": (("seed", "step", "kept", "row", "column"), np.zeros((1, len(at), 1, 8, 8), np.uint8)),
            "pca": (("seed", "step", "tensor", "sample", "component"), rng.normal(size=(1, len(at), 1, 5, 4))),
        },
        {"seed": [0], "step": at, "factor": ["x", "y"], "tensor": [LAYER]},
        {"settings": json.dumps(settings.to_json()), "store_format": 2},
    )


def titles(figure):
    return " | ".join(ax.get_title() + ax.get_ylabel() for ax in figure.axes)


@pytest.mark.parametrize(
    ("steps", "epochs", "expected"),
    [
        (800, (0, 150), [0, 630, 800]),  # epoch 150 is step 600, between 560 and 630
        (800, (0, 100, 200), [0, 420, 800]),
        (590, (0, 150), []),  # ends at epoch 147.5
    ],
)
def test_epochs_are_the_nearest_evaluations(steps, epochs, expected):
    assert members.epoch_steps(member(steps).isel(seed=0), epochs) == expected


def test_components_are_drawn_at_the_papers_epochs_or_spread_over_a_shorter_run():
    long, short = (titles(members.components_in_training(member(steps))) for steps in (800, 210))
    assert all(words in long for words in ("step 0 (epoch 0)", "step 630 (epoch 157.5)", "step 800 (epoch 200)"))
    assert "epoch" not in short
    assert all(f"step {step}" in short for step in (0, 140, 210))


def test_a_summary_keeps_what_the_picture_shows():
    assert 630 in members.shown_steps(member(800).isel(seed=0))


def test_the_first_value_of_an_axis_needs_no_number():
    found = xr.Dataset({"accuracy": (("seed", "step"), [[0.1], [0.2]])}, {"seed": [7, 9], "step": [0]})
    assert tables.select(found, {"seed": tables.FIRST})["accuracy"].item() == 0.1
