"""The bootstrap as a method of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from mixfit.inference.resampling.bootstrap import BootstrapResult
    from mixfit.results.re_form import ReForm

__all__ = ["Bootstrapped"]


class Bootstrapped(MixedResults):
    """The part of a result that is fitted again to what it simulates.

    Parameters
    ----------
    model : FittedModel
    estimate : Estimate
    """

    def bootstrap(
        self,
        statistic: Callable[[Any], Any] | None = None,
        n: int = 1000,
        seed: int | np.random.Generator | None = None,
        progress: bool = True,
        n_jobs: int | None = 1,
        type: Literal["parametric"] = "parametric",  # noqa: A002
        re_form: ReForm = "population",
    ) -> BootstrapResult:
        """Simulate from the fit and fit each simulation again, as lme4's ``bootMer``.

        Parameters
        ----------
        statistic : callable, optional
            Of a refitted result: a number, array, mapping or Series, such as ``lambda fit: fit.params``. By
            default all parameters: fixed effects, standard deviations and correlations of the random effects,
            residual standard deviation or dispersion (see `mixfit.inference.profiles.parameters.parameter_names`).
        n : int
            Number of replicates.
        seed : int, Generator or None
            As ``numpy.random.default_rng`` takes it. Replicates do not depend on `n_jobs`.
        progress : bool
            Whether a bar is shown once the refits have taken two seconds.
        n_jobs : int or None
            Processes, as joblib counts them; with ``joblib.parallel_config(backend="dask")`` or ``"ray"`` they are
            those of the cluster. Linear models with one grouping factor are refitted together, as one array
            operation in this process, unless there is a `statistic`.
        type : {"parametric"}
        re_form : None, str, False or sequence of str
            Random terms to hold at their modes in the simulations, as in `simulate`; by default all are drawn anew.

        Returns
        -------
        BootstrapResult
            ``.replicates``, ``.bias``, ``.bse``, ``.conf_int()``, and how many refits failed and why.

        Raises
        ------
        FitError
            Where `n` is not positive, `type` is another, or every refit failed.

        Examples
        --------
        >>> import mixfit
        >>> fit = mixfit.mixed("bright ~ 1 + (1|operator)", mixfit.datasets.load("pulp")).fit()
        >>> boot = fit.bootstrap(n=200, seed=1)
        >>> boot.replicates.shape, boot.n_failed
        ((200, 3), 0)
        >>> boot.conf_int().loc["sigma"].round(2).tolist()
        [0.21, 0.44]
        """
        from mixfit.inference.resampling.bootstrap import bootstrap

        return bootstrap(self, statistic, n, seed, progress, n_jobs, type, re_form)
