"""The model: a formula and data, read once; fits of it share the cross-products."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixfit.design.build import build
from mixfit.errors import DataError
from mixfit.formula import parse
from mixfit.lmm.assemble import assemble, with_response
from mixfit.lmm.estimate import conditional_covariance, estimate
from mixfit.lmm.prediction import prediction_variance
from mixfit.results.linear import LinearResults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_array

    from mixfit.design.types import Design, Grouping
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.types import LinearEstimate

    Array = NDArray[np.float64]

__all__ = ["LinearMixedModel", "mixed"]


def mixed(
    formula: str,
    data: Any,
    family: str | None = None,
    *,
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    na_action: Literal["drop", "raise"] = "drop",
    context: Mapping[str, Any] | None = None,
) -> LinearMixedModel:
    """A mixed-effects model from a formula and a data frame.

    Parameters
    ----------
    formula : str
        ``response ~ fixed + (random | group)`` in lme4's language; everything outside the bars is
        formulaic's.
    data : pandas.DataFrame, or any table that narwhals reads eagerly (polars, pyarrow)
        String, categorical and boolean columns are factors. Never changed.
    family : None or "gaussian"
        Other families are not available yet.
    weights : str or array-like, shape (n,), optional
        Prior weights w_i > 0: the residual variance of row i is sigma**2 / w_i. A column, an expression,
        or one value a row.
    offset : str or array-like, shape (n,), optional
        A known part of the linear predictor, in units of the response.
    na_action : {"drop", "raise"}
        What to do with rows in which something that the model uses is missing.
    context : mapping, optional
        Names that the formula's expressions may use besides the columns.

    Returns
    -------
    LinearMixedModel

    Raises
    ------
    FormulaError, DataError, DesignError
        For anything that cannot be read or estimated, before any optimization.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1|operator)", pulp).fit()
    >>> round(fit.sigma, 4)
    0.326
    """
    if family not in (None, "gaussian"):
        raise NotImplementedError(f"family={family!r} is not available yet: only Gaussian models are.")
    parsed = parse(formula)
    return LinearMixedModel(
        formula, build(parsed, data, weights=weights, offset=offset, na_action=na_action, context=context)
    )


class LinearMixedModel:
    """A Gaussian mixed model of one response.

    Parameters
    ----------
    formula : str
    design : Design

    Attributes
    ----------
    formula : str
    design : Design
        Response, fixed and random columns, groups, weights and offset of the rows used.
    """

    data_name: str | None = None

    def __init__(self, formula: str, design: Design) -> None:
        self.formula = formula
        self.design = design
        self._assembly: Assembly = assemble(design)

    def fit(self, reml: bool = True, start: Sequence[Array] | None = None) -> LinearResults:
        """Estimate by REML or maximum likelihood.

        Parameters
        ----------
        reml : bool
        start : sequence of ndarray, shape (k_t, k_t), optional
            Relative factors to start from; moment estimates otherwise.

        Returns
        -------
        LinearResults
        """
        return LinearResults(self, estimate(self._assembly, reml=reml, start=start))

    @property
    def formula_text(self) -> str:
        """The formula as it was written."""
        return self.formula

    @property
    def endog(self) -> Array:
        """Response, shape (n,)."""
        return self.design.y

    @property
    def kept(self) -> NDArray[np.intp]:
        """Columns of ``design.X`` that are not aliased."""
        return self._assembly.fixed.kept

    @cached_property
    def exog(self) -> Array:
        """Fixed-effects matrix X without its aliased columns, shape (n, p)."""
        every = len(self.kept) == self.design.X.shape[1]
        return self.design.X if every else self.design.X[:, self.kept]

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
    def groups(self) -> dict[str, Grouping]:
        """Grouping factors by name."""
        return {r.grouping.name: r.grouping for r in self.design.random}

    @cached_property
    def exog_re(self) -> csr_array:
        """Sparse Z, shape (n, q): terms in order of the formula, the columns of a level side by side."""
        from scipy.sparse import csr_array, hstack

        n = len(self.design.y)
        blocks = []
        for r in self.design.random:
            k = r.Z.shape[1]
            columns = r.grouping.codes[:, None] * k + np.arange(k)
            blocks.append(
                csr_array(
                    (r.Z.ravel(), columns.ravel(), np.arange(0, n * k + 1, k)),
                    shape=(n, k * r.grouping.n_levels),
                )
            )
        return csr_array(hstack(blocks, format="csr"))

    def with_response(self, y: ArrayLike) -> LinearMixedModel:
        """The same model of another response, shape (n,); shares all cross-products but one column."""
        values = np.asarray(y, dtype=float)
        if values.shape != self.design.y.shape:
            raise DataError(f"The new response has shape {values.shape}; the model uses {len(self.design.y)} rows.")
        if not np.isfinite(values).all():
            raise DataError("The new response has missing or infinite values.")
        model = copy.copy(self)
        model.design = replace(self.design, y=values)
        model._assembly = with_response(self._assembly, model.design)
        return model

    def conditional_covariance(self, estimate: LinearEstimate) -> tuple[Array, ...]:
        """Cov(b_j | y, beta) of every level of every term, shapes (q_t, k_t, k_t)."""
        return conditional_covariance(self._assembly, estimate.templates, estimate.sigma)

    def prediction_variance(
        self,
        estimate: LinearEstimate,
        X: Array,
        Z: Sequence[Array | None],
        codes: Sequence[NDArray[np.intp] | None],
    ) -> Array:
        """Variance of the predictor x'beta + z'b about its true value, for new rows: shape (m,)."""
        return prediction_variance(self._assembly, estimate, X, Z, codes)
