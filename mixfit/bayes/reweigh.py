"""Draws under other priors, without drawing the covariance parameters anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.collapsed import CollapsedPosterior
from mixfit.bayes.draws import Draws, Evidence, PosteriorDraws, Sampler
from mixfit.bayes.pareto import LIMIT, smoothed
from mixfit.bayes.resolve import resolve
from mixfit.errors import FitError, PriorError
from mixfit.fitted.protocols import is_linear

if TYPE_CHECKING:
    from typing import TypeVar

    from numpy.typing import NDArray

    from mixfit.bayes.priors import Priors

    Array = NDArray[np.float64]
    Held = TypeVar("Held", bound=PosteriorDraws)

__all__ = ["with_priors"]


def with_priors(posterior: Held, priors: Priors | str, seed: int | np.random.Generator | None = None) -> Held:
    """Return the posterior under other priors, by new weights of the same covariance parameters.

    Coefficients and random effects are drawn anew, exactly.

    Parameters
    ----------
    priors : Priors or str
        As `sample` takes them.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it.

    Returns
    -------
    Posterior
        ``sampler.k`` is the k-hat of the weights.

    Raises
    ------
    FitError
        Where k-hat is above 0.7: the posteriors are too far from one another, and the model is to be sampled anew.
    PriorError
        For generalized models, and where a t prior comes or goes: it has parameters of its own.

    Examples
    --------
    >>> import mixfit
    >>> from mixfit.bayes import Decov, Priors
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> posterior = fit.sample(seed=1)
    >>> doubled = posterior.with_priors(Priors(covariance=Decov(regularization=2)), seed=2)
    >>> doubled.sampler.k < 0.7
    True
    """
    fit = posterior.fit
    if not is_linear(fit):
        raise PriorError("Other priors by new weights are for linear models: sample the model anew.")
    new = CollapsedPosterior(fit, resolve(priors, fit.model, residual=True))
    old = CollapsedPosterior(fit, posterior.priors)
    if new.size != old.size:
        raise PriorError("A t prior has a parameter of its own, which these draws lack or have: sample the model anew.")
    shape, x = posterior.kept.x.shape[:2], posterior.kept.x.reshape(-1, new.size)
    ratio = new.evaluate(x).value - old.evaluate(x).value
    weight, k = smoothed(ratio)
    if k > LIMIT:
        raise FitError(f"These priors are too far from those of the draws (k-hat {k:.2f}): sample the model anew.")
    rng = np.random.default_rng(seed)
    edges = np.cumsum(np.exp(weight))
    at = np.searchsorted(edges / edges[-1], (np.arange(len(x)) + rng.random()) / len(x))
    rng.shuffle(at)
    x = x[np.minimum(at, len(x) - 1)]
    drawn = new.draw(x, rng)
    kept = Draws(
        x.reshape(*shape, -1),
        drawn.beta.reshape(*shape, -1),
        tuple(b.reshape(*shape, *b.shape[1:]) for b in drawn.effects),
    )
    efficiency = float(1.0 / np.exp(2.0 * weight).sum() / len(weight))
    sampler, evidence = Sampler("reweighed", k, efficiency), _evidence(posterior, new, ratio)
    return replace(posterior, priors=new.priors, kept=kept, sampler=sampler, log_evidence=evidence)


def _evidence(posterior: PosteriorDraws, new: CollapsedPosterior, ratio: Array) -> Evidence | None:
    """The old evidence times the mean ratio of the priors, where both are distributions."""
    if posterior.log_evidence is None or not new.priors.is_proper:
        return None
    top = ratio.max()
    ratios = np.exp(ratio - top)
    error = ratios.std(ddof=1) / ratios.mean() / np.sqrt(len(ratios))
    log = posterior.log_evidence.log + top + np.log(ratios.mean())
    return Evidence(float(log), float(np.hypot(error, posterior.log_evidence.error)))
