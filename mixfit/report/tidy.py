"""Estimates as tidy frames, with the columns and meanings of broom.mixed's ``tidy``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.defaults import PLAIN, coverage, read_ddf
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_generalized
from mixfit.fitted.varcorr import random_covariances
from mixfit.inference.fixed_effects.contrasts import contrast_tests
from mixfit.inference.fixed_effects.denominator import parse_ddf
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixfit.fitted.protocols import Fit


__all__ = [
    "EFFECTS",
    "tidy",
    "tidy_fixed",
    "tidy_ran_coefs",
    "tidy_ran_pars",
    "tidy_ran_vals",
]

EFFECTS = ("fixed", "ran_pars", "ran_vals", "ran_coefs")
_COLUMNS = (
    "effect",
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
        Of the columns ``effect``, ``group``, ``level``, ``term``, ``estimate``, ``std.error``, ``statistic``,
        ``df``, ``p.value``, ``conf.low``, ``conf.high`` those that something has.

    Raises
    ------
    FitError
        For effects or scales that there are not.

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
    makers: dict[str, Callable[[], pd.DataFrame]] = {
        "fixed": lambda: tidy_fixed(fit, alpha, exponentiate, ddf),
        "ran_pars": lambda: tidy_ran_pars(fit, alpha, scale, ran_prefix),
        "ran_vals": lambda: tidy_ran_vals(fit, alpha),
        "ran_coefs": lambda: tidy_ran_coefs(fit, alpha),
    }
    frames = [makers[name]().assign(effect=name) for name in EFFECTS if name in wanted]
    present = [column for column in _COLUMNS if any(column in frame for frame in frames)]
    parts = {column: np.concatenate([_column(frame, column) for frame in frames]).tolist() for column in present}
    return pd.DataFrame(parts)


def _column(frame: pd.DataFrame, name: str) -> Any:
    """A column as objects where it holds text: None where there is none, NaN for numbers."""
    text = name in ("effect", "group", "level", "term")
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


def tidy_fixed(fit: Fit, alpha: float | None, exponentiate: bool, ddf: str | None) -> pd.DataFrame:
    """Fixed effects with their tests, and Wald intervals.

    Parameters
    ----------
    fit : MixedResults
    alpha : float or None
        One less the coverage; None for no intervals.
    exponentiate : bool
    ddf : str or None
        As of `tidy`.

    Returns
    -------
    DataFrame
    """
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
    if alpha is not None:
        frame["conf.low"], frame["conf.high"] = _limits(frame, alpha)
    if exponentiate:
        shown_columns = [column for column in ("estimate", "conf.low", "conf.high") if column in frame]
        with np.errstate(over="ignore"):
            # the limits of what is not determined are infinite
            frame[shown_columns] = np.exp(frame[shown_columns])
        frame["std.error"] *= frame["estimate"]
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
    fit: Fit, alpha: float | None, scale: str = "sdcor", ran_prefix: tuple[str, str] | None = None
) -> pd.DataFrame:
    """Standard deviations and correlations, or variances and covariances, of the random effects.

    Parameters
    ----------
    fit : MixedResults
    alpha : float or None
    scale : {"sdcor", "vcov"}
    ran_prefix : tuple of str, length 2, or None
        What stands before ``__`` in the terms of one column and of two.

    Returns
    -------
    DataFrame
    """
    single, pair = _PREFIXES[scale] if ran_prefix is None else ran_prefix
    rows = random_covariances(fit).to_frame()
    terms = []
    for first, second in zip(rows["var1"], rows["var2"], strict=True):
        names = [shown(str(name)) for name in (first, second) if name is not None]
        terms.append(f"{pair if len(names) > 1 else single}__{'.'.join(names or ['Observation'])}")
    frame = pd.DataFrame({"group": rows["grp"], "term": terms, "estimate": rows[scale]})
    return frame if alpha is None else frame.assign(**{"conf.low": np.nan, "conf.high": np.nan})


def _long(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a level and column, columns one below the other."""
    if not frames:
        raise FitError("The model has no random effects, whose modes 'ran_vals' and 'ran_coefs' are.")
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


def tidy_ran_vals(fit: Fit, alpha: float | None) -> pd.DataFrame:
    """Conditional modes with their conditional standard deviations, and normal intervals.

    Parameters
    ----------
    fit : MixedResults
    alpha : float or None

    Returns
    -------
    DataFrame
    """
    both = fit.ranef(condsd=True)
    frame = _long({group: pd.DataFrame(table["mode"]) for group, table in both.items()})
    frame["std.error"] = _long({group: pd.DataFrame(table["sd"]) for group, table in both.items()})["estimate"]
    if alpha is not None:
        frame["conf.low"], frame["conf.high"] = _limits(frame, alpha)
    return frame


def tidy_ran_coefs(fit: Fit, alpha: float | None) -> pd.DataFrame:
    """Fixed plus random effects of every level.

    Parameters
    ----------
    fit : MixedResults
    alpha : float or None

    Returns
    -------
    DataFrame
    """
    frame = _long(fit.coef())
    return frame if alpha is None else frame.assign(**{"conf.low": np.nan, "conf.high": np.nan})
