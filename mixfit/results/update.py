"""Fits from others: the model made again with changes, and fitted as the other one was."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

from mixfit.fitted.protocols import is_generalized

if TYPE_CHECKING:
    from mixfit.fitted.protocols import Fit

__all__ = ["update"]

_OF_FITS = ("reml", "n_agq", "method")


def update(fit: Fit, formula: str | None = None, **changes: Any) -> Any:
    """Fit a changed model, as R's ``update``.

    Parameters
    ----------
    formula : str, optional
        ``". ~ . - x + (1 | g)"``: on either side ``.`` is what there was; random terms are taken away as they are
        written, ``- (x | g)``.
    **changes
        Arguments of `mixfit.mixed` (or `mixfit.nonlinear`) in place of those that the model was made with:
        ``subset=``, ``weights=``, ``family=``, ``data=``, ...; and of ``fit``: ``reml=``, ``n_agq=``, ``method=``,
        which are those of this fit by default.

    Returns
    -------
    LinearResults, GeneralizedResults or NonlinearResults

    Raises
    ------
    FormulaError
        Where `formula` takes away what the model does not have.
    FitError
        Where the data are not at hand: the fit came from a pickle, or its rows or response were replaced. Give them by
        ``data=``.
    ArgumentError
        For an argument that there is not.

    Notes
    -----
    The data are those that were handed over, which are not copied: what was changed in them since is read anew.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit(reml=False)
    >>> smaller = fit.update(". ~ . - (Days | Subject) + (1 | Subject)")
    >>> smaller
    <LinearResults: Reaction ~ Days + (1 | Subject), ML, 180 observations>
    >>> fit.update(subset="Days > 1", reml=True).nobs
    144
    """
    of_fit = {name: changes.pop(name) for name in _OF_FITS if name in changes}
    model = fit.model.update(formula, **changes)
    takes = signature(model.fit).parameters
    return model.fit(**{name: value for name, value in _settings(fit).items() if name in takes} | of_fit)


def _settings(fit: Fit) -> dict[str, Any]:
    """How the fit was made."""
    if is_generalized(fit):
        return {"n_agq": fit.estimate.n_agq, "method": "pql" if fit.estimate.method == "pql" else "ml"}
    return {"reml": fit.reml}
