"""What the design room hands on: arrays, names and levels, and nothing of how they were read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mixfit.brief import brief
from mixfit.errors import DesignError
from mixfit.matrices.new_rows import MEAN

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.arguments import Solver
    from mixfit.covariance.structure import Structure
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
class Grouping:
    """A grouping factor as the rows show it.

    Attributes
    ----------
    name : str
        ``"Subject"`` or, for an interaction, ``"batch:cask"``.
    codes : ndarray of intp, shape (n,)
        The level of each row, ``0 <= codes < n_levels``; every level occurs.
    levels : pandas.Index, shape (n_levels,)
        Labels in the order of the codes: category order for categoricals, sorted otherwise;
        an interaction's labels are joined by ``":"``, its last part varying fastest.

    Examples
    --------
    >>> import mixfit
    >>> model = mixfit.mixed("strength ~ 1 + (1 | batch/cask)", mixfit.datasets.load("pastes"))
    >>> casks = model.groups["batch:cask"]
    >>> casks.n_levels, casks.levels[:2].tolist(), casks.codes[:3].tolist()
    (30, ['A:a', 'A:b'], [0, 0, 1])
    """

    name: str
    codes: NDArray[np.intp]
    levels: pd.Index

    __repr__ = brief

    @property
    def n_levels(self) -> int:
        """Number of observed levels."""
        return len(self.levels)


@dataclass(frozen=True, eq=False)
class SpreadLevels:
    """The levels that the columns of a term stand for, where their covariance is known.

    Attributes
    ----------
    grouping : Grouping
        With all levels of the known covariance, those that no row has included.
    column : str
        What is written left of the bar: ``"Intercept"``.
    """

    grouping: Grouping
    column: str


@dataclass(frozen=True, eq=False)
class RandomDesign:
    """One random-effects term ``(columns | grouping)``.

    Attributes
    ----------
    grouping : Grouping
        Terms of one grouping factor share the same object.
    columns : tuple of str, length k
        Names of the columns left of the bar, as formulaic names them.
    Z : ndarray of float, shape (n, k)
        The dense columns left of the bar; row i of the sparse Z holds ``Z[i]`` in the block of
        level ``codes[i]``.
    structure : Structure
        Of the covariance of the columns' effects: unstructured (``|``), independent (``||``), or as named.
    text : str
        The term as it was written, for messages and printing.
    spread : SpreadLevels, or None
        Where the grouping factor's levels are the columns, of one level that all rows are in.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> (term,) = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).design.random
    >>> term.text, term.columns, term.structure, term.Z.shape
    ('(Days | Subject)', ('Intercept', 'Days'), Unstructured(k=2), (180, 2))
    """

    grouping: Grouping
    columns: tuple[str, ...]
    Z: NDArray[np.float64]
    structure: Structure
    text: str
    spread: SpreadLevels | None = None

    @property
    def written(self) -> Grouping:
        """The grouping factor right of the bar, whose levels may be the columns."""
        return self.grouping if self.spread is None else self.spread.grouping

    @property
    def n_groups(self) -> int:
        """Levels that are effects of interest: not the inner nodes of a tree."""
        known = self.structure.relationship
        return self.written.n_levels if known is None else len(known.labels)

    @property
    def mean_squares(self) -> NDArray[np.float64]:
        """Of the columns over all rows, shape (k,)."""
        return np.asarray(np.einsum("nk,nk->k", self.Z, self.Z) / len(self.Z))

    @property
    def level_products(self) -> NDArray[np.float64]:
        """Z_j'Z_j of every level, shape (q, k, k)."""
        k, codes, q = self.Z.shape[1], self.grouping.codes, self.grouping.n_levels
        out = np.empty((q, k, k))
        for i in range(k):
            for j in range(i + 1):
                out[:, i, j] = out[:, j, i] = np.bincount(codes, self.Z[:, i] * self.Z[:, j], q)
        return out

    __repr__ = brief


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
