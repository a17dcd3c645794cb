"""Pictures of results: a function per kind, from a results Dataset, or plain arrays by name, to a Figure.

Nothing here touches pyplot or any global state, so pictures can be made in threads, in launchers and in
notebooks alike. `save` writes one to a PNG file.
"""

from diffgeo.plots.clouds import ideal_tori, manifold_phases, pca_views, umap_views
from diffgeo.plots.curves import failure_modes, learning_curves
from diffgeo.plots.geometry import (
    effective_dimension,
    literal_angles,
    persistence_diagrams,
    ring_histograms,
    spectra,
    wasserstein_curves,
)
from diffgeo.plots.heat_maps import phase_diagram, phase_diagrams
from diffgeo.plots.label_maps import error_map, labeled_sample
from diffgeo.plots.last_step import data_needed, final_losses, final_values, part_scores
from diffgeo.plots.region_scores import joint_against_product, region_curves, region_r2
from diffgeo.plots.samples import overview, region_samples, sample_grid, sample_phases, truth_and_sample
from diffgeo.plots.style import AXIS_LABELS, save

__all__ = [
    "AXIS_LABELS",
    "data_needed",
    "effective_dimension",
    "error_map",
    "failure_modes",
    "final_losses",
    "final_values",
    "ideal_tori",
    "joint_against_product",
    "labeled_sample",
    "learning_curves",
    "literal_angles",
    "manifold_phases",
    "overview",
    "part_scores",
    "pca_views",
    "persistence_diagrams",
    "phase_diagram",
    "phase_diagrams",
    "region_curves",
    "region_r2",
    "region_samples",
    "ring_histograms",
    "sample_grid",
    "sample_phases",
    "save",
    "spectra",
    "truth_and_sample",
    "umap_views",
    "wasserstein_curves",
]
