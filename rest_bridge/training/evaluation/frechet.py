"""Fréchet distances between sets of features: FID, FVD and our own counterparts.

Shape letters: N items, D features.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rest_bridge.training.evaluation.bootstrap import LEVEL, Estimate

Array = npt.NDArray[np.floating]
_DRAWS = 40


def frechet_distance(real: Array, made: Array) -> float:
    """Return the squared Fréchet distance of two normal distributions fitted to features.

    |m1 - m2|² + Tr(S1 + S2 - 2 (S1 S2)^½), Heusel et al., arXiv:1706.08500, Eq. 6. The trace of the
    root is taken from the symmetric S1^½ S2 S1^½, which has the same eigenvalues and stays real.

    Args:
        real: [N, D], more rows than columns or the covariance is singular (and the result biased).
        made: [M, D].

    Raises:
        ValueError: fewer than two items or unequal numbers of features.
    """
    if len(real) < 2 or len(made) < 2 or real.shape[1] != made.shape[1]:
        raise ValueError(f"cannot compare features of shapes {real.shape} and {made.shape}")
    a, b = real.astype(np.float64), made.astype(np.float64)
    first, second = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    root = _root(first)
    mixed = np.linalg.eigvalsh(root @ second @ root)
    trace = np.trace(first) + np.trace(second) - 2 * np.sqrt(np.maximum(mixed, 0)).sum()
    return float(max(((a.mean(0) - b.mean(0)) ** 2).sum() + trace, 0.0))


def frechet_by_clip(
    real: Sequence[Array], made: Sequence[Array], *, seed: int = 0, num_draws: int = _DRAWS
) -> Estimate:
    """Return the distance of two sets of clips with an interval over the clips.

    Args:
        real: [N, D] for each clip.
        made: [M, D] for each clip, in the same order.
        seed: of the resampling.
        num_draws: resamplings.
    """
    whole = frechet_distance(np.concatenate(real), np.concatenate(made))
    if len(real) < 3:
        return Estimate(whole, math.nan, math.nan, len(real))
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(num_draws):
        picks = rng.integers(0, len(real), len(real))
        drawn.append(
            frechet_distance(
                np.concatenate([real[i] for i in picks]), np.concatenate([made[i] for i in picks])
            )
        )
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(whole, float(low), float(high), len(real))


def _root(matrix: Array) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
