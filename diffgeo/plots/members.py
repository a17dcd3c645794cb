"""Representations of single members of a run: the pictures of `clouds` and `geometry` beside their controls.

Every function takes a results Dataset whose experiment includes the analyses shown, and axis values that single out a
member. Controls are the network before training (step 0 of the same member), the true images' pixels, the generated
images' (not in earlier runs), and the tensor just before the label's embedding is added inside the block.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from diffgeo.data import label_tables
from diffgeo.errors import UserError, require
from diffgeo.plots import clouds, geometry, style
from diffgeo.plots.samples import phase_steps
from diffgeo.plots.tables import evaluated_steps, factors_of, read_member, require_plane
from diffgeo.representation import analyze, clifford_torus, torus_3d
from diffgeo.results import settings_of, settings_of_member
from diffgeo.settings.allowed import LAYER, PHASES, RECORDED

_, PRE_EMBEDDING, _ = RECORDED
EPOCHS = (0, 150)
"""Epochs of 2408.13256, Fig. 2e, f; Fig. 2g is the last."""

OVER_PLANE = ("ring_angles", "ring_angles_literal")
"""Variables that are drawn in words of x and y, beside tori of them."""


def phases(results: xr.Dataset, steps: Iterable[int] | None = None, **selection: Any) -> Figure:
    """Draw samples above the 3-D UMAP of the representation at steps of the phases A, B, C [2402.03305, Fig. 3].

    Args:
      results: with the analysis "manifold".
      steps: those to show; by default the last of phase A before any B, the B with most bumps at wrong places, and the
        last of C, or, where a phase is missing, an early, a middle and a late step.
      **selection: axis values that single out a member.

    Raises:
      UserError: if results or member lack what is drawn; for a data set of the user's, which has no such phases.
    """
    require(
        settings_of(results).dataset is None,
        "phases A, B and C are told apart by images without a bump and with several, which the read-out of a data set "
        "of your own does not count: draw plots.members.umaps, and plots.failure_modes",
    )
    member = _member(results, selection, "umap")
    steps = _phase_steps(member) if steps is None else [int(step) for step in steps]
    chosen = member.sel(step=steps)
    titles = [
        f"step {step:,}{_phase_words(member, step)}\naccuracy {_score(member, 'accuracy', step):.2f}, "
        f"R\u00b2 {float(member['r2'].sel(step=step, tensor=LAYER)):.2f}"
        for step in steps
    ]
    labels = member["label"].values
    origin = member["origin"].values[None]
    return clouds.manifold_phases(
        chosen["samples"].values,
        labels[: chosen.sizes["kept"]] - origin,
        chosen["umap"].sel(tensor=LAYER).values,
        labels,
        titles,
        settings_of(results).factors,
    )


def umaps(results: xr.Dataset, **selection: Any) -> Figure:
    """Draw the 3-D UMAP of the last checkpoint beside its controls; as `phases`."""
    member = _member(results, selection, "umap")
    views = {name: cloud["umap"].values for name, cloud in _clouds(member).items()}
    return clouds.umap_views(views, member["label"].values, settings_of(results).factors)


def web(results: xr.Dataset, **selection: Any) -> Figure:
    """Draw the 3-D UMAP at steps of the phases A, B, C with neighboring labels joined; arguments as of `phases`.

    Of a data set of the user's, which has no phases, at an early, a middle and a late step.
    """
    factors = settings_of(results).factors
    require(
        len(factors) == 2,
        f"the web joins neighbors in the plane of two factors, and these results have {len(factors)} "
        f"({', '.join(factor.name for factor in factors)}): draw plots.members.umaps",
    )
    member = _member(results, selection, "umap")
    views = {
        f"step {step:,}{_phase_words(member, step)}": member["umap"].sel(step=step, tensor=LAYER).values
        for step in _phase_steps(member)
    }
    return clouds.webs(views, member["label"].values, factors)


def last_umaps(results: xr.Dataset, columns: str, rows: str | None = None, **selection: Any) -> Figure:
    """Draw 3-D UMAPs of the last checkpoints over one or two axes of the grid [2408.13256, Fig. 11c, 15].

    Args:
      results: with the analysis "manifold"; all members sampled at the same labels.
      columns: the axis drawn across.
      rows: the axis drawn downward; None for a single row.
      **selection: a value of each other axis.

    Raises:
      UserError: if results or members lack what is drawn.
    """
    _check(results, "umap")
    views: dict[str, dict[str, np.ndarray]] = {}
    labels = []
    for above in [None] if rows is None else results[rows].values:
        for value in results[columns].values:
            at = {columns: value} | ({} if rows is None else {rows: above})
            member = _member(results, at | selection, "umap")
            row = "" if rows is None else style.setting_text(rows, above)
            name = style.setting_text(columns, value)
            views.setdefault(row, {})[name] = _cloud(member, member["step"].values[-1])["umap"].values
            labels.append(member["label"].values)
    return clouds.umap_table(views, labels[-1], settings_of(results).factors)


def components(results: xr.Dataset, **selection: Any) -> Figure:
    """Draw principal components of the last checkpoint beside its controls; as `phases`."""
    member = _member(results, selection, "pca")
    views = {name: cloud["pca"].values for name, cloud in _clouds(member).items()}
    return clouds.pca_views(views, member["label"].values, settings_of(results).factors)


def components_in_training(results: xr.Dataset, epochs: Iterable[float] = EPOCHS, **selection: Any) -> Figure:
    """Draw principal components at some epochs and at the last checkpoint [2408.13256, Fig. 2e-g]; as `phases`.

    Args:
      results: with the analysis "spectrum".
      epochs: passes over the training data, each drawn at the evaluation nearest to it. A run that ends before the last
        of them, or of a data set of the user's, is drawn at its first, a middle and its last evaluation.
      **selection: axis values that single out a member.
    """
    member = _member(results, selection, "pca")
    steps = epoch_steps(member, epochs)
    titles = {step: f"step {step:,} (epoch {step / _epoch_length(member):g})" for step in steps}
    titles = titles or {step: f"step {step:,}" for step in [0, *phase_steps(member)[1:]]}
    views = {title: member["pca"].sel(step=step, tensor=LAYER).values for step, title in titles.items()}
    return clouds.pca_views(views, member["label"].values, settings_of(results).factors)


def spectra(results: xr.Dataset, **selection: Any) -> Figure:
    """Draw spectra of an early, a middle, the last checkpoint and the controls [2408.13256, Fig. 2d]; as `phases`."""
    member = _member(results, selection, "spectrum")
    shown = {f"step {step:,}": _cloud(member, step) for step in phase_steps(member)}
    return geometry.spectra(shown | {name: cloud for name, cloud in _clouds(member).items() if name != "model"})


def dimension(results: xr.Dataset, axis: str | None = None) -> Figure:
    """Draw accuracy and effective dimension over training, all seeds, beside controls [2408.13256, Fig. 2c]."""
    _check(results, "participation_ratio")
    ratio = results["participation_ratio"]
    values = {
        "untrained": ratio.sel(step=0, tensor=LAYER),
        "pixels": ratio.isel(step=-1).sel(tensor="pixels"),
        "before the label": ratio.isel(step=-1).sel(tensor=PRE_EMBEDDING),
    }
    controls = {name: {"participation_ratio": float(value.mean())} for name, value in values.items()}
    return geometry.effective_dimension(results.sel(tensor=LAYER), axis, controls)


def persistence(results: xr.Dataset, **selection: Any) -> Figure:
    """Draw persistence diagrams of the last checkpoint, ideal tori and controls [2408.13256, Fig. 2b]; as `phases`."""
    member = _member(results, selection, "bars")
    return geometry.persistence_diagrams(_ideals(member, "topology") | _clouds(member))


def rings(results: xr.Dataset, **selection: Any) -> Figure:
    """Draw rings of the last checkpoint beside those of ideal tori and controls [2408.13256, Fig. 3]; as `phases`."""
    member = _member(results, selection, "ring_angles")
    return geometry.ring_histograms(_ideals(member, "rings") | _clouds(member))


def literal_rings(results: xr.Dataset, **selection: Any) -> Figure:
    """Draw the literal angles of the rings of `rings`: 2408.13256, Fig. 3 as published; as `phases`."""
    member = _member(results, selection, "ring_angles_literal")
    return geometry.literal_angles(_ideals(member, "rings") | _clouds(member))


def distances(results: xr.Dataset) -> Figure:
    """Draw Wasserstein distances of the rings to ideal tori over training, all seeds [2408.13256, Fig. 8]."""
    _check(results, "wasserstein_clifford")
    fields = ("wasserstein_clifford", "wasserstein_torus3d")
    pixels = results.sel(tensor="pixels").isel(step=-1)
    other = [dim for dim in pixels[fields[0]].dims if dim not in ("ring_pair", "ring_statistic")]
    controls = {"pixels": {name: pixels[name].mean(other).values for name in fields}}
    return geometry.wasserstein_curves(results.sel(tensor=LAYER), controls)


def epoch_steps(member: xr.Dataset, epochs: Iterable[float]) -> list[int]:
    """Return the evaluations nearest to these epochs, and the last one; none if the run ends before one of them.

    None either of a data set of the user's, whose number of rows results do not tell.

    Args:
      member: a single member, up to its last evaluated step.
      epochs: passes over the training data.
    """
    if settings_of_member(member).dataset is not None:
        return []
    steps = np.asarray(member["step"].values).reshape(-1)
    wanted = np.array(list(epochs)) * _epoch_length(member)
    if (wanted > steps[-1]).any():
        return []
    nearest = steps[np.abs(steps[:, None] - wanted[None, :]).argmin(axis=0)]
    return sorted({*nearest.tolist(), int(steps[-1])})


def _epoch_length(member: xr.Dataset) -> float:
    """Return the training steps of a pass over a member's data."""
    settings = settings_of_member(member)
    return int(label_tables.build_label_table(settings.data).count) / settings.train.batch_size


