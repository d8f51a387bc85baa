"""Models side by side, as articles print them: a column a model, estimates over their standard errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import pandas as pd

from mixfit.arguments import check_count, check_flag, one_by_one
from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_generalized, is_linear
from mixfit.helped import Helped, helped
from mixfit.inference.fixed_effects.denominator import robust_notes
from mixfit.report.model_rows import BELOW, STATISTICS, Layout, estimates, random_rows, statistic_rows
from mixfit.report.text import FURTHER
from mixfit.tables import printers
from mixfit.tables.grid import Grid, Section
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from pathlib import Path

    from mixfit.fitted.protocols import Fit

__all__ = ["ModelTable", "named_fits", "table"]

# A dot after a number would be read as a part of it.
_LEGEND = "*** p < 0.001, ** p < 0.01, * p < 0.05, + p < 0.1"


@dataclass(frozen=True, eq=False)
class ModelTable(Helped):
    """Models side by side. Prints as text, shows as HTML in a notebook.

    Attributes
    ----------
    grid : Grid
        The cells as text, in sections.
    frame : DataFrame
        The estimates in full precision: the columns of ``tidy`` after ``model`` and ``part``.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> table = mixfit.table(fit)
    >>> print(table.as_markdown().splitlines()[2])
    | (Intercept)                    | 251.41 |
    """

    grid: Grid
    frame: pd.DataFrame

    def as_text(self) -> str:
        """Return the table in characters of one width.

        Returns
        -------
        str
        """
        return printers.as_text(self.grid)

    def as_html(self) -> str:
        """Return the table as HTML.

        Returns
        -------
        str
        """
        return printers.as_html(self.grid)

    def as_latex(self, label: str = "") -> str:
        r"""Return the table as LaTeX, with the rules of its package booktabs.

        Parameters
        ----------
        label : str
            For ``\ref``; with it, or a title, the tabular stands in a table environment.

        Returns
        -------
        str
        """
        return printers.as_latex(self.grid, label)

    def as_markdown(self) -> str:
        """Return the table as Markdown.

        Returns
        -------
        str
        """
        return printers.as_markdown(self.grid)

    def save(self, path: str | Path, label: str = "") -> None:
        """Write the table to a file whose suffix says in which form.

        Parameters
        ----------
        path : str or Path
            Ending in ``.txt``, ``.html``, ``.tex``, ``.md``, or ``.docx`` for Word, which needs python-docx.
        label : str
            As of `as_latex`.

        Raises
        ------
        DataError
            For another suffix.
        MissingPackageError
            For ``.docx`` where python-docx is not installed.
        MissingFileError
            Where there is no such folder.
        """
        printers.save(self.grid, path, label)

    def __str__(self) -> str:
        return self.as_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.as_html()

    def _repr_latex_(self) -> str:
        return self.as_latex()


@helped
def table(
    *fits: Any,
    names: Sequence[str] | None = None,
    below: str | Sequence[str] = "std.error",
    coefficients: Sequence[str] | Mapping[str, str] | None = None,
    random: bool = True,
    statistics: Sequence[str] = ("nobs", "groups", "logLik", "AIC", "BIC"),
    digits: int = 3,
    level: float | None = None,
    ddf: str | None = None,
    exponentiate: bool = False,
    stars: bool = False,
    title: str = "",
    notes: Sequence[str] = (),
) -> ModelTable:
    """Set models side by side in one table, for text, HTML, LaTeX, Markdown and Word.

    Parameters
    ----------
    *fits : fits
        Results of any kind of mixed model, and robust ones (``fit.robust("CR2")``); or one list of them, or one
        mapping, whose keys are names.
    names : sequence of str, optional
        Headings of the columns; ``(1)``, ``(2)``, ... by default.
    below : str or sequence of str
        What stands below each estimate: ``"std.error"`` in parentheses, ``"conf.int"`` in brackets, ``"p.value"``,
        ``"statistic"``, ``"df"``; several in their order, or none: ``()``.
    coefficients : sequence of str, or mapping of str to str, optional
        Fixed effects to show, in this order; a mapping names them anew. By default all, as the models have them.
    random : bool
        Whether standard deviations and correlations of random effects and residuals are shown.
    statistics : sequence of str
        Of ``"nobs"``, ``"groups"``, ``"npar"``, ``"logLik"``, ``"deviance"``, ``"AIC"``, ``"AICc"``, ``"BIC"``,
        ``"R2m"``, ``"R2c"``, ``"ICC"``, ``"RMSE"``, ``"sigma"``, in this order.
    digits : int
        Significant digits of the smallest standard error (or standard deviation) of a row, whose estimates share its
        decimals.
    level : float, optional
        Coverage of intervals; that of `mixfit.options` by default.
    ddf : str, optional
        Degrees of freedom of linear models, as in ``summary``; ``"auto"`` by default. Generalized models have normal
        tests.
    exponentiate : bool
        Whether estimates and intervals are exponentiated (odds ratios, ratios of rates), and standard errors brought to
        that scale.
    stars : bool
        Whether codes of significance stand at the estimates, with their legend.
    title : str
    notes : sequence of str
        Lines below the table.

    Returns
    -------
    ModelTable
        ``as_text``, ``as_html``, ``as_latex``, ``as_markdown``, and ``save("table.tex")``.

    Raises
    ------
    FitError
        For what is no fit, no fits at all, and names of coefficients or statistics that there are not.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> one = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
    >>> two = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> mixfit.table({"Intercepts": one, "Slopes": two}, statistics=("nobs", "groups", "AIC"))
    ---------------------------------------------------
                                    Intercepts   Slopes
    ---------------------------------------------------
    (Intercept)                        251.41   251.41
                                        (9.75)   (6.82)
    Days                               10.467   10.467
                                       (0.804)  (1.546)
    ---------------------------------------------------
    Random effects
    Subject: SD (Intercept)              37.1     24.7
    Subject: SD Days                              5.92
    Subject: cor (Intercept), Days                0.07
    Residual: SD                         31.0     25.6
    ---------------------------------------------------
    Observations                          180      180
    Groups: Subject                        18       18
    AIC                                1794.5   1755.6
    ---------------------------------------------------
    """
    models = named_fits(*one_by_one(fits, names))
    lines = [below] if isinstance(below, str) else list(below)
    _check(lines, BELOW, "below=", "what stands below an estimate")
    _check(list(statistics), tuple(STATISTICS), "statistics=", "a statistic of a fit")
    check_count("digits", digits)
    for flag, value in (("random", random), ("exponentiate", exponentiate), ("stars", stars)):
        check_flag(flag, value)
    options = {"conf_int": "conf.int" in lines, "level": coverage(level), "exponentiate": exponentiate}
    frames = {name: estimates(fit, ddf, options) for name, fit in models.items()}
    layout = Layout(tuple(lines), digits, stars)
    wanted = None if coefficients is None else _labels(coefficients, frames)
    sections = [Section("", layout.coefficients(frames, "fixed", wanted))]
    others = dict.fromkeys(chain.from_iterable(frame["part"] for frame in frames.values()))
    sections += [
        Section(FURTHER.get(part, part), layout.coefficients(frames, part, None)) for part in others if part != "fixed"
    ]
    if random:
        sections.append(Section("Random effects", random_rows(models, digits)))
    sections.append(Section("", statistic_rows(models, statistics)))
    grid = Grid(tuple(models), tuple(sections), title, (*_notes(models, statistics, exponentiate, stars), *notes))
    every = pd.concat([frame.assign(model=name) for name, frame in frames.items()], ignore_index=True)
    first = ["model", "part"]
    return ModelTable(grid, every[[*first, *(c for c in every if c not in first)]])


def named_fits(fits: Sequence[Any], names: Sequence[str] | None) -> dict[str, Fit]:
    """Fits by the headings of their columns.

    Raises
    ------
    FitError
        For what is no fit, and names that are not one a fit.
    """
    if not fits:
        raise FitError("There are no fits to set side by side: give one or several, or a list of them.")
    for fit in fits:
        if not hasattr(fit, "estimate") or not hasattr(fit, "model"):
            raise FitError(f"These are to be fits, such as mixed(...).fit(), and one of them is {type(fit).__name__}.")
    labels = [f"({i + 1})" for i in range(len(fits))] if names is None else [str(name) for name in names]
    if len(labels) != len(fits) or len(set(labels)) != len(labels):
        raise FitError(f"names= needs a different name for each of the {len(fits)} fits; it has {labels}.")
    return dict(zip(labels, fits, strict=True))


def _check(asked: Sequence[str], known: Sequence[str], argument: str, what: str) -> None:
    for name in asked:
        if name not in known:
            raise FitError(f"{argument} has {name!r}, which is not {what}: these are {', '.join(known)}.")


def _labels(coefficients: Sequence[str] | Mapping[str, str], frames: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """What is shown, and how it is called."""
    if isinstance(coefficients, str):
        raise FitError(f"coefficients= is a sequence of names or a mapping, not the text {coefficients!r}.")
    pairs = (
        coefficients.items() if isinstance(coefficients, Mapping) else ((name, shown(name)) for name in coefficients)
    )
    labels = {shown(str(name)): str(label) for name, label in pairs}
    known = dict.fromkeys(chain.from_iterable(f.loc[f["part"] == "fixed", "term"] for f in frames.values()))
    for name in labels:
        if name not in known:
            raise FitError(f"No model has the fixed effect {name!r}; there are {', '.join(known)}.")
    return labels


def _notes(models: Mapping[str, Fit], statistics: Sequence[str], exponentiate: bool, stars: bool) -> tuple[str, ...]:
    notes = []
    if exponentiate:
        notes.append("Estimates are exponentiated.")
    criteria = {"logLik", "AIC", "AICc", "BIC"} & {*statistics}
    restricted = [fit for fit in models.values() if is_linear(fit) and fit.reml]
    alike = len(restricted) == len(models) and len({frozenset(fit.model.exog_names) for fit in restricted}) == 1
    if criteria and restricted and len(models) > 1 and not alike:
        notes.append(
            "Likelihoods of REML fits, and criteria made of them, compare REML fits of the same fixed effects only."
        )
    for name, fit in models.items():
        view = getattr(getattr(fit, "robust", None), "note", None)
        notes += [f"{name}: {note}" for note in (robust_notes(fit) if view is None else (view,))]
        if not fit.converged:
            notes.append(f"{name} did not converge.")
        if is_generalized(fit) and getattr(fit.estimate, "method", "") == "pql":
            notes.append(f"{name} is by penalized quasi-likelihood and has no likelihood.")
    return (*notes, _LEGEND) if stars else tuple(notes)
