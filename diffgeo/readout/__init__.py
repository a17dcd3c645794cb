"""Centers read from images, the papers' accuracy, and the failure modes of generation.

Runs on host, on uint8[n, N, N] images as `diffgeo.images.to_uint8` makes them (dark on white). Centers are
(x, y) = (column, row) in 0-based pixel centers, the renderer's coordinates. "Darkness" is 255 - gray value.
This package needs no JAX, so it can score stored samples anywhere.

Two measures are kept apart. `accuracy` is the papers' number: with their methods it takes the read-out without a
check, the centroid where an image does not show exactly one bump. `outcomes` also counts the bumps. An image with
two bumps whose centroid happens to be right is a hit of the former and a failure of the latter,
so the accuracy may exceed the fraction of `correct`. The method "subpixel" reads no such center.

Methods that read whole pixels make the accuracy depend on the lattice of the labels: the error must be strictly less
than a pixel, so an integer label is hit at one pixel and a fractional one at two. With an isotropic Gaussian drawing
error of 0.6 pixels, "darkest" scores .71, .58, .39, .39 at label spacings of 1/4, 1/2, 1, 2 pixels; "subpixel" scores
.83 at all of them.
"""

from diffgeo.readout.centers import load_packages, predict_centers
from diffgeo.readout.counts import BACKGROUND, BUMP_LEVEL, MIN_CONTRAST, count_bumps
from diffgeo.readout.scores import Readout, accuracy, compare, distances, hits, outcomes, score, summarize
from diffgeo.readout.subpixel import STRIPE_CONTRAST, stripes_present
from diffgeo.settings.allowed import OUTCOMES

__all__ = [
    "BACKGROUND",
    "BUMP_LEVEL",
    "MIN_CONTRAST",
    "OUTCOMES",
    "STRIPE_CONTRAST",
    "Readout",
    "accuracy",
    "compare",
    "count_bumps",
    "distances",
    "hits",
    "load_packages",
    "outcomes",
    "predict_centers",
    "score",
    "stripes_present",
    "summarize",
]
