"""Tests of the papers' claims: functions from a results Dataset to comparisons, for `diffgeo.claims`.

Letters are those of the project's list of claims, (a) to (f) of 2402.03305 and (g) to (p) of 2408.13256. Where a paper
says "slightly", "high" or "no strong effect" the limit is an argument with a default chosen here, before any run was
judged.
"""

import numpy as np
import xarray
from scipy.stats import rankdata

from diffgeo import regions
from diffgeo.claims import CONTROL, NEEDED, RESAMPLE, Comparison, compare
from diffgeo.errors import UserError
from diffgeo.scaling import scaling_exponent
from diffgeo.scores import mean_over_training, scores

LEARNED = 0.5  # accuracy over which a model counts as trained
LAYER = "layer4"
TORUS = (1, 2, 1)  # Betti numbers
RIGHT_ANGLE = 75.0  # degrees; mean principal angle of rings over which they count as orthogonal
PHASES = 3
NOT_AXES = (RESAMPLE, "seed", "step")

# The papers' own data sets, as values of the axis "dataset" of p2_fig4
TWO_D, ONE_D, BOTH, RIM = "2d", "1d", "2d+1d", "1d+rim"


def phases_in_order(results: xarray.Dataset) -> list[Comparison]:
    """(a) Phases A, B, C occur, in that order [2402.03305, section 3, Fig. 3]."""
    phase = _analysed(results, "phase")
    axes = [dim for dim in phase.dims if dim != "step"]

    def in_order(values):
        """1 if A, B and C are first seen in that order."""
        firsts = [np.flatnonzero(values == one) for one in range(PHASES)]
        return float(all(f.size for f in firsts) and firsts[0][0] < firsts[1][0] < firsts[2][0])

    def concordance(values):
        """Share of pairs of evaluations in different phases of which the later is in the later phase."""
        known = values[values >= 0]
        earlier, later = np.triu_indices(len(known), 1)
        step = known[later].astype(int) - known[earlier]
        return float((step > 0).sum() / max(1, (step != 0).sum()))

    def per_seed(function):
        return xarray.apply_ufunc(function, phase, input_core_dims=[["step"]], vectorize=True).mean(
            [dim for dim in axes if dim != "seed"]
        )

    return [
        compare("share of seeds with A, B, C first seen in that order", per_seed(in_order), above=0.5, within=(0, 1)),
        compare(
            "pairs of evaluations whose later one is in the later phase",
            per_seed(concordance),
            above=0.9,
            within=(0, 1),
        ),
    ]


def rise_together(results: xarray.Dataset, tensor: str = LAYER) -> list[Comparison]:
    """(b) Accuracy and averaged R^2 rise together [2402.03305, section 3, Fig. 4]."""
    accuracy, order = scores(results)["accuracy"], _analysed(results, "r2").sel(tensor=tensor, drop=True)
    ranks = [_ranks(accuracy.isel({RESAMPLE: 0})), _ranks(order)]
    together = _over_axes(xarray.corr(*ranks, dim="step"))
    return [
        compare("rise of accuracy", _over_axes(_gain(accuracy)), above=0.2, role=NEEDED),
        compare(f"rise of R^2 ({tensor})", _over_axes(_gain(order)), above=0.0),
        compare(f"rank correlation of accuracy and R^2 ({tensor}) over steps", together, above=0.5),
    ]


def faster_along(results: xarray.Dataset, axis: str = "increment") -> list[Comparison]:
    """(c) A smaller value is learned faster at equal batches [2402.03305, section 3, Fig. 4].

    Speed is the mean accuracy over training: it needs no threshold that some member may never reach.
    """
    accuracy = scores(results)["accuracy"]
    speed, values = _over_axes(mean_over_training(accuracy), axis), np.sort(results[axis].values)
    centred = xarray.DataArray(np.log(speed[axis].values), dims=axis)
    centred = centred - centred.mean()
    slope = (speed * centred).sum(axis) / (centred**2).sum()
    last = _over_axes(accuracy.isel(step=-1), axis).sel({axis: values[0]})
    return [
        compare(f"last accuracy at {axis} = {values[0]:g}", last, above=LEARNED, role=NEEDED),
        compare(
            f"mean accuracy over training, {axis} = {values[0]:g} less {values[-1]:g}",
            speed.sel({axis: values[0]}) - speed.sel({axis: values[-1]}),
            above=0.0,
        ),
        compare(f"slope of that mean against log {axis}", slope, below=0.0),
    ]


