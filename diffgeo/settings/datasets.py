"""Data sets that a user declares: named factors, a table of labels, a renderer or images, and a read-out."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from diffgeo.errors import UserError, one_line, require
from diffgeo.settings.mapping import FrozenMapping

Number = int | float | bool
Parameters = Mapping[str, Number]


@dataclass(frozen=True)
class Factor:
    """One coordinate of a label.

    Attributes:
      name: an identifier, part of the results' names: factor "x" has `accuracy_x`.
      low, high: range of its values; labels common to all members are uniform in it.
      tolerance: a read-out is right if it is strictly nearer than this to the value asked for.
      unit: of all four, for axis labels; "" for none.
      period: circumference of a circular factor, None for a plain one.
      values: all values of a discrete factor, () for a continuous one.

    Raises:
      UserError: for a name that is no identifier, an empty range, a tolerance or period that is not positive, or values
        outside the range.

    >>> Factor("angle", 0, 360, tolerance=10, unit="deg", period=360).period
    360
    """

    name: str
    low: float
    high: float
    tolerance: float = 1.0
    unit: str = ""
    period: float | None = None
    values: tuple[float, ...] = ()

    def __post_init__(self):
        require(self.name.isidentifier(), f"factor {self.name!r} is not a Python identifier: rename it")
        require(self.low < self.high, f"factor {self.name!r} has low={self.low}, high={self.high}: low must be less")
        require(self.tolerance > 0, f"factor {self.name!r} has tolerance={self.tolerance}: it must be positive")
        require(
            self.period is None or self.period > 0,
            f"factor {self.name!r} has period={self.period}: it must be positive",
        )
        outside = [value for value in self.values if not self.low <= value <= self.high]
        require(not outside, f"factor {self.name!r} has the value {outside[:1]} outside [{self.low}, {self.high}]")


@dataclass(frozen=True)
class Dataset:
    """A user's data set, part of the settings of an experiment's presets (`adapt(LAPTOP, dataset=...)`).

    Nothing registers it. Its images are read by `read` alone; the methods of `evaluation.readout` are for the papers'
    images.

    Shapes: n images, N image side, C channels, K factors, L rows of the table.

    Attributes:
      name: in settings and results.
      factors: K of them, the coordinates of a label and the network's conditioning, in this order.
      table: function (size, **parameters) -> float[L, K], the labels of the training data, on host. Labels that it
        leaves out are held out.
      render: function (labels float32[n, K], size, **parameters) -> float32[n, N, N, C] in [-1, 1], pure and traceable
        by JAX; parameters are float32 scalars there. None if the images exist already, see `from_arrays`.
      read: function (images uint8[n, N, N], **parameters) -> float[n, K], read-out of generated images on host, NaN
        where a factor cannot be read; [n, N, N, C] if C > 1.
      channels: C.
      regions: name -> function of labels float[n, K] to bool[n]: parts of the labels that are scored by themselves.
      parameters: name -> default, numbers; each is a setting `data.NAME` and a possible axis of the grid. Members that
        differ in them alone share a compiled program.
      images: uint8[L, N, N, C] of the table's rows, of `from_arrays`.
      digest: of labels and images, of `from_arrays`.

    Raises:
      UserError: for no factor, one that occurs twice, names that are no identifiers, or parameters that are no numbers.

    >>> gray = Dataset(
    ...     name="gray",
    ...     factors=[Factor("level", 0, 1, tolerance=0.1)],
    ...     table=lambda size: np.linspace(0, 1, 5)[:, None],
    ...     render=lambda labels, size: 2 * labels[:, :, None, None] * np.ones((size, size, 1)) - 1,
    ...     read=lambda images: images.mean(axis=(1, 2))[:, None] / 255,
    ... )
    >>> gray.build(8, {}).shape
    (5, 1)
    """

    name: str
    factors: Sequence[Factor]
    table: Callable[..., Any] | None = None
    render: Callable[..., Any] | None = None
    read: Callable[..., Any] | None = None
    channels: int = 1
    regions: Mapping[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=FrozenMapping)
    parameters: Mapping[str, Any] = field(default_factory=FrozenMapping)
    images: np.ndarray | None = field(default=None, compare=False, repr=False)
    digest: str = ""

    def __post_init__(self):
        object.__setattr__(self, "factors", tuple(self.factors))
        object.__setattr__(self, "regions", FrozenMapping(self.regions))
        object.__setattr__(self, "parameters", FrozenMapping(self.parameters))
        require(self.name.isidentifier(), f"data set {self.name!r} is not a Python identifier: rename it")
        require(len(self.factors) > 0, f"data set {self.name!r} has no factors: give at least one")
        names = [factor.name for factor in self.factors]
        require(len({*names}) == len(names), f"data set {self.name!r} has a factor twice: {', '.join(names)}")
        require(self.channels > 0, f"data set {self.name!r} has channels={self.channels}: give at least 1")
        for name, value in self.parameters.items():
            require(name.isidentifier(), f"parameter {name!r} of {self.name!r} is not a Python identifier: rename it")
            require(
                isinstance(value, Number) and math.isfinite(value),
                f"parameter {name!r} of {self.name!r} is {value!r}: give a finite number",
            )

    @staticmethod
    def from_arrays(
        images: np.ndarray,
        labels: np.ndarray,
        read: Callable[..., Any],
        factors: Sequence[Factor],
        name: str = "arrays",
        regions: Mapping[str, Callable[[np.ndarray], np.ndarray]] | None = None,
    ) -> "Dataset":
        """Return the data set of images that exist already; each device holds one copy, and rows are drawn there.

        Args:
          images: uint8[L, N, N] or uint8[L, N, N, C].
          labels: float[L, K].
          read: as `Dataset.read`.
          factors: K of them.
          name: in settings and results.
          regions: as `Dataset.regions`.

        Raises:
          UserError: for arrays of other types or shapes, or labels that are not finite.

        >>> images, labels = np.zeros((3, 8, 8), np.uint8), np.arange(3)[:, None]
        >>> three = Dataset.from_arrays(images, labels, lambda gray: gray[:, 0, :1], [Factor("u", 0, 2)])
        >>> three.channels, three.build(8, {}).shape
        (1, (3, 1))
        """
        images, labels = np.asarray(images), np.asarray(labels, np.float32)
        require(
            images.dtype == np.uint8 and images.ndim in (3, 4) and images.shape[1] == images.shape[2],
            f"images are {images.dtype}{list(images.shape)}: give uint8[L, N, N] or uint8[L, N, N, C]",
        )
        images = images if images.ndim == 4 else images[..., None]
        require(
            labels.shape == (len(images), len(factors)),
            f"labels are {list(labels.shape)}: give [{len(images)}, {len(factors)}], one row an image, one column a "
            "factor",
        )
        require(bool(np.isfinite(labels).all()), "labels are not finite: leave those images out")
        digest = hashlib.sha256(np.ascontiguousarray(images).tobytes() + labels.tobytes()).hexdigest()

        def table(size: int) -> np.ndarray:
            require(size == images.shape[1], f"data.size={size} but the images' side is {images.shape[1]}: set it so")
            return labels

        channels = images.shape[-1]
        return Dataset(name, tuple(factors), table, None, read, channels, regions or {}, {}, images, digest)

    def build(self, size: int, parameters: Parameters) -> np.ndarray:
        """Return float32[L, K], the labels of the training data.

        Raises:
          UserError: if the data set is only described, its table has another shape, is empty or not finite.
        """
        labels = np.asarray(self._declared(self.table)(size, **parameters), np.float32)
        require(
            labels.ndim == 2 and labels.shape[1] == len(self.factors) and len(labels) > 0,
            f"the table of {self.name!r} is {list(labels.shape)}: return [rows, {len(self.factors)}], rows over 0",
        )
        require(bool(np.isfinite(labels).all()), f"the table of {self.name!r} has labels that are not finite")
        return labels

    def draw(self, labels: Any, size: int, parameters: Mapping[str, Any]) -> Any:
        """Return what the user's renderer makes of float32[n, K] labels.

        Raises:
          UserError: if the data set has none.
        """
        return self._declared(self.render)(labels, size, **parameters)

    def read_out(self, images: np.ndarray, parameters: Parameters) -> np.ndarray:
        """Return float64[n, K], the factors read out of uint8[n, N, N] (or [n, N, N, C]) images.

        Raises:
          UserError: if the data set is only described, or its read-out returns another shape.
        """
        read = np.asarray(self._declared(self.read)(images, **parameters), np.float64)
        wanted = (len(images), len(self.factors))
        require(read.shape == wanted, f"the read-out of {self.name!r} returns {list(read.shape)}, not {list(wanted)}")
        return read

    def _declared(self, function: Callable[..., Any] | None) -> Callable[..., Any]:
        if function is None:
            raise UserError(
                f"data set {self.name!r} was declared in a file of its user: name that file by --experiment=FILE"
            )
        return function

    def describe(self) -> dict[str, Any]:
        """Return what is stored of it, plain JSON: names, factors, channels, regions, defaults, digest; no code."""
        factors = [{**vars(factor), "values": list(factor.values)} for factor in self.factors]
        tree: dict[str, Any] = {"name": self.name, "factors": factors, "channels": self.channels}
        return tree | {"regions": list(self.regions), "parameters": dict(self.parameters), "digest": self.digest}

    @staticmethod
    def described(tree: Mapping[str, Any]) -> "Dataset":
        """Return the data set of `describe`'s tree, which can be read about but neither drawn nor read out.

        Raises:
          UserError: for another tree.
        """
        try:
            return Dataset._described(tree)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UserError(f"settings.dataset is not the description of a data set: {one_line(error)}") from error

    @staticmethod
    def _described(tree: Mapping[str, Any]) -> "Dataset":
        factors = tuple(Factor(**{**one, "values": tuple(one["values"])}) for one in tree["factors"])
        regions = dict.fromkeys(tree["regions"], _undeclared)
        return Dataset(
            tree["name"],
            factors,
            channels=tree["channels"],
            regions=regions,
            parameters=tree["parameters"],
            digest=tree["digest"],
        )


def _undeclared(labels: np.ndarray) -> np.ndarray:
    """Stand for the region of a data set that is only described."""
    raise UserError("the regions of this data set were declared in a file of its user: name it by --experiment=FILE")
