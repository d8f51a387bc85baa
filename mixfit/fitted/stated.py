"""Parameters by their names: those of a model, the values that a fit has, and estimates that are stated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from mixfit.covariance.steps import split_theta
from mixfit.errors import ParameterError
from mixfit.families.several import DISPERSION
from mixfit.fitted.residual_covariance import is_structured_model
from mixfit.fitted.varcorr import term_order, unique_names
from mixfit.glmm.types import FurtherEstimate, GeneralizedEstimate
from mixfit.lmm.estimate import fixed_covariance
from mixfit.lmm.types import LinearEstimate
from mixfit.matrices.types import MEAN
from mixfit.optimize.certificate import Certificate
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, GeneralizedModel, LinearModel, Model
    from mixfit.matrices.types import Predictor

    Array = NDArray[np.float64]

__all__ = ["Slot", "restated", "slots", "stated_estimate", "stated_values"]

# Of a correlation that its standard deviations leave undefined.
_NO_CORRELATION = 0.0
#: What stands for the certificate of numbers that no search led to.
STATED = Certificate(False, float("nan"), float("nan"), (), float("nan"), 0, "stated, not estimated")


@dataclass(frozen=True)
class Slot:
    """Where a parameter belongs.

    Attributes
    ----------
    name : str
        As `mixfit.inference.profiles.parameters` has it; of other predictors than the mean's with ``"zi:"`` before it.
    kind : {"fixed", "sd", "cor", "sigma", "phi", "shape"}
        ``"cor"`` are all natural parameters of a term's structure that are no standard deviations.
    predictor : int
        The mean's is 0.
    term : int
        Random term of the predictor, in the order of the formula; -1 where there is none.
    number : int
        Column of X without aliased ones, place among the natural parameters of the term or the family's shapes.
    group : str
        Of a random term, as summaries name it.
    columns : tuple of str
        Those that a natural parameter is of; none where it is of all of them.
    """

    name: str
    kind: Literal["fixed", "sd", "cor", "sigma", "phi", "shape"]
    predictor: int = 0
    term: int = -1
    number: int = -1
    group: str = ""
    columns: tuple[str, ...] = ()

    @property
    def argument(self) -> str:
        """What it is given by."""
        return "dispersion" if self.kind in ("phi", "shape") else self.kind


def slots(model: Model) -> tuple[Slot, ...]:
    """List the parameters of a model: random terms, residuals or dispersion, fixed effects; then other predictors'.

    Raises
    ------
    ParameterError
        For models whose parameters are not all numbers by these names: of categories, and with structured
        residuals.
    """
    family = getattr(model, "family", None)
    if is_structured_model(model) or (family is not None and family.kind in ("ordinal", "multinomial")):
        what = "ordered or unordered categories" if family is not None else "structured residuals"
        raise ParameterError(f"Parameters cannot be stated of a model with {what}, only estimated from data.")
    mean, *others = model.design.predictors
    out = _random_slots(mean, 0)
    names = model.exog_names
    if family is None:
        out.append(Slot(".sigma" if "sigma" in names else "sigma", "sigma"))
    else:
        if family.has_dispersion and all(p.name != DISPERSION for p in others):
            out.append(Slot(".phi" if "phi" in names else "phi", "phi"))
        out += [Slot(family.shapes[i].name, "shape", number=x) for x, i in enumerate(family.free)]
    out += [Slot(name, "fixed", number=j) for j, name in enumerate(names)]
    for place, predictor in enumerate(others, start=1):
        columns = [predictor.exog_names[j] for j in _kept(model, place)]
        out += _random_slots(predictor, place)
        out += [Slot(f"{predictor.name}:{name}", "fixed", place, number=j) for j, name in enumerate(columns)]
    return tuple(out)


def _random_slots(predictor: Predictor, place: int) -> list[Slot]:
    random, out = predictor.random, []
    before = "" if predictor.name == MEAN else f"{predictor.name}:"
    order = term_order(random)
    for t, group in zip(order, unique_names(random[t].grouping.name for t in order), strict=True):
        columns = tuple(shown(c) for c in random[t].columns)
        if random[t].structure.is_given or not random[t].is_first:
            continue
        for x, p in enumerate(random[t].structure.natural):
            own = tuple(dict.fromkeys(columns[a] for a in (p.first, p.second) if a >= 0))
            kind: Literal["sd", "cor"] = "sd" if x < random[t].structure.n_deviations else "cor"
            out.append(Slot(before + p.label(columns, group), kind, place, t, x, before + group, own))
    return out


def _kept(model: Model, place: int) -> NDArray[np.intp]:
    """Columns of a predictor's X that are not aliased."""
    if place == 0:
        return model.kept
    return cast("GeneralizedModel", model).assembly.parts[place].kept


