"""Estimates as tidy frames, with the columns and meanings of broom.mixed's ``tidy``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.defaults import PLAIN, coverage, read_ddf
from mixfit.errors import FitError
from mixfit.families.several import DISPERSION, ZERO
from mixfit.fitted.protocols import is_generalized
from mixfit.fitted.ranef import coefficient_frames, ranef
from mixfit.fitted.varcorr import covariance_frame, own_terms, random_covariances
from mixfit.inference.fixed_effects.contrasts import contrast_tests
from mixfit.inference.fixed_effects.denominator import parse_ddf
from mixfit.inference.predictors import coefficient_table, further_names, params_of
from mixfit.matrices.types import MEAN
from mixfit.spellings import nearest
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixfit.fitted.protocols import Fit


__all__ = [
    "COMPONENTS",
    "EFFECTS",
    "further_table",
    "tidy",
    "tidy_fixed",
    "tidy_ran_coefs",
    "tidy_ran_pars",
    "tidy_ran_vals",
]

EFFECTS = ("fixed", "ran_pars", "ran_vals", "ran_coefs")
#: What broom.mixed calls the predictors, and the scale of ordered categories.
COMPONENTS = {MEAN: "cond", ZERO: "zi", DISPERSION: "disp", "scale": "scale"}
_COLUMNS = (
    "effect",
    "component",
    "group",
    "level",
    "term",
    "estimate",
    "std.error",
    "statistic",
    "df",
    "p.value",
    "conf.low",
    "conf.high",
)
_PREFIXES = {"sdcor": ("sd", "cor"), "vcov": ("var", "cov")}


def tidy(
    fit: Fit,
    effects: str | Sequence[str] = ("fixed", "ran_pars"),
    *,
    component: str | Sequence[str] | None = None,
    conf_int: bool = False,
    level: float | None = None,
    scales: str | Sequence[str | None] | None = None,
    exponentiate: bool = False,
    ran_prefix: tuple[str, str] | None = None,
    ddf: str | None = None,
) -> pd.DataFrame:
    """Return estimates as a frame with a row each, as broom.mixed's ``tidy``, in full precision.

    Parameters
    ----------
    effects : str or sequence of str
        ``"fixed"``; ``"ran_pars"``, standard deviations and correlations (terms ``sd__(Intercept)``,
        ``cor__(Intercept).Days``, ``sd__Observation``); ``"ran_vals"``, the conditional modes; ``"ran_coefs"``,
        fixed plus random effects of every level.
    component : {"cond", "zi", "disp", "scale"}, or a sequence of these, optional
        Of which predictors: the mean's, ``zi=``, ``dispersion=``, and that of ordered categories' scale; by default of
        all that the model has.
    conf_int : bool
        Whether to add ``conf.low`` and ``conf.high``: Wald intervals of fixed effects and modes, NaN for the
        others, as lme4's Wald method.
    level : float, optional
        Coverage of the intervals; by default ``mixfit.options.level``, 0.95 at first.
    scales : {"sdcor", "vcov"}, or a sequence of these and None along `effects`, optional
        Standard deviations and correlations (the default) or variances and covariances in ``ran_pars``.
    exponentiate : bool
        Whether fixed effects and their limits are exponentiated, and standard errors brought to that scale.
    ran_prefix : tuple of str, length 2, optional
        Other prefixes than ``sd`` and ``cor`` (``var`` and ``cov``).
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z", "none"}, optional
        Degrees of freedom of the tests and intervals of the fixed effects, as in `summary`: with ``"none"`` a linear
        model has no ``p.value``, and normal intervals, as in lme4.

    Returns
    -------
    DataFrame
        Of the columns ``effect``, ``component`` (of models with several predictors), ``group``, ``level``, ``term``,
        ``estimate``, ``std.error``, ``statistic``, ``df``, ``p.value``, ``conf.low``, ``conf.high`` those that
        something has. Random effects that predictors share stand among those of the first.

    Raises
    ------
    FitError
        For effects, components or scales that there are not.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.tidy()["term"].tolist()
    ['(Intercept)', 'Days', 'sd__(Intercept)', 'sd__Days', 'cor__(Intercept).Days', 'sd__Observation']
    """
    wanted = [effects] if isinstance(effects, str) else list(effects)
    unknown = [name for name in wanted if name not in EFFECTS]
    if unknown:
        raise FitError(f"tidy has the effects {', '.join(map(repr, EFFECTS))}, not {unknown[0]!r}")
    alpha = 1.0 - coverage(level) if conf_int else None
    scale = _scale(wanted, scales)
    predictors = _predictors(fit, component)
    makers: dict[str, Callable[[str], pd.DataFrame | None]] = {
        "fixed": lambda name: tidy_fixed(fit, alpha, exponentiate, ddf, name),
        "ran_pars": lambda name: tidy_ran_pars(fit, alpha, scale, ran_prefix, name),
        "ran_vals": lambda name: tidy_ran_vals(fit, alpha, name),
        "ran_coefs": lambda name: tidy_ran_coefs(fit, alpha, name),
    }
    frames = []
    for effect in (name for name in EFFECTS if name in wanted):
        found = {name: makers[effect](name) for name in predictors}
        own = {name: frame for name, frame in found.items() if frame is not None}
        if not own and effect != "ran_pars":
            raise FitError("The model has no random effects, whose modes 'ran_vals' and 'ran_coefs' are.")
        labels = {name: {"component": COMPONENTS[name]} if _has_several(fit) else {} for name in own}
        frames += [frame.assign(effect=effect, **labels[name]) for name, frame in own.items()]
    present = [column for column in _COLUMNS if any(column in frame for frame in frames)]
    parts = {column: np.concatenate([_column(frame, column) for frame in frames]).tolist() for column in present}
    return pd.DataFrame(parts)


def _all_predictors(fit: Fit) -> tuple[str, ...]:
    """Names of the mean's predictor and of those that have coefficients beside it."""
    tables: dict[str, pd.DataFrame] = getattr(fit, "further_coefficients", {})
    return MEAN, *further_names(fit), *(name for name in tables if name in COMPONENTS)


