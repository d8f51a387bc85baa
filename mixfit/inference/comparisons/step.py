"""Backward elimination, as lmerTest's ``step``: random terms first, then fixed ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit.arguments import check_flag, check_probability
from mixfit.errors import ArgumentError, ComparisonError
from mixfit.fitted.protocols import is_generalized, is_linear
from mixfit.formula import parse
from mixfit.formula.update import written
from mixfit.inference.comparisons.drop1 import drop1
from mixfit.inference.comparisons.ranova import MIXTURE, ranova, reductions
from mixfit.inference.comparisons.terms import deletable, fixed_terms
from mixfit.inference.fixed_effects.denominator import denominator
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mixfit.fitted.protocols import Fit, LinearFit
    from mixfit.formula import MixedFormula, RandomTerm

__all__ = ["Steps", "step"]

_CHISQ = "Pr(>Chisq)"
_NOTE = "selected by step(): tests and intervals ignore the selection, p-values of terms that it kept are too small"


@dataclass(frozen=True, eq=False)
class Steps:
    """What a backward elimination did.

    Attributes
    ----------
    random : Table or None
        Random terms in the order of their elimination, number ``Eliminated``, then those that stay, 0; columns as of
        ``ranova``. None where they were not reduced.
    fixed : Table or None
        The same of fixed terms; columns as of ``drop1``.
    fit : LinearResults or GeneralizedResults
        The model found. Its summary says how it was.
    """

    random: Table | None
    fixed: Table | None
    fit: Any

    def __str__(self) -> str:
        tables = [str(table) for table in (self.random, self.fixed) if table is not None]
        return "\n\n".join([*tables, f"Model found:\n{self.fit.model.formula_text}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        tables = [table.as_html() for table in (self.random, self.fixed) if table is not None]
        return "\n".join([*tables, f"<p>Model found: <code>{self.fit.model.formula_text}</code></p>"])


def step(
    fit: Fit,
    *,
    alpha_random: float = 0.1,
    alpha_fixed: float = 0.05,
    reduce_random: bool | None = None,
    reduce_fixed: bool = True,
    keep: Sequence[str] = (),
    random_test: Literal["mixture", "chisq"] = "mixture",
    test: Literal["F", "chisq"] | None = None,
    ddf: str | None = None,
) -> Steps:
    """Leave out terms one by one as long as one is not significant, as lmerTest's ``step``.

    First the random terms, or columns of them, as ``ranova`` leaves them out, the largest p-value first; then the
    fixed ones that no other term contains, as ``drop1``. The last random term stays.

    Parameters
    ----------
    alpha_random, alpha_fixed : float
        Terms with p-values above are left out.
    reduce_random : bool, optional
        Whether to leave out random terms; by default those of linear models.
    reduce_fixed : bool
        Whether to leave out fixed terms.
    keep : sequence of str
        Fixed terms that stay, as the formula has them.
    random_test : {"mixture", "chisq"}
        The p-values of ``ranova``: of the mixture that a variance on its boundary makes, or of a chi-square
        distribution, as lmerTest takes them, which are too large. Where several variances are lost at once
        there is no simple mixture, and the chi-square's p-value stands for it.
    test : {"F", "chisq"}, optional
        Of fixed terms: F tests in the fit, by default of linear models, or likelihood ratios.
    ddf : str, optional
        Of the F tests, as in ``fit.anova``.

    Returns
    -------
    Steps
        ``random``, ``fixed``, tables of the steps, and ``fit``.

    Raises
    ------
    FitError
        Where the data of the model are not at hand: see ``update``.
    ComparisonError
        For a term of `keep` that the model does not have, and for random terms of a generalized model.

    Notes
    -----
    Terms that stay were chosen for their small p-values, which no longer mean what they say: of many
    irrelevant terms some are kept. The summary of the model found says so. Decide by subject matter where
    you can, and judge predictions by `mixfit.cross_validate`.

    References
    ----------
    Kuznetsova, Brockhoff & Christensen (2017), Journal of Statistical Software 82(13).

    Examples
    --------
    >>> import mixfit
    >>> cake = mixfit.datasets.load("cake")
    >>> fit = mixfit.mixed("angle ~ recipe * temperature + (1 | replicate) + (1 | recipe:replicate)", cake).fit()
    >>> steps = fit.step()
    >>> steps.fixed.frame[["Eliminated", "F value", "Pr(>F)"]].round(3)
                        Eliminated  F value  Pr(>F)
    recipe:temperature           1    1.006   0.439
    recipe                       2    1.578   0.224
    temperature                  0   20.514   0.000
    >>> steps.fit.model.formula_text
    'angle ~ temperature + (1 | replicate) + (1 | recipe:replicate)'
    """
    check_probability("alpha_random", alpha_random)
    check_probability("alpha_fixed", alpha_fixed)
    check_flag("reduce_fixed", reduce_fixed)
    if random_test not in ("mixture", "chisq"):
        raise ArgumentError(f"random_test is 'mixture' or 'chisq', not {random_test!r}.")
    if test not in (None, "F", "chisq"):
        raise ArgumentError(f"test is 'F' or 'chisq', not {test!r}.")
    if reduce_random is None:
        reduce_random = is_linear(fit) and bool(fit.model.design.random)
    if reduce_random and not is_linear(fit):
        raise ComparisonError("step() leaves out random terms of linear models: for others set reduce_random=False.")
    _check_kept(fit, keep)
    found: Any = fit
    random = fixed = None
    if reduce_random:
        found, random = _reduce_random(found, alpha_random, random_test)
    if reduce_fixed:
        how = test or ("chisq" if is_generalized(fit) else "F")
        found, fixed = _reduce_fixed(found, alpha_fixed, [keep] if isinstance(keep, str) else list(keep), how, ddf)
    model = found.model.marked(_NOTE)
    return Steps(random, fixed, type(found)(model, found.estimate))


def _check_kept(fit: Fit, keep: Sequence[str]) -> None:
    names = [term.name for term in fixed_terms(fit.model.design) if term.factors]
    for name in [keep] if isinstance(keep, str) else keep:
        if name not in names:
            raise ComparisonError(f"keep= names {name!r}, and the fixed terms are {', '.join(names)}.")


def _reduce_random(fit: Any, alpha: float, how: str) -> tuple[Any, Table]:
    rows: list[pd.DataFrame] = []
    while True:
        table = ranova(fit).frame
        if not rows:
            rows.append(table.iloc[:1].assign(Eliminated=np.nan))
        tested = table.iloc[1:]
        p = tested[_CHISQ] if how == "chisq" else tested[MIXTURE].fillna(tested[_CHISQ])
        worst = int(p.to_numpy().argmax())
        # The last random term is not left out: what remained would be no mixed model.
        last = len(fit.model.design.random) == 1 and reductions(fit, True)[worst].columns is None
        if not p.iloc[worst] > alpha or last:
            break
        rows.append(tested.iloc[[worst]].assign(Eliminated=len(rows)))
        fit = _without_random(fit, worst)
    rows.append(tested.assign(Eliminated=0))
    frame = pd.concat(rows)
    frame.insert(0, "Eliminated", frame.pop("Eliminated"))
    notes = ("The last random term stays.",) if last and p.iloc[worst] > alpha else ()
    heading = ("Backward reduced random-effect table:", "")
    return fit, Table(frame, heading=heading, notes=notes, p_column=_CHISQ, more_p_columns=(MIXTURE,))


def _without_random(fit: LinearFit, place: int) -> Any:
    """The fit with one reduction of `ranova`."""
    reduction = reductions(fit, True)[place]
    formula = parse(fit.model.formula_text, random=None)
    wanted = fit.npar - reduction.n_lost
    for text in _smaller_terms(formula.random[reduction.term], reduction.name, reduction.columns is None):
        terms = [term.text for term in formula.random]
        terms[reduction.term : reduction.term + 1] = [text] if text else []
        smaller = fit.update(f"{_left(formula)} ~ {' + '.join([*_fixed(formula), *terms])}")  # type: ignore[attr-defined]
        if smaller.npar == wanted:
            return smaller
    raise ComparisonError(f"step() knows no formula without {reduction.name}: leave it out by update(), or keep it.")


def _smaller_terms(term: RandomTerm, name: str, whole: bool) -> Iterator[str]:
    """What may be left of a random term, the likeliest first."""
    if whole:
        yield ""
        return
    dropped = name.rpartition(" in (")[0] or "1"
    bar = "||" if term.structure == "diag" else "|"
    left = [written(one) for one in term.terms if written(one) not in (dropped, "1")]
    constant = any(written(one) == "1" for one in term.terms) and dropped != "1"
    for first in ("1", "0") if constant else ("0", "1"):
        if left or first == "1":
            yield f"({' + '.join([first, *left] if first == '0' or not left else left)} {bar} {term.group})"


def _fixed(formula: MixedFormula) -> list[str]:
    """Fixed terms and offsets as a formula has them."""
    terms = [written(term) for term in formula.fixed]
    slopes = [term for term in terms if term != "1"]
    first = ["0"] if "1" not in terms else [] if slopes else ["1"]
    return [*first, *slopes, *(f"offset({offset})" for offset in formula.offsets)]


def _in_formula(fit: Fit, name: str) -> str:
    """A fixed term as the formula has it, which may need backticks."""
    formula = parse(fit.model.formula_text, random=None)
    return next(text for text in map(written, formula.fixed) if text.replace("`", "") == name)


def _left(formula: MixedFormula) -> str:
    return formula.text.partition("~")[0].strip()


def _reduce_fixed(fit: Any, alpha: float, keep: list[str], how: str, ddf: str | None) -> tuple[Any, Table]:
    rows: list[pd.DataFrame] = []
    while True:
        names = [term.name for term in deletable(fixed_terms(fit.model.design)) if term.factors]
        if not names:
            break
        table = drop1(fit, test=how, ddf=ddf)  # type: ignore[arg-type]
        tested = table.frame.loc[[name for name in table.frame.index if name != "<none>"]]
        p = tested[table.p_column].drop([name for name in keep if name in tested.index])
        if p.empty or not p.max() > alpha:
            rows.append(tested.assign(Eliminated=0))
            break
        worst = p.idxmax()
        rows.append(tested.loc[[worst]].assign(Eliminated=len(rows) + 1))
        fit = fit.update(f". ~ . - {_in_formula(fit, str(worst))}")
    frame = pd.concat(rows) if rows else pd.DataFrame({"Eliminated": []})
    frame.insert(0, "Eliminated", frame.pop("Eliminated"))
    heading = ["Backward reduced fixed-effect table:", ""]
    if how == "F":
        heading.insert(1, f"Degrees of freedom: {denominator(fit, ddf).label}")
    p_column = "Pr(>F)" if how == "F" else "Pr(Chi)"
    return fit, replace(Table(frame, heading=tuple(heading)), p_column=p_column if rows else None)
