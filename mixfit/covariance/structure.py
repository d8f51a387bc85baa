"""What the covariance of a random term is, as an object: `Structure`.

The effects of a term's columns at one level have covariance sigma^2 T T' (generalized models: T T'), T the term's
template. A structure says which T there are, by what numbers they are described and reported, in which directions
they may move, how bounds are left, and which changes of the columns it is closed under. Everything else asks it,
and knows no structure by name.

Three descriptions of one covariance occur:

*theta*
    The structure's parameters in the user's columns, relative to sigma: what results hold and files keep.
*point*
    What Newton steps move, in the basis of the problem: the template itself, any square root of T T', for the free
    structures; theta of the problem's columns for those with parameters of their own.
*natural parameters*
    What is reported, in the units of the response: standard deviations, correlations, ranges.

One template serves all levels. Two generalizations have their place here, and in the factor:

- *A template a level* (irregular times): `relative_factor` of such a structure returns (k, k, q), the level last, as
  the blocks of :mod:`mixfit.gram.levels` have it; a direction's change of the covariance likewise, and the slopes are
  sums over levels of <N_j, Sigma'_j>. Times that several levels share need none of that: with a column for each time
  that occurs a level that lacks some has rows of zeros there, and one template is enough.
- *A known covariance across levels*, b ~ N(0, sigma^2 T T' (x) K), K = L L' of q levels: Z L in place of Z, and
  T as ever. For q levels of one column that is the structure sd^2 K of q columns at one level, which
  `Structure.read` may ask for by changing columns and levels; it costs O(q^3). A sparse precision Q = K^{-1} = W'W
  costs less: such a structure has a `relationship`, and all that is said of levels, templates and directions holds of
  independent levels in the design Z W^{-1}, which only :mod:`mixfit.gram.products` and the sparse block of
  :mod:`mixfit.factor` know of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.covariance.columns import without_options
from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.columns import GivenColumns, Recoding
    from mixfit.covariance.coordinates import Coordinates
    from mixfit.covariance.directions import Direction, Edge
    from mixfit.covariance.parameter import NaturalParameter, VarianceForm
    from mixfit.covariance.relationship import Relationship
    from mixfit.optimize.certificate import BoundaryParameter

    Array = NDArray[np.float64]

__all__ = ["Containment", "Invariance", "Structure"]

# The default of lme4's isSingular: on the scale of theta, whose unit is the residual standard deviation.
SINGULAR = 1e-4


class Invariance(Enum):
    """Which changes of a term's columns, Z = Z_basis R, a structure is closed under: Sigma -> R Sigma R'."""

    ANY_BASIS = "every invertible R"
    COLUMN_SCALES = "every diagonal R"
    COMMON_SCALE = "multiples of the identity"


class Containment(Enum):
    """How the covariances of one structure are among those of another one."""

    INSIDE = "at parameters within their bounds"
    BOUNDARY = "at a bound of a parameter, or in a limit"


@dataclass(frozen=True)
class Structure(ABC):
    """The covariance structure of one random term.

    Attributes
    ----------
    k : int
        Columns of the term.
    """

    k: int

    name: ClassVar[str]
    """As formulas spell it: ``name(columns | group)``."""
    invariance: ClassVar[Invariance]
    is_separable: ClassVar[bool] = False
    """Whether the columns are independent, each with a variance of its own: as many terms in one."""
    needs_levels: ClassVar[bool] = True
    """Whether one level of the grouping factor tells nothing of it."""
    is_exchangeable: ClassVar[bool] = False
    """Whether it is the same whatever the order of the columns."""
    holds: ClassVar[frozenset[str]] = frozenset()
    """Names of the structures of as many columns that it has inside its bounds."""
    holds_on_bound: ClassVar[frozenset[str]] = frozenset()
    """Names of those that it has on its bounds, or as a limit."""
    holds_common_effect: ClassVar[bool] = False
    """Whether one effect for all columns is such a bound."""

    @property
    def is_given(self) -> bool:
        """Whether Sigma is known itself, in units of the response: theta is then 1 / sigma, and no parameter."""
        return False

    def held(self, length: float) -> Structure:
        """Itself where Sigma is not relative to sigma, Z = Z_basis `length`: a known one has nothing to move then."""
        return self

    @property
    def relationship(self) -> Relationship | None:
        """What is known of the covariance between levels, given by its sparse inverse; None of independent ones."""
        return None

    @property
    def absorbs_residual(self) -> bool:
        """Whether Sigma + c I has the structure too: with one row a cell that is a residual variance."""
        return False

    @classmethod
    def read(cls, given: GivenColumns) -> tuple[Structure, Recoding | None]:
        """The structure of a term with these columns left of the bar, and how its own columns are made of them.

        Raises
        ------
        FormulaError, DataError
            For columns or options that it does not take.
        """
        without_options(given, cls.name)
        return cls(len(given.names)), None

    # Parameters

    @property
    def rank(self) -> int:
        """The largest rank of Sigma."""
        return self.k

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """Length m of theta."""

    @property
    @abstractmethod
    def natural(self) -> tuple[NaturalParameter, ...]:
        """What it is reported by, in order."""

    @property
    @abstractmethod
    def n_deviations(self) -> int:
        """How many natural parameters are standard deviations: the first ones."""

    def row_names(self, columns: Sequence[str]) -> list[str]:
        """Rows of a table of variance components, one a standard deviation."""
        return list(columns) if self.n_deviations == self.k else [f"{columns[0]} .. {columns[-1]}"]

    @property
    @abstractmethod
    def row_cells(self) -> list[list[int]]:
        """Which natural parameters stand beside each of these rows."""

    @property
    def tag(self) -> str:
        """What stands behind those of the first row, to say what they are."""
        return ""

    @abstractmethod
    def natural_values(self, theta: Array, units: Array | float) -> Array:
        """Values of the natural parameters for theta (..., m), effects of the columns in `units`, (..., k) or one."""

    def theta_of_natural(self, values: Array) -> Array:
        """Theta (m,) of values of the natural parameters, deviations relative to the unit; NaN where none has them.

        Raises
        ------
        FitError
            Of a structure that is not described by these alone.
        """
        raise FitError(f"{self.name}(...) is not described by standard deviations and correlations alone.")

    @abstractmethod
    def template(self, theta: Array) -> Array:
        """Lower-triangular templates (..., k, k) of theta (..., m)."""

    def is_singular(self, template: Array, scale: Array, tolerance: float = SINGULAR) -> NDArray[np.bool_] | np.bool_:
        """Whether lower-triangular templates (..., k, k) lie on the boundary; `scale` are the columns' lengths."""
        return (np.diagonal(template, axis1=-2, axis2=-1) * scale < tolerance).any(axis=-1)

    @abstractmethod
    def variance_form(self, theta: Array, sigma: float) -> VarianceForm:
        """What tests of fixed effects differentiate in."""

    def variance_bends(self, theta: Array, sigma: float, n: Array) -> Array | None:
        """<N, d^2 Sigma> in these parameters for a symmetric N, (m, m); None where Sigma is linear in them."""
        return None

    def bent(self, psi: Array, weights: Array) -> Array | None:
        """sum_ab W_ab d^2 Sigma in variances, covariances and reported shapes, for W (m, m) of psi; None where zero."""
        return None

    def cancellation(self, template: Array, squares: Array) -> float:
        """By how much the rounding of log|A| is above that of its own size, from the mean z'z of a level by column."""
        return 0.0

    def elsewhere(self, theta: Array, places: Array, known: Array) -> tuple[Array, Array] | None:
        """Relative covariances (r, k) of effects at new places (r, c) with the columns' effects, and variances (r,).

        `known` are the columns' own places, (k, c). NaN for a place of which the structure says nothing; None where it
        says nothing of any.
        """
        return None

    def among(self, place: NDArray[np.intp]) -> Structure | None:
        """Itself at sets of its places, (P, m), whose matrices are then (..., P, m, m).

        None of a structure whose matrices are those of all its columns, of which rows and columns are taken.
        """
        return None

    # Submodels

    def contains(self, inner: Structure) -> Containment | None:
        """Whether it has every covariance that another structure of the same columns has; None where it has not."""
        if inner.k != self.k:
            return None
        if inner == self or inner.name in self.holds:
            return Containment.INSIDE
        return Containment.BOUNDARY if inner.name in self.holds_on_bound else None

    @abstractmethod
    def restricted(self, k: int) -> Structure:
        """The same structure for `k` of the term's columns (or combinations of them, where any basis will do)."""

    @property
    def free_blocks(self) -> tuple[slice, ...]:
        """Columns of the diagonal blocks of Sigma, where each of them is any positive semidefinite matrix; else ()."""
        return ()

    # Points

    @abstractmethod
    def starts(self, variances: Array) -> list[Array]:
        """Points to start from, given moment estimates (k,) of the relative variances of the problem's columns."""

    @abstractmethod
    def relative_factor(self, point: Array) -> Array:
        """Template (k, k) of a point, its columns without variance zero. A template stands for itself."""

    @abstractmethod
    def theta_of(self, point: Array, basis: Array) -> Array:
        """Theta of a point; Z = Z_basis R for the R that is `basis`."""

    @abstractmethod
    def point_of(self, start: Array, basis: Array) -> Array:
        """A point of a theta (m,) or, for the free structures, a template (k, k) of the user's columns.

        Raises
        ------
        FitError
            For an array of another shape.
        """

    @abstractmethod
    def scaled(self, point: Array, share: float) -> Array:
        """The point of `share` T."""

    # Newton steps

    @abstractmethod
    def turned(self, point: Array) -> Array:
        """The same T T' by the point that Newton's steps are best made from."""

    @abstractmethod
    def shown(self, point: Array, seen: NDArray[np.bool_]) -> Array:
        """The point without what only columns that are zero in every row would tell."""

    @abstractmethod
    def directions(self, term: int, point: Array, seen: NDArray[np.bool_]) -> list[Direction]:
        """Every direction that moves T T' within the structure, rank and bounds; `term` is the term's number.

        `seen` says which columns are not zero in every row.
        """

    @abstractmethod
    def moved(self, point: Array, steps: Sequence[tuple[Direction, float]], vanishing: Sequence[Direction]) -> Array:
        """The point that steps along its directions lead to; those in `vanishing` lead to zero."""

    @abstractmethod
    def bend_slopes(
        self, directions: Sequence[Direction], point: Array, relative: Array, absolute: Array | None
    ) -> Array:
        """<N, Sigma''_ab> along directions of a point, (m, m), in the coordinates that `moved` steps in."""

    @abstractmethod
    def slopes_after(
        self, directions: Sequence[Direction], moved: Array, relative: Array, absolute: Array | None
    ) -> list[float]:
        """Slopes at a point a little away, in the coordinates of the `directions` of a point inside.

        `relative` is T'N T at the moved point, `absolute` N, where its template is singular.
        """

    @abstractmethod
    def edges(self, point: Array, slope: Array, seen: NDArray[np.bool_]) -> list[Edge]:
        """Ways off the bounds that a point is on, given N = dd/dSigma."""

    @abstractmethod
    def left(self, point: Array, away: BoundaryParameter, size: float) -> Array:
        """The point `size` off a bound."""

    @abstractmethod
    def is_on_bound(self, point: Array) -> bool:
        """Whether there are edges, without computing them."""

    @abstractmethod
    def null_space(self, template: Array, seen: NDArray[np.bool_]) -> Array:
        """Directions, as columns, between which N is looked at off the range of a singular template."""

    @abstractmethod
    def theta_jacobian(self, point: Array, directions: Sequence[Direction], basis: Array) -> Array:
        """Derivatives (m, len(directions)) of theta along directions at a point inside."""

    # Profiles

    @abstractmethod
    def coordinates(self, natural: int | None = None) -> Coordinates:
        """Smooth coordinates, one of them the natural parameter of that number."""

    def coordinates_at(self, center: Array) -> Coordinates:
        """The same, around what `standardized` gives of the minimum."""
        return self.coordinates()

    @abstractmethod
    def standardized(self, point: Array, base: Array) -> Array:
        """What `coordinates` start from: the covariance S S', or theta, of the columns with T = base S."""

    @abstractmethod
    def unstandardized(self, point: Array, base: Array, ratio: float, least: float) -> Array:
        """The point of S / ratio, or of theta / ratio, for what `Coordinates.point` gives.

        Variances below `least` are none.
        """
