"""What linear and generalized mixed models have in common: a design and its names."""

from __future__ import annotations

import copy
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mixfit.arguments import same_name
from mixfit.covariance.steps import split_theta, theta_order
from mixfit.covariance.templates import expand
from mixfit.errors import DataError, FitError
from mixfit.gram.row_space import row_space
from mixfit.helped import Helped
from mixfit.matrices.across import refuse_related
from mixfit.matrices.rows import subset
from mixfit.matrices.types import MEAN
from mixfit.model.deviations import held_deviations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_array

    from mixfit.bayes.priors import Priors
    from mixfit.factor.factor_plan import FactorPlan
    from mixfit.factor.plan import SymbolicPlan
    from mixfit.gram.row_space import RowSpace
    from mixfit.matrices.types import Design, Grouping
    from mixfit.model.call import Call

    Array = NDArray[np.float64]

__all__ = ["MixedModel", "known_among", "refuse_held", "refuse_penalized", "sparse_columns"]


class MixedModel(Helped):
    """A model's formula, design and names.

    Parameters
    ----------
    formula : str
    design : Design
    kept : ndarray of intp
        Columns of ``design.X`` that are not aliased.

    Attributes
    ----------
    formula : str
    design : Design
        Response, fixed and random columns, groups, weights and offset of the rows used.
    """

    data_name: str | None = None
    call: Call | None = None
    note: str | None = None
    """What a summary of its fits must say of how the model came about."""
    priors: Priors | str | None = None
    """What the fits of this model are penalized by."""
    known_effects: Mapping[str, float] = MappingProxyType({})
    """Fixed effects that are known, by name."""

    def __init__(self, formula: str, design: Design, kept: NDArray[np.intp]) -> None:
        self.formula = formula
        self.design = design
        self._kept = kept

    def __repr__(self) -> str:
        sizes = {r.grouping.name: r.n_groups for r in self.design.random}
        levels = ", ".join(f"{name} {n}" for name, n in sizes.items())
        groups = f", groups {levels}" if levels else ""
        return f"<{type(self).__name__}: {self.description}, {self.observations.n_rows} observations{groups}>"

    @property
    def formula_text(self) -> str:
        """The formula as it was written."""
        return self.formula

    @property
    def description(self) -> str:
        """The formula, and what else says which model it is."""
        return "; ".join([self.formula, *self._known_text])

    @property
    def _known_text(self) -> list[str]:
        """What a description says of known parameters, if anything."""
        known = {**self.known_effects, **held_deviations(self.design)}
        held = [f"{name} {value:g}" for name, value in known.items()]
        return [f"fixed = {', '.join(held)}"] if held else []

    @property
    def prior_table(self) -> tuple[tuple[str, str], ...]:
        """Parameters beside the priors that fits are penalized by; empty without any."""
        if self.priors is None:
            return ()
        from mixfit.bayes.resolve import resolve

        model: Any = self
        return resolve(self.priors, model, residual=not hasattr(self, "family"), posterior=False).table

    @property
    def endog(self) -> Array:
        """Response, shape (n,)."""
        return self.design.y

    @property
    def observations(self) -> Design:
        """The rows of the data as they were observed: the design, where that has a row for each."""
        return self.design

    @property
    def kept(self) -> NDArray[np.intp]:
        """Columns of ``design.X`` that are not aliased."""
        return self._kept

    @cached_property
    def exog(self) -> Array:
        """Fixed-effects matrix X without its aliased columns, shape (n, p)."""
        every = len(self.kept) == self.design.X.shape[1]
        return self.design.X if every else self.design.X[:, self.kept]

    @property
    def endog_names(self) -> str:
        """The response as the formula has it, under statsmodels' name."""
        return self.design.endog_name

    @property
    def exog_names(self) -> tuple[str, ...]:
        """Names of the columns of `exog`."""
        return tuple(self.design.exog_names[j] for j in self.kept)

    @property
    def aliased(self) -> tuple[str, ...]:
        """Fixed-effects columns left out because earlier ones determine them."""
        kept = set(self.kept.tolist())
        return tuple(name for j, name in enumerate(self.design.exog_names) if j not in kept)

    @property
    def constant(self) -> int | None:
        """Column of ``design.X`` that stands for a constant which is no fixed effect, thresholds being in its place."""
        return None

    @property
    def reach(self) -> tuple[Array, tuple[str, ...]]:
        """Columns whose combinations the model adds to what it predicts, (r, c), and their names: those of `exog`."""
        return self.exog, self.exog_names

    @cached_property
    def row_space(self) -> RowSpace:
        """Which linear functions of the columns of ``design.X`` the data tell."""
        return row_space(self.design.representatives.X, self.kept)

    @property
    def groups(self) -> dict[str, Grouping]:
        """Grouping factors by name."""
        return {r.grouping.name: r.written for r in self.design.random}

    @property
    def factorization(self) -> SymbolicPlan:
        """The symbolic phase of the factor of random effects."""
        raise NotImplementedError

    @property
    def plan(self) -> FactorPlan:
        """How the Cholesky factor of the random effects is computed, and what that costs.

        Returns
        -------
        FactorPlan

        Examples
        --------
        >>> import mixfit
        >>> pastes = mixfit.datasets.load("pastes")
        >>> print(mixfit.mixed("strength ~ 1 + (1 | batch/cask)", pastes).plan)
        eliminated level by level: batch:cask, batch
        """
        from mixfit.factor.factor_plan import factor_plan

        random = [*self.design.random, *(r for predictor in self.design.further for r in predictor.random)]
        groupings = list({id(r.grouping): r.grouping for r in random}.values())
        # As the factors of the cross-products are numbered.
        groupings.sort(key=lambda g: -g.n_levels)
        return factor_plan(self.factorization, [g.name for g in groupings])

    @cached_property
    def exog_re(self) -> csr_array:
        """Sparse Z, shape (n, q): terms in order of the formula, the columns of a level side by side."""
        return sparse_columns(self.design)

    def Lambda(self, theta: ArrayLike) -> csr_array:
        """Relative covariance factor: the random effects are b = Lambda u, the u independent and of one variance.

        Parameters
        ----------
        theta : array-like, shape (m,)
            In the order of the results' ``theta``: the lower triangle of every term's factor, column by column,
            terms as lme4 has them.

        Returns
        -------
        csr_array, shape (q, q)
            Block diagonal, lower triangular; its rows and columns are the columns of `exog_re`.

        Raises
        ------
        FitError
            Where `theta` has not one finite value for each parameter.

        References
        ----------
        Bates, Maechler, Bolker & Walker (2015), JSS 67(1), eq. 4.

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> model = mixfit.mixed("bright ~ 1 + (1|operator)", pulp)
        >>> model.Lambda([0.8]).toarray().diagonal().tolist()
        [0.8, 0.8, 0.8, 0.8]
        """
        refuse_related(self.design.random, "Lambda")
        return expand(self._templates(theta), [r.grouping.n_levels for r in self.design.random])

    def _templates(self, theta: ArrayLike) -> tuple[Array, ...]:
        """Relative factors of the terms, of checked `theta`."""
        values = np.asarray(theta, dtype=float)
        structures = [r.structure for r in self.design.random]
        wanted = sum(s.n_parameters for s in structures)
        if values.shape != (wanted,) or not np.isfinite(values).all():
            raise FitError(
                f"theta is a list of {wanted} finite numbers for the random terms "
                f"{', '.join(r.text for r in self.design.random)}, not {theta!r}."
            )
        thetas = split_theta(structures, self.in_formula_order(values))
        return tuple(s.template(own) for s, own in zip(structures, thetas, strict=True))

    @cached_property
    def theta_order(self) -> NDArray[np.intp]:
        """Where the entries of the results' ``theta``, in lme4's order, stand in the formula's."""
        random = self.design.random
        return theta_order([r.structure for r in random], [r.written.n_levels for r in random])

    def in_formula_order(self, theta: Array) -> Array:
        """Theta (m,) of terms in the order of the formula, from that of results."""
        out = np.empty_like(theta)
        out[self.theta_order] = theta
        return out

    def _checked_response(self, y: ArrayLike) -> Array:
        values = np.asarray(y, dtype=float)
        if values.ndim == 2 and values.shape[1] == 1:
            # A frame of one replicate, as `simulate` gives it.
            values = values[:, 0]
        excluded = self.design.excluded
        if excluded is not None and values.shape == excluded.keep.shape:
            values = values[excluded.keep]
        if values.shape != self.design.y.shape:
            raise DataError(f"The new response has shape {values.shape}; the model uses {len(self.design.y)} rows.")
        if not np.isfinite(values).all():
            raise DataError("The new response has missing or infinite values.")
        return values

    def update(self, formula: str | None = None, **changes: Any) -> Any:
        """Make the model again with changes, as R's ``update``.

        Parameters
        ----------
        formula : str, optional
            ``". ~ . - x + (1 | g)"``: on either side ``.`` is what there was.
        **changes
            Arguments of `mixfit.mixed` (or `mixfit.nonlinear`) in place of those that the model was made with:
            ``subset=``, ``weights=``, ``family=``, ``data=``, ...

        Returns
        -------
        LinearMixedModel, ResidualMixedModel, GeneralizedMixedModel or OrdinalMixedModel

        Raises
        ------
        FormulaError
            Where `formula` takes away what the model does not have.
        FitError
            Where the data are not at hand: the model came from a pickle, or its rows or response were replaced.
        ArgumentError
            For an argument that there is not.

        Notes
        -----
        The data are those that were handed over, which are not copied: what was changed in them since is read anew.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> model = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep)
        >>> model.update(". ~ . - (Days | Subject) + (1 | Subject)", subset="Days > 1")
        <LinearMixedModel: Reaction ~ Days + (1 | Subject), 144 observations, groups Subject 18>
        """
        if self.call is None:
            raise FitError("This model was not made by mixfit.mixed(formula, data): there is nothing to update.")
        return self.call.changed(self.design, formula, changes)

    def marked(self, note: str) -> Self:
        """The same model with a note on how it came about, which summaries show."""
        model = copy.copy(self)
        model.note = note
        return model

    def of_rows(self, keep: NDArray[np.bool_]) -> Self:
        """The same model of some of its rows.

        Parameters
        ----------
        keep : ndarray of bool, shape (n,)
            Of the rows used; levels of grouping factors that no row keeps are gone.

        Returns
        -------
        LinearMixedModel or GeneralizedMixedModel
        """
        return self.with_design(subset(self.design, keep))

    def with_data(self, data: Any) -> Self:
        """The same formula and options for other data, read anew: levels, columns and weights are theirs.

        Parameters
        ----------
        data : frame

        Returns
        -------
        LinearMixedModel or GeneralizedMixedModel

        Raises
        ------
        DataError
            Where weights or offset were arrays, which say nothing of other data.
        """
        raise FitError(f"A {type(self).__name__} is not read anew for other data: build it from its formula.")

    def with_design(self, design: Design) -> Self:
        """The same kind of model of another design."""
        raise NotImplementedError