def coupled(results: xarray.Dataset, tolerance: float = 0.05, spread: float = 0.1) -> list[Comparison]:
    """(d) With dx < dy, x is not learned faster than y, and their R^2 move together [2402.03305, section 3, Fig. 5]."""
    accuracy = scores(results)
    ahead = mean_over_training(accuracy["accuracy_x"]) - mean_over_training(accuracy["accuracy_y"])
    apart = abs(_analysed(results, "r2_x") - _analysed(results, "r2_y")).sel(tensor=LAYER, drop=True)
    last = accuracy["accuracy"].isel(step=-1)
    return [
        compare("last accuracy", _over_axes(last), above=LEARNED, role=NEEDED),
        compare("mean accuracy over training, x less y", _over_axes(ahead), below=tolerance),
        compare("mean difference of R^2 of x and of y", _over_axes(mean_over_training(apart)), below=spread),
    ]


def little_effect(results: xarray.Dataset, axis: str = "sigma", tolerance: float = 0.1) -> list[Comparison]:
    """(e) No strong effect of sigma [2402.03305, C.1, Fig. 8]."""
    accuracy = scores(results)["accuracy"]
    speed = _over_axes(mean_over_training(accuracy), axis)
    last = _over_axes(accuracy.isel(step=-1))
    found = [compare("mean last accuracy", last, above=0.3, role=NEEDED)]
    for value in speed[axis].values:
        words = f"mean accuracy over training, {axis} = {value:g} less the mean over {axis}"
        found.append(compare(words, speed.sel({axis: value}) - speed.mean(axis), above=-tolerance, below=tolerance))
    return found


def slightly_under(results: xarray.Dataset, axis: str = "share", tolerance: float = 0.15) -> list[Comparison]:
    """(f) Accuracy in a hole is only slightly under that outside [2402.03305, C.2, Fig. 9]."""
    inside, outside = (scores(results, name)["accuracy"].isel(step=-1) for name in ("ood", "id"))
    found = [compare("last accuracy outside the hole", _over_axes(outside), above=LEARNED, role=NEEDED)]
    found.append(compare("outside less inside, mean over holes", _over_axes(outside - inside), below=tolerance))
    for value in results[axis].values:  # a small hole holds few labels of the unit grid
        gap = (outside - inside).sel({axis: value})
        found.append(compare(f"outside less inside the hole, {axis} = {value:g}", gap, role=CONTROL))
    return found


def torus(results: xarray.Dataset) -> list[Comparison]:
    """(g) The last representation has a torus's Betti numbers, 1, 2, 1 [2408.13256, section 3.1, Fig. 2]."""
    betti = _analysed(results, "betti")
    found = (betti == xarray.DataArray(list(TORUS), dims="homology")).all("homology").astype(float)
    found = found.where(betti.notnull().all("homology"))
    last = found.isel(step=-1)
    share = "share of seeds with Betti numbers 1, 2, 1"
    return [
        compare("last accuracy", _over_axes(scores(results)["accuracy"].isel(step=-1)), above=LEARNED, role=NEEDED),
        compare(share, last.sel(tensor=LAYER), above=0.5, within=(0, 1)),
        compare(f"{share}, untrained network", found.isel(step=0).sel(tensor=LAYER), role=CONTROL, within=(0, 1)),
        compare(f"{share}, true images", last.sel(tensor="pixels"), role=CONTROL, within=(0, 1)),
    ]