def shown_steps(member: xr.Dataset) -> list[int]:
    """Return all steps at which pictures of a member show samples or clouds by default."""
    if not np.isfinite(np.ravel(member["accuracy"].values)).any():
        return []
    member = member.isel(step=np.flatnonzero(evaluated_steps(member)))
    steps = phase_steps(member)
    of_epochs = epoch_steps(member, EPOCHS) if "pca" in member else ()
    return sorted({*steps, *of_epochs, *(_phase_steps(member) if "phase" in member else ())})


def _check(results: xr.Dataset, variable: str) -> None:
    if variable not in results:
        raise UserError(f"there is no {variable!r} in these results: its analysis was not asked for, or not known yet")


def _member(results: xr.Dataset, selection: Mapping, variable: str) -> xr.Dataset:
    """Return a member up to its last evaluated step, without the samples that pad it."""
    _check(results, variable)
    if variable in OVER_PLANE:
        require_plane(results, f"the picture of {variable!r}")
    member = read_member(results, dict(selection))
    member = member.isel(step=np.flatnonzero(evaluated_steps(member)))
    return member.isel(sample=np.flatnonzero(np.isfinite(member["label"].values).all(axis=-1)))


def _cloud(member: xr.Dataset, step: int | np.integer, tensor: str = LAYER) -> xr.Dataset:
    return member.sel(step=step, tensor=tensor)


