"""What a linear fit hands to the results: estimates as arrays, by random term."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mixfit.brief import brief

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from mixfit.lmm.criterion import Evaluation
    from mixfit.optimize.certificate import Certificate

__all__ = ["Kept", "LinearEstimate"]

T = TypeVar("T")


class Kept(Generic[T]):
    """A value that is handed over, or made when it is first asked for, and then kept. Pickles empty.

    It is no argument of what holds it: a changed copy, by `dataclasses.replace`, starts without it.
    """

    def __init__(self) -> None:
        self._value: T | None = None
        self._stored = False

    def __repr__(self) -> str:
        return f"<Kept: {'nothing yet' if self._value is None else type(self._value).__name__}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"_value": self._value if self._stored else None, "_stored": self._stored}

    def keep(self, value: T, *, stored: bool = False) -> None:
        """Hand over the value; one that cannot be made again is `stored`, and pickles with what holds it."""
        self._value, self._stored = value, stored

    def get(self, make: Callable[[], T]) -> T:
        """The value, made by `make` where there is none yet."""
        if self._value is None:
            self._value = make()
        return self._value


@dataclass(frozen=True, eq=False)
class LinearEstimate:
    """The estimates of a Gaussian mixed model.

    Attributes
    ----------
    reml : bool
    criterion : float
        The minimum of the profiled deviance, or of the REML criterion: -2 log-likelihood with
        all its constants (Bates et al. 2015, eqs. 34, 42).
    templates : tuple of ndarray, shape (k_t, k_t)
        Lower-triangular relative factors: Cov(b of one level of term t) = sigma**2 T_t T_t'.
    theta : ndarray, shape (m,)
        Their free entries, column by column, terms in order of the formula.
    sigma : float
        Residual standard deviation (of an observation of weight 1).
    beta : ndarray, shape (p,)
        Fixed effects of the columns that are not aliased.
    cov_beta : ndarray, shape (p, p)
        Covariance of beta, sigma**2 (X'V^-1X)^-1.
    modes : tuple of ndarray, shape (q_t, k_t)
        Conditional modes b of every term, a row a level.
    certificate : Certificate
    at : Kept of Evaluation
        The criterion at the estimates, with the factor: what follows from the fit reuses it.
    """

    reml: bool
    criterion: float
    templates: tuple[NDArray[np.float64], ...]
    theta: NDArray[np.float64]
    sigma: float
    beta: NDArray[np.float64]
    cov_beta: NDArray[np.float64]
    modes: tuple[NDArray[np.float64], ...]
    certificate: Certificate
    at: Kept[Evaluation] = field(default_factory=Kept, init=False, repr=False)

    __repr__ = brief

    @property
    def unit(self) -> float:
        """What the templates are relative to: sigma."""
        return self.sigma

    @property
    def n_residual(self) -> int:
        """Parameters of the residuals beside sigma: none where they are independent, of one variance."""
        return 0
