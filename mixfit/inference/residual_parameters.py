"""Standard errors of all variance parameters of a fit whose residuals have a covariance with parameters.

By the delta method from the covariance of the search's coordinates, twice the inverse of the exact Hessian; the
derivatives of what is asked for in the coordinates are central differences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.inference.profiles.parameters import parameters, variance_structures
from mixfit.lmm.residual.estimate import place_of
from mixfit.lmm.residual.minimize import moved_place
from mixfit.lmm.residual.stage import flat_parameters
from mixfit.matrices.residual import DISPERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.fitted.residual_covariance import StructuredFit
    from mixfit.inference.profiles.parameters import Parameter
    from mixfit.lmm.residual.criterion import JointPlace

    Array = NDArray[np.float64]

__all__ = ["dispersion_coefficients", "structured_errors"]

# Of a coordinate, a log standard deviation or as much: central differences are then known to 1e-8.
_DIFFERENCE = 1e-4


def structured_errors(fit: StructuredFit) -> pd.Series[float]:
    """Standard errors of log sd, atanh rho, log sigma and the coefficients of log sd, by the names of the parameters.

    Parameters
    ----------
    fit : StructuredFit

    Returns
    -------
    Series
        NaN for parameters without a finite place on their scale: those on a bound.
    """
    known = [p for p in parameters(fit.model) if p.kind != "fixed"]
    covariance = _covariance(fit, lambda place, sigma: _working(fit, known, place, sigma))
    return pd.Series(np.sqrt(covariance.diagonal()), index=[p.name for p in known])


def dispersion_coefficients(fit: StructuredFit) -> tuple[Array, Array]:
    """Coefficients of the columns of ``dispersion=`` in the log standard deviation, with their covariance.

    The criterion has log sigma, the standard deviation where the columns beside the constant are zero, and the
    coefficients of those. Where the columns of the formula span the constant its coefficients have both in them.

    Parameters
    ----------
    fit : StructuredFit

    Returns
    -------
    estimates : ndarray, shape (g,)
    covariance : ndarray, shape (g, g)
    """
    model, g = fit.model, fit.model.problem.form.g
    X = next(p.X for p in model.design.further if p.name == DISPERSION)
    own = np.column_stack([np.ones(len(X)), model.residual.spread])
    back = np.linalg.lstsq(X, own, rcond=None)[0]
    if X.shape[1] == g:
        back[:, 0] = 0.0

    def values(place: JointPlace, sigma: float) -> Array:
        psi = flat_parameters(model.problem.form, place.residual)
        structure = model.residual.structures[0]
        unit = sigma
        if model.residual.text and structure.n_deviations:
            unit = float(structure.natural_values(psi[: structure.n_parameters], sigma)[0])
        return np.asarray(back @ np.append(np.log(unit), psi[len(psi) - g :]))

    return values(place_of(model.problem, fit.estimate), fit.sigma), _covariance(fit, values)


def _covariance(fit: StructuredFit, values: Callable[[JointPlace, float], Array]) -> Array:
    """Of functions of the place and sigma."""
    information = fit.variance_information
    m, columns = len(information.covariance), []
    for a in range(m):
        step = np.zeros(m)
        step[a] = _DIFFERENCE
        ahead, behind = (
            values(moved_place(information.derivatives, sign * step[:-1]), fit.sigma * np.exp(sign * step[-1]))
            for sign in (1.0, -1.0)
        )
        # On a bound a parameter is infinite on its scale, ahead and behind.
        with np.errstate(invalid="ignore"):
            columns.append((ahead - behind) / (2.0 * _DIFFERENCE))
    jacobian = np.column_stack(columns)
    return np.asarray(jacobian @ information.covariance @ jacobian.T)


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
