"""Pictures of representations as clouds of points: UMAP and PCA views, ideal tori, the phases of learning.

Every function takes a mapping from a cloud's name ("model", and the controls "untrained" and "pixels", in the order
to be shown) to its array, so that a trained model is never shown without its controls.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Int, Real
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure, FigureBase
from mpl_toolkits.mplot3d.art3d import Line3DCollection

from diffgeo.errors import UserError
from diffgeo.plots import style
from diffgeo.plots.samples import draw_samples
from diffgeo.representation.tori import clifford_torus, torus_3d
from diffgeo.settings import Factor

XY = tuple(Factor(name, 0.0, math.inf, unit="px") for name in ("x", "y"))
"""Factors of the papers' labels where nothing is said of them: images do not wrap."""
DOT = 7.0  # area of a point at 256 points or fewer, in square points
VIEW = {"elev": 22.0, "azim": -58.0}  # degrees
PANE_COLOR, EDGE_COLOR = "#F4F4F4", "#D0D0D0"


@style.styled
def umap_views(
    clouds: Mapping[str, Real[np.ndarray, "_ 3"]], labels: Real[np.ndarray, "n K"], factors: Sequence[Factor] = XY
) -> Figure:
    """Draw 3-D UMAP embeddings, a column per cloud, a row for each factor by whose true value points are colored.

    [2402.03305, Fig. 3]. UMAP's axes have no meaning and no unit.

    Args:
      clouds: name -> [n, 3], field "umap" of `analyze`.
      labels: [n, K], the same for all clouds.
      factors: K of them, whose names and units are shown; colors of one with a period are cyclic.

    Raises:
      UserError: for no cloud, or a cloud of another number of points.
    """
    _check(clouds, labels)
    figure = style.new_figure(min(style.WIDTH, 1.2 + 3.0 * len(clouds)), 3.0 * len(factors))
    axes = figure.subplots(len(factors), len(clouds), squeeze=False, subplot_kw={"projection": "3d"})
    gap = " " if max(len(factor.name) for factor in factors) <= 2 else "\n"  # side by side, long titles would touch
    for row, factor, values in zip(axes, factors, labels.T, strict=True):
        for ax, (name, points) in zip(row, clouds.items(), strict=True):
            _draw_3d(ax, points, values, factor)
            ax.set_title(f"{name},{gap}by {factor.name}")
        _color_bar(figure, row, values, factor)
    figure.suptitle("3-D UMAP of the representation")
    return figure


@style.styled
def umap_table(
    clouds: Mapping[str, Mapping[str, Real[np.ndarray, "_ 3"]]],
    labels: Real[np.ndarray, "n K"],
    factors: Sequence[Factor] = XY,
) -> Figure:
    """Draw 3-D UMAP embeddings in rows and columns, colored by the true first factor [2408.13256, Fig. 11c, 15].

    Args:
      clouds: name of a row -> name of a column -> [n, 3].
      labels: [n, K], the same for all clouds.
      factors: K of them, whose names and units are shown; colors of one with a period are cyclic.

    Raises:
      UserError: as `umap_views`.
    """
    for row in clouds.values():
        _check(row, labels)
    columns = max(map(len, clouds.values()))
    side = min(2.6, 9.0 / columns)
    figure = style.new_figure(1.2 + side * columns, 0.7 + (side + 0.25) * len(clouds))
    axes = figure.subplots(len(clouds), columns, squeeze=False, subplot_kw={"projection": "3d"})
    for row, (above, views) in zip(axes, clouds.items(), strict=True):
        for ax, (name, points) in zip(row, views.items(), strict=True):
            _draw_3d(ax, points, labels[:, 0], factors[0])
            ax.set_title("\n".join(part for part in (above, name) if part), fontsize=9)
    _color_bar(figure, axes.ravel(), labels[:, 0], factors[0])
    figure.suptitle("3-D UMAP of the representation at the last step")
    return figure


@style.styled
def pca_views(
    clouds: Mapping[str, Real[np.ndarray, "_ _"]],
    labels: Real[np.ndarray, "n K"],
    factors: Sequence[Factor] = XY,
    components: Sequence[tuple[int, int]] = ((1, 2), (3, 4)),
    title: str = "Principal components of the representation",
) -> Figure:
    """Draw projections on pairs of principal components, a row per cloud, colored by the true value of each factor.

    [2408.13256, Fig. 2e-g]. Of more than two factors, the first pair alone. Both axes of a panel have the same scale.
    Units are those of the activations.

    Args:
      clouds: name -> [n, r], field "pca" of `analyze`.
      labels: [n, K], the same for all clouds.
      factors: K of them, whose names and units are shown; colors of one with a period are cyclic.
      components: the pairs to draw, counted from 1.
      title: of the whole picture.

    Raises:
      UserError: for no cloud, a cloud of another number of points, or too few components.
    """
    _check(clouds, labels)
    last = max(max(pair) for pair in components)
    for name, points in clouds.items():
        if points.shape[1] < last:
            raise UserError(f"{name!r} has {points.shape[1]} components, not {last}: draw fewer")
    pairs = components if len(factors) <= 2 else components[:1]
    panels = [(pair, k) for k in range(len(factors)) for pair in pairs]
    return _pca_figure({name: (points, panels) for name, points in clouds.items()}, labels, factors, title)


