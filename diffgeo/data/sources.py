"""Where a member's images, labels, read-outs and regions come from: the papers' data sets, or one of the user's.

Evaluation and the Python interface ask a `Source` for all of them, and `batches.render_rows` renders both kinds in the
train step. Only what a user's images lack is told apart elsewhere: outcomes of samples, read-out methods, and the
measures that follow from them.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.spatial import KDTree

from diffgeo import images, readout
from diffgeo.data import evaluation_labels, label_tables, regions
from diffgeo.data.label_tables import LabelTable
from diffgeo.errors import require
from diffgeo.settings import Data, Dataset, Settings


@runtime_checkable
class Source(Protocol):
    """Data of one member. Shapes: S samples, K factors, N image side, C channels."""

    def table(self) -> LabelTable:
        """Return the table of the training data, on host.

        Raises:
          UserError: for settings that leave no label, or a data set that is only described.
        """
        ...

    def labeled(self, labels: np.ndarray) -> LabelTable:
        """Return a table of float32[S, K] labels in frame coordinates, whose rows are what `images` draws at them."""
        ...

    def images(self, labels: np.ndarray, origin: np.ndarray) -> np.ndarray:
        """Return float32[S, N, N, C], what a member should draw at float32[S, K] labels.

        Args:
          labels: in frame coordinates.
          origin: float32[K], label of the image's pixel (0, 0); 0 unless a frame is extended.
        """
        ...

    def uniform_labels(self, count: int, origin: np.ndarray) -> np.ndarray:
        """Return float32[count, K] labels that are the same for all members of a size, but for `origin`."""
        ...

    def read(self, gray: np.ndarray, at: np.ndarray, method: str) -> readout.Readout:
        """Read out uint8 images [S, N, N] (or [S, N, N, C]), drawn at float[S, K] labels less the origin."""
        ...

    def masks(self, labels: np.ndarray, wanted: Sequence[str]) -> Mapping[str, Bool[np.ndarray, " S"]]:
        """Return which of float[S, K] labels lie in each wanted region."""
        ...


@dataclass(frozen=True)
class PaperSource:
    """Bumps and stripes of the papers. A `Source`."""

    data: Data

    def table(self) -> LabelTable:
        """See `Source`."""
        return label_tables.build_label_table(self.data)

    def labeled(self, labels: Float[np.ndarray, "S 2"]) -> LabelTable:
        """See `Source`."""
        return label_tables.make_table(labels, self.data.kind, self.data.sigma, self.data.margin)

    def images(self, labels: Float[np.ndarray, "S 2"], origin: Float[np.ndarray, "2"]) -> Float[np.ndarray, "S N N 1"]:
        """See `Source`."""
        data = self.data
        return np.asarray(images.render(labels - origin[None], data.sigma, data.kind, data.size, data.periodic))

    def uniform_labels(self, count: int, origin: Float[np.ndarray, "2"]) -> Float[np.ndarray, "S 2"]:
        """See `Source`; `evaluation_labels.common_labels`."""
        return evaluation_labels.common_labels(count, self.data.size, origin)

    def read(self, gray: UInt8[np.ndarray, "S N N"], at: Float[np.ndarray, "S 2"], method: str) -> readout.Readout:
        """See `Source`; `readout.score`."""
        data = self.data
        return readout.score(gray, at, method, kind=data.kind, sigma=data.sigma, periodic=data.periodic)

    def masks(self, labels: Float[np.ndarray, "S 2"], wanted: Sequence[str]) -> Mapping[str, Bool[np.ndarray, " S"]]:
        """See `Source`; `regions.masks`."""
        return regions.masks(self.data, labels, wanted)


@dataclass(frozen=True)
class DeclaredSource:
    """A data set of the user. A `Source`."""

    data: Data
    dataset: Dataset

    def table(self) -> LabelTable:
        """See `Source`."""
        stored = self.dataset.images
        labels = self.dataset.build(self.data.size, self.data.parameters)
        return self._table(labels, None if stored is None else np.arange(len(stored), dtype=np.int32))

    def labeled(self, labels: Float[np.ndarray, "S K"]) -> LabelTable:
        """See `Source`."""
        return self._table(labels, self._nearest(labels))

    def _table(self, labels: np.ndarray, image_rows: np.ndarray | None) -> LabelTable:
        return LabelTable(
            centers=np.asarray(labels, np.float32),
            kinds=np.zeros(len(labels), np.int8),
            count=np.int32(len(labels)),
            sigma=np.zeros(2, np.float32),
            origin=np.zeros(labels.shape[1], np.float32),
            parameters={name: np.float32(value) for name, value in self.data.parameters.items()},
            image_rows=image_rows,
        )

    def _nearest(self, labels: np.ndarray) -> np.ndarray | None:
        """Return int32[S], the stored images of the nearest labels; None if images are rendered."""
        dataset = self.dataset
        if dataset.images is None:
            return None
        tolerances = np.array([factor.tolerance for factor in dataset.factors])
        stored = dataset.build(self.data.size, self.data.parameters)
        return np.asarray(KDTree(stored / tolerances).query(labels / tolerances)[1], np.int32)

    def images(self, labels: Float[np.ndarray, "S K"], origin: Float[np.ndarray, " K"]) -> Float[np.ndarray, "S N N C"]:
        """See `Source`; where images exist already, the first of the nearest label."""
        if self.dataset.images is not None:
            return from_gray(self.dataset.images[self._nearest(labels)])
        parameters = {name: np.float32(value) for name, value in self.data.parameters.items()}
        return np.asarray(_rendered(self.dataset, self.data.size)(np.asarray(labels, np.float32), parameters))

    def uniform_labels(self, count: int, origin: Float[np.ndarray, " K"]) -> Float[np.ndarray, "S K"]:
        """See `Source`; uniform in each factor's range, or among its values."""
        drawn = np.random.default_rng(evaluation_labels.COMMON_SEED).uniform(size=(count, len(self.dataset.factors)))
        columns = []
        for factor, share in zip(self.dataset.factors, drawn.T, strict=True):
            values = np.asarray(factor.values)
            chosen = values[(share * len(values)).astype(int)] if len(values) else None
            columns.append(factor.low + (factor.high - factor.low) * share if chosen is None else chosen)
        return np.stack(columns, axis=1).astype(np.float32)

    def read(self, gray: UInt8[np.ndarray, "S ..."], at: Float[np.ndarray, "S K"], method: str) -> readout.Readout:
        """See `Source`; there is one method, the data set's own."""
        predicted = self.dataset.read_out(gray, self.data.parameters)
        return readout.compare(predicted, at, self.dataset.factors)

    def masks(self, labels: Float[np.ndarray, "S K"], wanted: Sequence[str]) -> Mapping[str, Bool[np.ndarray, " S"]]:
        """See `Source`."""

        def mask(name: str) -> np.ndarray:
            if name == regions.ALL:
                return np.ones(len(labels), bool)
            inside = np.asarray(self.dataset.regions[name](np.asarray(labels)))
            require(
                inside.dtype == bool and inside.shape == (len(labels),),
                f"region {name!r} of {self.dataset.name!r} returns {inside.dtype}{list(inside.shape)}: return "
                f"bool[{len(labels)}]",
            )
            return inside

        return {name: mask(name) for name in wanted}


