"""The parameters of a fit on the scale of standard deviations and correlations: names and values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from mixfit.arguments import same_name
from mixfit.errors import ArgumentError, FitError
from mixfit.families.several import DISPERSION
from mixfit.fitted.residual_covariance import is_structured_model
from mixfit.fitted.varcorr import random_covariances, term_order, unique_names
from mixfit.matrices.types import MEAN
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.families.declared import Shape
    from mixfit.fitted.protocols import Fit, GeneralizedModel, Model
    from mixfit.glmm.types import GeneralizedEstimate

    Array = NDArray[np.float64]

__all__ = [
    "Parameter",
    "every_parameter",
    "parameter_array",
    "parameter_names",
    "parameter_values",
    "parameters",
    "select",
    "variance_structures",
    "without_parentheses",
]


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes
    ----------
    name : str
        ``"sd((Intercept)|Subject)"``, ``"cor((Intercept),Days|Subject)"``, ``"sigma"``, ``"phi"``, or the name
        of a fixed effect in ``fit.params``; of other predictors than the mean's with ``"zi:"`` before it.
    kind : str
        ``"sigma"``, ``"phi"``, ``"shape"``, ``"log sd"``, ``"fixed"``, or the kind of a structure's natural parameter:
        ``"sd"``, ``"cor"``.
    term : int
        Random term among those of all predictors, in the order of their formulas, then parts of the residuals; -1 where
        there is none.
    first, second : int
        Columns of the term (equal for a standard deviation); of a fixed effect its place among those of all predictors.
    number : int
        Place among the natural parameters of the term's structure, or the family's shapes that are estimated.
    predictor : str
    shape : Shape, or None
        Of a parameter of the distribution beside mean and dispersion.
    """

    name: str
    kind: str
    term: int = -1
    first: int = -1
    second: int = -1
    number: int = -1
    predictor: str = MEAN
    shape: Shape | None = None


def parameters(model: Model) -> tuple[Parameter, ...]:
    """List a model's parameters as lme4's ``profile`` orders them.

    Terms by decreasing number of levels, each with its standard deviations, then its correlations; the same of
    correlated residuals, else the residual standard deviation or the dispersion; the coefficients of log standard
    deviations; the fixed effects.

    Parameters
    ----------
    model : LinearMixedModel or GeneralizedMixedModel

    Returns
    -------
    tuple of Parameter
    """
    out: list[Parameter] = []
    random = model.design.random
    order = term_order(random)
    for t, group in zip(order, unique_names(random[t].grouping.name for t in order), strict=True):
        columns = tuple(shown(c) for c in random[t].columns)
        if random[t].structure.is_given:
            continue
        natural = enumerate(random[t].structure.natural)
        out += [Parameter(p.label(columns, group), p.kind, t, p.first, p.second, x) for x, p in natural]
    out += _of_residuals(model)
    family = getattr(model, "family", None)
    known_phi = family is not None and (not family.has_dispersion or DISPERSION in model.design.random_of)
    scale = "sigma" if family is None else None if known_phi else "phi"
    if scale is not None and not any(p.term >= len(random) for p in out):
        # As lme4 spells it, where a covariate has taken the name.
        out.append(Parameter(f".{scale}" if scale in model.exog_names else scale, scale))
    log_sd = model.residual.spread_names if is_structured_model(model) else getattr(model, "spread_names", ())
    out += [Parameter(f"log sd({shown(name)}|Residual)", "log sd", number=g) for g, name in enumerate(log_sd)]
    return (*out, *(Parameter(name, "fixed", first=j) for j, name in enumerate(model.exog_names)))


def every_parameter(model: Model) -> tuple[Parameter, ...]:
    """List `parameters`, then shapes of the distribution, and those of the predictors after the mean's.

    Parameters
    ----------
    model : LinearMixedModel or GeneralizedMixedModel

    Returns
    -------
    tuple of Parameter
        Named as the bootstrap names them; thresholds of ordered categories are not among them.
    """
    out, family = list(parameters(model)), getattr(model, "family", None)
    if family is None or family.kind in ("ordinal", "multinomial"):
        return tuple(out)
    free = [family.shapes[i] for i in family.free]
    out += [Parameter(shape.name, "shape", number=x, shape=shape) for x, shape in enumerate(free)]
    design, before = model.design, len(model.design.random)
    if not design.further:
        return tuple(out)
    for part, predictor in zip(cast("GeneralizedModel", model).assembly.parts[1:], design.further, strict=True):
        random = [term for term in predictor.random if term.is_first]
        order = term_order(random)
        for t, group in zip(order, unique_names(random[t].grouping.name for t in order), strict=True):
            columns, structure = tuple(shown(c) for c in random[t].columns), random[t].structure
            natural = () if structure.is_given else structure.natural
            names = [f"{part.name}:{p.label(columns, group)}" for p in natural]
            out += [
                Parameter(name, p.kind, before + t, p.first, p.second, x, part.name)
                for x, (name, p) in enumerate(zip(names, natural, strict=True))
            ]
        before += len(random)
        first = part.fixed.start
        out += [
            Parameter(f"{part.name}:{name}", "fixed", first=first + j, predictor=part.name)
            for j, name in enumerate(part.columns)
        ]
    return tuple(out)