@style.styled
def ideal_tori(nx: int = 32, ny: int = 32) -> Figure:
    """Draw projections of an ideal 3-D torus and an ideal Clifford torus [2408.13256, Fig. 2a].

    Their coordinates are their principal components: 3 of the former, 4 of equal variance of the latter.
    """
    labels = np.stack(np.meshgrid(np.arange(nx), np.arange(ny), indexing="ij"), axis=-1).reshape(-1, 2)
    space = [((1, 2), 0), ((1, 3), 0), ((1, 2), 1), ((1, 3), 1)]
    planes = [((1, 2), 0), ((1, 3), 0), ((3, 4), 1), ((1, 3), 1)]  # the circle of x hides all y
    period = float(nx) if nx == ny else None
    factors = [Factor(name, 0.0, count, 1.0, "px", period) for name, count in (("x", nx), ("y", ny))]
    clouds = {"3-D torus": (torus_3d(nx, ny), space), "Clifford torus": (clifford_torus(nx, ny), planes)}
    return _pca_figure(clouds, labels, factors, "Ideal tori")


@style.styled
def manifold_phases(
    images: Real[np.ndarray, "T kept N N"],
    centers: Real[np.ndarray, "kept 2"],
    embeddings: Real[np.ndarray, "T n 3"],
    labels: Real[np.ndarray, "n 2"],
    titles: Sequence[str],
    factors: Sequence[Factor] = XY,
) -> Figure:
    """Draw samples, true centers in red, above the 3-D UMAP of the representation colored by the true x.

    [2402.03305, Fig. 3], one column per chosen step.

    Args:
      images: generated images, 0 dark to 255 white; up to 25 of each step are drawn.
      centers: (x, y) that the samples are conditioned on, in pixels of the image.
      embeddings: field "umap" of `analyze`, at each step.
      labels: (x, y) in pixels of all n samples.
      titles: T of them, as in "step 1,000 (phase A)".
      factors: x and y; colors are cyclic if they have a period.

    Raises:
      UserError: if the numbers of steps differ.
    """
    if not len(images) == len(embeddings) == len(titles) > 0:
        raise UserError(
            f"images of {len(images)} steps, embeddings of {len(embeddings)} and {len(titles)} titles do not fit "
            "together: give one of each per step"
        )
    figure = style.new_figure(min(style.WIDTH, 1.2 + 2.9 * len(titles)), 6.7)
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.0, 1.1)).ravel()
    for ax, picture, title in zip(top.subplots(1, len(titles), squeeze=False)[0], images, titles, strict=True):
        draw_samples(ax, picture, np.asarray(centers, np.float64))
        ax.set_title(title)
    axes = bottom.subplots(1, len(titles), squeeze=False, subplot_kw={"projection": "3d"})[0]
    for ax, embedding in zip(axes, embeddings, strict=True):
        _draw_3d(ax, embedding, labels[:, 0], factors[0])
    _color_bar(bottom, axes, labels[:, 0], factors[0], location="bottom")  # beside, it would shift the columns
    top.suptitle("Samples (red: the center asked for)")
    bottom.suptitle("3-D UMAP of the representation")
    return figure


@style.styled
def webs(
    clouds: Mapping[str, Real[np.ndarray, "_ 3"]], labels: Real[np.ndarray, "n 2"], factors: Sequence[Factor] = XY
) -> Figure:
    """Draw 3-D UMAP embeddings as webs: points of neighboring labels are joined, colored by the true first factor.

    An ordered representation is a sheet with the labels' own mesh; a knot of long threads is one without order.

    Args:
      clouds: name -> [n, 3], a panel each.
      labels: [n, 2], the same for all clouds; joined as `label_neighbors` says.
      factors: two, whose name and unit are shown; colors of one with a period are cyclic.

    Raises:
      UserError: as `umap_views`.
    """
    _check(clouds, labels)
    figure = style.new_figure(min(style.WIDTH, 1.2 + 2.9 * len(clouds)), 4.2)
    axes = figure.subplots(1, len(clouds), squeeze=False, subplot_kw={"projection": "3d"})[0]
    pairs, looks = label_neighbors(labels), _colors(labels[:, 0], factors[0].period)
    for ax, (name, points) in zip(axes, clouds.items(), strict=True):
        threads = Line3DCollection(np.asarray(points)[pairs], cmap=looks["cmap"], linewidths=0.7)
        threads.set_array(labels[pairs, 0].mean(axis=1))
        threads.set_clim(looks["vmin"], looks["vmax"])
        _draw_3d(ax, points, labels[:, 0], factors[0])
        ax.add_collection3d(threads)
        ax.set_title(name, y=0.93)
    _color_bar(figure, axes, labels[:, 0], factors[0], location="bottom")
    figure.suptitle("3-D UMAP of the representation, neighboring labels joined")
    return figure


