"""Schema of a run's results: dims, variables, groups, chunks, and the empty Dataset that a run starts from.

Dims are the grid's axes, then those of `DIMS`, in the order given there. All arrays exist from the start, NaN where
nothing has been evaluated yet, so a notebook can open the store at any time.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numcodecs
import numpy as np
import xarray as xr

from diffgeo.data import regions
from diffgeo.errors import require
from diffgeo.results.metadata import CHECKSUM, GROUP_ATTRIBUTE
from diffgeo.settings import Grid, Settings
from diffgeo.settings.allowed import COMMON, LAYERS, NEVER, OUTCOMES, OWN, SUBPIXEL
from diffgeo.settings.migration import STORE_FORMAT

SCORES = ("accuracy", "accuracy_x", "accuracy_y")
LARGE = 2**18  # bytes of a member and step from which a variable has a chunk of its own for each

DIMS = {
    "step": "training steps of the evaluations",
    "label_set": "labels sampled at: a member's own, as the papers choose them, or those common to all members",
    "readout": "read-out methods: that of the settings, and the sub-pixel one",
    "region": "part of the labels: all, id, ood, parts of the hole; of scores, if any member's data has a hole",
    "tensor": "recorded activations, or a control",
    "layer": "blocks of the network, see `allowed.LAYERS`",
    "timestep": "diffusion steps t to which true images are noised for the fields of layers",
    "group": "part of an evaluation that is written as a whole, see `group_complete`",
    "sample": "samples of an evaluation, one a label",
    "common": "labels that all members have in common, one sample each",
    "factor": "coordinates of a label: x, y, or the factors of a user's data set",
    "kept": "samples that are stored as images",
    "row": "of an image, from the top",
    "column": "of an image, from the left",
    "channel": "of an image that has several",
    "component": "principal components",
}
"""Dims behind the grid's axes, in their order; those of single measures are `representation.LENGTHS`."""

EVALUATION, LOSS, SNAPSHOT = "evaluation", "loss", "snapshot"
"""Groups: scores and samples; the training loss beside them; the activations that analyses start from."""

VALIDATION, LAYER_FIELDS = "validation", "layer_fields"
"""Groups of measures on true images, that the settings ask for: `val_loss`; those of `FIELDS_OF_LAYERS`."""

FIELDS_OF_LAYERS = ("layer_additive_share", "layer_participation_ratio")

GROUP_OF = {"loss": LOSS, "val_loss": VALIDATION} | dict.fromkeys(FIELDS_OF_LAYERS, LAYER_FIELDS)
"""Group of a variable of `template` that is not of `EVALUATION`."""

GROUP_NAME = "<U64"  # wide enough for groups that later versions add to a store

MISSING, COMPLETE, IMPOSSIBLE = 0, 1, 2
"""Values of `group_complete`; impossible: a cloud that has no geometry, such as activations that are all equal, or a
step that is not one of the member's evaluations, in a grid over numbers of steps or after the member has stopped."""

DESCRIPTIONS = {
    "loss": "mean training loss over the last window of train.log_every steps",
    "val_loss": "mean loss at labels not trained on, uniform over the image, with the same draws at every evaluation",
    "layer_additive_share": "share of a layer's variance in a function of x plus one of y, on true images at the "
    "members' own labels; of those on the unit grid alone",
    "layer_participation_ratio": "effective dimension of a layer on true images at the members' own labels",
    "accuracy": "fraction of samples whose factors are all within tolerance: within 1 pixel in x and y",
    "correct": "fraction of samples with exactly one bump, at the right place",
    "no_bump": "fraction of samples without a bump",
    "wrong_place": "fraction of samples with one bump at a wrong place",
    "several_bumps": "fraction of samples with more than one bump",
    "error": "median distance of drawn from asked-for label, in tolerances (of the papers: of centers by the sub-pixel "
    "read-out, pixels); a sample that cannot be read is farther than any other, NaN: the median is one",
    "copied_accuracy": "accuracy of drawing the nearest label of the training data perfectly",
    "prediction": "factors read out of the samples (of the papers centers, pixels); NaN: none",
    "common_label": "true labels of the samples at common labels (pixels)",
    "common_prediction": "factors read out of the samples at common labels (of the papers centers, pixels); NaN: none",
    "label": "true labels of the samples (of the papers centers, pixels)",
    "samples": "generated images, gray values 0 (dark) to 255",
    "origin": "label of the image's pixel (0, 0) (pixels): the margin of an extended frame",
    "readout_ceiling": "accuracy that a read-out reaches on perfect images of the same labels",
    "nonfinite_step": f"step at which the member's loss was no longer finite and training stopped ({NEVER}: never)",
    "stopped_step": f"step at which the member stopped by train.stop_when ({NEVER}: it did not)",
    "group_complete": "0: missing, 1: written as a whole, 2: cannot be measured",
}


class Variable(NamedTuple):
    """A variable of the results that has the grid's axes and steps in front of these dims.

    It is written with `group`: one of `group_complete`, or the kind of measure of each of `cloud_group`.
    """

    dims: tuple[str, ...]
    description: str
    dtype: type = np.float32
    fill: float | int = np.nan
    group: str = EVALUATION


