r"""Scrambled nets of points that fill the unit cube: Sobol's, as scipy.stats has them.

Point i of coordinate j is u = sum_k i_k v_jk over the binary digits of i, added without carrying, v_jk the direction
numbers (Joe & Kuo 2008, SIAM J. Sci. Comput. 30, 2635-2654). Digits are mixed by a random lower-triangular matrix and
shifted (Matousek 1998, J. Complexity 14, 527-556), so that every point is uniform by itself and averages are unbiased.
scipy.stats takes longer to import than a small posterior to draw.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Digits = NDArray[np.int64]

__all__ = ["directions", "net"]

# Binary digits of a coordinate, and of the number of a point.
_BITS = 30
# Of each coordinate from the second on: a primitive polynomial over two elements by its inner coefficients, and the
# first odd numbers m_1, m_2, ..., as many as its degree. Coordinates beyond these are independent uniforms.
_JOE_KUO: tuple[tuple[int, tuple[int, ...]], ...] = (
    (0, (1,)),
    (1, (1, 3)),
    (1, (1, 3, 1)),
    (2, (1, 1, 1)),
    (1, (1, 1, 3, 3)),
    (4, (1, 3, 5, 13)),
    (2, (1, 1, 5, 5, 17)),
    (4, (1, 1, 5, 5, 5)),
    (7, (1, 1, 7, 11, 19)),
    (11, (1, 1, 5, 1, 1)),
    (13, (1, 1, 1, 3, 11)),
    (14, (1, 3, 5, 5, 31)),
    (1, (1, 3, 3, 9, 7, 49)),
    (13, (1, 1, 1, 15, 21, 21)),
    (16, (1, 3, 1, 13, 27, 49)),
    (19, (1, 1, 1, 15, 7, 5)),
    (22, (1, 3, 1, 15, 13, 25)),
    (25, (1, 1, 5, 5, 19, 61)),
    (1, (1, 3, 7, 11, 23, 15, 103)),
    (4, (1, 3, 7, 13, 13, 15, 69)),
)


@cache
def directions() -> Digits:
    """Digits (coordinate, k, b) of the direction numbers, b = 0 the most significant."""
    numbers = np.empty((len(_JOE_KUO) + 1, _BITS), dtype=np.int64)
    numbers[0] = 1
    for j, (inner, first) in enumerate(_JOE_KUO, start=1):
        s, m = len(first), list(first)
        for k in range(s, _BITS):
            # m_k = m_{k-s} + 2^s m_{k-s} + sum_a 2^a c_a m_{k-a}, without carrying.
            new = m[k - s] ^ (m[k - s] << s)
            for a in range(1, s):
                new ^= ((inner >> (s - 1 - a)) & 1) * (m[k - a] << a)
            m.append(new)
        numbers[j] = m
    fractions = numbers << np.arange(_BITS - 1, -1, -1)
    return (fractions[:, :, None] >> np.arange(_BITS - 1, -1, -1)) & 1


def net(size: int, dimension: int, rng: np.random.Generator) -> Array:
    """Points (size, dimension), scrambled anew at every call.

    Parameters
    ----------
    size : int
        A power of 2.
    dimension : int
    rng : Generator
    """
    digits = directions()[:dimension]
    d = len(digits)
    mix = np.tril(rng.integers(0, 2, (d, _BITS, _BITS)), -1) + np.eye(_BITS, dtype=np.int64)
    values = (digits @ mix.swapaxes(1, 2) % 2) @ (1 << np.arange(_BITS - 1, -1, -1))
    points = np.empty((size, d), dtype=np.int64)
    points[0] = rng.integers(0, 1 << _BITS, d)
    for k in range(int(size - 1).bit_length()):
        # Numbers with the digit k are those without it, and v_k.
        half = 1 << k
        points[half : 2 * half] = points[:half] ^ values[:, k]
    # Anywhere within the last digit.
    even = (points + rng.random((size, d))) / (1 << _BITS)
    return even if d == dimension else np.concatenate([even, rng.random((size, dimension - d))], axis=1)