def _clouds(member: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return the last checkpoint as "model", then the controls."""
    last = int(member["step"].values[-1])
    at = {"untrained": (0, LAYER), "pixels": (last, "pixels"), "generated pixels": (last, "generated_pixels")}
    at |= {"before the label": (last, PRE_EMBEDDING)}
    known = {name: where for name, where in at.items() if where[1] in member["tensor"].values}
    return {"model": _cloud(member, last), **{name: _cloud(member, *where) for name, where in known.items()}}


def _ideals(member: xr.Dataset, group: str) -> dict[str, dict]:
    """Measure ideal tori of the member's sampling; none of labels that are not (x, y)."""
    if factors_of(member) != ["x", "y"]:
        return {}
    labels = member["label"].values
    nx, ny = (len(np.unique(values)) for values in labels.T)
    labels = np.stack(np.meshgrid(np.arange(nx), np.arange(ny), indexing="ij"), axis=-1).reshape(-1, 2)
    ideal = {"3-D torus": torus_3d(nx, ny), "Clifford torus": clifford_torus(nx, ny)}
    return {name: analyze(points, labels, which=(group,)) for name, points in ideal.items()}


def _score(member: xr.Dataset, name: str, step: int) -> float:
    """Return a score at a step, of all samples."""
    return float(np.ravel(member[name].sel(step=step).values)[0])


def _phase_words(member: xr.Dataset, step: int) -> str:
    phase = int(member["phase"].sel(step=step)) if "phase" in member else -1
    return f", phase {PHASES[phase]}" if phase >= 0 else ""


def _phase_steps(member: xr.Dataset) -> list[int]:
    if "phase" not in member:
        return phase_steps(member)
    in_a, in_b, in_c = (member["phase"].values == index for index in range(len(PHASES)))
    if not (in_a.any() and in_b.any() and in_c.any()):
        return phase_steps(member)
    steps = member["step"].values
    wrong = np.where(in_b, np.ravel(member["wrong_place"].values.reshape(len(steps), -1)[:, 0]), -1.0)
    before = steps[: np.flatnonzero(in_b)[0]]  # a model may fall back from B to A
    early = before[-1] if len(before) else steps[in_a][0]
    return sorted({int(early), int(steps[wrong.argmax()]), int(steps[in_c][-1])})
