"""What the design room hands on: arrays, names and levels, and nothing of how they were read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mixfit.brief import brief
from mixfit.errors import DesignError
from mixfit.matrices.new_rows import MEAN
from mixfit.matrices.random_terms import Grouping, RandomDesign, SpreadLevels

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.arguments import Solver
    from mixfit.families.links import Link
    from mixfit.matrices.excluded import Excluded
    from mixfit.matrices.new_rows import DesignReader
    from mixfit.matrices.transformation import Transformation

__all__ = [
    "MEAN",
    "Design",
    "FixedFactor",
    "FixedStructure",
    "FixedTerm",
    "Grouping",
    "Predictor",
    "RandomDesign",
    "SpreadLevels",
    "TermCoding",
]


@dataclass(frozen=True, eq=False)
class FixedFactor:
    """A variable of the fixed part: a factor, or a covariate as the formula transforms it.

    Attributes
    ----------
    name : str
        As the formula writes it: ``"x"``, ``"C(f, contr.sum)"``, ``"poly(x, 2)"``.
    levels : tuple, or None
        Of a factor, those that occur; None for a covariate.
    values : ndarray
        Codes of the levels, shape (n,), or the covariate's columns, shape (n, c).
    """

    name: str
    levels: tuple[object, ...] | None
    values: NDArray[Any]

    __repr__ = brief


@dataclass(frozen=True)
class FixedTerm:
    """A term of the fixed part.

    Attributes
    ----------
    name : str
        ``"a:b"``; ``"Intercept"`` for the constant.
    factors : tuple of str
        Names of its variables; none for the constant.
    columns : tuple of int
        Its columns in X.
    """

    name: str
    factors: tuple[str, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True)
class TermCoding:
    """How the columns of a term come about: blocks that are products of coded factors, the first varying fastest.

    Attributes
    ----------
    name : str
        As formulaic prints it: ``"recipe:temperature"``; ``"1"`` for the constant.
    factors : tuple of str
        Names of its variables; none for the constant.
    blocks : tuple of tuple of (str, bool)
        A factor's name, and whether its coding has a column less than it has levels (False for a covariate).
    n_columns : int
        Columns of all blocks together; 0 before they are known.
    """

    name: str
    factors: tuple[str, ...]
    blocks: tuple[tuple[tuple[str, bool], ...], ...]
    n_columns: int = 0


@dataclass(frozen=True, eq=False)
class FixedStructure:
    """Terms of the fixed part in the order of X, and their variables by name."""

    terms: tuple[FixedTerm, ...]
    factors: dict[str, FixedFactor]

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class Predictor:
    """One linear predictor X beta + Z b + offset.

    Attributes
    ----------
    name : str
        ``"mean"``, or the parameter of the distribution that it is for.
    X : ndarray of float, shape (n, p)
    exog_names : tuple of str, length p
    random : tuple of RandomDesign
    offset : ndarray, shape (n,), or None
    fixed : FixedStructure, or None
    link : Link, or None
        Leads from the parameter to the predictor; None for the mean of a linear model, which is its predictor.
    text : str
        Its formula as it was written; that of the mean is the model's.
    """

    name: str
    X: NDArray[np.float64]
    exog_names: tuple[str, ...]
    random: tuple[RandomDesign, ...]
    offset: NDArray[np.float64] | None
    fixed: FixedStructure | None = None
    link: Link | None = None
    text: str = ""

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class Design:
    """Everything that the model needs of the data: a response, and the predictors of its distribution, the mean first.

    X, names, random terms, offset, structure and link are those of the mean.

    Attributes
    ----------
    y : ndarray of float, shape (n,)
    X : ndarray of float, shape (n, p)
        All columns that the formula asks for; rank is decided later.
    exog_names : tuple of str, length p
    endog_name : str
    random : tuple of RandomDesign
        In the order of the formula, nested terms ``a/b`` expanded (``a`` then ``a:b``).
    weights : ndarray, shape (n,), or None
        Prior weights, all > 0 (rows of weight zero are kept out of y, X, Z with the dropped ones).
    offset : ndarray, shape (n,), or None
        Sum of the ``offset=`` argument and of ``offset(...)`` in the formula.
    index : pandas.Index, shape (n,)
        Labels of the rows used, in the user's frame.
    n_dropped : int
        Rows left out for missing values.
    reader : DesignReader
    fixed : FixedStructure, optional
        Which term each column of X belongs to, and the values of its variables.
    variables : mapping of str to Series, shape (n,), or None
        Columns of the data that the fixed effects and the offset look up, on the rows used; None
        for a design that was not read from a formula.
    link : Link, or None
    further : tuple of Predictor
        Those after the mean, over the same rows.
    transformation : Transformation, or None
        How the response is made of what was measured; None where it is a column of the data.
    frame : mapping of str to Series, shape (n,), or None
        Every column of the data that the model looks up, on the rows used; None for a design of other rows than those
        that were read.
    categories : pandas.Index, length K, or None
        Of a response in ordered categories, whose numbers from 1 on are y.
    censored : bool
        Whether the response is ``censored(time, event)``: y is the time, negative where the row is censored then.
    excluded : Excluded, or None
        All rows of the data, where results are to be padded to them.
    solver : {"auto", "dense", "sparse", "iterative"}
        How the factor of crossed effects is to be held.
    """

    y: NDArray[np.float64]
    X: NDArray[np.float64]
    exog_names: tuple[str, ...]
    endog_name: str
    random: tuple[RandomDesign, ...]
    weights: NDArray[np.float64] | None
    offset: NDArray[np.float64] | None
    index: pd.Index
    n_dropped: int
    reader: DesignReader
    fixed: FixedStructure | None = None
    variables: Mapping[str, pd.Series] | None = None
    link: Link | None = None
    further: tuple[Predictor, ...] = ()
    transformation: Transformation | None = None
    frame: Mapping[str, pd.Series] | None = None
    categories: pd.Index | None = None
    censored: bool = False
    excluded: Excluded | None = None
    solver: Solver = "auto"

    #: Whether the rows are at hand; of rows in batches they are not.
    has_rows: ClassVar[bool] = True

    __repr__ = brief

    @property
    def n_rows(self) -> int:
        """Number of rows used."""
        return len(self.y)

    @property
    def representatives(self) -> Design:
        """Rows that show every level and cell, and span what all rows span: mostly all of them."""
        return self

    def triangle(self, kept: NDArray[np.intp]) -> NDArray[np.float64]:
        """R of the columns of X that are not aliased, X = Q R, shape (p, p)."""
        return np.asarray(np.linalg.qr(self.X[:, kept])[1])

    @property
    def mean_offset(self) -> float:
        """Mean of the offset over the rows used; 0 without one."""
        return 0.0 if self.offset is None else float(self.offset.mean())

    def variable_mean(self, name: str) -> float:
        """Mean of a covariate over the rows used."""
        if self.variables is None:
            raise KeyError(name)
        return float(self.variables[name].mean())

    def refuse_estimates(self, what: str) -> None:
        """Refuse what evaluates its criterion as often as estimates of it would have to be made anew.

        Raises
        ------
        DesignError
            Where the solver is the iterative one.
        """
        if self.solver == "iterative":
            raise DesignError(f"solver='iterative' is for linear models with independent residuals, not for {what}.")

    @cached_property
    def mean(self) -> Predictor:
        """The predictor of the mean."""
        return Predictor(MEAN, self.X, self.exog_names, self.random, self.offset, self.fixed, self.link)

    @property
    def predictors(self) -> tuple[Predictor, ...]:
        """All predictors, the mean's first."""
        return self.mean, *self.further

    @property
    def random_of(self) -> dict[str, tuple[RandomDesign, ...]]:
        """The random terms of every predictor, by its name."""
        return {MEAN: self.random, **{p.name: p.random for p in self.further}}

    @property
    def every_random(self) -> tuple[RandomDesign, ...]:
        """The random terms of all predictors, those that several share once."""
        return tuple(term for random in self.random_of.values() for term in random if term.is_first)

    def of_predictor(self, place: int) -> Design:
        """The same rows with one of the predictors alone, in the place of the mean's."""
        own = self.predictors[place]
        return replace(
            self,
            X=own.X,
            exog_names=own.exog_names,
            random=own.random,
            offset=own.offset,
            fixed=own.fixed,
            link=own.link,
            reader=self.reader.of_predictor(place),
            further=(),
            transformation=None,
        )
