"""Marginal means, as a method of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixfit.inference.marginal_means import EmMeans

__all__ = ["MarginalMeans"]


class MarginalMeans(MixedResults):
    """Marginal means that linear and generalized results have in common."""

    def emmeans(
        self,
        specs: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        contrasts: Any = None,
        ddf: Literal["kenward-roger", "satterthwaite", "residual", "none"] | None = None,
        adjust: str | None = None,
        level: float = 0.95,
        weights: str = "equal",
        type: Literal["link", "response"] = "link",  # noqa: A002
        offset: float | None = None,
        cov_keep: int = 2,
    ) -> EmMeans:
        """Estimate marginal means, as R's emmeans; see `mixfit.inference.emmeans.emmeans`.

        Parameters
        ----------
        specs : str or sequence of str
            Variables of the fixed effects, or a formula such as ``"~ a | b"`` or ``"pairwise ~ a"``.
        by : str or sequence of str, optional
            Variables in whose combinations means are shown and compared apart.
        at : mapping of str to value or list of values, optional
            Values of covariates (their means by default), or some levels of factors.
        contrasts : optional
            Contrasts to test as well: ``"pairwise"``, ``"trt.vs.ctrl"``, ``"eff"``, ``"poly"``, ..., or
            coefficients.
        ddf : {"kenward-roger", "satterthwaite", "residual", "none"}, optional
            Degrees of freedom: Kenward-Roger's by default for REML fits, Satterthwaite's for fits by maximum
            likelihood; generalized models have none.
        adjust : str, optional
            For several tests, or several intervals where no contrasts are asked for.
        level : float
            Coverage of intervals.
        weights : {"equal", "proportional", "outer", "cells", "flat"}
            How levels are averaged over.
        type : {"link", "response"}
            Scale of a generalized model's means.
        offset : float, optional
            Offset of all means; the mean of the model's by default.
        cov_keep : int
            A covariate with at most so many distinct values is averaged over as a factor.

        Returns
        -------
        EmMeans

        Raises
        ------
        FitError
            For a name that is no variable of the fixed effects, an unknown option, or too large a grid.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> fit.emmeans("period", type="response")["prob"].round(3).tolist()
        [0.198, 0.084, 0.074, 0.048]
        """
        from mixfit.inference.emmeans import emmeans

        return emmeans(
            self,
            specs,
            by,
            at=at,
            contrasts=contrasts,
            ddf=ddf,
            adjust=adjust,
            level=level,
            weights=weights,
            type=type,
            offset=offset,
            cov_keep=cov_keep,
        )
