"""Tests of all effects by contrasts of marginal means, as R's joint_tests.

An effect of some factors is what their interaction contrasts say of the marginal means of their combinations. With all
cells these are the hypotheses of type III. Where cells are missing, the part of them that can be estimated is tested,
and what all contrasts of the cells say beside the effects has a line of its own: it is confounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.fitted.protocols import is_linear
from mixfit.helped import helped
from mixfit.inference.fixed_effects.cells import cell_space
from mixfit.inference.fixed_effects.contrasts import joint_test
from mixfit.inference.fixed_effects.denominator import denominator, parse_ddf
from mixfit.inference.means.interactions import interaction_rows
from mixfit.inference.means.linear_functions import by_groups
from mixfit.inference.means.marginal_frames import contrast_rows
from mixfit.inference.means.nesting import with_parents
from mixfit.inference.means.reference_grid import average
from mixfit.inference.means.specs import read_request
from mixfit.matrices.types import MEAN
from mixfit.tables.layout import lay_out
from mixfit.tables.numbers import fixed_decimals
from mixfit.tables.table import Framed, html_table
from mixfit.wald import f_tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.fixed_effects.denominator import Denominator
    from mixfit.inference.means.marginal_frames import ContrastRows
    from mixfit.inference.means.specs import Request

    Array = NDArray[np.float64]

__all__ = ["JointTests", "joint_tests"]

_CONFOUNDED = "(confounded)"
_REDUCED = "e: df1 reduced due to non-estimability"
# Shares of variance below this are rounding: standard errors of one share in 1e5.
_ROUNDING = 1e-10


@dataclass(frozen=True, eq=False)
class JointTests(Framed):
    """Joint tests of effects.

    Attributes
    ----------
    frame : DataFrame
        ``model term``, the `by` variables, ``df1``, ``df2``, ``F.ratio``, ``p.value``, and ``note`` where some effect
        can be estimated in part only.
    by : tuple of str
    notes : tuple of str

    Examples
    --------
    >>> import mixfit
    >>> penicillin = mixfit.datasets.load("penicillin")
    >>> fit = mixfit.mixed("yield ~ treat + (1 | blend)", penicillin).fit()
    >>> mixfit.joint_tests(fit)["F.ratio"].round(3).tolist()
    [1.239]
    """

    frame: pd.DataFrame
    by: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        tables = [lay_out(header, rows, None, right=True) for _, header, rows in self._tables()]
        headings = [heading for heading, _, _ in self._tables()]
        text = "\n\n".join(f"{h}\n{t}" if h else t for h, t in zip(headings, tables, strict=True))
        return "\n\n".join([text, *self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [html_table(header, rows, caption=h, n_names=1) for h, header, rows in self._tables()]
        return "\n".join([*parts, *(f"<p>{note}</p>" for note in self.notes)])

    def _tables(self) -> Iterator[tuple[str, list[str], list[list[str]]]]:
        for rows in by_groups(self.frame, self.by):
            own = self.frame.iloc[rows]
            heading = ", ".join(f"{name} = {own[name].iloc[0]}" for name in self.by)
            shown = _cells(own.drop(columns=list(self.by)))
            yield (
                f"{heading}:" if heading else "",
                list(shown),
                [list(row) for row in zip(*shown.values(), strict=True)],
            )


def _cells(frame: pd.DataFrame) -> dict[str, list[str]]:
    terms = frame["model term"].tolist()
    width = max(map(len, (*terms, "model term")))
    p = frame["p.value"].to_numpy()
    shown = {
        "model term".ljust(width): [term.ljust(width) for term in terms],
        "df1": [f"{df:d}" for df in frame["df1"]],
        "df2": ["Inf" if np.isinf(df) else f"{df:.4g}" for df in frame["df2"]],
        "F.ratio": fixed_decimals(frame["F.ratio"].tolist(), 3),
        "p.value": ["<.0001" if v < 1e-4 else cell for v, cell in zip(p, fixed_decimals(p.tolist(), 4), strict=True)],
    }
    return shown | ({"note": frame["note"].tolist()} if "note" in frame else {})


@helped
def joint_tests(
    fit: Fit,
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    ddf: str | None = None,
    weights: str = "equal",
    cov_keep: int = 2,
    nesting: Mapping[str, Sequence[str] | str] | None = None,
    predictor: str = MEAN,
) -> JointTests:
    """Test every effect by the contrasts of its marginal means, as R's joint_tests.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    by : str or sequence of str, optional
        Variables in each of whose combinations the other effects are tested: simple effects.
    at : mapping of str to value or list of values, optional
        Values of covariates, or some of the levels of factors. A covariate has two values by default, its mean less and
        plus one: a straight line is tested by its slope. Of a curve `anova` tests the whole term.
    ddf, weights, cov_keep, nesting, predictor
        As of `emmeans`.

    Returns
    -------
    JointTests

    Raises
    ------
    FitError
        For a model without effects to test, and what `emmeans` refuses.

    See Also
    --------
    mixfit.results.linear.LinearResults.anova : Tests of the terms.

    Notes
    -----
    F ratios and degrees of freedom of several contrasts are those of `anova`: by Kenward and Roger's method the F ratio
    is scaled, and by Satterthwaite's the degrees of freedom are combined from those of independent contrasts. R's
    joint_tests leaves the one out and takes the smallest of the others, so that its p-values differ a little where data
    are unbalanced. For one contrast, and for generalized models, they are the same.

    Examples
    --------
    >>> import mixfit
    >>> cake = mixfit.datasets.load("cake")
    >>> fit = mixfit.mixed("angle ~ recipe * temperature + (1 | recipe:replicate)", cake).fit()
    >>> mixfit.joint_tests(fit)
     model term         df1 df2 F.ratio p.value
     recipe               2  42   0.249  0.7809
     temperature          5 210  20.520  <.0001
     recipe:temperature  10 210   1.006  0.4393
    """
    request = _with_covariates(read_request(fit, (), by, at, cov_keep, predictor, None, nesting), at)
    tester = _Tester(request, denominator(request.fit, parse_ddf(request.fit, ddf)))
    factors = [name for name, variable in request.variables.items() if len(variable.values) > 1]
    factors = [name for name in factors if name not in request.by]
    known = [set(term) for term in request.fit.model.design.reader.fixed_terms]
    known += [{name, *parents} for name, parents in request.nesting.items()]
    effects = [
        names
        for size in range(1, len(factors) + 1)
        for names in combinations(factors, size)
        if any(set(names) <= term for term in known)
        and set(with_parents(names, request.nesting)) <= {*names, *request.by}
    ]
    if not effects:
        raise FitError("There are no effects to test: each variable of the fixed effects has one value or is in by=.")
    lines = [line for names in effects for line in tester.lines(names, weights)]
    if request.fit.model.aliased:
        lines += tester.lines(tuple(factors), weights, confounded=True)
    frame = pd.DataFrame(lines, columns=["model term", *request.by, "df1", "df2", "F.ratio", "p.value", "note"])
    frame = frame.iloc[np.concatenate(by_groups(frame, request.by))].reset_index(drop=True)
    notes = (_REDUCED,) if (frame["note"] != "").any() else ()
    return JointTests(frame if notes else frame.drop(columns="note"), request.by, notes)


def _with_covariates(request: Request, at: Mapping[str, Any] | None) -> Request:
    """Covariates at their means less and plus one, where `at` does not say where."""
    values = {
        name: replace(v, values=[v.values[0] - 1.0, v.values[0] + 1.0])
        for name, v in request.variables.items()
        if v.codes is None and name not in (at or {}) and name not in request.by
    }
    return replace(request, variables={**request.variables, **values})


@dataclass(eq=False)
class _Tester:
    """Tests effects one after the other, and keeps what they span in every combination of the `by` variables."""

    request: Request
    method: Denominator
    spanned: dict[int, list[Array]] = field(default_factory=dict)

    def lines(self, names: tuple[str, ...], weights: str, *, confounded: bool = False) -> list[dict[str, Any]]:
        """A line for every combination of the `by` variables in which something can be tested."""
        fit, by = self.request.fit, list(self.request.by)
        rows = _contrasts(self.request, names, weights, joint=confounded)
        lines = []
        for place, group in enumerate(by_groups(rows.names, by)):
            L = rows.L[group]
            estimable = fit.model.row_space.within(L[~np.isnan(L).any(axis=1)])
            tested = estimable[:, fit.model.kept]
            before = self.spanned.setdefault(place, [])
            if confounded:
                tested = _beside(tested, before, self.method.test_cov)
            else:
                before.append(tested)
            hypothesis = _canonical(fit, tested) if tested.any() else tested[:0]
            result = joint_test(self.method, hypothesis, np.zeros(len(hypothesis))) if len(hypothesis) else None
            if result is not None:
                F = result.statistic * result.scale
                numbers = {"df1": result.ndf, "df2": result.ddf, "F.ratio": F}
                numbers["p.value"] = f_tail(F, result.ndf, result.ddf)
                term = _CONFOUNDED if confounded else ":".join(names)
                note = "e" if not confounded and len(estimable) < len(group) else ""
                values = rows.names[by].iloc[group[0]].to_dict()
                lines.append({"model term": term, **values, **numbers, "note": note})
        return lines


def _contrasts(request: Request, names: tuple[str, ...], weights: str, *, joint: bool) -> ContrastRows:
    """Consecutive differences of means: of all combinations of some factors, or multiplied, their interactions."""
    parents = [p for name in names for p in request.nesting.get(name, ()) if p not in request.by]
    grid = request.grid(weights, tuple(dict.fromkeys((*names, *request.by))))
    L, by = average(grid, weights), (*request.by, *dict.fromkeys(parents))
    if joint:
        return contrast_rows(grid.focal, L, request.by, "consec", "-")
    # levels of a nested factor are compared within what it is nested in
    return interaction_rows(grid.focal, L, by, dict.fromkeys((n for n in names if n not in by), "consec"), "-")


def _canonical(fit: Fit, L: Array) -> Array:
    """Rows (q, p) that say the same, and are the same for all that do: degrees of freedom depend on the rows."""
    sample = fit.model.design.representatives
    if sample.fixed is None or not is_linear(fit):
        return L
    return cell_space(sample.fixed, sample.X, fit.model.kept).canonical(L)


def _beside(L: Array, tested: list[Array], cov: Array) -> Array:
    """What L beta (q, p) says beside what was tested: L beta less its regression on that."""
    if not tested or not len(L):
        return L
    E = np.concatenate(tested)
    left = L - L @ cov @ E.T @ np.linalg.pinv(E @ cov @ E.T, rcond=_ROUNDING, hermitian=True) @ E
    variance, known = np.einsum("qp,pr,qr->q", left, cov, left), np.einsum("qp,pr,qr->q", L, cov, L)
    left[variance <= _ROUNDING * known] = 0.0
    return np.asarray(left)
