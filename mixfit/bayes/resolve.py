r"""The priors of one model on its data: names looked up, scales filled in, and whether there is a posterior.

Coefficients have independent priors in the contrasts a_i'beta: the intercept at the means of the covariates, each
other coefficient by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.bayes.coordinates import FreeCoordinates, UnboundedCoordinates, coordinates_of
from mixfit.bayes.covariances import LKJ, Decov, InvWishart, Wishart
from mixfit.bayes.distributions import Distribution, Flat, Normal, StudentT, Uniform
from mixfit.bayes.names import group_names, natural_names
from mixfit.bayes.presets import Facts, preset
from mixfit.bayes.priors import Priors
from mixfit.bayes.term_priors import Deviations, EachColumn, OwnParameters, ScaleAndShares, WholeCovariance
from mixfit.bayes.zeros import zero_predictor
from mixfit.covariance.unstructured import Unstructured
from mixfit.errors import ArgumentError, PriorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.bayes.coordinates import TermCoordinates
    from mixfit.bayes.priors import Covariance
    from mixfit.bayes.term_priors import TermPrior
    from mixfit.fitted.protocols import Model
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["ResolvedPriors", "resolve"]

# The default df of a Wishart prior is the number of columns and this, as in blme.
_WISHART_DF = 2.5
# Of coefficients of the logit of further zeros.
_OF_ZEROS = Normal(0.0, 2.5)


@dataclass(frozen=True, eq=False)
class ResolvedPriors:
    """The priors of a model, every number filled in. Prints as a table of them.

    Attributes
    ----------
    fixed : tuple of Distribution, length p
        Of the contrasts.
    contrasts : ndarray, shape (p, p)
        Rows a_i of the user's coefficients.
    groups : tuple of str, one a term
        Names of the grouping factors.
    coordinates, terms : tuple, one a term
        Coordinates of the covariances, and their priors.
    sigma : Distribution, or None
        None where the family has no residual variance.
    phi : Distribution, or None
        Of the family's dispersion; None where it has none.
    zi : tuple of Distribution
        Of the coefficients of further zeros; none where there is no predictor of these.
    table : tuple of tuple of str
        Names of parameters beside their priors.
    is_proper : bool
    """

    fixed: tuple[Distribution, ...]
    contrasts: Array
    groups: tuple[str, ...]
    coordinates: tuple[TermCoordinates, ...]
    terms: tuple[TermPrior, ...]
    sigma: Distribution | None
    phi: Distribution | None
    zi: tuple[Distribution, ...]
    table: tuple[tuple[str, str], ...]
    is_proper: bool

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.table)
        return "\n".join(f"{name:<{width}}  {prior}" for name, prior in self.table)

    __repr__ = __str__

    @property
    def sizes(self) -> list[int]:
        """Coordinates of each term."""
        return [c.size for c in self.coordinates]


def resolve(priors: Priors | str, model: Model, *, residual: bool, posterior: bool = True) -> ResolvedPriors:
    """Fill in the priors of a model; `residual` says whether it has a residual variance.

    Raises
    ------
    ArgumentError
        For what is neither priors nor a name.
    PriorError
        For a name that the model does not have, a prior that its parameter cannot have, and where the data leave an
        improper prior without a posterior, unless that is not asked for, as of a mode.
    """
    _check_priors(priors)
    facts = Facts.of(model, residual=residual)
    defaults = preset(priors if isinstance(priors, str) else "rstanarm", facts)
    given = Priors() if isinstance(priors, str) else priors
    fixed, contrasts, rows = _fixed(given, defaults, facts)
    random = model.design.random
    groups = group_names(random)
    names = [natural_names(r, g) for r, g in zip(random, groups, strict=True)]
    coordinates = [coordinates_of(r.structure, r.text) for r in random]
    terms: list[TermPrior] = []
    proper = not any(isinstance(d, Flat) for d in fixed)
    if getattr(model, "threshold_names", ()):
        rows.append(("thresholds", "flat, in order"))
        proper = False
    _known("sd", given.sd, [*groups, *(n for own in names for n in own if n.startswith("sd("))])
    _known("cor", given.cor, groups)
    _known("covariance", given.covariance, groups)
    _known("theta", given.theta, [n for c, own in zip(coordinates, names, strict=True) for n in _own_names(c, own)])
    for r, group, own, at in zip(random, groups, names, coordinates, strict=True):
        prior, shown, is_proper = _term(r, group, own, at, given, defaults, facts)
        if posterior:
            _demand_posterior(r, own, prior)
        terms.append(prior)
        rows += shown
        proper = proper and is_proper
    sigma = None
    if residual:
        sigma = _positive("sigma", given.sigma or defaults.sigma).scaled(facts.response)
        rows.append(("sigma", _text(sigma)))
        proper = proper and sigma.is_proper
    elif given.sigma is not None:
        raise PriorError("sigma: the family of this model has no residual standard deviation to give a prior.")
    phi = _dispersion(facts, given, defaults) if posterior else None
    if phi is not None:
        rows.append(("phi", _text(phi)))
        proper = proper and phi.is_proper
    elif given.dispersion is not None:
        raise PriorError(
            "dispersion: the family of this model has no dispersion to give a prior."
            if posterior
            else "dispersion: penalized fits are of families without one."
        )
    zi = _further_zeros(model, given)
    rows += [(f"zi:{name}", _text(prior)) for name, prior in zi.items()]
    return ResolvedPriors(
        fixed=tuple(fixed),
        contrasts=contrasts,
        groups=tuple(groups),
        coordinates=tuple(coordinates),
        terms=tuple(terms),
        sigma=sigma,
        phi=phi,
        zi=tuple(zi.values()),
        table=tuple(rows),
        is_proper=proper and all(prior.is_proper for prior in zi.values()),
    )


def _further_zeros(model: Model, given: Priors) -> dict[str, Distribution]:
    """Priors of the coefficients of further zeros by name."""
    predictor = zero_predictor(model)
    if predictor is None:
        if given.zi is not None:
            raise PriorError("zi: this model has no predictor of further zeros to give a prior.")
        return {}
    _known("zi", given.zi, predictor.exog_names)
    out: dict[str, Distribution] = {}
    for name in predictor.exog_names:
        prior = _look_up(given.zi, _OF_ZEROS, name)
        if not isinstance(prior, Normal | StudentT | Flat):
            raise PriorError(f"zi: {name} has the prior Normal, StudentT, Cauchy or Flat, not {prior!r}.")
        out[name] = prior
    return out


def _dispersion(facts: Facts, given: Priors, defaults: Priors) -> Distribution | None:
    if facts.family is None or not facts.family.has_dispersion:
        return None
    prior = given.dispersion or defaults.dispersion
    if prior is None:
        raise PriorError(
            f"dispersion: phi of {facts.family.name} has units of the response, or no default of this preset. Give "
            "its prior, such as Priors(dispersion=Exponential(1))."
        )
    return _positive("dispersion", prior)


def _own_names(at: TermCoordinates, names: Sequence[str]) -> list[str]:
    """Names of the parameters of its own that a structure reports."""
    if not isinstance(at, UnboundedCoordinates):
        return []
    return [name for a, name in enumerate(names) if a >= at.n_deviations and at.structure.is_own(a)]


def _known(kind: str, given: object, names: Sequence[str]) -> None:
    """Refuse names that the model does not have."""
    if not isinstance(given, Mapping):
        return
    for name in given:
        if name not in names:
            near = get_close_matches(str(name), names, 1)
            raise PriorError(
                f"The prior {kind}={{{name!r}: ...}} is of nothing in this model. "
                + (f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(names) or 'none'}.")
            )


def _check_priors(given: object) -> None:
    if isinstance(given, ResolvedPriors):
        raise PriorError("posterior.priors are filled in by data: give the mixfit.bayes.Priors that were asked for.")
    if not isinstance(given, Priors | str):
        hint = f" How many to draw is draws={given}." if isinstance(given, int) else ""
        raise ArgumentError(f"priors= are mixfit.bayes.Priors(...) or a name of defaults, not {given!r}.{hint}")


def _look_up(given: Any, default: Any, *names: str) -> Any:
    """The prior of the first of the names, most special first, that has one."""
    if given is None:
        return default
    if isinstance(given, Mapping):
        return next((given[name] for name in names if name in given), default)
    return given


def _positive(name: str, prior: Distribution | None) -> Distribution:
    if not isinstance(prior, Distribution) or not (prior.is_positive or isinstance(prior, Flat)):
        what = "dispersion" if name == "dispersion" else "standard deviation"
        raise PriorError(
            f"{name}: a {what} has a prior on the positive numbers, such as HalfNormal, HalfT or "
            f"Exponential, not {prior!r}."
        )
    return prior


def _text(prior: object) -> str:
    """A prior with its numbers to six digits."""
    fields = {k: v for k, v in vars(prior).items() if k not in ("autoscale", "relative") and v is not None}
    shown = (f"{k}={v:.6g}" if isinstance(v, float | int) else f"{k}={v}" for k, v in fields.items())
    return f"{type(prior).__name__}({', '.join(shown)})"


def _fixed(given: Priors, defaults: Priors, facts: Facts) -> tuple[list[Distribution], Array, list[tuple[str, str]]]:
    names, intercept = facts.names, facts.intercept
    _known("fixed", given.fixed, names)
    out: list[Distribution] = []
    rows: list[tuple[str, str]] = []
    for j, name in enumerate(names):
        prior: Distribution | None
        if j == intercept:
            prior = given.intercept or defaults.intercept
            if isinstance(given.fixed, Mapping) and name in given.fixed:
                prior = given.fixed[name]
        else:
            prior = _look_up(given.fixed, _look_up(defaults.fixed, None, name), name)
        if not isinstance(prior, Normal | StudentT | Flat):
            raise PriorError(f"{name}: a coefficient has the prior Normal, StudentT, Cauchy or Flat, not {prior!r}.")
        prior = prior.scaled(facts.response / (1.0 if j == intercept else float(facts.spread[j])))
        out.append(prior)
        centred = j == intercept and bool(np.any(facts.means[np.arange(len(names)) != j]))
        rows.append((name, _text(prior) + (" at the means of the covariates" if centred else "")))
    contrasts = np.eye(len(names))
    if intercept is not None:
        contrasts[intercept] = facts.means
    elif given.intercept is not None:
        raise PriorError("intercept: this model has none to give a prior. Leave it out.")
    return out, contrasts, rows


def _term(
    r: RandomDesign,
    group: str,
    names: list[str],
    at: TermCoordinates,
    given: Priors,
    defaults: Priors,
    facts: Facts,
) -> tuple[TermPrior, list[tuple[str, str]], bool]:
    """A term's prior, its rows in the table, and whether it is proper."""
    whole: Covariance | None = _look_up(given.covariance, None, group)
    asked = [_look_up(given.sd, None, name, group) for name in names[: at.n_deviations]]
    cor = _look_up(given.cor, None, group)
    if whole is not None and (any(a is not None for a in asked) or cor is not None):
        raise PriorError(
            f"{group}: its covariance has a prior as a whole and one by standard deviations or correlations. Give one "
            "of the two."
        )
    by_parts = any(a is not None for a in asked) or cor is not None or _look_up(defaults.sd, None, group) is not None
    if whole is None and not by_parts and isinstance(at, FreeCoordinates):
        whole = _look_up(defaults.covariance, Decov(), group)
    if whole is not None:
        return _whole(r, group, at, whole)
    default = _look_up(defaults.sd, facts.default_deviation, group)
    units = facts.response / facts.column_spread(r)
    sd = []
    for i, (prior, name) in enumerate(zip(asked, names, strict=False)):
        unit = units[i] if at.n_deviations == len(units) else float(np.exp(np.log(units).mean()))
        sd.append(_positive(name, prior or default).scaled(float(unit)))
    rows = [(name, _text(prior)) for name, prior in zip(names, sd, strict=False)]
    is_proper = all(d.is_proper for d in sd)
    if isinstance(at, FreeCoordinates):
        lkj = cor or _look_up(defaults.cor, LKJ(), group)
        if at.size > at.k:
            rows.append((f"cor({group})", _text(lkj)))
        return Deviations(at, tuple(sd), lkj.eta), rows, is_proper
    assert isinstance(at, UnboundedCoordinates)
    shape = [_shape(at, a, name, given) for a, name in enumerate(names[len(sd) :], start=len(sd))]
    own = _own_names(at, names)
    rows += [
        (name if name in own else f"partial {name}", _text(prior))
        for name, prior in zip(names[len(sd) :], shape, strict=True)
    ]
    return OwnParameters(at, tuple(sd), tuple(shape)), rows, is_proper