def dimension_rises_then_falls(results: xarray.Dataset, change: float = 0.1) -> list[Comparison]:
    """(h) Effective dimension rises, then falls, to more than 4 [2408.13256, section 3.1, Fig. 2]."""
    every = _analysed(results, "participation_ratio")
    dimension = every.sel(tensor=LAYER)
    peak, first, last = dimension.max("step"), dimension.isel(step=0), dimension.isel(step=-1)
    return [
        compare("last accuracy", _over_axes(scores(results)["accuracy"].isel(step=-1)), above=LEARNED, role=NEEDED),
        compare("log of highest over first effective dimension", np.log(peak / first), above=change),
        compare("log of highest over last effective dimension", np.log(peak / last), above=change),
        compare("last effective dimension", last, above=4.0),
        compare("effective dimension of the true images", every.sel(tensor="pixels").isel(step=-1), role=CONTROL),
    ]


def orthogonal_not_parallel(results: xarray.Dataset) -> list[Comparison]:
    """(i) Rings of x are orthogonal to rings of y, as on a Clifford torus; to each other they are not parallel.

    [2408.13256, section 3.1, B.2, Fig. 3, 8]. On a Clifford torus x-on-y planes have 90 degrees, x-on-x ones 0.
    """
    angles = _analysed(results, "ring_mean").sel(ring_statistic="angles")
    far = _analysed(results, "wasserstein_clifford").sel(ring_statistic="angles", tensor=LAYER).isel(step=-1)
    last = angles.isel(step=-1)
    xy, xx = ({"ring_pair": pair} for pair in ("x_on_y", "x_on_x"))
    return [
        compare("last accuracy", _over_axes(scores(results)["accuracy"].isel(step=-1)), above=LEARNED, role=NEEDED),
        compare("mean angle of x-on-y rings (degrees)", last.sel(tensor=LAYER, **xy), above=RIGHT_ANGLE),
        compare("distance to a Clifford torus (degrees), x-on-x less x-on-y", far.sel(xx) - far.sel(xy), above=0.0),
        compare("x-on-y angle, untrained network", angles.isel(step=0).sel(tensor=LAYER, **xy), role=CONTROL),
        compare("x-on-x angle, untrained network", angles.isel(step=0).sel(tensor=LAYER, **xx), role=CONTROL),
        compare("x-on-y angle, true images", last.sel(tensor="pixels", **xy), role=CONTROL),
        compare("x-on-x angle, true images", last.sel(tensor="pixels", **xx), role=CONTROL),
    ]


def factorised(results: xarray.Dataset, gap: float = 0.3) -> list[Comparison]:
    """(j) The 2D model is right in the coordinate that was seen and wrong in the other one.

    [2408.13256, section 3.2, Fig. 4c-e]. In the horizontal part y is held out, in the vertical part x, in the
    intersection both.
    """
    last = {part: _last(results, part, TWO_D) for part in ("id", "vertical", "horizontal", "intersection")}

    def less(part, one, other):
        return last[part][f"accuracy_{one}"] - last[part][f"accuracy_{other}"]

    middle = last["intersection"]
    return [
        compare("2D model: accuracy outside the cross", last["id"]["accuracy"], above=LEARNED, role=NEEDED),
        compare("2D model, horizontal part: accuracy of x less y", less("horizontal", "x", "y"), above=gap),
        compare("2D model, vertical part: accuracy of y less x", less("vertical", "y", "x"), above=gap),
        compare("2D model, intersection: accuracy of x", middle["accuracy_x"], below=LEARNED),
        compare("2D model, intersection: accuracy of y", middle["accuracy_y"], below=LEARNED),
    ]


def stripes_compose(results: xarray.Dataset) -> list[Comparison]:
    """(k) The 2D + 1D model is right in every part [2408.13256, section 3.2, Fig. 4c-e]."""
    found = [
        compare("2D + 1D model: accuracy outside", _last(results, "id", BOTH)["accuracy"], above=LEARNED, role=NEEDED)
    ]
    for part in ("vertical", "horizontal", "intersection"):
        for name in ("x", "y"):
            values = _last(results, part, BOTH)[f"accuracy_{name}"]
            found.append(compare(f"2D + 1D model, {part}: accuracy of {name}", values, above=LEARNED))
    return found