def _of_residuals(model: Model) -> list[Parameter]:
    """Natural parameters of correlated residuals; their structures count on from the random terms."""
    if not is_structured_model(model) or model.residual.blocks is None:
        return []
    residual, n = model.residual, len(model.design.random)
    columns = tuple(shown(c) for c in residual.columns)
    return [
        Parameter(p.label(columns, name), p.kind, n + part, p.first, p.second, x)
        for part, (name, structure) in enumerate(zip(residual.part_names, residual.structures, strict=True))
        for x, p in enumerate(structure.natural)
    ]


def variance_structures(model: Model) -> list[Structure]:
    """Structures that the parameters' `term` counts: of the random terms, then of the residuals.

    Parameters
    ----------
    model : LinearMixedModel, ResidualMixedModel or GeneralizedMixedModel

    Returns
    -------
    list of Structure
    """
    family = getattr(model, "family", None)
    several = family is not None and family.kind != "multinomial"
    random = model.design.every_random if several else model.design.random
    out = [term.structure for term in random]
    return [*out, *model.residual.structures] if is_structured_model(model) else out


def parameter_names(model: Model) -> list[str]:
    """Name a model's parameters: see `parameters` for their order.

    Parameters
    ----------
    model : LinearMixedModel or GeneralizedMixedModel

    Returns
    -------
    list of str

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> parameter_names(mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep))
    ['sd((Intercept)|Subject)', 'sigma', 'Intercept', 'Days']
    """
    return [p.name for p in parameters(model)]


def parameter_values(fit: Fit) -> pd.Series[float]:
    """Estimates of all parameters of a fit, by name.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults

    Returns
    -------
    Series
        Standard deviations and sigma in units of the response (of the linear predictor for generalized
        models); a correlation is NaN where one of its standard deviations is zero.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> parameter_values(mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()).round(2).tolist()
    [37.12, 30.99, 251.41, 10.47]
    """
    # varcorr's components come in the order of `parameters`, the random part of which is first.
    varcorr = random_covariances(fit)
    values: list[float] = []
    for part in varcorr.parts:
        if not part.structure.is_given:
            values += part.values.tolist()
    known = parameters(fit.model)
    if any(p.kind == "sigma" for p in known):
        assert varcorr.sigma is not None
        values.append(varcorr.sigma)
    elif any(p.kind == "phi" for p in known):
        values.append(cast("GeneralizedEstimate", fit.estimate).phi)
    values += [value for _, value in varcorr.log_sd]
    values += fit.fixef.tolist()
    return pd.Series(values, index=[p.name for p in known])


def parameter_array(model: Model, beta: Array, thetas: Sequence[Array], unit: Array, scale: Array) -> Array:
    """The values of R sets of estimates at once, in the order of `parameters`.

    Parameters
    ----------
    model : LinearMixedModel or GeneralizedMixedModel
    beta : ndarray, shape (R, p)
    thetas : sequence of ndarray, shape (R, m_t)
        Parameters of the terms, in the order of the formula.
    unit : ndarray, shape (R,)
        What they are relative to.
    scale : ndarray, shape (R,)
        sigma or phi; left out where the model has neither.

    Returns
    -------
    ndarray, shape (R, m)
    """
    columns: list[Array] = []
    random = model.design.random
    for t in term_order(random):
        if random[t].structure.is_given:
            continue
        columns += [*random[t].structure.natural_values(thetas[t], unit[:, None]).T]
    if any(p.kind in ("sigma", "phi") for p in parameters(model)):
        columns.append(scale)
    return np.stack([*columns, *beta.T], axis=1)


def _is_of_mean(p: Parameter) -> bool:
    return p.kind == "fixed" and p.predictor == MEAN


def without_parentheses(name: str) -> str:
    """A name of a parameter as `params` has it, whichever way tables print it.

    Examples
    --------
    >>> without_parentheses("(Intercept)"), without_parentheses("sd((Intercept)|Subject)")
    ('Intercept', 'sd(Intercept|Subject)')
    """
    return str(name).replace("(Intercept)", "Intercept")


def select(known: Sequence[Parameter], which: str | Sequence[str] | None, default: str = "all") -> list[Parameter]:
    """Choose parameters.

    Parameters
    ----------
    known : sequence of Parameter
    which : str, sequence of str or None
        ``"all"``, ``"fixed"`` (lme4's ``"beta_"``: those of ``fit.params``), ``"random"`` or ``"theta"`` (lme4's
        ``"theta_"``: standard deviations, correlations, sigma or phi), a name or a list of names.
    default : str
        What None stands for.

    Returns
    -------
    list of Parameter

    Raises
    ------
    FitError
        For a name that the model does not have.
    """
    asked = default if which is None else which
    names = {p.name: p for p in known}
    if isinstance(asked, str) and asked not in names:
        groups = {
            "all": list(known),
            **{key: [p for p in known if _is_of_mean(p)] for key in ("fixed", "beta_")},
            **{key: [p for p in known if p.kind != "fixed"] for key in ("random", "theta", "theta_")},
        }
        if asked in groups:
            return groups[asked]
    if not isinstance(asked, Iterable):
        raise ArgumentError(f"which is 'all', 'fixed', 'random', a name or several names, not {asked!r}.")
    written = {without_parentheses(name): name for name in names}
    chosen = [asked] if isinstance(asked, str) else list(asked)
    chosen = [same_name(written.get(without_parentheses(name), str(name)), names) for name in chosen]
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise FitError(
            f"The model has no parameter {unknown[0]!r}. It has {', '.join(map(repr, names))}; "
            "'all', 'fixed' and 'random' stand for several."
        )
    return [names[name] for name in chosen]
