"""Cross-validation as a user holds it: scores, calibration, and its figure."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

from mixfit.helped import helped
from mixfit.inference.crossvalidation.validate import Validation, validate
from mixfit.plots.calibration import calibration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

__all__ = ["CrossValidation", "cross_validate"]


class CrossValidation(Validation):
    """Predictions of left-out rows and their scores.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> validation = mixfit.cross_validate(fit, by="Subject")
    >>> validation.predictions.head(2).round(2)
      Subject  observed    mean  log_density     sd   pit
    0     308    249.56  251.83        -4.45  33.94  0.47
    1     308    258.70  261.63        -4.47  34.62  0.47
    """

    def plot(self, *, bins: int = 10, level: float | None = None, ax: Axes | None = None) -> Axes:
        """Draw the calibration of the predictions; see `mixfit.plots.calibration`.

        Parameters
        ----------
        bins, level, ax
            As of `mixfit.plots.calibration`.

        Returns
        -------
        Axes

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> mixfit.cross_validate(fit, by="Subject").plot().get_xlabel()
        'probability of the interval'
        """
        return calibration(self, bins=bins, level=level, ax=ax)


@helped
def cross_validate(
    model: Any,
    by: Any = "observation",
    *,
    scoring: str | Callable[[Any, Any], float] | Sequence[str | Callable[[Any, Any], float]] | None = None,
    groups: str | ArrayLike | None = None,
    refit: Literal["theta"] | None = None,
    seed: int | None = None,
) -> CrossValidation:
    r"""Predict groups of rows from all others, and score the predictions.

    Parameters
    ----------
    model : fit or model
        A model is fitted first.
    by : str, int, array_like of shape (nobs,), splitter, or sequence of pairs
        What is left out together: the levels of a grouping factor of the model, each ``"observation"``, as many
        random folds, rows of one label, the test sets of a splitter of scikit-learn (``GroupKFold(5)``,
        ``TimeSeriesSplit()``), or of pairs of places ``(train, test)``.
    scoring : str or callable, or sequence of these, optional
        ``"log_score"``: the log predictive density of each row by itself, averaged: larger is better, and differences
        of models on the same rows are comparable; ``"joint_log_score"``: the log predictive density of all rows of
        a group together, over the number of rows, of linear models; ``"rmse"``, ``"mae"``: of predictive means;
        ``"brier"``: the mean squared difference of event and probability, over trials; or functions of observed and
        predicted values such as those of ``sklearn.metrics``. By default the log score, and ``brier`` of binary and
        binomial responses, else ``rmse`` and ``mae``.
    groups : str or array_like, shape (nobs,), optional
        What a splitter keeps together: a grouping factor, or labels.
    refit : {None, "theta"}
        None holds theta, the relative covariances of the random effects, of a linear model: fixed effects, residual
        standard deviation and modes are those of the other rows, exactly, without a refit. ``"theta"`` estimates
        all parameters without each group, by a fit a group. Generalized and nonlinear models are always refitted.
    seed : int, optional
        Of random folds.

    Returns
    -------
    CrossValidation
        Printing as its scores; ``score``, ``scores``, ``predictions``, ``calibration()``, ``plot()``.

    Raises
    ------
    DataError
        For groups without rows to predict or to fit to, and a `by` that is no grouping factor.
    DesignError
        Where only the rows of one group determine a fixed effect, naming both.
    FitError
        For a refit that fails, and for linear models with ``residual=`` or ``dispersion=``, generalized ones with
        ``zi=`` or ``dispersion=``, ordered categories, and known covariances.

    Notes
    -----
    Held in any case is the design: knots of splines, contrasts and what else its columns are computed from are those
    of all rows. The response is that of the formula, such as ``log(y)``. A left-out group whose level no other row
    has is predicted as a new level: with effects of mean zero, whose variance is in the predictive distribution. In
    linear models this also counts the errors of fixed effects and modes, but theta as known: a normal distribution of
    variance sigma(-S)^2 / w plus that of the error of the best linear unbiased predictor. With rows scaled by the
    roots of their weights and P = V^{-1} - V^{-1} X (X'V^{-1}X)^{-1} X'V^{-1}, the errors of the rows S are
    P_SS^{-1} (Py)_S, of covariance sigma(-S)^2 P_SS^{-1} (Dubrule 1983, Mathematical Geology 15, 687-699). In
    generalized models the predictor of a row is taken as normal about its mode, and density and mean are averaged over
    that. In nonlinear ones the response is taken as normal about the curve at the modes, with the variance of the
    curve's error to first order, as in ``get_prediction``.

    Examples
    --------
    How well are a new subject's reaction times predicted, and how well another one of the same subject's?

    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> mixfit.cross_validate(fit, by="Subject").score.round(2).to_dict()
    {'log_score': -5.27, 'rmse': 49.6, 'mae': 37.85}
    >>> mixfit.cross_validate(fit).score.round(2).to_dict()
    {'log_score': -4.79, 'rmse': 28.47, 'mae': 19.69}
    """
    found = validate(model, by, scoring=scoring, groups=groups, refit=refit, seed=seed)
    return CrossValidation(**{field.name: getattr(found, field.name) for field in fields(found)})
