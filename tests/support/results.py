"""Results that no run made: an experiment's schema, filled in by functions of coordinates and time."""

import dataclasses
import json

import numpy as np
import xarray as xr

import experiments
from diffgeo import images, readout, results
from diffgeo.data import label_tables
from diffgeo.data.regions import masks
from diffgeo.results.schema import COMPLETE, chunk_encoding
from diffgeo.run import Run, measure
from diffgeo.settings import Grid
from diffgeo.settings.allowed import COMMON, OWN


def unchecked_encoding(dataset: xr.Dataset) -> dict[str, dict]:
    """Return the encoding by which versions without checksums wrote results."""
    return {
        name: {"chunks": how["chunks"]} for name, how in chunk_encoding(dataset).items() if name in dataset.data_vars
    }


def with_common(found: xr.Dataset, score) -> xr.Dataset:
    """Return made-up results as if common labels had been sampled, too, with these scores: (coordinates, time)."""
    sets, readouts = [OWN, COMMON], [json.loads(found.attrs["settings"])["evaluation"]["readout"], "subpixel"]
    final = float(found["step"][-1])
    common = found["loss"] * 0.0
    for index in np.ndindex(*common.shape):
        at = {str(dim): found[dim].values[i].item() for dim, i in zip(common.dims, index, strict=True)}
        common.values[index] = score(at, at.pop("step") / final)
    both = xr.DataArray(sets, dims="label_set", name="label_set")
    changed = {}
    for name in results.SCORES:
        changed[name] = xr.concat([found[name], common], both).expand_dims(readout=readouts)
    places = found["prediction"].isel(sample=slice(0, 4)).rename(sample="common")
    changed["common_prediction"] = places.expand_dims(readout=readouts)
    changed["common_label"] = places.isel(step=0, drop=True)
    changed["prediction"] = found["prediction"].expand_dims(readout=readouts)
    return found.drop_vars(["prediction", *results.SCORES]).assign(changed).assign_coords(label_set=sets)


def made_up(name: str, score=None, measures=(), seeds=(0, 1, 2), preset: str = "laptop", draw=None) -> xr.Dataset:
    """Return results of an experiment as if its models had learned so, every group complete.

    Args:
      name: of the experiment.
      score: (coordinates, time from 0 to 1, region) -> accuracy, or (of both, of x, of y); None: that of `draw`.
      measures: name -> function (coordinates, time, tensor) -> value of a measured variable.
      seeds: in place of the preset's.
      preset: whose grid it is.
      draw: (coordinates, labels, data) -> places drawn at the last evaluation; None draws what is asked.
    """
    declared = experiments.find(name)
    settings = declared.settings(preset)
    settings = dataclasses.replace(settings, axes={**settings.axes, "seed": seeds})
    grid = Grid(settings)
    largest = max(member.settings.data.size for member in grid.members)
    about = {"settings": json.dumps(settings.to_json()), "experiment": name, "preset": preset}
    count = largest**2
    added = measure.schema_of(Run.of(declared, preset, settings), count)
    filled = results.select_scores(results.template(grid, count, about, added))
    filled = filled.drop_vars("pca_scores", errors="ignore").copy(deep=True)
    filled["group_complete"].values[:] = COMPLETE
    steps = np.array(settings.evaluation_steps, float) / settings.train.steps
    regions = list(filled["region"].values) if "region" in filled.dims else ["all"]
    for member in grid.members:
        index = np.unravel_index(member.index, grid.shape)
        data = member.settings.data
        labels = label_tables.lattice(data.size, 1.0, 1.0) + data.margin
        filled["label"].values[index][: len(labels)] = labels
        filled["origin"].values[index] = data.margin
        places = labels if draw is None else draw(member.coordinates, labels, data)
        hits = readout.hits(places, labels, period=data.period)
        if filled.sizes["kept"] == filled.sizes["sample"]:  # claims read the images again where all are stored
            drawn = images.render(places - data.margin, data.sigma, data.kind, data.size, data.periodic)
            filled["samples"].values[index][-1, : len(labels), : data.size, : data.size] = images.to_uint8(drawn)
        for at, time in enumerate(steps):
            filled["prediction"].values[index][at, : len(labels)] = places
            for number, region in enumerate(regions):
                if score is None:
                    mask = masks(data, labels, [region])[region]
                    value = (hits[mask].all(axis=1).mean(), *hits[mask].mean(axis=0)) if mask.any() else np.nan
                else:
                    value = score(member.coordinates, time, region)
                both, x, y = value if isinstance(value, tuple) else (value, value, value)
                where = (*index, at, number) if len(regions) > 1 else (*index, at)
                for variable, accuracy in (("accuracy", both), ("accuracy_x", x), ("accuracy_y", y)):
                    filled[variable].values[where] = accuracy
                filled["correct"].values[where], filled["several_bumps"].values[where] = both, 0
                filled["wrong_place"].values[where] = filled["no_bump"].values[where] = 0.5 * (1 - both)
            filled["loss"].values[(*index, at)] = 1.0 - 0.9 * time if at else np.nan
            for variable, function in dict(measures).items():
                if "tensor" in filled[variable].dims:
                    for number, tensor in enumerate(filled["tensor"].values):
                        filled[variable].values[(*index, at, number)] = function(member.coordinates, time, tensor)
                else:
                    filled[variable].values[(*index, at)] = function(member.coordinates, time, None)
    return filled