def stripes_help(results: xarray.Dataset) -> list[Comparison]:
    """(k) The 2D + 1D model is better than the 2D model in every part [2408.13256, section 3.2, Fig. 4c-e]."""
    needed = compare(
        "2D model: accuracy outside the cross", _last(results, "id", TWO_D)["accuracy"], above=LEARNED, role=NEEDED
    )
    gains = []
    for part in ("vertical", "horizontal", "intersection"):
        both, alone = (_last(results, part, data)["accuracy"] for data in (BOTH, TWO_D))
        gains.append(compare(f"{part}: accuracy of 2D + 1D less 2D", both - alone, above=0.0))
    return [needed, *gains]


def few_suffice(results: xarray.Dataset, enough: float = 0.2, tolerance: float = 0.15) -> list[Comparison]:
    """(k) With stripes, a fifth of the bumps is as good as all in the held-out cross [2408.13256, 3.2, Fig. 4g]."""
    inside = scores(results, "ood")["accuracy"].isel(step=-1).sortby("fraction")
    most = inside.isel(fraction=-1, drop=True)
    found = [compare("accuracy in the cross with most bumps", most, above=0.3, role=NEEDED)]
    for value in inside["fraction"].values[:-1]:
        words = f"accuracy in the cross, most bumps less fraction {value:g}"
        less = most - inside.sel(fraction=value, drop=True)
        found.append(compare(words, less, below=tolerance) if value >= enough else compare(words, less, role=CONTROL))
    return found


def rim_mends(results: xarray.Dataset, low: float = 0.3, gain: float = 0.2) -> list[Comparison]:
    """(l) Stripes alone do not compose; a rim of partial crossings mends that [2408.13256, 3.2, C.2, Fig. 10]."""
    alone, rim = (_last(results, regions.ALL, data) for data in (ONE_D, RIM))
    return [
        compare(
            "1D model: better of x and y", np.maximum(alone["accuracy_x"], alone["accuracy_y"]), above=low, role=NEEDED
        ),
        compare("1D model: accuracy of both", alone["accuracy"], below=low),
        compare("accuracy of both, 1D with rim less 1D", rim["accuracy"] - alone["accuracy"], above=gain),
    ]


def falls_gradually(results: xarray.Dataset, axis: str = "width", largest: float = 0.75) -> list[Comparison]:
    """(m) Accuracy in a lesion falls gradually with its width [2408.13256, C.3, Fig. 11]."""
    inside, outside = (scores(results, name)["accuracy"].isel(step=-1).sortby(axis) for name in ("ood", "id"))
    drop = inside.isel({axis: 0}, drop=True) - inside.isel({axis: -1}, drop=True)
    steepest = (-inside.diff(axis)).max(axis) / drop.where(drop > 0)
    falls = compare("accuracy in the narrowest lesion less in the widest", drop, above=0.0)
    needed = compare("accuracy outside the lesion", outside.mean(axis), above=LEARNED, role=NEEDED)
    if not (drop.isel({RESAMPLE: 0}) > 0).all():  # no fall to take a share of
        return [needed, falls]
    return [needed, falls, compare("largest fall between neighbouring widths over the whole", steepest, below=largest)]


def data_scaling(results: xarray.Dataset, threshold: float = 0.6, margin: float = 0.5) -> list[Comparison]:
    """(n) Bumps need data quadratic in N for an accuracy, bumps and stripes linear [2408.13256, 3.2, Fig. 5]."""
    exponents = {name: scaling_exponent(results, name, threshold) for name in (TWO_D, BOTH)}
    words = f"exponent of the labels needed for accuracy {threshold:g}"
    return [
        compare(f"{words}, bumps", exponents[TWO_D], above=2 - margin, below=2 + margin),
        compare(f"{words}, bumps and stripes", exponents[BOTH], above=1 - margin, below=1 + margin),
        compare(f"{words}, bumps less both", exponents[TWO_D] - exponents[BOTH], above=0.0),
    ]