def _has_several(fit: Fit) -> bool:
    return len(_all_predictors(fit)) > 1


def _predictors(fit: Fit, component: str | Sequence[str] | None) -> tuple[str, ...]:
    """The predictors whose estimates are asked for."""
    known = {COMPONENTS[name]: name for name in _all_predictors(fit)}
    if component is None:
        return tuple(known.values())
    asked = [component] if isinstance(component, str) else list(component)
    for name in asked:
        if name not in known:
            raise FitError(
                f"The model has the components {', '.join(map(repr, known))}, not {name!r}.{nearest(name, known)}"
            )
    return tuple(name for label, name in known.items() if label in asked)


def further_table(fit: Fit, predictor: str) -> pd.DataFrame:
    """Estimates of a predictor after the mean's under tidy names, a row a coefficient.

    Parameters
    ----------
    fit : MixedResults
    predictor : str

    Returns
    -------
    DataFrame
        Columns ``term``, ``estimate``, ``std.error``, ``statistic``, ``p.value``.
    """
    tables: dict[str, pd.DataFrame] = getattr(fit, "further_coefficients", {})
    table = tables[predictor] if predictor in tables else coefficient_table(fit, predictor)
    names = ["estimate", "std.error", "statistic", "p.value"]
    return table.set_axis(names, axis=1).rename_axis("term").reset_index()


def _column(frame: pd.DataFrame, name: str) -> Any:
    """A column as objects where it holds text: None where there is none, NaN for numbers."""
    text = name in ("effect", "component", "group", "level", "term")
    if name in frame:
        return frame[name].to_numpy(dtype=object if text else float)
    return np.full(len(frame), None if text else np.nan, dtype=object if text else float)


def _scale(wanted: Sequence[str], scales: str | Sequence[str | None] | None) -> str:
    if scales is None or "ran_pars" not in wanted:
        return "sdcor"
    if isinstance(scales, str):
        scale: str | None = scales
    elif len(scales) != len(wanted):
        raise FitError(f"scales= gives one scale (or None) for each of the effects {tuple(wanted)!r}")
    else:
        scale = scales[list(wanted).index("ran_pars")]
    if scale not in _PREFIXES:
        raise FitError(f"the scales of ran_pars are 'sdcor' and 'vcov', not {scale!r}")
    return scale


def tidy_fixed(
    fit: Fit, alpha: float | None, exponentiate: bool, ddf: str | None, predictor: str = MEAN
) -> pd.DataFrame:
    """Fixed effects with their tests, and Wald intervals.

    Parameters
    ----------
    fit : MixedResults
    alpha : float or None
        One less the coverage; None for no intervals.
    exponentiate : bool
    ddf : str or None
        As of `tidy`; tests of predictors after the mean's are asymptotic.
    predictor : str

    Returns
    -------
    DataFrame
    """
    if predictor == MEAN:
        frame = _tested(fit, ddf)
    else:
        frame = further_table(fit, predictor)
        frame["term"] = [shown(str(name)) for name in frame["term"]]
    if alpha is not None:
        frame["conf.low"], frame["conf.high"] = _limits(frame, alpha)
    if exponentiate:
        shown_columns = [column for column in ("estimate", "conf.low", "conf.high") if column in frame]
        with np.errstate(over="ignore"):
            # the limits of what is not determined are infinite
            frame[shown_columns] = np.exp(frame[shown_columns])
        frame["std.error"] *= frame["estimate"]
    return frame


