r"""A spatial correlation with a nugget nu: (1 - nu) C(rho) + nu I, a share of the variance that no two places have.

It is what measurement error adds to a field that residuals follow (Diggle, Liang & Zeger 1994, section 5.2): a random
effect of covariance s^2 C beside independent residuals of variance sigma^2 makes rows of places of their own covary as
(s^2 + sigma^2) [(1 - nu) C + nu I], nu = sigma^2 / (s^2 + sigma^2). So written it is looked at within blocks of rows,
however many places there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.covariance.markov import Markov, Transitions
from mixfit.covariance.parameter import NaturalParameter
from mixfit.covariance.parametric import Parametric
from mixfit.covariance.spatial import Spatial
from mixfit.covariance.structure import Containment
from mixfit.errors import FormulaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.columns import GivenColumns
    from mixfit.covariance.structure import Structure

    Array = NDArray[np.float64]

__all__ = ["NUGGETS", "Nugget", "check_nugget"]

#: How the option is written, nlme's way among them.
NUGGETS = (("nugget",), ("nugget=TRUE",), ("nugget = TRUE",), ("nugget=True",), ("nugget = True",))

# Shares of the variance to start from: measurements that are good, and such that say little of one place.
_STARTS = (0.1, 0.5)


@dataclass(frozen=True)
class Nugget(Spatial):
    """``exp(x + y | block, nugget)`` of residuals: the parameters of the field, then nu between 0 and 1.

    Attributes
    ----------
    smooth : Spatial
        The field, of correlation C.
    """

    smooth: Spatial

    name: ClassVar[str] = "nugget"
    holds_common_effect: ClassVar[bool] = True

    @property
    def tag(self) -> str:
        """The name of the field's structure."""
        return self.smooth.tag

    @property
    def locations(self) -> Array:
        """Those of the field."""
        return self.smooth.locations

    @property
    def distances(self) -> Array:
        """Those of the field."""
        return self.smooth.distances

    @property
    def shape(self) -> tuple[NaturalParameter, ...]:
        """The field's, and nu."""
        own = NaturalParameter("nugget", of=self.smooth.name, lower=0.0, upper=1.0, scale="atanh")
        return (*self.smooth.shape, own)

    @property
    def natural(self) -> tuple[NaturalParameter, ...]:
        """The deviation of field and nugget together, under the field's name."""
        return (*self.smooth.natural[:1], *self.shape)

    def among(self, place: NDArray[np.intp]) -> Structure | None:
        """The nugget of the field within each set."""
        field = self.smooth.among(place)
        return replace(self, k=field.k, smooth=field) if isinstance(field, Spatial) else None

    def contains(self, inner: Structure) -> Containment | None:
        """Fields with nuggets by their fields; those without, and independence, on a bound."""
        if isinstance(inner, Nugget):
            return self.smooth.contains(inner.smooth)
        return None if self.smooth.contains(inner) is None else Containment.BOUNDARY

    def starts_along(self, nearest: float, farthest: float) -> list[Array]:
        """Those of the field, each with a small and with a large nugget."""
        return [np.append(rho, nu) for rho in self.smooth.starts_along(nearest, farthest) for nu in _STARTS]

    # Along one number

    def times(self) -> Array | None:
        """Those of the field."""
        return self.smooth.times() if isinstance(self.smooth, Markov) else None

    def transitions(self, rho: Array, gaps: Array) -> Transitions:
        """Those of the field, and nu."""
        assert isinstance(self.smooth, Markov)
        return replace(self.smooth.transitions(rho[:-1], gaps), nugget=float(rho[-1]))

    # Correlations

    def correlation_at(self, distances: Array, rho: Array) -> Array:
        """(1 - nu) C, and 1 at no distance."""
        return (1.0 - rho[-1]) * self.smooth.correlation_at(distances, rho[:-1]) + rho[-1] * (distances == 0.0)

    def correlation(self, rho: Array) -> Array:
        """(1 - nu) C + nu I."""
        return (1.0 - rho[-1]) * self.smooth.correlation(rho[:-1]) + rho[-1] * np.eye(self.k)

    def correlation_slopes(self, rho: Array) -> Array:
        """(1 - nu) dC, and I - C."""
        own = np.eye(self.k) - self.smooth.correlation(rho[:-1])
        return np.concatenate([(1.0 - rho[-1]) * self.smooth.correlation_slopes(rho[:-1]), own[None]])

    def correlation_bends(self, rho: Array) -> Array:
        """(1 - nu) d^2 C, and -dC."""
        slopes, bends = self.smooth.correlation_slopes(rho[:-1]), self.smooth.correlation_bends(rho[:-1])
        out = np.zeros((len(rho), len(rho), *slopes.shape[1:]))
        out[:-1, :-1] = (1.0 - rho[-1]) * bends
        out[:-1, -1] = out[-1, :-1] = -slopes
        return out

    def elsewhere(self, theta: Array, places: Array, known: Array) -> tuple[Array, Array]:
        """What another row has in common with the known ones is the field alone, at one place with them too."""
        shared, variances = self.smooth.elsewhere(theta[:-1], places, known)
        return (1.0 - theta[-1]) * shared, variances

    # Steps: those of the field, and of nu itself

    def rates(self, psi: Array) -> Array:
        """The field's, and 1."""
        out = np.eye(len(psi))
        out[:-1, :-1] = self.smooth.rates(psi[:-1])
        return out

    def rate_bends(self, psi: Array) -> Array:
        """The field's."""
        out = np.zeros((len(psi),) * 3)
        out[:-1, :-1, :-1] = self.smooth.rate_bends(psi[:-1])
        return out

    def stepped(self, psi: Array, step: Array, vanishing: NDArray[np.bool_]) -> Array:
        """The field's, and nu up to its bounds."""
        nu = 0.0 if vanishing[-1] else float(np.clip(psi[-1] + step[-1], 0.0, 1.0))
        return np.append(self.smooth.stepped(psi[:-1], step[:-1], vanishing[:-1]), nu)

    def at_origin(self, psi: Array) -> list[tuple[Array, float, float]]:
        """Those of the field."""
        return [(np.append(shape, psi[-1]), c, power) for shape, c, power in self.smooth.at_origin(psi[:-1])]

    def shape_edges(self, psi: Array, parameter: int) -> list[tuple[Array, Array, float]]:
        """Off the bounds of the field, where nu leaves any of it; off those of nu by a share of the variance."""
        if parameter == len(psi) - 1:
            return Parametric.shape_edges(self, psi, parameter)
        ways = self.smooth.shape_edges(psi[:-1], parameter)
        return [((1.0 - psi[-1]) * change, np.append(off, psi[-1]), reach) for change, off, reach in ways]

    def off_edge(self, psi: Array, parameter: int, off: Array, size: float) -> Array:
        """The field's, or nu by `size`."""
        if parameter == len(psi) - 1:
            return Parametric.off_edge(self, psi, parameter, off, size)
        return np.append(self.smooth.off_edge(psi[:-1], parameter, off[:-1], size), psi[-1])


def check_nugget(given: GivenColumns, name: str) -> None:
    """Refuse the nugget of a random term.

    Raises
    ------
    FormulaError
    """
    if not given.of_residuals:
        raise FormulaError(
            f"{given.text}: the residuals are the nugget of a random term {name}(... | ...), which takes no option "
            f"{given.options[0]!r}. It is one of residual=, where no residuals stand beside the field."
        )
