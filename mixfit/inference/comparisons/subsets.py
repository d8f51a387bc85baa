"""All models with some of the fixed terms, their weights, and coefficients averaged over them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.arguments import check_count
from mixfit.defaults import coverage
from mixfit.errors import ArgumentError, ComparisonError
from mixfit.fitted.protocols import is_linear
from mixfit.formula import parse
from mixfit.formula.update import written
from mixfit.helped import Helped, helped
from mixfit.inference.comparisons.terms import fixed_terms
from mixfit.tables.layout import shown
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.comparisons.terms import CodedTerm

    Array = NDArray[np.float64]

__all__ = ["Subsets", "all_subsets"]

# What a screen holds.
_SHOWN = 20


@dataclass(frozen=True, eq=False)
class Subsets(Helped):
    """Models with some of the fixed terms of another, the best first.

    Attributes
    ----------
    frame : DataFrame, shape (m, t + 5)
        By model: which terms it has, ``npar``, ``logLik``, ``AICc``, ``delta``, how much larger that is than the
        smallest, and ``weight``, its Akaike weight ``exp(-delta / 2)`` over the sum of these.
    fits : tuple of fits, length m
        By maximum likelihood.
    terms : tuple of str
    """

    frame: pd.DataFrame
    fits: tuple[Any, ...]
    terms: tuple[str, ...]

    @property
    def best(self) -> Any:
        """The fit with the smallest AICc. Its tests know nothing of the others."""
        return self.fits[0]

    @property
    def importance(self) -> pd.Series[float]:
        """Sum of the weights of the models that have each term."""
        weights = self.frame["weight"].to_numpy()
        return pd.Series({term: float(weights[self.frame[term]].sum()) for term in self.terms}, dtype=float)

    def average(self, kind: Literal["full", "conditional"] = "full", *, level: float | None = None) -> pd.DataFrame:
        """Average the fixed effects over the models by their weights, as MuMIn's ``model.avg``.

        Parameters
        ----------
        kind : {"full", "conditional"}
            Whether a coefficient is zero in the models that do not have it, or averaged over those that do.
        level : float, optional
            Coverage of the normal intervals; that of `mixfit.options` by default.

        Returns
        -------
        DataFrame, shape (p, 4)
            ``Estimate``, ``Std. Error``, ``lower``, ``upper``. The variance is the average of var + (estimate -
            average)^2, so that it counts that models differ.

        References
        ----------
        Burnham & Anderson (2002), Model Selection and Multimodel Inference, section 4.3, and (2004) Sociological
        Methods & Research 33, 261-304, eq. 4 squared as MuMIn has it.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + I(Days**2) + (1 | Subject)", sleep).fit()
        >>> mixfit.all_subsets(fit).average().round(2)[["Estimate", "Std. Error"]]
                      Estimate  Std. Error
        Intercept       253.60       10.38
        Days              8.88        3.07
        I(Days ** 2)      0.17        0.32
        """
        if kind not in ("full", "conditional"):
            raise ArgumentError(f"kind is 'full' or 'conditional', not {kind!r}.")
        names = list(dict.fromkeys(name for fit in reversed(self.fits) for name in fit.fixef.index))
        largest = max(self.fits, key=lambda fit: len(fit.fixef))
        order = list(largest.fixef.index)
        names.sort(key=lambda name: order.index(name) if name in order else len(order))
        estimates = np.array([fit.fixef.reindex(names) for fit in self.fits], dtype=float)
        errors = np.array([fit.bse.reindex(names) for fit in self.fits], dtype=float)
        weights = np.broadcast_to(self.frame["weight"].to_numpy()[:, None], estimates.shape).copy()
        absent = np.isnan(estimates)
        if kind == "conditional":
            weights[absent] = 0.0
            weights /= weights.sum(axis=0)
        estimates[absent], errors[absent] = 0.0, 0.0
        average = (weights * estimates).sum(axis=0)
        error = np.sqrt((weights * (errors**2 + (estimates - average) ** 2)).sum(axis=0))
        ends = wald.interval(average, error, 1.0 - coverage(level))
        columns = {"Estimate": average, "Std. Error": error, "lower": ends[:, 0], "upper": ends[:, 1]}
        return pd.DataFrame(columns, index=names)

    def table(self) -> Table:
        """Return the models as a table, ``+`` where one has a term.

        Returns
        -------
        Table

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + I(Days**2) + (1 | Subject)", sleep).fit()
        >>> len(mixfit.all_subsets(fit).table())
        4
        """
        frame = self.frame.copy()
        for term in self.terms:
            frame[term] = np.where(frame[term], "+", "")
        frame = frame.rename(columns=lambda name: shown(str(name)))
        heading = ("Models of all subsets of the fixed terms, fitted by maximum likelihood", "")
        return Table(frame, heading=heading, decimals={"delta": 2, "weight": 3, "AICc": 2, "logLik": 2})

    def __str__(self) -> str:
        table = self.table()
        if len(table) > _SHOWN:
            note = f"... and {len(table) - _SHOWN} more: all of them are in .table()"
            table = replace(table, frame=table.frame.head(_SHOWN), notes=(note,))
        return str(table)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table().as_html()


@helped
def all_subsets(fit: Fit, *, keep: Sequence[str] = (), cap: int = 1000) -> Subsets:
    """Fit every model with some of the fixed terms, as MuMIn's ``dredge``.

    A term stands in a model only with those whose variables it has (marginality). All are fitted by maximum
    likelihood, and have the random terms of `fit`.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
        With all terms.
    keep : sequence of str
        Terms that all models have.
    cap : int
        The most models to fit.

    Returns
    -------
    Subsets
        ``frame``, ``average()``, ``importance``, ``best``.

    Raises
    ------
    ComparisonError
        Where there are more than `cap` models, and for a term of `keep` that the model does not have.
    FitError
        Where the data of the model are not at hand: see ``update``.

    Notes
    -----
    AICc = -2 log L + 2 k n / (n - k - 1) of k parameters and n observations (Hurvich & Tsai 1989, Biometrika 76,
    297-307). An average over models is no licence to look for significant coefficients among many.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + I(Days**2) + (1 | Subject)", sleep).fit()
    >>> found = mixfit.all_subsets(fit)
    >>> found.best.model.formula_text, found.importance.round(2).to_dict()
    ('Reaction ~ Days + (1 | Subject)', {'Days': 0.95, 'I(Days ** 2)': 0.41})
    """
    check_count("cap", cap)
    terms = [term for term in fixed_terms(fit.model.design) if term.factors]
    names = [term.name for term in terms]
    kept = [keep] if isinstance(keep, str) else list(keep)
    for name in kept:
        if name not in names:
            raise ComparisonError(f"keep= names {name!r}, and the fixed terms are {', '.join(names)}.")
    chosen = _marginal_subsets(terms, kept, cap)
    of_fit = {"reml": False} if is_linear(fit) else {}
    quoted = _in_formula(fit, names)
    fits = []
    for own in chosen:
        dropped = " ".join(f"- {quoted[name]}" for name, used in zip(names, own, strict=True) if not used)
        fits.append(fit.update(f". ~ . {dropped}", **of_fit))  # type: ignore[attr-defined]
    frame = pd.DataFrame(chosen, columns=names)
    frame["npar"] = [one.npar for one in fits]
    frame["logLik"] = [one.llf for one in fits]
    if fit.nobs <= frame["npar"].max() + 1:
        raise ComparisonError(f"AICc needs more than {frame['npar'].max() + 1} observations, and there are {fit.nobs}.")
    frame["AICc"] = [wald.aicc(one.llf, one.npar, one.nobs) for one in fits]
    frame["delta"] = frame["AICc"] - frame["AICc"].min()
    frame["weight"] = np.exp(-0.5 * frame["delta"])
    frame["weight"] /= frame["weight"].sum()
    order = np.argsort(frame["delta"].to_numpy(), kind="stable")
    ranked = frame.iloc[order].set_axis(range(1, len(frame) + 1))
    return Subsets(ranked, tuple(fits[i] for i in order), tuple(names))


def _marginal_subsets(terms: Sequence[CodedTerm], keep: Sequence[str], cap: int) -> list[tuple[bool, ...]]:
    """Subsets in which every term has those that it contains."""
    below = [[j for j, other in enumerate(terms) if other.factors < term.factors] for term in terms]
    partial: list[tuple[bool, ...]] = [()]
    # Terms stand by their degree, so that what a term contains is decided before it.
    for i, term in enumerate(terms):
        grown = []
        for own, used in product(partial, (True, False)):
            if used and not all(own[j] for j in below[i] if j < i):
                continue
            grown.append((*own, used))
        partial = [own for own in grown if own[i] or term.name not in keep]
        if len(partial) > cap:
            raise ComparisonError(
                f"There are more than cap={cap} models of subsets of {len(terms)} terms: keep= some, or raise cap=."
            )
    return partial


def _in_formula(fit: Fit, names: Sequence[str]) -> dict[str, str]:
    """Terms as the formula has them, which may need backticks."""
    texts = [written(term) for term in parse(fit.model.formula_text, random=None).fixed]
    return {name: next(text for text in texts if text.replace("`", "") == name) for name in names}