def _shape(at: UnboundedCoordinates, parameter: int, name: str, given: Priors) -> Distribution:
    prior = _look_up(given.theta, None, name)
    if prior is not None:
        return prior
    lower, upper = at.structure.box()
    if not np.isfinite(upper[parameter]):
        raise PriorError(
            f"{name}: a parameter without an upper bound has no uniform prior. Give it one: "
            f"theta={{{name!r}: Gamma(2, 1)}}, for instance."
        )
    return Uniform(float(lower[parameter]), float(upper[parameter]))


def _whole(
    r: RandomDesign, group: str, at: TermCoordinates, prior: Covariance
) -> tuple[TermPrior, list[tuple[str, str]], bool]:
    rows = [(f"covariance({group})", _text(prior))]
    if not isinstance(at, FreeCoordinates):
        raise PriorError(
            f"{r.text}: a structure with parameters of its own has no prior of its covariance as a whole. Give sd= and "
            "theta= in its place."
        )
    if isinstance(prior, Decov):
        return ScaleAndShares(at, prior), rows, True
    if not isinstance(prior, Wishart | InvWishart):
        raise PriorError(f"{group}: a covariance has the prior Decov, Wishart or InvWishart, not {prior!r}.")
    if at.size == at.k and at.k > 1:
        return _each(r, group, at, prior)
    k = at.k
    df = prior.df if prior.df is not None else k + (_WISHART_DF if isinstance(prior, Wishart) else 0.0)
    if df <= k - 1:
        raise PriorError(f"{group}: {type(prior).__name__} of {k} columns has more than {k - 1} degrees of freedom.")
    resolved = WholeCovariance(at, prior, df, prior.matrix(k))
    return resolved, [(rows[0][0], _text(type(prior)(df, prior.scale, prior.relative)))], resolved.is_proper


