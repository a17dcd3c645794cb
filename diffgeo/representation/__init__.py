"""Geometry of a network's activations as a cloud of points: host code on numpy arrays.

`analyze` measures a cloud; the functions that it calls are exported too. Importing this imports neither JAX nor
any of the heavy packages. Points are [n, k], one row a sample; start from `gram_scores` of the activations. Whatever
cannot be analyzed (values that are not finite, points that are all equal, too few of them) raises one `UserError`.
"""

from diffgeo.representation.additive import additive_share, main_effects
from diffgeo.representation.barcodes import Reading, read_bars
from diffgeo.representation.connectedness import log_gap
from diffgeo.representation.contrast import gaussian_contrasts, ring_contrast, shuffled_contrasts
from diffgeo.representation.dimension import intrinsic_dimension
from diffgeo.representation.fields import (
    FIELDS,
    GROUPS,
    LENGTHS,
    XY,
    analyze,
    coordinates,
    field_shape,
    fields_of,
    grid_order,
)
from diffgeo.representation.manifold import R2, Period, neighbor_r2, probe_r2, regression_r2, umap_embedding
from diffgeo.representation.metric import MetricTensor, metric_tensor
from diffgeo.representation.phases import Factorization, factorization, phase
from diffgeo.representation.points import landmarks
from diffgeo.representation.rings import (
    PAIRS,
    ideal_statistics,
    ring_components,
    ring_distances,
    ring_histograms,
    ring_statistics,
)
from diffgeo.representation.spectrum import PCA, gram_scores, participation_ratio, pca
from diffgeo.representation.topology import Persistence, persistence
from diffgeo.representation.tori import clifford_torus, torus_3d

__all__ = [
    "FIELDS",
    "GROUPS",
    "LENGTHS",
    "PAIRS",
    "PCA",
    "R2",
    "XY",
    "Factorization",
    "MetricTensor",
    "Period",
    "Persistence",
    "Reading",
    "additive_share",
    "analyze",
    "clifford_torus",
    "coordinates",
    "factorization",
    "field_shape",
    "fields_of",
    "gaussian_contrasts",
    "gram_scores",
    "grid_order",
    "ideal_statistics",
    "intrinsic_dimension",
    "landmarks",
    "log_gap",
    "main_effects",
    "metric_tensor",
    "neighbor_r2",
    "participation_ratio",
    "pca",
    "persistence",
    "phase",
    "probe_r2",
    "read_bars",
    "regression_r2",
    "ring_components",
    "ring_contrast",
    "ring_distances",
    "ring_histograms",
    "ring_statistics",
    "shuffled_contrasts",
    "torus_3d",
    "umap_embedding",
]