def squares(results: xarray.Dataset) -> list[Comparison]:
    """(o) SOS composes over larger holes than bumps, interior better than exterior [2408.13256, C.4, Fig. 12]."""
    inside, outside = (scores(results, name)["accuracy"].isel(step=-1) for name in ("ood", "id"))
    inside = inside.mean("width")
    bump, sos = (inside.sel(kind=kind) for kind in ("bump", "sos"))
    return [
        compare("accuracy outside the square", _over_axes(outside), above=LEARNED, role=NEEDED),
        compare("accuracy in the square, SOS less bump, interior", (sos - bump).sel(hole="square"), above=0.0),
        compare("accuracy in the square, SOS less bump, exterior", (sos - bump).sel(hole="corner"), above=0.0),
        compare(
            "accuracy in the square, interior less exterior, bump",
            bump.sel(hole="square") - bump.sel(hole="corner"),
            above=0.0,
        ),
    ]


def more_data_helps(results: xarray.Dataset) -> list[Comparison]:
    """(p) Accuracy rises with the kept fraction, later for smaller sigma [2408.13256, section 3.3, Fig. 6e]."""
    last = _over_axes(scores(results)["accuracy"].isel(step=-1), "sigma", "fraction").sortby(["sigma", "fraction"])
    most, least = last.isel(fraction=-1), last.isel(fraction=0)
    over = last.mean("fraction")
    sigmas = last["sigma"].values
    rises = [  # where narrow bumps are not learned with all data either, they are late for another reason
        compare(
            f"last accuracy, most data less least, sigma = {sigma:g}", (most - least).sel(sigma=sigma), role=CONTROL
        )
        for sigma in sigmas
    ]
    learned = compare(
        f"last accuracy with all data, sigma = {sigmas[0]:g}", most.isel(sigma=0), role=CONTROL, within=(0, 1)
    )
    return [
        compare(
            f"last accuracy with all data, sigma = {sigmas[-1]:g}", most.isel(sigma=-1), above=LEARNED, role=NEEDED
        ),
        compare("last accuracy, most data less least, mean over sigma", (most - least).mean("sigma"), above=0.0),
        compare(
            f"mean accuracy over fractions, sigma = {sigmas[-1]:g} less {sigmas[0]:g}",
            over.isel(sigma=-1) - over.isel(sigma=0),
            above=0.0,
        ),
        learned,
        *rises,
    ]


def _last(results: xarray.Dataset, region: str, dataset: str) -> xarray.Dataset:
    """Accuracies of one data set's models at the last step."""
    if dataset not in results["dataset"].values:
        raise UserError(f"there is no data set {dataset!r} in these results")
    return scores(results, region).isel(step=-1).sel(dataset=dataset, drop=True)


def _analysed(results: xarray.Dataset, name: str) -> xarray.DataArray:
    """A measure of the representations; raises `UserError` if it has not been taken of every checkpoint."""
    if name not in results:
        raise UserError(f"{name!r} was not measured in this run: run it with its analyses, or launch.analyze")
    array = results[name]
    own = array.sel(tensor=LAYER) if "tensor" in array.dims else array
    # the untrained network's cloud may have no geometry; every other checkpoint must be measured
    later = own.isel(step=slice(1, None))
    missing = (later < 0) if name == "phase" else later.isnull()
    if missing.any():
        raise UserError(f"{int(missing.sum())} values of {name!r} are missing: finish the run, or launch.analyze")
    return array


def _over_axes(values: xarray.DataArray, *kept: str) -> xarray.DataArray:
    """Mean over the grid's axes beside the seed and those kept."""
    return values.mean([dim for dim in values.dims if dim not in (*NOT_AXES, *kept)])


def _gain(values: xarray.DataArray) -> xarray.DataArray:
    return values.isel(step=-1, drop=True) - values.isel(step=0, drop=True)


def _ranks(values: xarray.DataArray) -> xarray.DataArray:
    return xarray.apply_ufunc(rankdata, values, input_core_dims=[["step"]], output_core_dims=[["step"]], vectorize=True)