def label_neighbors(labels: Real[np.ndarray, "n 2"]) -> Int[np.ndarray, "pairs 2"]:
    """Return pairs of neighboring labels: those with no third label in the circle of which they are a diameter.

    (Their Gabriel graph.) On a lattice these are the lattice's own neighbors, without diagonals.
    """
    from scipy.spatial import Delaunay, KDTree

    triangles = Delaunay(labels).simplices  # holds all of them
    pairs = np.unique(np.sort(triangles[:, [[0, 1], [1, 2], [0, 2]]].reshape(-1, 2), axis=1), axis=0)
    ends = labels[pairs].astype(float)
    radius = 0.5 * np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    inside = KDTree(labels).query_ball_point(ends.mean(axis=1), radius * (1 + 1e-6), return_length=True)
    return pairs[inside == 2]


def color_map(period: float | None) -> Colormap:
    """Return viridis, or for circular labels a cyclic map, darkened so that no point vanishes on white."""
    if period is None:
        return mpl.colormaps[style.SEQUENTIAL]
    colors = mpl.colormaps["twilight"](np.linspace(0.0, 1.0, 256))
    return ListedColormap(np.concatenate([0.82 * colors[:, :3], colors[:, 3:]], axis=1))


def _colors(values: np.ndarray, period: float | None) -> dict[str, Any]:
    low, high = (0.0, float(period)) if period is not None else (float(values.min()), float(values.max()))
    return {"cmap": color_map(period), "vmin": low, "vmax": high, "linewidths": 0}


def _dot(points: np.ndarray) -> float:
    """Return the area of a point, smaller where there are many."""
    return DOT * min(1.0, np.sqrt(256 / len(points))) + 1.5


def _pca_figure(clouds: Mapping[str, Any], labels: np.ndarray, factors: Sequence[Factor], title: str) -> Figure:
    """Draw a row per cloud: name -> (points, panels as ((first, second), index of a factor)), factor by factor."""
    columns = len(next(iter(clouds.values()))[1])
    figure = style.new_figure(style.WIDTH, 1.1 + 2.35 * len(clouds))
    axes = figure.subplots(len(clouds), columns, squeeze=False)
    for row, (name, (points, panels)) in zip(axes, clouds.items(), strict=True):
        for ax, (pair, k) in zip(row, panels, strict=True):
            values = labels[:, k]
            first, second = (number - 1 for number in pair)
            ax.scatter(
                points[:, first], points[:, second], c=values, s=_dot(points), **_colors(values, factors[k].period)
            )
            ax.set_aspect("equal", adjustable="datalim")
            ax.margins(0.08)
            style.open_frame(ax)
            ax.locator_params(nbins=4)
            ax.set_xlabel(f"component {pair[0]}", fontsize=9)
            ax.set_ylabel(f"component {pair[1]}", fontsize=9)
            ax.set_title(f"{name}, by {factors[k].name}", fontsize=9)
    for factor, values, part in zip(factors, labels.T, np.split(axes, len(factors), axis=1), strict=True):
        _color_bar(figure, part.ravel(), values, factor, location="bottom")
    figure.suptitle(title)
    return figure


def _draw_3d(ax: Any, points: np.ndarray, values: np.ndarray, factor: Factor) -> None:
    """Draw points in an `Axes3D`, whose type stubs lack panes and take sizes for integers."""
    ax.scatter(
        *np.asarray(points).T, c=values, s=_dot(points) + 2.0, depthshade=False, **_colors(values, factor.period)
    )
    ax.view_init(**VIEW)
    ax.set_box_aspect(None, zoom=1.1)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_ticks([])
        axis.pane.set_facecolor(PANE_COLOR)
        axis.pane.set_edgecolor(EDGE_COLOR)
        axis.line.set_color(EDGE_COLOR)
    ax.grid(False)


def _color_bar(
    figure: FigureBase,
    axes: Iterable[Axes],
    values: np.ndarray,
    factor: Factor,
    location: str = "right",
) -> None:
    colors = _colors(values, factor.period)
    mappable = ScalarMappable(Normalize(colors["vmin"], colors["vmax"]), colors["cmap"])
    shape = {"fraction": 0.05, "aspect": 26, "pad": 0.02} if location == "right" else {"aspect": 40, "fraction": 0.05}
    bar = figure.colorbar(
        mappable, ax=list(axes), label=f"true {style.factor_label(factor)}", location=location, **shape
    )
    style.set_ticks(bar.ax)
    bar.outline.set_visible(False)


def _check(clouds: Mapping[str, np.ndarray], labels: np.ndarray) -> None:
    if not clouds:
        raise UserError("there is no cloud to draw: give at least one name with its points")
    for name, points in clouds.items():
        if len(points) != len(labels):
            raise UserError(f"{name!r} has {len(points)} points for {len(labels)} labels: give one point per label")
