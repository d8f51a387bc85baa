r"""Comparison arrows: means whose arrows overlap do not differ, as R's emmeans draws them.

Two means differ where |d| > c se(d) = h. With arrows of length l to the left and r to the right, those of the smaller
mean i and the larger j point at each other, and overlap where d < r_i + l_j: the lengths are to have r_i + l_j = h for
all pairs at once, as nearly as nonnegative ones can, and nearest for pairs that are close to the verge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Arrows", "comparison_arrows"]

# emmeans' weights, from 3 for pairs far from the verge to 13 on it.
_FAR, _NEAR, _VERGE = 3.0, 20.0, 0.5


class Arrows(NamedTuple):
    """Arrows of k means.

    Attributes
    ----------
    left, right : ndarray, shape (k,)
        Their lengths.
    misleading : list of (int, int)
        Pairs whose overlap says another thing than their test.
    """

    left: Array
    right: Array
    misleading: list[tuple[int, int]]


def comparison_arrows(means: Array, half: Array) -> Arrows:
    """Lengths of arrows.

    Parameters
    ----------
    means : ndarray, shape (k,)
        NaN where there is none.
    half : ndarray, shape (k, k)
        By how much two means have to differ.

    Examples
    --------
    >>> arrows = comparison_arrows(np.array([0.0, 1.0, 5.0]), np.full((3, 3), 2.0))
    >>> (arrows.right[:2] + arrows.left[1:]).round(2).tolist(), arrows.misleading
    ([2.0, 2.0], [])
    """
    from scipy.optimize import nnls

    k = len(means)
    pairs = [(i, j) for i in range(k) for j in range(k) if means[i] < means[j] or (means[i] == means[j] and i < j)]
    if not pairs:
        return Arrows(np.zeros(k), np.zeros(k), [])
    low, high = np.array(pairs).T
    h = half[low, high]
    ratio = (means[high] - means[low]) / h
    weight = (_FAR + _NEAR * np.maximum(0.0, _VERGE - (1.0 - ratio) ** 2)) * ratio
    # half of the smallest of a mean's own h, for lengths that no pair determines
    rest = 0.5 * np.array([h[(low == i) | (high == i)].min(initial=np.inf) for i in range(k)])
    rest = np.where(np.isfinite(rest), rest, 0.0)
    A = np.zeros((len(pairs), 2 * k))
    A[np.arange(len(pairs)), k + low] = weight
    A[np.arange(len(pairs)), high] = weight
    lengths = nnls(np.concatenate([A, np.eye(2 * k)]), np.concatenate([weight * h, rest, rest]))[0]
    left, right = lengths[:k], lengths[k:]
    overlap = right[low] + left[high] > means[high] - means[low]
    wrong = [(int(i), int(j)) for i, j, o, r in zip(low, high, overlap, ratio, strict=True) if o != (r < 1.0)]
    return Arrows(left, right, wrong)