def stated_values(fit: Fit, undefined: float = _NO_CORRELATION) -> dict[str, float]:
    """The value of every parameter of a fit, by name; `undefined` for a correlation of effects without variance."""
    known, estimate, design = slots(fit.model), fit.estimate, fit.model.design
    betas, thetas = [estimate.beta], [estimate.theta]
    for predictor in design.further:
        betas.append(estimate.further[predictor.name].beta)
        thetas.append(estimate.further[predictor.name].theta)
    units = [estimate.unit, *(1.0 for _ in design.further)]
    natural = []
    for predictor, values, unit in zip(design.predictors, thetas, units, strict=True):
        places = [t for t, term in enumerate(predictor.random) if term.is_first]
        structures = [predictor.random[t].structure for t in places]
        parts = zip(structures, split_theta(structures, values), strict=True)
        natural.append(dict(zip(places, (s.natural_values(theta, unit) for s, theta in parts), strict=True)))
    out = {}
    for slot in known:
        if slot.kind == "fixed":
            value = betas[slot.predictor][slot.number]
        elif slot.term >= 0:
            value = np.nan_to_num(natural[slot.predictor][slot.term][slot.number], nan=undefined)
        elif slot.kind == "shape":
            value = list(fit.model.family.at(estimate.shape).shape_values.values())[fit.model.family.free[slot.number]]
        else:
            value = estimate.sigma if slot.kind == "sigma" else estimate.phi
        out[slot.name] = float(value)
    return out


def stated_estimate(model: Model, values: Mapping[str, float], *, reml: bool = True) -> Any:
    """Estimates that are the `values` of all parameters, by name, with random effects of zero.

    Parameters
    ----------
    model : LinearMixedModel or GeneralizedMixedModel
    values : mapping of str to float
        Of the `slots` of the model.
    reml : bool
        Which kind of fit these stand for.

    Returns
    -------
    LinearEstimate or GeneralizedEstimate
        Of a linear model with the covariance that the fixed effects have, were the variances known; else without.

    Raises
    ------
    ParameterError
        For names that the model does not have or that are missing, and values that cannot be.
    """
    known = slots(model)
    _check_names(known, values)
    family = getattr(model, "family", None)
    if family is None:
        return _linear(cast("LinearModel", model), known, values, reml=reml)
    return _generalized(cast("GeneralizedModel", model), known, values)


def restated(fit: Fit, params: Mapping[str, float]) -> Any:
    """A fit with other values of some parameters, by name, and its own conditional modes.

    Raises
    ------
    ParameterError
        For names that the model does not have, and values that cannot be.
    """
    estimate = stated_estimate(fit.model, {**stated_values(fit), **params}, reml=fit.reml)
    if isinstance(estimate, GeneralizedEstimate):
        further = {name: replace(own, modes=fit.estimate.further[name].modes) for name, own in estimate.further.items()}
        estimate = replace(estimate, method=fit.estimate.method, n_agq=fit.estimate.n_agq, further=further)
    return replace(cast("Any", fit), estimate=replace(estimate, modes=fit.estimate.modes))


def _check_names(known: Sequence[Slot], values: Mapping[str, float]) -> None:
    names = [slot.name for slot in known]
    unknown = [name for name in values if name not in names]
    if unknown:
        raise ParameterError(f"The model has no parameter {unknown[0]!r}. It has {', '.join(map(repr, names))}.")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
            raise ParameterError(f"{name} is given as {value!r}, which is no finite number.")
    missing = [slot for slot in known if slot.name not in values]
    if missing:
        by = {slot.argument: [s.name for s in missing if s.argument == slot.argument] for slot in missing}
        said = "; ".join(f"{', '.join(map(repr, names))} by {argument}=" for argument, names in by.items())
        raise ParameterError(f"The model has further parameters, which no value is given for. Give {said}.")


def _thetas(
    predictor: Predictor, place: int, known: Sequence[Slot], values: Mapping[str, float], unit: float
) -> list[Array]:
    """Parameters of the terms of a predictor, but for those that it shares with an earlier one."""
    out = []
    for t, term in enumerate(predictor.random):
        if not term.is_first:
            continue
        own = [slot for slot in known if (slot.predictor, slot.term) == (place, t)]
        if term.structure.is_given:
            out.append(np.array([1.0 / unit]))
            continue
        natural = np.array([values[slot.name] for slot in own], dtype=float)
        d = term.structure.n_deviations
        negative = [slot for slot, value in zip(own[:d], natural, strict=False) if value < 0.0]
        if negative:
            raise ParameterError(f"{negative[0].name} is a standard deviation and cannot be negative.")
        natural[:d] /= unit
        theta = term.structure.theta_of_natural(natural)
        if not np.isfinite(theta).all():
            said = ", ".join(f"{slot.name} = {values[slot.name]:g}" for slot in own[d:])
            raise ParameterError(
                f"No covariance matrix of {term.text} has {said}: it would not be positive semidefinite. Bring the "
                "correlations nearer to zero."
            )
        out.append(theta)
    return out


