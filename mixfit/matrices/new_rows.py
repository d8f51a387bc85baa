"""New rows under a fit's encodings, and what reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mixfit.brief import brief

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["MEAN", "DesignReader", "NewDesign", "NewPlaces", "NewPredictor"]

#: Name of the predictor that every model has.
MEAN = "mean"


@dataclass(frozen=True, eq=False)
class NewPlaces:
    """Rows whose columns left of the bar are NaN because the fit has no effect for their place or time.

    Attributes
    ----------
    rows : ndarray of intp, shape (r,)
    positions : ndarray, shape (r, c)
        Coordinates as the formula has them.
    known : ndarray, shape (k, c)
        Those of the columns.
    """

    rows: NDArray[np.intp]
    positions: NDArray[np.float64]
    known: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NewPredictor:
    """New rows of one predictor; attributes as of `NewDesign`."""

    name: str
    X: NDArray[np.float64]
    Z: tuple[NDArray[np.float64] | None, ...]
    codes: tuple[NDArray[np.intp] | None, ...]
    offset: NDArray[np.float64]
    places: tuple[NewPlaces | None, ...] = ()

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class NewDesign:
    """New rows under fitted encodings.

    Attributes
    ----------
    X : ndarray, shape (m, p)
        All fixed-effects columns, those found aliased in the fit included.
    Z : tuple of ndarray, shape (m, k_t)
        Columns left of the bar of every requested random term (None for one left out).
    codes : tuple of ndarray of intp, shape (m,)
        Level of each row in the fitted grouping, -1 for a level the fit never saw.
    offset : ndarray, shape (m,)
    index : pandas.Index, shape (m,)
        Row labels of the new data.
    further : tuple of NewPredictor
        Of the predictors after the mean, where they are asked for.
    places : tuple of NewPlaces
        Of every term of the mean, rows at places that it has no columns for; None where there are none.
    own_variance : tuple of ndarray, shape (m,)
        Of every term of the mean, the variance of effects at such places beside that of the effects that they follow
        from, once the fit has said so; None where there is none.
    """

    X: NDArray[np.float64]
    Z: tuple[NDArray[np.float64] | None, ...]
    codes: tuple[NDArray[np.intp] | None, ...]
    offset: NDArray[np.float64]
    index: pd.Index
    further: tuple[NewPredictor, ...] = ()
    places: tuple[NewPlaces | None, ...] = ()
    own_variance: tuple[NDArray[np.float64] | None, ...] = ()

    __repr__ = brief

    @property
    def predictors(self) -> tuple[NewPredictor, ...]:
        """The mean's first."""
        return NewPredictor(MEAN, self.X, self.Z, self.codes, self.offset, self.places), *self.further


class DesignReader(Protocol):
    """Reads new data with the encodings (levels, poly, scale, ...) of the fit. Pickles."""

    def of_predictor(self, place: int) -> DesignReader:
        """What reads one of the predictors alone, in the place of the mean's."""

    def read(
        self,
        newdata: object,
        terms: tuple[bool, ...],
        further: tuple[tuple[bool, ...], ...] = (),
        *,
        own: bool = False,
    ) -> NewDesign:
        """Build the rows of `newdata`; `terms` says which random terms are wanted of the mean.

        `further` says it for each predictor after the mean; these are left out without it. `own` says that `newdata`
        are the data of the fit, of which terms may use whole columns; of others they are an error.

        Unknown levels of a *fixed* categorical raise NewLevelError naming column and level;
        missing values in a needed column give NaN rows in X or Z.
        """

    def read_fixed(self, newdata: object) -> NDArray[np.float64]:
        """Build X of `newdata` alone, shape (m, p): neither groups nor offset are looked up."""

    def read_random(self, newdata: object) -> tuple[tuple[NDArray[np.float64], NewPlaces | None], ...]:
        """Build the columns left of every bar, shape (m, k_t) a term, and the places that these have no columns for.

        Neither groups nor offset are looked up.
        """

    def read_weights(self, newdata: object) -> NDArray[np.float64] | None:
        """Read the prior weights of `newdata`, or numbers of trials, shape (m,); None where all are 1."""

    def read_levels(
        self, newdata: object, n_levels: tuple[tuple[int, ...], ...]
    ) -> tuple[tuple[NDArray[np.intp], ...], ...]:
        """Read the levels of every term of every predictor, new ones numbered from `n_levels` on, -1 where missing."""

    @property
    def fixed_terms(self) -> tuple[tuple[str, ...], ...]:
        """Names that each fixed term looks up, functions included; none for the constant."""

    @property
    def random_terms(self) -> tuple[tuple[str, ...], ...]:
        """Names that what stands left of the bar looks up, functions included."""

    @property
    def factor_names(self) -> frozenset[str]:
        """Names that the factors among the fixed terms look up: ``x`` of ``C(x)``, whatever x holds."""
