"""Regions of the label plane: the hole held out of the training data, and the regions that a model is scored in.

[2402.03305, C.2; 2408.13256, section 3.2, C.3, C.4]. A region tests which labels lie in it and draws itself, so that
the same object holds data out, scores, and shades plots. Coordinates are those of the labels: pixels of the frame,
whose image begins at (margin, margin).

Chosen where the papers are silent: holes are closed (a center on the edge is held out), and the "corner" square is
that at the labels' origin.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from diffgeo.settings import Data, Settings
from diffgeo.settings.allowed import EDGE, HOLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ALL = "all"
"""Name of the region of all labels, in which every member is scored."""


class Box(NamedTuple):
    """A rectangle with its edges, in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]

    def contains(self, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
        """Return which of float[n, 2] labels (x, y) lie in it or on its edges."""
        low, high = np.array([self.x, self.y]).T
        return np.all((labels >= low - EDGE) & (labels <= high + EDGE), axis=1)

    def without(self, other: "Box") -> list["Box"]:
        """Return its difference with another box as disjoint rectangles."""
        x = (max(self.x[0], other.x[0]), min(self.x[1], other.x[1]))
        y = (max(self.y[0], other.y[0]), min(self.y[1], other.y[1]))
        if x[0] >= x[1] or y[0] >= y[1]:
            return [self]
        parts = [Box((self.x[0], x[0]), self.y), Box((x[1], self.x[1]), self.y)]
        parts += [Box(x, (self.y[0], y[0])), Box(x, (y[1], self.y[1]))]
        return [part for part in parts if part.x[0] < part.x[1] and part.y[0] < part.y[1]]


@dataclass(frozen=True)
class Region:
    """A union of boxes less another union of boxes, both with their edges.

    Attributes:
      name: as in the results' dim `region`.
      boxes: included.
      less: excluded.
    """

    name: str
    boxes: tuple[Box, ...]
    less: tuple[Box, ...] = ()

    def contains(self, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
        """Return which of float[n, 2] labels (x, y), in pixels of the frame, lie in the region."""
        labels = np.asarray(labels, np.float64)
        inside = np.any([box.contains(labels) for box in self.boxes], axis=0)
        for box in self.less:
            inside &= ~box.contains(labels)
        return inside

    @property
    def pieces(self) -> list[Box]:
        """Disjoint rectangles that cover the region."""
        pieces: list[Box] = []
        for box in self.boxes:
            rest = [box]
            for other in (*pieces, *self.less):
                rest = [part for piece in rest for part in piece.without(other)]
            pieces += rest
        return pieces

    def moved(self, by: float) -> "Region":
        """Return the region shifted by this many pixels on both axes: -margin converts to pixels of the image."""

        def move(boxes: tuple[Box, ...]) -> tuple[Box, ...]:
            return tuple(Box((b.x[0] + by, b.x[1] + by), (b.y[0] + by, b.y[1] + by)) for b in boxes)

        return Region(self.name, move(self.boxes), move(self.less))

    def draw(self, ax: "Axes", **style: Any) -> None:
        """Shade the region on axes whose data coordinates are labels; `style` goes to matplotlib's rectangles."""
        from matplotlib.patches import Rectangle

        for piece in self.pieces:
            corner, width, height = (piece.x[0], piece.y[0]), piece.x[1] - piece.x[0], piece.y[1] - piece.y[0]
            ax.add_patch(Rectangle(corner, width, height, **style))


def window(data: Data) -> Box:
    """Return the image's box within the frame: labels from margin to margin + N on both axes."""
    side = (float(data.margin), float(data.margin + data.size))
    return Box(side, side)


def hole_width(data: Data) -> float:
    """Return the width of the hole's bands in pixels, or the side of its square: N sqrt(hole_area_fraction) if set."""
    return data.hole_width if data.hole_area_fraction is None else data.size * math.sqrt(data.hole_area_fraction)


def cross(data: Data) -> tuple[Region, ...]:
    """Return all centers with x or y in a middle band, and its parts [2408.13256, section 3.2, Fig. 4f].

    `hole_width` 6 at N = 32 is the papers' [13, 19]. vertical: x inside, y outside; horizontal: y inside, x outside;
    intersection: both.
    """
    band, whole = _middle(data), window(data).x
    vertical, horizontal, intersection = Box(band, whole), Box(whole, band), Box(band, band)
    return (
        Region("ood", (vertical, horizontal)),
        Region("vertical", (vertical,), (intersection,)),
        Region("horizontal", (horizontal,), (intersection,)),
        Region("intersection", (intersection,)),
    )


def lesion(data: Data) -> tuple[Region, ...]:
    """Return all centers with x in a middle band [2408.13256, C.3, Fig. 11]."""
    return (Region("ood", (Box(_middle(data), window(data).y),)),)


def square(data: Data) -> tuple[Region, ...]:
    """Return a middle square, set by width [2408.13256, C.4] or area fraction [2402.03305, C.2; 2408.13256, Fig. 5]."""
    return (Region("ood", (Box(_middle(data), _middle(data)),)),)


def corner(data: Data) -> tuple[Region, ...]:
    """Return a square in the corner at the labels' origin [2408.13256, C.4, Fig. 12b]."""
    low = window(data).x[0]
    side = (low, low + hole_width(data))
    return (Region("ood", (Box(side, side),)),)


SHAPES: dict[str, Callable[[Data], tuple[Region, ...]]] = dict(
    zip(HOLES, (lambda data: (), cross, lesion, square, corner), strict=True)
)
"""Regions of a hole by its name: the whole hole ("ood") first, then its parts."""


def held_out(data: Data) -> Region | None:
    """Return the region held out of the 2D part of the training data; None without a hole."""
    return next(iter(SHAPES[data.hole](data)), None)


def scored(data: Data) -> dict[str, Region | None]:
    """Return the regions that a member is scored in: "all" (every label, None), "id", "ood" and the hole's parts."""
    parts = SHAPES[data.hole](data)
    if not parts:
        return {ALL: None}
    in_distribution = Region("id", (window(data),), parts[0].boxes)
    return {ALL: None, in_distribution.name: in_distribution} | {region.name: region for region in parts}


def names(members: Sequence[Settings]) -> tuple[str, ...]:
    """Return the names of all regions in which any of these members is scored, "all" first."""
    dataset = members[0].dataset
    if dataset is not None:
        return (ALL, *dataset.regions)
    return tuple(dict.fromkeys(name for settings in members for name in scored(settings.data)))


def masks(data: Data, labels: np.ndarray, wanted: Sequence[str]) -> Mapping[str, Bool[np.ndarray, " S"]]:
    """Return which of float[S, 2] labels lie in each wanted region: none in a region that this member does not have."""
    known = scored(data)

    def mask(name: str) -> np.ndarray:
        region = known.get(name)
        return np.full(len(labels), name == ALL) if region is None else region.contains(labels)

    return {name: mask(name) for name in wanted}


def _middle(data: Data) -> tuple[float, float]:
    """Return the hole's extent on an axis."""
    center = data.margin + (data.size / 2 if data.hole_center is None else data.hole_center)
    half = hole_width(data) / 2
    return (center - half, center + half)