def _tested(fit: Fit, ddf: str | None) -> pd.DataFrame:
    """What `params` has, with the tests of `ddf`."""
    names = [shown(str(name)) for name in fit.params.index]
    frame = pd.DataFrame(
        {
            "term": names,
            "estimate": fit.params.to_numpy(),
            "std.error": fit.bse.to_numpy(),
            "statistic": fit.tvalues.to_numpy(),
        }
    )
    plain = ddf is not None and read_ddf(ddf, PLAIN) in PLAIN
    if is_generalized(fit):
        # Thresholds have z tests too, which are no functions of `fixef`.
        parse_ddf(fit, None if plain else ddf)
        frame["p.value"] = fit.pvalues.to_numpy()
    elif not plain and len(names):
        frame = _t_tests(fit, names, ddf)
    return frame


def _t_tests(fit: Fit, names: list[str], ddf: str | None) -> pd.DataFrame:
    tests = contrast_tests(fit, np.eye(len(names)), ddf)
    statistics = wald.ratios(tests.estimate, tests.se)
    frame = pd.DataFrame(
        {
            "term": names,
            "estimate": tests.estimate,
            "std.error": tests.se,
            "statistic": statistics,
            "df": tests.df,
            "p.value": wald.t_tails(statistics, tests.df),
        }
    )
    return frame.drop(columns="df") if np.isinf(tests.df).all() else frame


def _limits(frame: pd.DataFrame, alpha: float) -> tuple[Any, Any]:
    estimates, errors = frame["estimate"].to_numpy(), frame["std.error"].to_numpy()
    df = frame["df"].to_numpy() if "df" in frame else np.full(len(frame), np.inf)
    half = wald.t_quantile(1.0 - alpha / 2.0, df) * errors
    return estimates - half, estimates + half


def tidy_ran_pars(
    fit: Fit,
    alpha: float | None,
    scale: str = "sdcor",
    ran_prefix: tuple[str, str] | None = None,
    predictor: str = MEAN,
) -> pd.DataFrame | None:
    """Standard deviations and correlations, or variances and covariances, of the random effects.

    Parameters
    ----------
    fit : MixedResults
    alpha : float or None
    scale : {"sdcor", "vcov"}
    ran_prefix : tuple of str, length 2, or None
        What stands before ``__`` in the terms of one column and of two.
    predictor : str

    Returns
    -------
    DataFrame, or None
        None for a predictor after the mean's without random effects of its own.
    """
    if predictor != MEAN and not own_terms(fit, predictor):
        return None
    single, pair = _PREFIXES[scale] if ran_prefix is None else ran_prefix
    rows = covariance_frame(random_covariances(fit, predictor))
    terms = []
    for first, second in zip(rows["var1"], rows["var2"], strict=True):
        names = [shown(str(name)) for name in (first, second) if name is not None]
        terms.append(f"{pair if len(names) > 1 else single}__{'.'.join(names or ['Observation'])}")
    frame = pd.DataFrame({"group": rows["grp"], "term": terms, "estimate": rows[scale]})
    return frame if alpha is None else frame.assign(**{"conf.low": np.nan, "conf.high": np.nan})


def _long(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a level and column, columns one below the other."""
    parts = [
        pd.DataFrame(
            {
                "group": group,
                "level": np.tile([str(level) for level in frame.index], frame.shape[1]),
                "term": np.repeat([shown(str(name)) for name in frame.columns], len(frame)),
                "estimate": frame.to_numpy().T.ravel(),
            }
        )
        for group, frame in frames.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _has_random(fit: Fit, predictor: str) -> bool:
    return bool(fit.model.design.random_of.get(predictor))


def tidy_ran_vals(fit: Fit, alpha: float | None, predictor: str = MEAN) -> pd.DataFrame | None:
    """Conditional modes with their conditional standard deviations, and normal intervals.

    Parameters
    ----------
    fit : MixedResults
    alpha : float or None
    predictor : str

    Returns
    -------
    DataFrame, or None
        None for a predictor without random effects.
    """
    if not _has_random(fit, predictor):
        return None
    both = fit.ranef(condsd=True) if predictor == MEAN else ranef(fit, condsd=True, predictor=predictor)
    frame = _long({group: pd.DataFrame(table["mode"]) for group, table in both.items()})
    frame["std.error"] = _long({group: pd.DataFrame(table["sd"]) for group, table in both.items()})["estimate"]
    if alpha is not None:
        frame["conf.low"], frame["conf.high"] = _limits(frame, alpha)
    return frame


def tidy_ran_coefs(fit: Fit, alpha: float | None, predictor: str = MEAN) -> pd.DataFrame | None:
    """Fixed plus random effects of every level.

    Parameters
    ----------
    fit : MixedResults
    alpha : float or None
    predictor : str

    Returns
    -------
    DataFrame, or None
        None for a predictor without random effects.
    """
    if not _has_random(fit, predictor):
        return None
    own = predictor == MEAN
    coefficients = fit.coef() if own else coefficient_frames(params_of(fit, predictor), ranef(fit, predictor=predictor))
    frame = _long(coefficients)
    return frame if alpha is None else frame.assign(**{"conf.low": np.nan, "conf.high": np.nan})
