"""Mean and its complement from the linear predictor, each with all of its digits.

A unit with a failure far out where the mean is 1 to all digits tells of 1 - m, not of m: log(1 - m) and its slope
agree, as Newton's method needs, only where 1 - m has its digits too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, ndtr, ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.links import Link

    Array = NDArray[np.float64]

__all__ = ["Ends", "ends"]

# Smallest m and 1 - m, of which second derivatives take the square.
_SMALLEST = 1e-140
_LOG = -float(np.log(_SMALLEST))
_NORMAL = -float(ndtri(_SMALLEST))
_RANGES = {"logit": (-_LOG, _LOG), "probit": (-_NORMAL, _NORMAL), "cloglog": (-_LOG, float(np.log(_LOG)))}


@dataclass(frozen=True, eq=False)
class Ends:
    """Mean m, its complement q = 1 - m, dm/d eta and d2m/d eta2, each of shape (N,).

    They are those at the nearest eta with m and q of at least 1e-140; `beyond` is how far eta itself is from there.
    """

    m: Array
    q: Array
    slope: Array
    bend: Array
    beyond: Array


def ends(link: Link, eta: Array) -> Ends:
    """Mean and complement under a link, with derivatives.

    Parameters
    ----------
    link : Link
        Logit, probit or cloglog.
    eta : ndarray, shape (N,)

    Returns
    -------
    Ends

    Examples
    --------
    >>> from mixfit.families.links import LINKS
    >>> [f"{ends(LINKS[name], np.array([4.0])).q[0]:.6g}" for name in ("logit", "probit", "cloglog")]
    ['0.0179862', '3.16712e-05', '1.94234e-24']
    """
    near = np.clip(eta, *_RANGES[link.name])
    beyond = eta - near
    if link.name == "cloglog":
        t = np.exp(near)
        q = np.exp(-t)
        return Ends(-np.expm1(-t), q, t * q, t * q * (1.0 - t), beyond)
    cumulative = ndtr if link.name == "probit" else expit
    return Ends(cumulative(near), cumulative(-near), link.slope(near), link.bend(near), beyond)
