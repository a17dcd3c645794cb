# pyright: strict
"""Activations of a layer at labels, and the analyses of `diffgeo.representation` on them."""

import functools
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float32

from diffgeo import representation
from diffgeo.errors import require
from diffgeo.representation.rings import RingStatistics

PIXELS = "pixels"
"""The images themselves, as a layer: a control that needs no network."""


@dataclass(frozen=True, eq=False)
class Activations:
    """Activations of a layer, a point for each image; made by `TrainedMember.activations`.

    The analyses see the points flattened to h w c features, with their mean subtracted. None of them needs a device.

    Attributes:
      values: float32[S, h, w, c].
      labels: float32[S, K]; of the papers (x, y) in pixels.
      layer: where they were read, or "pixels".
      t: diffusion step that the images were noised to; 0 for pixels.
      period: circumference of all factors, or of each, in their units; None for plain ones, as of images that do not
        wrap.

    >>> model = load("runs/quickstart").member(increment=0.5, seed=1)
    >>> grid = model.activations(x=np.arange(8)[:, None], y=np.arange(8))
    >>> grid
    Activations(layer='layer4', t=1, period=None): 64 points of 4 x 4 x 4
    """

    values: Float32[np.ndarray, "S h w c"] = field(repr=False)
    labels: Float[np.ndarray, "S K"] = field(repr=False)
    layer: str
    t: int
    period: representation.Period = None

    def __repr__(self) -> str:
        count, *shape = self.values.shape
        about = f"layer={self.layer!r}, t={self.t}, period={self.period}"
        return f"Activations({about}): {count} points of {' x '.join(map(str, shape))}"

    @functools.cached_property
    def points(self) -> Float32[np.ndarray, "S r"]:
        """The cloud in the basis of its principal components, which keeps all distances and angles.

        Raises:
          UserError: for fewer than 3 points, values that are not finite, or points that are all equal.
        """
        return representation.gram_scores(self.values.reshape(len(self.values), -1))

    def pca(self, components: int = 3) -> representation.PCA:
        """Return the first principal components: variances, shares of the total variance, and projections [S, k].

        Raises:
          UserError: as `points`.

        >>> grid.pca(2).projections.shape
        (64, 2)
        """
        whole = representation.pca(self.points)
        return representation.PCA(
            whole.variances[:components], whole.explained[:components], whole.projections[:, :components]
        )

    def participation_ratio(self) -> float:
        """Return the effective dimension, from 1 on [2408.13256, section 3.1].

        Raises:
          UserError: as `points`.

        >>> 1 <= grid.participation_ratio() <= 63
        True
        """
        return representation.participation_ratio(self.points)

    def umap(self, components: int = 3, seed: int = 0) -> Float32[np.ndarray, "S k"]:
        """Return the papers' UMAP embedding [2402.03305, B.2]; never compare its coordinates between machines.

        Raises:
          UserError: as `points`; 10 points are needed.

        >>> grid.umap(2).shape
        (64, 2)
        """
        return representation.umap_embedding(self.points, seed, components)

    def probe_r2(self, seed: int = 0) -> representation.R2:
        """Return the cross-validated R^2 of a linear probe of each factor, and their mean.

        See `representation.probe_r2`.

        Raises:
          UserError: as `points`, and if a factor is the same everywhere; 10 points are needed.

        >>> grid.probe_r2().mean <= 1
        True
        """
        return representation.probe_r2(self.points, self.labels, self.period, seed)

    def persistence(self, maxdim: int = 2) -> representation.Persistence:
        """Return persistence diagrams H0 ... H`maxdim` and Betti numbers; a torus has (1, 2, 1).

        Of more than 1,024 points as many landmarks are taken.

        Raises:
          UserError: as `points`; 4 different points are needed.

        >>> len(grid.persistence(maxdim=1).diagrams)
        2
        """
        return representation.persistence(self.points, maxdim)

    def rings(self, components: int = 2, variance: float | None = None, literal: bool = False) -> RingStatistics:
        """Return angles (degrees) and residuals of all pairs of rings [2408.13256, B.2].

        Args:
          components, variance, literal: see `representation.ring_statistics`.

        Raises:
          UserError: as `points`, unless each x occurs with each y exactly once, or for rings of fewer dimensions.

        >>> sorted(grid.rings())
        ['x_on_x', 'x_on_y', 'y_on_y']
        """
        order, shape = representation.grid_order(self._labels_of_two("rings"))
        return representation.ring_statistics(self.points[order], shape, components, variance, literal)

    def additive_share(self) -> float:
        """Return the share of variance in a function of x plus a function of y, from 0 to 1.

        Raises:
          UserError: as `points`, and unless each x occurs with each y exactly once.

        >>> 0 <= grid.additive_share() <= 1
        True
        """
        order, shape = representation.grid_order(self._labels_of_two("additive_share"))
        return representation.additive_share(self.points[order], shape)

    def main_effects(self) -> tuple[Float32[np.ndarray, "nx h w c"], Float32[np.ndarray, "ny h w c"]]:
        """Return what the layer has of each x, and of each y: their mean activations less the mean of all.

        Differences of two of them are edits for `TrainedMember.edited`.

        Returns:
          float32[nx, h, w, c] and [ny, h, w, c], in the order of rising x and y, or of one's own two factors.

        Raises:
          UserError: as `points`, and unless each x occurs with each y exactly once.

        >>> of_x, of_y = grid.main_effects()
        >>> of_x.shape
        (8, 4, 4, 4)
        """
        order, shape = representation.grid_order(self._labels_of_two("main_effects"))
        effects = representation.main_effects(self.values.reshape(len(self.values), -1)[order], shape)
        of_x, of_y = (each.astype(np.float32).reshape(-1, *self.values.shape[1:]) for each in effects)
        return of_x, of_y

    def metric_tensor(self) -> representation.MetricTensor:
        """Return how far the layer moves per unit of x and y, and at what angle, in each cell of the grid of labels.

        Differences across the border of a periodic factor are left out.

        Raises:
          UserError: as `points`, and unless each x occurs with each y exactly once.

        >>> 0 <= grid.metric_tensor().coupling <= 1
        True
        """
        x, y = self._labels_of_two("metric_tensor").T
        order, _ = representation.grid_order(self.labels)
        return representation.metric_tensor(self.points[order], np.unique(x), np.unique(y))

    def _labels_of_two(self, what: str) -> Float[np.ndarray, "S 2"]:
        """Return the labels, if they have two factors."""
        count = self.labels.shape[1]
        require(
            count == 2,
            f"labels have {count} factors, and {what} relates activations to two: take pca, participation_ratio, "
            "umap, probe_r2 or persistence",
        )
        return self.labels
