r"""Principal components of a cloud of n points in very many dimensions, by its n x n Gram matrix.

With centered points X = U S V^T, the Gram matrix X X^T = U S^2 U^T gives the scores U S: the points in the
basis of their principal components. V is never needed.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Real

from diffgeo.representation.points import check_points


class PCA(NamedTuple):
    """Principal components, largest first; r of them, the rank of the centered cloud."""

    variances: Float64[np.ndarray, " r"]
    """Eigenvalues of the covariance (divided by n), in the points' units squared."""
    explained: Float64[np.ndarray, " r"]
    """Share of the total variance of each component; they sum to 1."""
    projections: Float64[np.ndarray, "n r"]
    """The centered points along each component. The largest entry of a column is positive."""


def pca(points: Real[np.ndarray, "n k"]) -> PCA:
    """Analyze n points by their principal components.

    Args:
      points: [n, k], any number of features.

    Raises:
      UserError: see `check_points`.
    """
    points = check_points(points)
    centered = points - points.mean(axis=0)
    gram = centered @ centered.T
    eigenvalues, vectors = np.linalg.eigh(gram)
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    rank = int(np.sum(eigenvalues > eigenvalues[0] * len(points) * np.finfo(np.float64).eps))
    rank = min(rank, points.shape[1], len(points) - 1)
    eigenvalues, vectors = eigenvalues[:rank], vectors[:, :rank]
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(rank)])  # else they would depend on the linear algebra library
    projections = np.ascontiguousarray(vectors * (signs * np.sqrt(eigenvalues)))
    return PCA(eigenvalues / len(points), eigenvalues / eigenvalues.sum(), projections)


def gram_scores(activations: Real[np.ndarray, "n F"]) -> Float32[np.ndarray, "n r"]:
    """Return the centered cloud in the basis of its principal components: n x n in place of n x 16,384.

    Every distance between points, every angle at the center of the cloud and every principal component is that of
    the activations. **The mean is subtracted** and not kept: nothing here depends on it.

    Args:
      activations: [n, F]; flatten maps to features first.

    Returns:
      float32[n, r], r <= min(n - 1, F) the rank, columns by falling variance.

    Raises:
      UserError: see `check_points`.
    """
    return pca(activations).projections.astype(np.float32)


def participation_ratio(points: Real[np.ndarray, "n k"]) -> float:
    r"""Return the effective dimension of a cloud [2408.13256, section 3.1].

    :math:`(\sum_i \lambda_i)^2 / \sum_i \lambda_i^2` of the covariance's eigenvalues, from 1 (a line) to the
    number of dimensions (a ball); 4 for a Clifford torus.

    Args:
      points: [n, k].

    Raises:
      UserError: see `check_points`.
    """
    points = check_points(points)
    centered = points - points.mean(axis=0)
    centered /= np.abs(centered).max()  # fourth powers of large activations would overflow
    product = centered.T @ centered if centered.shape[0] > centered.shape[1] else centered @ centered.T
    return float(np.trace(product) ** 2 / np.sum(product * product))
