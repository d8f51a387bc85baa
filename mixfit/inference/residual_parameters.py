"""Standard errors of all variance parameters of a fit whose residuals have a covariance with parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.inference.profiles.parameters import parameters, variance_structures
from mixfit.lmm.residual.minimize import moved_place
from mixfit.lmm.residual.stage import flat_parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.residual_covariance import StructuredFit
    from mixfit.inference.profiles.parameters import Parameter
    from mixfit.lmm.residual.criterion import JointPlace

    Array = NDArray[np.float64]

__all__ = ["structured_errors"]

# Of a coordinate, a log standard deviation or as much: central differences are then known to 1e-8.
_DIFFERENCE = 1e-4


def structured_errors(fit: StructuredFit) -> pd.Series[float]:
    """Standard errors of log sd, atanh rho, log sigma and the coefficients of log sd, by the names of the parameters.

    By the delta method from the covariance of the search's coordinates, twice the inverse of the exact Hessian; the
    derivatives of a natural parameter in the coordinates are central differences.

    Parameters
    ----------
    fit : StructuredFit

    Returns
    -------
    Series
        NaN for parameters without a finite place on their scale: those on a bound.
    """
    information = fit.variance_information
    d, known = information.derivatives, [p for p in parameters(fit.model) if p.kind != "fixed"]
    m = len(information.covariance)
    jacobian = np.empty((len(known), m))
    for a in range(m):
        step = np.zeros(m)
        step[a] = _DIFFERENCE
        ahead, behind = (
            _working(fit, known, moved_place(d, sign * step[:-1]), fit.sigma * np.exp(sign * step[-1]))
            for sign in (1.0, -1.0)
        )
        jacobian[:, a] = (ahead - behind) / (2.0 * _DIFFERENCE)
    variances = np.einsum("ka,ab,kb->k", jacobian, information.covariance, jacobian)
    return pd.Series(np.sqrt(variances), index=[p.name for p in known])


def _working(fit: StructuredFit, known: list[Parameter], place: JointPlace, sigma: float) -> Array:
    """The parameters at a place, each on its scale."""
    problem, structures = fit.model.problem, variance_structures(fit.model)
    thetas = [
        t.structure.theta_of(point, basis)
        for t, point, basis in zip(problem.terms, place.random, problem.term_bases, strict=True)
    ]
    psi = flat_parameters(problem.form, place.residual)
    gamma = psi[len(psi) - problem.form.g :]
    for structure in problem.form.structures:
        thetas.append(psi[: structure.n_parameters])
        psi = psi[structure.n_parameters :]
    values = [s.natural_values(theta, sigma) for s, theta in zip(structures, thetas, strict=True)]
    out = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for p in known:
            if p.kind == "sigma":
                out.append(np.log(sigma))
            elif p.kind == "log sd":
                out.append(gamma[p.number])
            else:
                out.append(structures[p.term].natural[p.number].working(float(values[p.term][p.number])))
    return np.array(out)