class Analyses(NamedTuple):
    """Additions of analyses to the schema: variables, lengths of dims, coordinate values, groups."""

    variables: Mapping[str, Variable] = {}
    lengths: Mapping[str, int] = {}
    coordinates: Mapping[str, Any] = {}
    groups: tuple[str, ...] = ()


def label_sets_of(settings: Settings) -> tuple[str, ...]:
    """Return the sets of labels that members are sampled at, the papers' own first."""
    return (OWN, COMMON) if settings.evaluation.num_common else (OWN,)


def scores_of(settings: Settings) -> tuple[str, ...]:
    """Return the names of the accuracies: of all factors together, and of each."""
    return ("accuracy", *(f"accuracy_{factor.name}" for factor in settings.factors))


def describe(name: str, settings: Settings) -> str:
    """Return the description of a variable of `template`."""
    for factor in settings.factors:
        if name == f"accuracy_{factor.name}":
            return f"fraction of samples within {factor.tolerance:g} {factor.unit} in {factor.name}".replace("  ", " ")
        if name == f"copied_accuracy_{factor.name}":
            return f"the same in {factor.name}"
    return DESCRIPTIONS[name]


def readouts_of(settings: Settings) -> tuple[str, ...]:
    """Return the methods that samples are read by, that of the settings first; a user's data set has one."""
    if settings.dataset is not None:
        return (OWN,)
    return tuple(dict.fromkeys((settings.evaluation.readout, SUBPIXEL)))


def on_true_images(settings: Settings) -> tuple[str, ...]:
    """Return the groups of measures on true images that the settings ask for."""
    asked = {VALIDATION: settings.evaluation.num_validation, LAYER_FIELDS: settings.evaluation.layer_fields}
    return tuple(group for group, wanted in asked.items() if wanted)


def template(grid: Grid, labels: int, attributes: Mapping[str, str], analyses: Analyses = Analyses()) -> xr.Dataset:
    """Return the empty Dataset of a run, in memory; see `DESCRIPTIONS` for the variables.

    Args:
      grid: whose axes become dims.
      labels: S, the largest number of samples of any member.
      attributes: strings about the run: experiment, command, commit, ...
      analyses: additions, from `diffgeo.run.measure.schema`.

    Raises:
      UserError: for an axis that is named like a dim of results, or is a setting that all members share.
    """
    for name in grid.axes:
        require(name not in DIMS, f"axis {name!r} is also a dim of results: give one run for each of its values")
    for name in ("num_common", "num_validation", "layer_fields"):
        require(name not in grid.axes, f"axis {name!r} is the same for all members: give one value")
    axes = {name: axis_labels(values) for name, values in grid.axes.items()}
    lengths = dict(zip(axes, grid.shape, strict=True))
    steps = grid.evaluation_steps
    size = max(member.settings.data.size for member in grid.members)
    groups = (EVALUATION, LOSS, *on_true_images(grid.settings), *analyses.groups)
    factors, channels = grid.settings.factors, grid.settings.program.image_shape[-1]
    lengths |= {"step": len(steps), "sample": labels, "factor": len(factors), "group": len(groups), "channel": channels}
    lengths |= {"kept": min(grid.settings.evaluation.stored_images, labels), "row": size, "column": size}
    by_step = (*axes, "step")

    def empty(name: str, dims: Iterable[str], dtype: type = np.float32, fill: float | int = np.nan) -> xr.Variable:
        filled = np.full([lengths[d] for d in dims], fill, dtype)
        about = {"description": describe(name, grid.settings)}
        if "step" in dims and name != "group_complete":
            about[GROUP_ATTRIBUTE] = GROUP_OF.get(name, EVALUATION)
        return xr.Variable(tuple(dims), filled, about)

    scored = regions.names([member.settings for member in grid.members])
    lengths["region"] = len(scored)
    region = () if len(scored) == 1 else ("region",)
    image = ("row", "column", "channel") if channels > 1 else ("row", "column")
    common = grid.settings.evaluation.num_common
    label_sets, methods = label_sets_of(grid.settings), readouts_of(grid.settings)
    lengths |= {"label_set": len(label_sets), "readout": len(methods), "common": common}
    variables = {"loss": empty("loss", by_step)}
    scores, outcomes = scores_of(grid.settings), OUTCOMES if grid.settings.dataset is None else ()
    variables |= {name: empty(name, (*by_step, "label_set", "readout", *region)) for name in (*scores, *outcomes)}
    variables["error"] = empty("error", (*by_step, "label_set", *region))
    variables |= {name: empty(name, (*axes, "label_set", *region)) for name in (f"copied_{score}" for score in scores)}
    variables["prediction"] = empty("prediction", (*by_step, "readout", "sample", "factor"))
    if common:
        variables["common_prediction"] = empty("common_prediction", (*by_step, "readout", "common", "factor"))
        variables["common_label"] = empty("common_label", (*axes, "common", "factor"))
    timesteps = max((member.settings.diffusion.field_timesteps for member in grid.members), key=len)
    lengths |= {"layer": len(LAYERS), "timestep": len(timesteps)}
    coordinates = axes | {
        "step": np.array(steps),
        "factor": [factor.name for factor in factors],
        "group": np.array(groups, GROUP_NAME),
    }
    if VALIDATION in groups:
        variables["val_loss"] = empty("val_loss", by_step)
    if LAYER_FIELDS in groups:
        variables |= {name: empty(name, (*by_step, "layer", "timestep")) for name in FIELDS_OF_LAYERS}
        coordinates |= {"layer": list(LAYERS), "timestep": np.array(timesteps)}
    variables["label"] = empty("label", (*axes, "sample", "factor"))
    variables["samples"] = empty("samples", (*by_step, "kept", *image), np.uint8, 255)
    variables["origin"] = empty("origin", (*axes, "factor"))
    variables["readout_ceiling"] = empty("readout_ceiling", (*axes, "label_set", "readout"))
    variables["nonfinite_step"] = empty("nonfinite_step", axes, np.int64, NEVER)
    if any(member.settings.train.stop_when is not None for member in grid.members):
        variables["stopped_step"] = empty("stopped_step", axes, np.int64, NEVER)
    variables["group_complete"] = empty("group_complete", (*by_step, "group"), np.uint8, MISSING)
    of_members = variables["group_complete"].values.reshape(len(grid.members), len(steps), -1)
    for member in grid.members:
        of_members[member.index, ~np.isin(steps, member.settings.evaluation_steps)] = IMPOSSIBLE
    lengths |= analyses.lengths
    for name, (dims, description, dtype, fill, group) in analyses.variables.items():
        shape = [lengths[d] for d in (*by_step, *dims)]
        # not filled in memory: snapshots of a large grid take gigabytes
        unfilled = np.broadcast_to(np.asarray(fill, dtype), shape)
        about = {"description": description, GROUP_ATTRIBUTE: group}
        variables[name] = xr.Variable((*by_step, *dims), unfilled, about)
    coordinates |= {"label_set": list(label_sets), "readout": list(methods), **analyses.coordinates}
    if len(scored) > 1:
        coordinates["region"] = list(scored)
    return xr.Dataset(variables, coordinates, {"store_format": STORE_FORMAT, **attributes})


