"""Generalized mixed models of a source, by passes over rows that are kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn

from mixfit.errors import FitError, RowsError
from mixfit.glmm.conditional import covariances_of, variance_by
from mixfit.glmm.estimate import estimate_by_passes
from mixfit.glmm.kept_rows import keep_rows
from mixfit.glmm.passes import PassLaplace
from mixfit.glmm.separation_by_passes import refuse_separation_by_passes
from mixfit.matrices.types import MEAN
from mixfit.model.base import MixedModel
from mixfit.model.generalized import GeneralizedMixedModel
from mixfit.model.named import given_start
from mixfit.model.rowless import streamed_design

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from mixfit.bayes.priors import Priors
    from mixfit.families.base import Family
    from mixfit.glmm.kept_rows import KeptRows
    from mixfit.glmm.types import GeneralizedEstimate
    from mixfit.matrices.batches.read import Stream
    from mixfit.matrices.types import Design
    from mixfit.results.generalized import GeneralizedResults

    Array = NDArray[np.float64]

__all__ = ["PassMixedModel"]


class PassMixedModel(GeneralizedMixedModel):
    """A binomial or Poisson model of a source with more distinct rows than memory is for.

    What the model needs of the rows is written to a folder of temporary files, some ten bytes a row and column, and
    every step of the fit is a pass or two over them: the Laplace approximation with its exact gradient, as in memory.

    Parameters
    ----------
    formula : str
    stream : Stream
    family : Family
    """

    engine = "passes"

    def __init__(self, formula: str, stream: Stream, family: Family) -> None:
        self.family = family
        rows = keep_rows(stream, family)
        self._rows: KeptRows | None = rows
        self._n_passes = 0
        self._assembly = rows.assembly
        self.known_effects: dict[str, float] = {}
        self._held = None
        MixedModel.__init__(self, formula, streamed_design(rows.batches), self._assembly.fixed.kept)

    @property
    def n_passes(self) -> int:
        """Passes over the rows so far."""
        return self._n_passes if self._rows is None else self._rows.rows.n_passes

    def __getstate__(self) -> dict[str, Any]:
        # The estimates hold the factor at the modes: fits, and nothing else, need the rows.
        return {**self.__dict__, "_rows": None, "_n_passes": self.n_passes}

    def fit(
        self,
        *,
        n_agq: int = 1,
        method: Literal["ml", "pql"] = "ml",
        start: Sequence[ArrayLike] | ArrayLike | Mapping[str, float] | None = None,
        start_fixed: ArrayLike | None = None,
        priors: Priors | str | None = None,
    ) -> GeneralizedResults:
        """Estimate by maximum likelihood, as `GeneralizedMixedModel.fit` does.

        Parameters
        ----------
        n_agq : int
            1, the Laplace approximation.
        method : {"ml"}
        start, start_fixed
            Where to start from; otherwise the estimates of some 50,000 of the rows.
        priors
            None.

        Returns
        -------
        GeneralizedResults

        Raises
        ------
        RowsError
            After ``mixfit.load``: the rows on disk end with the model that was fitted.
        FitError
            For quadrature, the fast approximation, quasi-likelihood and priors, which ask for rows in memory; and where
            the conditional modes do not settle, or fixed effects separate the response.
        """
        if n_agq != 1 or method != "ml" or priors is not None or self.priors is not None:
            raise FitError(
                "Rows on disk are fitted by the Laplace approximation: leave n_agq=, method= and priors= out, or read "
                "what the model needs into a frame."
            )
        if self._rows is None:
            raise RowsError(
                "A model that was stored has no rows to fit: read the source anew by mixfit.mixed(formula, source, "
                "family=...)."
            )
        given = given_start(self._assembly, self.design, self.in_formula_order, start, start_fixed)
        names = [self.design.exog_names[j] for j in self._assembly.fixed.kept]
        try:
            estimate = estimate_by_passes(self._rows, given)
        except FitError:
            refuse_separation_by_passes(self._rows, names, self.design.endog_name, None, converged=False)
            raise
        converged = estimate.certificate.converged
        where = self._rows, names, self.design.endog_name, self._center(estimate)
        refuse_separation_by_passes(*where, converged=converged)
        return self._results(estimate)

    def conditional_covariance(self, estimate: GeneralizedEstimate, *, of: str = MEAN) -> tuple[Array, ...]:
        """Cov(b_j | y) of every level of every term at the mode, shapes (q_t, k_t, k_t)."""
        return tuple(covariances_of(self._assembly, self._center(estimate).factor))

    def prediction_variance(
        self,
        estimate: GeneralizedEstimate,
        X: Array,
        Z: Sequence[Array | None],
        codes: Sequence[NDArray[np.intp] | None],
    ) -> Array:
        """Variance of the linear predictor of new rows; see `GeneralizedMixedModel.prediction_variance`."""
        return variance_by(self._center(estimate).mode.observed, self._assembly, estimate, X, Z, codes)

    def _center(self, estimate: GeneralizedEstimate) -> PassLaplace:
        found = estimate.at.get(self._gone)
        assert isinstance(found, PassLaplace)
        return found

    def _gone(self) -> NoReturn:
        raise RowsError(_needs("What follows from the conditional modes of a fit that was stored"))

    def with_response(self, y: ArrayLike) -> NoReturn:
        """Not without rows."""
        raise RowsError(_needs("Another response"))

    def with_design(self, design: Design) -> NoReturn:
        """Not without rows."""
        raise RowsError(_needs("Another design"))

    def of_rows(self, keep: NDArray[np.bool_]) -> NoReturn:
        """Not without rows."""
        raise RowsError(_needs("A fit to some of the rows"))

    def with_family(self, family: Any) -> NoReturn:
        """Not without rows."""
        raise RowsError(_needs("Another family"))

    def likelihood_surface(self, estimate: GeneralizedEstimate, *, reml: bool) -> NoReturn:
        """Not by passes."""
        raise RowsError(_needs("A profile"))

    def working_model(self, estimate: GeneralizedEstimate) -> NoReturn:
        """Not without rows."""
        raise RowsError(_needs("What a row does to the fit"))


def _needs(what: str) -> str:
    return (
        f"{what} needs the rows of the data, and this model has them on disk for the passes of a fit alone: fit to a "
        "frame in memory, or read the source anew by mixfit.mixed(formula, source, family=...)."
    )
