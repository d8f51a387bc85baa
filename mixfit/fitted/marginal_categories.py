r"""Probabilities of unordered categories averaged over the random effects of a population.

The predictors of a row against the baseline are eta + w, w ~ N(0, V) with V_ab = sum_t z_t'Sigma_t,ab z_t of its K - 1
categories, and with V = LL'

    E[P_k] = sum_q c_q P_k(eta + L x_q)

over the nodes of a product Gauss-Hermite rule. Where standard deviations are 1 an error of 1e-6 is left at most; where
they are 3, of 2e-5 with three categories, 4e-4 with four and 2e-3 with five (tests/fitted/test_marginal_categories.py).
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.fitted.predict import rows_to_predict
from mixfit.fitted.re_form import select
from mixfit.matrices.across import refuse_related

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.families.multinomial import Multinomial
    from mixfit.fitted.protocols import GeneralizedFit

    Array = NDArray[np.float64]

__all__ = ["marginal_categories", "product_rule"]

# Nodes a dimension, by their number: up to 15,000 of a product.
_NODES = {1: 61, 2: 61, 3: 23, 4: 11}
# 16 MB an array of the probabilities of all categories.
_CELLS_AT_ONCE = 2_000_000


def product_rule(dimensions: int) -> tuple[Array, Array]:
    """Nodes (q, d) and weights (q,) of averages over independent standard normal variables.

    Raises
    ------
    FitError
        For more dimensions than a product of rules is for.
    """
    if dimensions not in _NODES:
        raise FitError(
            f"re_form='marginal' integrates over {dimensions} random predictors, and can over {max(_NODES)}: take the "
            "shares of the categories among simulate(n)."
        )
    x, c = np.polynomial.hermite_e.hermegauss(_NODES[dimensions])
    c = c / c.sum()
    nodes = np.array(list(product(x, repeat=dimensions)))
    return nodes, np.prod(list(product(c, repeat=dimensions)), axis=1)


def marginal_categories(fit: GeneralizedFit, family: Multinomial, newdata: object) -> tuple[Array, pd.Index]:
    """Averages (K, m) of the probabilities of the rows of the fit, or of new ones, whose groups are not looked up."""
    random, size = fit.model.design.random, len(family.categories) - 1
    refuse_related(random, "an average over random effects")
    rows = rows_to_predict(fit, newdata, select("population", random), True)
    eta = fit.estimate.beta.reshape(size, -1) @ rows.X.T + rows.offset
    Z = [term.Z for term in random]
    if newdata is not None:
        Z = [columns for columns, _ in fit.model.design.reader.read_random(newdata)]
    V = np.zeros((eta.shape[1], size, size))
    for term, z, template in zip(random, Z, fit.estimate.templates, strict=True):
        own = z[:, : len(term.columns) // size]
        sigma = (template @ template.T).reshape(size, own.shape[1], size, own.shape[1])
        V += np.einsum("ni,aibj,nj->nab", own, sigma, own)
    values, vectors = np.linalg.eigh(V)
    L = vectors * np.sqrt(np.maximum(values, 0.0))[:, None]
    x, weights = product_rule(size)
    out = np.empty((size + 1, eta.shape[1]))
    step = max(1, _CELLS_AT_ONCE // ((size + 1) * len(x)))
    for start in range(0, eta.shape[1], step):
        some = slice(start, start + step)
        w = np.einsum("nab,qb->aqn", L[some], x)
        out[:, some] = np.einsum("q,kqn->kn", weights, family.probabilities(eta[:, None, some] + w))
    return out, rows.index