def axis_labels(values: Sequence[Any]) -> np.ndarray:
    """Return the values of an axis as the coordinate of results: NaN for None, which only numbers can be."""
    return np.asarray([math.nan if value is None else value for value in values])


def chunk_encoding(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Return the encoding of `to_zarr`: one chunk a step; of `LARGE` variables, one a step and member.

    Chunks are compressed, then end in a checksum: as filters, since format 2 of zarr has none behind a compressor.
    """

    def chunks(variable: xr.Variable) -> tuple[int, ...]:
        axes = variable.dims.index("step") if "step" in variable.dims else 0
        member_bytes = math.prod(variable.shape[axes + 1 :]) * variable.dtype.itemsize
        alone = axes + 1 if member_bytes > LARGE else 0
        return tuple(1 if i < alone or dim == "step" else n for i, (dim, n) in enumerate(variable.sizes.items()))

    cut = {name: chunks(variable.variable) for name, variable in dataset.data_vars.items()}
    whole = {name: tuple(max(1, size) for size in variable.shape) for name, variable in dataset.coords.items()}
    return {str(name): {"chunks": size} | encoded() for name, size in (cut | whole).items()}


def encoded(compressor: numcodecs.Blosc | None = None) -> dict[str, Any]:
    """Return the codecs of an array's encoding: a compressor, by default a fast one, then a checksum."""
    return {"compressors": None, "filters": [compressor or numcodecs.Blosc("lz4"), numcodecs.get_codec(CHECKSUM)]}


def cloud_group(tensor: str, group: str) -> str:
    """Return the group of one kind of measure of one tensor's cloud of activations."""
    return f"{tensor}/{group}"


def complete_by_value(results: xr.Dataset, groups: Sequence[str], fields: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Return `group_complete` of results of format 1, which did not record it: complete where values are.

    Args:
      results: with the names of this version.
      groups: of the result's last dim.
      fields: group -> variables that are written with it; of a cloud's group those with the dim "tensor".

    Returns:
      uint8[axes, step, group].
    """
    columns = []
    for group in groups:
        tensor = group.partition("/")[0] if "/" in group else None
        written = None
        for name in fields.get(group, ()):
            if name not in results:
                continue
            array = results[name] if tensor is None else results[name].sel(tensor=tensor)
            axes = array.dims.index("step") + 1
            values = array.values.reshape(*array.shape[:axes], -1)
            known = ~np.isnan(values).all(axis=-1) if values.dtype.kind == "f" else (values >= 0).any(axis=-1)
            written = known if written is None else written & known
        shape = results["loss"].shape
        columns.append(np.zeros(shape, np.uint8) if written is None else written.astype(np.uint8))
    return np.stack(columns, axis=-1)