def source_of(settings: Settings) -> Source:
    """Return the source of a member's data."""
    if settings.dataset is None:
        return PaperSource(settings.data)
    return DeclaredSource(settings.data, settings.dataset)


def from_gray(gray: Any) -> Any:
    """Return float32 images in [-1, 1] of gray values 0 to 255, the inverse of `images.to_uint8`."""
    return gray.astype(np.float32) / np.float32(127.5) - np.float32(1.0)


@functools.lru_cache(maxsize=8)
def _rendered(dataset: Dataset, size: int) -> Any:
    """Return the jitted renderer of a user's data set: (labels, parameters) -> images."""
    return jax.jit(lambda labels, parameters: render_declared(dataset, jnp.asarray(labels), size, parameters))


def render_declared(dataset: Dataset, labels: jax.Array, size: int, parameters: Mapping[str, Any]) -> jax.Array:
    """Return float32[n, N, N, C] of a user's renderer; may be traced.

    Raises:
      UserError: if it returns another shape, or there is none.
    """
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # the user's code need not be strict
        drawn = dataset.draw(labels, size, parameters)
    wanted = (len(labels), size, size, dataset.channels)
    require(
        jnp.shape(drawn) == wanted,
        f"the renderer of {dataset.name!r} returns {list(jnp.shape(drawn))}: return {list(wanted)}",
    )
    return jnp.asarray(drawn, jnp.float32)