def _beta(known: Sequence[Slot], values: Mapping[str, float], place: int) -> Array:
    own = [slot for slot in known if slot.kind == "fixed" and slot.predictor == place]
    return np.array([values[slot.name] for slot in own], dtype=float)


def _positive(known: Sequence[Slot], values: Mapping[str, float], kind: str, default: float) -> float:
    found = next((slot for slot in known if slot.kind == kind), None)
    if found is None:
        return default
    if not values[found.name] > 0.0:
        raise ParameterError(f"{found.name} must be positive, not {values[found.name]:g}.")
    return float(values[found.name])


def _modes(predictor: Predictor) -> tuple[Array, ...]:
    return tuple(np.zeros((t.grouping.n_levels, len(t.columns))) for t in predictor.random)


def _linear(model: LinearModel, known: Sequence[Slot], values: Mapping[str, float], *, reml: bool) -> LinearEstimate:
    if model.known_effects:
        raise ParameterError("Parameters are stated of all fixed effects, and fixed= holds some: leave it out.")
    sigma, mean = _positive(known, values, "sigma", 1.0), model.design.mean
    thetas = _thetas(mean, 0, known, values, sigma)
    templates = tuple(t.structure.template(theta) for t, theta in zip(mean.random, thetas, strict=True))
    return LinearEstimate(
        reml=reml,
        criterion=float("nan"),
        templates=templates,
        theta=np.concatenate([np.empty(0), *thetas]),
        sigma=sigma,
        beta=_beta(known, values, 0),
        cov_beta=fixed_covariance(model.assembly, templates, sigma),
        modes=_modes(mean),
        certificate=STATED,
    )


def _generalized(model: GeneralizedModel, known: Sequence[Slot], values: Mapping[str, float]) -> GeneralizedEstimate:
    family = model.family
    phi = _positive(known, values, "phi", 1.0 if family.known_phi is None else family.known_phi)
    shape = family.coordinates_of({slot.name: values[slot.name] for slot in known if slot.kind == "shape"})
    shared: dict[tuple[str, str] | None, Array] = {}
    parts = [_further(model, place, known, values, shared) for place in range(len(model.design.predictors))]
    mean, *others = parts
    m, p, s = len(mean.theta), len(mean.beta), len(shape)
    nothing = np.full((p, p), np.nan)
    return GeneralizedEstimate(
        method="laplace",
        n_agq=1,
        criterion=float("nan"),
        templates=mean.templates,
        theta=mean.theta,
        phi=phi,
        log_phi_error=float("nan"),
        shape=shape,
        shape_errors=np.full(s, np.nan),
        beta=mean.beta,
        cov_beta=nothing,
        cov_beta_conditional=nothing,
        cov_theta=np.full((m, m), np.nan),
        cov_theta_beta=np.full((m, p), np.nan),
        theta_errors=np.full(m, np.nan),
        modes=mean.modes,
        eta=mean.eta,
        certificate=STATED,
        further={predictor.name: own for predictor, own in zip(model.design.further, others, strict=True)},
        cov_shape=np.full((s, s), np.nan),
        cov_beta_shape=np.full((p, s), np.nan),
    )


def _further(
    model: GeneralizedModel,
    place: int,
    known: Sequence[Slot],
    values: Mapping[str, float],
    shared: dict[tuple[str, str] | None, Array],
) -> FurtherEstimate:
    """A predictor at stated values; `shared` has the factors of terms that later ones share, and gets its own."""
    predictor, kept = model.design.predictors[place], _kept(model, place)
    beta, thetas = _beta(known, values, place), _thetas(predictor, place, known, values, 1.0)
    offset = 0.0 if predictor.offset is None else predictor.offset
    own, templates = iter(thetas), []
    for term in predictor.random:
        factor = term.structure.template(next(own)) if term.is_first else shared[term.shared_key]
        shared[term.shared_key] = factor
        templates.append(factor)
    return FurtherEstimate(
        names=tuple(predictor.exog_names[j] for j in kept),
        kept=kept,
        beta=beta,
        cov_beta=np.full((len(beta), len(beta)), np.nan),
        templates=tuple(templates),
        theta=np.concatenate([np.empty(0), *thetas]),
        modes=_modes(predictor),
        eta=predictor.X[:, kept] @ beta + offset,
        first=tuple(t.is_first for t in predictor.random),
    )
