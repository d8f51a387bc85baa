"""The certificate of optimality: why a fit is an optimum, in numbers.

It is computed from exact derivatives at the estimate alone and owes nothing to the path that led there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["COARSEST", "TOLERANCE", "BoundaryParameter", "Certificate"]

# A predicted decrease of the criterion (-2 log-likelihood) below this is no decrease: the parameters are
# then within sqrt(1e-8) = 1e-4 of their standard errors of the optimum.
TOLERANCE = 1e-8
# A criterion that rounding leaves known no better than this certifies nothing: a tenth of a standard error is lost.
COARSEST = 1e-2


@dataclass(frozen=True, eq=False)
class BoundaryParameter:
    """A direction in which a term's covariance has no variance, or a parameter of its structure on a bound.

    Attributes
    ----------
    term : int
        Index of the random term.
    direction : ndarray, shape (k,)
        Unit combination of the term's columns (in the fit's own basis) with zero variance; of a parameter, all of
        the structure's parameters with this one a way off its bound.
    derivative : float
        One-sided derivative of the criterion in that variance, relative to sigma^2, or in the parameter;
        nonnegative at an optimum.
    predicted_decrease : float
        Decrease of the criterion that a Newton step off the boundary promises; 0 where the derivative
        is nonnegative.
    newton_variance : float
        The variance, relative to sigma^2, that this step gives the direction; how far it moves a parameter.
    parameter : int
        The structure's parameter that is on a bound; -1 for a direction without variance.
    reach : float
        The longest step that is made of a parameter; infinite for variances.
    """

    term: int
    direction: NDArray[np.float64]
    derivative: float
    predicted_decrease: float
    newton_variance: float = 0.0
    parameter: int = -1
    reach: float = float("inf")


@dataclass(frozen=True, eq=False)
class Certificate:
    """Optimality of an estimate.

    Attributes
    ----------
    converged : bool
        Whether `predicted_decrease` and that of every boundary parameter is below `tolerance`, and that below 0.01.
    projected_gradient : float
        Largest derivative of the criterion along a free direction (a log standard deviation, or a
        relative entry of a Cholesky factor).
    predicted_decrease : float
        Decrease of the criterion promised by a Newton step in the free directions.
    boundary : tuple of BoundaryParameter
        Directions without variance, with their one-sided derivatives.
    tolerance : float
        1e-8, or the rounding error of the criterion where that is larger.
    n_evaluations : int
        Evaluations of the criterion that the optimizer took; a step of many places at once, which takes the time of
        one, counts as one.
    message : str
        Why the optimizer stopped.
    n_starts : int
        Places that were searched from. The conditions are those of a local optimum: what other searches found is all
        that is known of others.
    n_agreeing : int
        How many of the searches led to this optimum.
    sampling_error : float
        Where the criterion is an estimate by random vectors (``solver="iterative"``): the largest error of a variance
        parameter that comes of them, in units of its standard error. 0 elsewhere.
    criterion_error : float
        Likewise the standard error of the criterion itself.

    Examples
    --------
    >>> import mixfit
    >>> yields = mixfit.datasets.load("dyestuff2")
    >>> fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", yields).fit()
    >>> fit.certificate.converged, len(fit.certificate.boundary)
    (True, 1)
    >>> round(fit.certificate.boundary[0].derivative, 2)
    9.9
    >>> print(fit.certificate)
    optimality conditions hold
      converged           True
      predicted decrease  0 (tolerance 1e-08)
      projected gradient  0
      evaluations         2
      on the boundary: derivatives 9.905
    """

    converged: bool
    projected_gradient: float
    predicted_decrease: float
    boundary: tuple[BoundaryParameter, ...]
    tolerance: float
    n_evaluations: int
    message: str
    n_starts: int = 1
    n_agreeing: int = 1
    sampling_error: float = 0.0
    criterion_error: float = 0.0

    def __str__(self) -> str:
        rows = {
            "converged": str(self.converged),
            "predicted decrease": f"{self.predicted_decrease:.3g} (tolerance {self.tolerance:.3g})",
            "projected gradient": f"{self.projected_gradient:.3g}",
            "evaluations": str(self.n_evaluations),
            "local optimum": f"reached from {self.n_agreeing} of {self.n_starts} starts",
        }
        if self.n_starts == 1:
            del rows["local optimum"]
        if self.sampling_error:
            rows["sampling error"] = f"{self.sampling_error:.2g} standard errors of the variance parameters"
            rows["error of criterion"] = f"{self.criterion_error:.3g}"
        lines = [self.message, *(f"  {name:<20}{value}" for name, value in rows.items())]
        derivatives = ", ".join(f"{b.derivative:.4g}" for b in self.boundary)
        return "\n".join([*lines, f"  on the boundary: derivatives {derivatives}"] if self.boundary else lines)

    __repr__ = __str__
