"""One function per kind of picture: each takes a results Dataset and returns a matplotlib Figure.

Nothing here touches pyplot or any global state, so pictures can be made in threads, in launchers and in
notebooks alike. `save` writes one to a PNG file.
"""

from diffgeo.plots.curves import failure_modes, learning_curves
from diffgeo.plots.maps import error_map
from diffgeo.plots.phases import phase_diagram
from diffgeo.plots.samples import overview, sample_grid, sample_phases
from diffgeo.plots.style import AXIS_LABELS, save

__all__ = [
    "AXIS_LABELS",
    "error_map",
    "failure_modes",
    "learning_curves",
    "overview",
    "phase_diagram",
    "sample_grid",
    "sample_phases",
    "save",
]