def _each(
    r: RandomDesign, group: str, at: FreeCoordinates, prior: Wishart | InvWishart
) -> tuple[TermPrior, list[tuple[str, str]], bool]:
    """The prior of each variance of independent columns: as many terms of one."""
    if isinstance(prior.scale, tuple):
        raise PriorError(
            f"{r.text}: its columns are independent, and {type(prior).__name__} with a matrix is a prior of a whole "
            "one. Give a number as scale, or sd= in its place."
        )
    one = FreeCoordinates(Unstructured(1), is_correlated=False)
    own, rows, is_proper = _whole(r, group, one, prior)
    assert isinstance(own, WholeCovariance)
    return EachColumn(at, own), [(f"variances({group})", rows[0][1])], is_proper


def _demand_posterior(r: RandomDesign, names: Sequence[str], prior: TermPrior) -> None:
    """Refuse improper priors of a term for which its levels are too few."""
    whole = prior.own if isinstance(prior, EachColumn) else prior
    if isinstance(whole, WholeCovariance) and not whole.is_proper:
        _unscaled(r, whole.coordinates.k, whole.df)
    if isinstance(prior, Deviations | OwnParameters):
        for name, sd in zip(names, prior.sd, strict=False):
            if isinstance(sd, Flat):
                _flat_deviation(r, name)


def _flat_deviation(r: RandomDesign, name: str) -> None:
    """A flat prior of a standard deviation has a posterior from three levels on (Gelman 2006, Bayesian Anal. 1)."""
    q = r.grouping.n_levels
    if q < 3:
        raise PriorError(
            f"{name}: with {q} levels of {r.grouping.name!r} a flat prior leaves no posterior, which needs at least 3. "
            "Give a proper one, such as HalfNormal or HalfT."
        )


def _unscaled(r: RandomDesign, k: int, df: float) -> None:
    """|Sigma|^((df - k - 1) / 2) against a likelihood that falls as |Sigma|^(-(q - k) / 2): q > df + k at least."""
    q = r.grouping.n_levels
    if q <= df + k:
        raise PriorError(
            f"{r.text}: a Wishart prior of {df:g} degrees of freedom and infinite scale leaves no posterior with {q} "
            f"levels of {r.grouping.name!r}, which needs more than {df + k:g}. Give it a finite scale."
        )
