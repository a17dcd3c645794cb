"""Regions of the label plane: what is held out of the training data, and the parts that a model is scored in.

[2402.03305, C.2; 2408.13256, section 3.2, C.3, C.4]. A region answers which labels lie in it and draws itself, so the
same object leaves data out, scores, and shades plots. Coordinates are those of the labels: pixels of the frame, whose
image begins at (margin, margin).

Chosen where the papers are silent: holes are closed (a center on the edge is held out), and the "corner" square is
the one at the labels' origin.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from diffgeo.settings import Data
from diffgeo.settings.allowed import EDGE, HOLES

ALL = "all"
"""Name of the region of every label, which every member is scored in."""


class Box(NamedTuple):
    """A rectangle with its edges, in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]

    def contains(self, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
        """Which of float[n, 2] labels (x, y) lie in it or on its edges."""
        low, high = np.array([self.x, self.y]).T
        return np.all((labels >= low - EDGE) & (labels <= high + EDGE), axis=1)

    def without(self, other: "Box") -> list["Box"]:
        """What is left of it, as rectangles side by side."""
        x = (max(self.x[0], other.x[0]), min(self.x[1], other.x[1]))
        y = (max(self.y[0], other.y[0]), min(self.y[1], other.y[1]))
        if x[0] >= x[1] or y[0] >= y[1]:
            return [self]
        parts = [Box((self.x[0], x[0]), self.y), Box((x[1], self.x[1]), self.y)]
        parts += [Box(x, (self.y[0], y[0])), Box(x, (y[1], self.y[1]))]
        return [part for part in parts if part.x[0] < part.x[1] and part.y[0] < part.y[1]]


@dataclass(frozen=True)
class Region:
    """The union of some boxes less all of others (with their edges).

    Attributes:
      name: as in the results' dim `region`.
      boxes: what belongs to it.
      less: what does not.
    """

    name: str
    boxes: tuple[Box, ...]
    less: tuple[Box, ...] = ()

    def contains(self, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
        """Which of float[n, 2] labels (x, y), in pixels of the frame, lie in the region."""
        labels = np.asarray(labels, np.float64)
        inside = np.any([box.contains(labels) for box in self.boxes], axis=0)
        for box in self.less:
            inside &= ~box.contains(labels)
        return inside

    @property
    def pieces(self) -> list[Box]:
        """Rectangles that cover its inside once each."""
        pieces: list[Box] = []
        for box in self.boxes:
            left = [box]
            for other in (*pieces, *self.less):
                left = [part for piece in left for part in piece.without(other)]
            pieces += left
        return pieces

    def moved(self, by: float) -> "Region":
        """The same region in coordinates shifted by so many pixels in both axes: -margin leads to image pixels."""

        def move(boxes):
            return tuple(Box((b.x[0] + by, b.x[1] + by), (b.y[0] + by, b.y[1] + by)) for b in boxes)

        return Region(self.name, move(self.boxes), move(self.less))

    def draw(self, ax, **style) -> None:
        """Shades the region on matplotlib axes whose data coordinates are labels; `style` goes to the rectangles."""
        from matplotlib.patches import Rectangle

        for piece in self.pieces:
            corner, width, height = (piece.x[0], piece.y[0]), piece.x[1] - piece.x[0], piece.y[1] - piece.y[0]
            ax.add_patch(Rectangle(corner, width, height, **style))


def window(data: Data) -> Box:
    """The image within the frame: labels from margin to margin + N in both axes."""
    side = (float(data.margin), float(data.margin + data.size))
    return Box(side, side)


def hole_width(data: Data) -> float:
    """Width of the hole in pixels: of its bands, or the side of its square, N sqrt(share) if a share is given."""
    return data.hole_width if data.hole_area_fraction is None else data.size * math.sqrt(data.hole_area_fraction)


def cross(data: Data) -> tuple[Region, ...]:
    """All centers with x or y in a middle band, and its parts [2408.13256, section 3.2, Fig. 4f].

    `width` 6 at N = 32 is the papers' [13, 19]. vertical: x inside, y outside; horizontal: y inside, x outside;
    intersection: both.
    """
    band, whole = _middle(data), window(data).x
    upright, level, middle = Box(band, whole), Box(whole, band), Box(band, band)
    return (
        Region("ood", (upright, level)),
        Region("vertical", (upright,), (middle,)),
        Region("horizontal", (level,), (middle,)),
        Region("intersection", (middle,)),
    )


def lesion(data: Data) -> tuple[Region, ...]:
    """All centers with x in a middle band of some width [2408.13256, C.3, Fig. 11]."""
    return (Region("ood", (Box(_middle(data), window(data).y),)),)


def square(data: Data) -> tuple[Region, ...]:
    """A square in the middle, by its width [2408.13256, C.4] or share of the data [2402.03305, C.2; P2 Fig. 5]."""
    return (Region("ood", (Box(_middle(data), _middle(data)),)),)


def corner(data: Data) -> tuple[Region, ...]:
    """A square in the corner of the labels' origin [2408.13256, C.4, Fig. 12b]."""
    low = window(data).x[0]
    side = (low, low + hole_width(data))
    return (Region("ood", (Box(side, side),)),)


SHAPES = dict(zip(HOLES, (lambda data: (), cross, lesion, square, corner), strict=True))
"""The regions of a hole by its name: what is held out ("ood") first, then its parts."""


def held_out(data: Data) -> Region | None:
    """What is left out of the 2D part of the training data; None without a hole."""
    return next(iter(SHAPES[data.hole](data)), None)


def scored(data: Data) -> dict[str, Region | None]:
    """Regions that a member is scored in, by name: "all" (every label, None), "id", "ood" and the hole's parts."""
    parts = SHAPES[data.hole](data)
    if not parts:
        return {ALL: None}
    rest = Region("id", (window(data),), parts[0].boxes)
    return {ALL: None, rest.name: rest} | {region.name: region for region in parts}


def names(members: Sequence[Data]) -> tuple[str, ...]:
    """Names of all regions that any of these is scored in, "all" first."""
    return tuple(dict.fromkeys(name for data in members for name in scored(data)))


def masks(data: Data, labels: np.ndarray, wanted: Sequence[str]) -> Mapping[str, Bool[np.ndarray, " S"]]:
    """Which of float[S, 2] labels lie in each wanted region; none do in a region that this member does not have."""
    known = scored(data)
    found = {}
    for name in wanted:
        region = known.get(name)
        found[name] = np.full(len(labels), name == ALL) if region is None else region.contains(labels)
    return found


def _middle(data: Data) -> tuple[float, float]:
    """The hole's extent in one axis."""
    center = data.margin + (data.size / 2 if data.hole_center is None else data.hole_center)
    half = hole_width(data) / 2
    return (center - half, center + half)