def known_among(known: Mapping[str, float], design: Design) -> dict[str, float]:
    """Those of known fixed effects that are of a column of `design`."""
    names = {p.name: p.exog_names for p in design.further}
    columns = {f"{name}:{column}" for name, own in names.items() for column in own}
    columns |= {*design.exog_names, *(f"{MEAN}:{column}" for column in design.exog_names)}
    return {name: value for name, value in known.items() if same_name(name, columns) in columns}


def refuse_held(model: MixedModel) -> None:
    """Refuse what moves every parameter to models that know some of them."""
    if model.known_effects:
        raise FitError("Profiles and intervals from them move every parameter, and fixed= holds some of these.")


def sparse_columns(design: Design) -> csr_array:
    """Sparse Z of the rows of a design, (n, q): terms in order of the formula, the columns of a level side by side."""
    from scipy.sparse import csr_array, hstack

    n = len(design.y)
    blocks = [csr_array((n, 0))] if not design.random else []
    for r in design.random:
        k = r.Z.shape[1]
        columns = r.grouping.codes[:, None] * k + np.arange(k)
        shape = (n, k * r.grouping.n_levels)
        blocks.append(csr_array((r.Z.ravel(), columns.ravel(), np.arange(0, n * k + 1, k)), shape=shape))
    return csr_array(hstack(blocks, format="csr"))


def refuse_penalized(model: MixedModel) -> None:
    """Refuse what is of the likelihood around its maximum to fits that are elsewhere."""
    if model.priors is not None:
        raise FitError(
            "Profiles and intervals from them are of the likelihood at its maximum, and this fit is penalized by "
            "priors. fit.sample() draws from the posterior under priors; fit.bootstrap() refits with them."
        )
