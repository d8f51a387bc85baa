"""What a user holds after fitting a nonlinear mixed model."""

from __future__ import annotations

from mixfit.fitted.nonlinear import FittedNonlinear
from mixfit.report.summary import summary
from mixfit.report.varcorr import varcorr
from mixfit.results.update import update

__all__ = ["NonlinearResults"]


class NonlinearResults(FittedNonlinear):
    """Estimates of a nonlinear mixed model.

    Parameters
    ----------
    model : NonlinearMixedModel
    estimate : NonlinearEstimate

    Examples
    --------
    >>> import mixfit, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> t, g = np.tile(np.arange(1.0, 9.0), 6), np.repeat(list("abcdef"), 8)
    >>> rate = 0.5 + np.repeat(rng.normal(0.0, 0.1, 6), 8)
    >>> data = pd.DataFrame({"t": t, "g": g, "y": 5.0 * np.exp(-rate * t) + rng.normal(0.0, 0.05, 48)})
    >>> fit = mixfit.nonlinear("y ~ a * exp(-k * t) ~ k | g", data, start={"a": 4.0, "k": 0.4}).fit()
    >>> fit.params.round(2).to_dict()
    {'a': 5.08, 'k': 0.53}
    >>> fit.predict(data.head(2), re_form="population").round(2).tolist()
    [2.98, 1.74]
    """

    def __repr__(self) -> str:
        return f"<NonlinearResults: {self.model.formula_text}, {self.nobs} observations>"

    # Functions of a fit, as methods: each is documented where it is defined.
    summary = summary
    varcorr = varcorr
    update = update
