"""Draw from the posterior of a fit's model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from mixfit.bayes.begin import demand_finite
from mixfit.bayes.collapsed import CollapsedPosterior
from mixfit.bayes.convergence import FEWEST
from mixfit.bayes.draws import Draws, Evidence, Sampler
from mixfit.bayes.generalized import GeneralizedPosterior, check_kind
from mixfit.bayes.gibbs.draws import gibbs_draws
from mixfit.bayes.hmc import sample_hmc
from mixfit.bayes.importance import sample_importance
from mixfit.bayes.interleave import Interleaved
from mixfit.bayes.laplace import LaplacePosterior
from mixfit.bayes.levels import LevelPosterior, has_one_factor
from mixfit.bayes.log_means import log_mean
from mixfit.bayes.mode import find_mode
from mixfit.bayes.pareto import LIMIT, smoothed
from mixfit.bayes.posterior import Posterior
from mixfit.bayes.prior_draws import draw_priors
from mixfit.bayes.resolve import resolve
from mixfit.bayes.split_t import split_t
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_generalized, is_linear
from mixfit.matrices.across import refuse_given, refuse_related
from mixfit.progress import progress_bar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.collapsed import Conditional
    from mixfit.bayes.hmc import Moves, Trajectories
    from mixfit.bayes.mode import LogDensity
    from mixfit.bayes.priors import Priors
    from mixfit.bayes.resolve import ResolvedPriors
    from mixfit.fitted.protocols import Fit, GeneralizedFit

    Array = NDArray[np.float64]

__all__ = ["sample"]

Method = Literal["auto", "collapsed", "hmc", "gibbs", "laplace"]

# Coordinates of a density up to which nets of points fill it.
_MOST_FOR_POINTS = 6
# Effective points for each draw where coefficients are coordinates too: each point costs a quadrature, or a search for
# the modes of all effects.
_OVERSAMPLING_LEVELS, _OVERSAMPLING_LAPLACE = 1.0, 0.25
# Scales of the proposal about its mode within which integrals are looked at: of a normal density, 95 %.
_AROUND = 2.0
# Iterations that adapt the steps, and the acceptance that they are adapted to.
_WARMUP, _TARGET = 300, 0.8
# Chains start at draws of the mode's normal distribution with this share of its standard deviations.
_START_SPREAD = 0.5


def sample(
    fit: Fit,
    priors: Priors | str = "rstanarm",
    *,
    draws: int = 4000,
    chains: int = 4,
    seed: int | np.random.Generator | None = None,
    method: Method = "auto",
    prior_only: bool = False,
    progress: bool = True,
) -> Posterior:
    r"""Draw from the posterior of the fit's model under priors.

    Parameters
    ----------
    priors : Priors or str
        `mixfit.bayes.Priors`, or the defaults of another package on these data: ``"rstanarm"``, ``"brms"``,
        ``"blme"``, ``"MCMCglmm"``. ``posterior.priors`` prints them with every number filled in.
    draws : int
        Draws in all, the same number from each chain.
    chains : int
        Independent chains: with ``"collapsed"`` nets of points scrambled anew.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it: the same seed gives the same draws. Chains of Hamiltonian Monte
        Carlo repeat to the last digit with numpy 2, whose functions do not round by where arrays lie in memory.
    method : {"auto", "collapsed", "hmc", "gibbs", "laplace"}
        ``"collapsed"`` integrates coefficients and random effects out exactly, draws the covariance parameters and
        sigma by importance sampling from a split t distribution at their mode, with Pareto-smoothed weights, and then
        coefficients and effects from their exact conditional distribution. ``"hmc"`` draws the former by Hamiltonian
        Monte Carlo. ``"auto"`` is the first with up to 6 parameters and weights that serve, and else the second.
        Binomial, Poisson and other generalized models without a dispersion: with one grouping factor of up to three
        columns, ``"collapsed"`` integrates the effects out by adaptive quadrature of as many nodes as the data ask
        for, draws coefficients and covariance parameters by importance sampling, and then the effects. Else, and by
        ``"auto"`` where the integrals need many nodes, ``"hmc"`` draws all together: see that `Posterior.diagnostics`
        has an ``r_hat`` below 1.01. Chains that do not agree are run up to 8 times as long.
        ``"laplace"`` integrates the effects of a generalized model out by the Laplace approximation, whatever their
        grouping factors, and draws them from the normal distribution about their mode: quick, and approximate. The
        ``k_hat`` of `Posterior.diagnostics` is that of the exact densities over those drawn from: up to 0.7 the
        approximation is close. ``"gibbs"`` is for teaching, and for comparison with MCMCglmm, whose priors
        ``priors="MCMCglmm"`` are: linear models, ``family="binomial(probit)"`` and ``"cumulative(probit)"`` by latent
        variables, and ``"binomial"`` by Polya-Gamma ones, with conjugate priors, one named step after another
        (`mixfit.bayes.gibbs`).
    prior_only : bool
        Whether to draw from the priors alone, as if there were no data: ``simulate`` then draws what they predict.
    progress : bool
        Whether trajectories that take a while show a bar, with the number of those that diverged.

    Returns
    -------
    Posterior

    Raises
    ------
    ArgumentError
        For what is neither priors nor the name of some.
    PriorError
        For priors that name what the model does not have, or leave no posterior.
    FitError
        For draws too few to tell whether chains agree, and where the weights of ``"collapsed"`` do not serve.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> posterior = fit.sample(seed=1)
    >>> posterior.summary().loc["Days", ["mean", "sd"]].round(1).tolist()
    [10.4, 1.8]
    >>> posterior.sampler.method
    'collapsed'
    """
    refuse_related(fit.model.design.random, "sample")
    refuse_given(fit.model.design.random, "sample")
    if fit.model.known_effects:
        raise FitError("Posteriors are of every fixed effect, and fixed= holds some: give them priors instead.")
    if chains < 1 or draws < 2 * FEWEST * chains:
        raise FitError(
            f"{draws} draws in {chains} chains are too few to tell whether the chains agree: draw {2 * FEWEST} a chain "
            "at least."
        )
    if method not in get_args(Method):
        raise FitError(f"method={method!r}: posteriors are drawn by {', '.join(map(repr, get_args(Method)))}.")
    if is_generalized(fit) and method != "gibbs":
        check_kind(fit)
    rng = np.random.default_rng(seed)
    resolved = resolve(priors, fit.model, residual=is_linear(fit))
    a_chain = -(-draws // chains)
    if prior_only:
        return Posterior(fit, resolved, draw_priors(fit, resolved, a_chain, chains, rng), Sampler("prior"))
    if method == "gibbs":
        return Posterior(fit, resolved, gibbs_draws(fit, resolved, a_chain, chains, rng), Sampler("gibbs"))
    if is_generalized(fit):
        kept, sampler, evidence = _generalized(fit, resolved, a_chain, chains, rng, method, progress)
        return Posterior(fit, resolved, kept, sampler, evidence if resolved.is_proper else None)
    if not is_linear(fit):
        raise FitError("There is no posterior of this kind of model yet.")
    if method == "laplace":
        raise FitError(
            "method='laplace' is for generalized models: 'collapsed' is exact for linear ones, and as quick."
        )
    density = CollapsedPosterior(fit, resolved)
    x, sampler, evidence = _covariances(density, a_chain, chains, rng, method, progress)
    conditional = density.draw(x.reshape(-1, density.size), rng)
    return Posterior(fit, resolved, _kept(x, conditional), sampler, evidence if resolved.is_proper else None)


def _kept(x: Array, drawn: Conditional) -> Draws:
    """Draws by chain, from coordinates (chains, draws, m) and what was drawn at them."""
    shape = x.shape[:2]
    effects = tuple(b.reshape(*shape, *b.shape[1:]) for b in drawn.effects)
    return Draws(x, drawn.beta.reshape(*shape, -1), effects)


def _covariances(
    density: CollapsedPosterior, draws: int, chains: int, rng: np.random.Generator, method: Method, progress: bool
) -> tuple[Array, Sampler, Evidence | None]:
    """Coordinates (chains, draws, d) of a linear model, how they were drawn, and the evidence that the points tell."""
    start = density.start()
    demand_finite(density, start[None], start, start[density.log_sigma])
    mode = find_mode(density, start)
    points = sample_importance(density, split_t(density, mode), draws, chains, rng, dear=density.is_dear)
    evidence = Evidence(*points.log_evidence) if points.serves else None
    few = density.size <= _MOST_FOR_POINTS or density.is_dear
    if points.serves and (method == "collapsed" or (method == "auto" and few)):
        index = points.resample(draws, rng)
        x = np.take_along_axis(points.x, index[:, :, None], axis=1)
        sampler = Sampler("collapsed", k=points.k, efficiency=points.efficiency, n_points=points.log_weight.size)
        return x, sampler, evidence
    if method == "collapsed":
        raise _unserved(points.k)
    root = np.asarray(np.linalg.cholesky(np.linalg.inv(mode.curvature)), dtype=float)
    starts = mode.place + _START_SPREAD * rng.standard_normal((chains, density.size)) @ root.T
    found = _trajectories(density, starts, root, draws, rng, progress)
    return found.x, _described(found), evidence


def _generalized(
    fit: GeneralizedFit,
    priors: ResolvedPriors,
    draws: int,
    chains: int,
    rng: np.random.Generator,
    method: Method,
    progress: bool,
) -> tuple[Draws, Sampler, Evidence | None]:
    if method == "laplace":
        return _laplace(LaplacePosterior(fit, priors), draws, chains, rng)
    if method != "hmc" and has_one_factor(fit):
        found = _levels(LevelPosterior(fit, priors), draws, chains, rng, method)
        if found is not None:
            return found
    elif method == "collapsed":
        raise FitError(
            "method='collapsed' integrates the effects of one grouping factor with up to three columns out, of "
            "families without a dispersion or further zeros, and this model is another: method='hmc' draws it."
        )
    density = GeneralizedPosterior(fit, priors)
    starts, spread = density.start(chains, rng, _START_SPREAD)
    demand_finite(density, starts, density.middle)
    made = _trajectories(density, starts, spread, draws, rng, progress, Interleaved(density))
    x, drawn = density.unpack(made.x.reshape(-1, density.size), rng)
    return _kept(x.reshape(*made.x.shape[:2], -1), drawn), _described(made), None


def _levels(
    density: LevelPosterior, draws: int, chains: int, rng: np.random.Generator, method: Method
) -> tuple[Draws, Sampler, Evidence] | None:
    """Draws of a generalized model with one grouping factor; None where weights do not serve and others are allowed."""
    start = density.start()
    demand_finite(density, start[None], start[density.size - sum(density.priors.sizes) :])
    proposal = split_t(density, find_mode(density, start))
    exact = density.with_enough_nodes(proposal.around(_AROUND))
    if method == "collapsed" and exact is None:
        raise FitError("Quadrature does not give the integrals over the effects: draw by method='hmc'.")
    if exact is None or not (exact.is_quick or method == "collapsed"):
        return None
    density = exact
    points = sample_importance(density, proposal, draws, chains, rng, oversampling=_OVERSAMPLING_LEVELS)
    if not points.serves:
        if method == "collapsed":
            raise _unserved(points.k)
        return None
    x = np.take_along_axis(points.x, points.resample(draws, rng)[:, :, None], axis=1)
    drawn = density.draw(x.reshape(-1, density.size), rng)
    sampler = Sampler("collapsed", k=points.k, efficiency=points.efficiency, n_points=points.log_weight.size)
    return _kept(x[:, :, drawn.beta.shape[1] :], drawn), sampler, Evidence(*points.log_evidence)


def _laplace(
    density: LaplacePosterior, draws: int, chains: int, rng: np.random.Generator
) -> tuple[Draws, Sampler, Evidence | None]:
    """Draws of a generalized model by the Laplace approximation, with k-hat and evidence of the exact density."""
    start = density.start()
    demand_finite(density, start[None], start[density.size - sum(density.priors.sizes) :])
    proposal = split_t(density, find_mode(density, start))
    points = sample_importance(density, proposal, draws, chains, rng, dear=True, oversampling=_OVERSAMPLING_LAPLACE)
    if not points.serves:
        raise _unserved(points.k)
    x = np.take_along_axis(points.x, points.resample(draws, rng)[:, :, None], axis=1)
    drawn, ratio = density.draw(x.reshape(-1, density.size), rng)
    weight, k = smoothed(ratio)
    efficiency = float(1.0 / np.exp(2.0 * weight).sum() / len(weight))
    sampler = Sampler("laplace", k=k, efficiency=efficiency, n_points=points.log_weight.size)
    log, error = points.log_evidence
    exact = Evidence(log + float(log_mean(ratio)), error) if k <= LIMIT else None
    return _kept(x[:, :, drawn.beta.shape[1] :], drawn), sampler, exact


def _unserved(k: float) -> FitError:
    return FitError(
        f"The weights of the points do not serve (k-hat {k:.2f}): draw by method='hmc', or leave the choice to "
        "method='auto'."
    )


def _trajectories(
    density: LogDensity,
    starts: Array,
    root: Array,
    draws: int,
    rng: np.random.Generator,
    progress: bool,
    between: Moves | None = None,
) -> Trajectories:
    """Run chains, and show those who wait how far they are."""
    with progress_bar(_WARMUP + draws, progress=progress, unit="draw") as bar:

        def tell(divergences: int) -> None:
            # Chains that do not agree are run on beyond what was planned.
            bar.total = max(bar.total, bar.n + 1)
            if divergences:
                bar.set_postfix(divergences=divergences, refresh=False)
            bar.update()

        return sample_hmc(
            density,
            starts,
            root,
            draws=draws,
            warmup=_WARMUP,
            target=_TARGET,
            rng=rng,
            progress=tell if progress else None,
            between=between,
        )


def _described(found: Trajectories) -> Sampler:
    return Sampler(
        "hmc",
        accepted=found.accepted,
        divergences=found.divergences,
        step=found.step,
        n_steps=found.n_steps,
        energy=found.energy,
        thinning=found.thinning,
    )
