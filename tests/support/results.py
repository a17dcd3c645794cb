"""Results that no run made: the schema of an experiment's own, filled in by functions of coordinates and time."""

import dataclasses
import json

import numpy as np
import xarray as xr

import experiments
from diffgeo import results
from diffgeo.data import label_tables
from diffgeo.run import measure
from diffgeo.settings import Grid

STATISTICS = ("angles", "residual")


def made_up(name: str, score, measures=(), seeds=(0, 1, 2), preset: str = "laptop") -> xr.Dataset:
    """Results of an experiment as if its models had learned so.

    Args:
      name: of the experiment.
      score: (coordinates, time from 0 to 1, region) -> accuracy, or (of both, of x, of y).
      measures: name -> function (coordinates, time, tensor) -> value of a measured variable.
      seeds: in place of the preset's.
      preset: whose grid it is.
    """
    declared = experiments.find(name)
    settings = declared.settings(preset)
    settings = dataclasses.replace(settings, axes={**settings.axes, "seed": seeds})
    grid = Grid(settings)
    largest = max(member.settings.data.size for member in grid.members)
    about = {"settings": json.dumps(settings.to_json()), "experiment": name, "preset": preset}
    count = largest**2
    found = results.template(grid, count, about, measure.variables(declared.analyses, count))
    found = found.drop_vars("pca_scores", errors="ignore").copy(deep=True)
    steps = np.array(settings.evaluation_steps, float) / settings.train.steps
    regions = list(found["region"].values) if "region" in found.dims else ["all"]
    for member in grid.members:
        place = np.unravel_index(member.index, grid.shape)
        data = member.settings.data
        labels = label_tables.lattice(data.size, 1.0, 1.0) + data.margin
        found["label"].values[place][: len(labels)] = labels
        found["origin"].values[place] = data.margin
        for at, time in enumerate(steps):
            found["prediction"].values[place][at, : len(labels)] = labels
            for number, region in enumerate(regions):
                value = score(member.coordinates, time, region)
                both, x, y = value if isinstance(value, tuple) else (value, value, value)
                where = (*place, at, number) if len(regions) > 1 else (*place, at)
                for variable, one in (("accuracy", both), ("accuracy_x", x), ("accuracy_y", y)):
                    found[variable].values[where] = one
                found["correct"].values[where], found["several_bumps"].values[where] = both, 0
                found["wrong_place"].values[where] = found["no_bump"].values[where] = 0.5 * (1 - both)
            found["loss"].values[(*place, at)] = 1.0 - 0.9 * time if at else np.nan
            for variable, function in dict(measures).items():
                if "tensor" in found[variable].dims:
                    for number, tensor in enumerate(found["tensor"].values):
                        found[variable].values[(*place, at, number)] = function(member.coordinates, time, tensor)
                else:
                    found[variable].values[(*place, at)] = function(member.coordinates, time, None)
    return found
