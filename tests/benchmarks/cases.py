"""What is fitted, how often, and how fast mixfit has to be at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CASES", "IMPORTS", "NONE", "Case"]

#: In the place of a formula where there is none: not every shell passes on what is empty.
NONE = "none"
_PLAIN = "y ~ x + (1|g)"
_SALAMANDERS = "count ~ spp + mined + (1|site)"


@dataclass(frozen=True)
class Case:
    """One model of one data set.

    Attributes
    ----------
    name : str
        As ``--case`` takes it; also the name of its data in ``data.SOURCES``.
    title : str
        As the table shows it.
    formula : str
        In lme4's language, which all rivals read.
    reml : bool
        Of a Gaussian model; generalized ones are fitted by maximum likelihood.
    repeats : int
        Timed fits of each rival.
    batch : int
        Fits in a row before the next rival's turn. More than one only where a fit is so short that the
        switch from process to process would be felt in it.
    demands : mapping of str to float
        The largest allowed ratio of mixfit's median to that of a rival.
    few : mapping of str to int
        Rivals that take so long that they get fewer timed fits; with less than three of them they get no
        warm-up either, which would be as long.
    left_out : tuple of str
        Rivals that run only when asked for.
    peak_mb : float, optional
        The largest peak memory that mixfit's process may have, in MB (1e6 bytes), the data included.
    family : str
        As mixfit has it: ``gaussian``, ``binomial`` or ``poisson``, with the canonical link, or another.
    n_agq : int
        Quadrature points; 1 is the Laplace approximation.
    estimates : float
        Difference of coefficients and standard errors up to which rivals agree, in standard errors.
    zi, dispersion : str
        Formulas of predictors beside the mean's; empty where there is none.
    """

    name: str
    title: str
    formula: str
    reml: bool
    repeats: int
    batch: int = 1
    demands: Mapping[str, float] = field(default_factory=dict)
    few: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    peak_mb: float | None = None
    family: str = "gaussian"
    n_agq: int = 1
    estimates: float = 1e-3
    zi: str = ""
    dispersion: str = ""

    @property
    def classical(self) -> bool:
        """Whether it is a model of the mean alone, of one of the three oldest families."""
        return self.family in ("gaussian", "binomial", "poisson") and not self.zi and not self.dispersion

    def arguments(self, start: str) -> list[str]:
        """Return the arguments of a child process after the directory of its data."""
        beside = [self.zi or NONE, self.dispersion or NONE]
        return [self.formula, "reml" if self.reml else "ml", self.family, str(self.n_agq), *beside, start]


def _family(name: str, title: str, formula: str, family: str, **options: Any) -> Case:
    """A generalized fit beside glmmTMB, whose estimates and standard errors have two to four digits."""
    settings = {"repeats": 15, "demands": {"glmmTMB": 0.15}, "few": {"glmmTMB": 3}, "estimates": 2e-2} | options
    return Case(name, title, formula, reml=False, family=family, **settings)


CASES = (
    Case(
        "sleepstudy",
        "sleepstudy `(Days|Subject)` REML",
        "Reaction ~ Days + (Days|Subject)",
        reml=True,
        repeats=300,
        batch=30,
        demands={"lme4": 0.2},
    ),
    Case(
        "insteval",
        "InstEval, three crossed factors, ML",
        "y ~ service + (1|s) + (1|d) + (1|dept)",
        reml=False,
        repeats=9,
        demands={"glmm": 0.5, "lme4": 0.12},
        few={"lme4": 3},
    ),
    Case(
        "slopes",
        "50,000 groups, `(x|g)` REML",
        "y ~ x + (x|g)",
        reml=True,
        repeats=9,
        demands={"glmm": 0.7},
        few={"lme4": 1},
        left_out=("lme4",),
    ),
    Case(
        "ratings",
        "ratings, 6,000 users × 3,700 items, ML",
        "y ~ 1 + (1|u) + (1|m)",
        reml=False,
        repeats=5,
        demands={"glmm": 0.25},
        few={"glmm": 2, "lme4": 1},
        left_out=("lme4",),
        peak_mb=2000.0,
    ),
    Case(
        "nested",
        "nested, 200,000/10,000/500 levels, ML",
        "y ~ 1 + (1|a) + (1|b) + (1|c)",
        reml=False,
        repeats=7,
        demands={"glmm": 0.5},
        few={"lme4": 1},
        left_out=("lme4",),
    ),
    Case(
        "schools",
        "300 schools, 30 pupils × 10 teachers, REML",
        "y ~ x + (1|pupil) + (1|teacher)",
        reml=True,
        repeats=15,
        demands={"lme4": 0.3},
        few={"lme4": 5},
    ),
    # glmer and glmmTMB stop where a step gains little: their estimates and standard errors have two to four digits.
    Case(
        "cbpp",
        "cbpp, binomial, Laplace",
        "cbind(incidence, healthy) ~ period + (1|herd)",
        reml=False,
        repeats=60,
        batch=10,
        demands={"lme4": 0.15},
        few={"glmmTMB": 20},
        family="binomial",
        estimates=2e-2,
    ),
    Case(
        "verbagg",
        "VerbAgg, persons × items, binary, Laplace",
        "y ~ Anger + Gender + btype + situ + (1|id) + (1|item)",
        reml=False,
        repeats=15,
        demands={"glmm": 1.0, "lme4": 0.03},
        few={"lme4": 3, "glmmTMB": 3},
        family="binomial",
        estimates=2e-2,
    ),
    Case(
        "binary",
        "binary, 20,000 groups, two covariates, Laplace",
        "y ~ x1 + x2 + (1|g)",
        reml=False,
        repeats=7,
        demands={"glmm": 0.7},
        few={"lme4": 1, "glmmTMB": 1},
        left_out=("lme4", "glmmTMB"),
        family="binomial",
        estimates=2e-2,
    ),
    Case(
        "counts",
        "Poisson, 5,000 × 800 crossed, Laplace",
        "y ~ x + (1|a) + (1|b)",
        reml=False,
        repeats=5,
        demands={"glmm": 0.15, "glmmTMB": 0.15},
        few={"glmm": 2, "lme4": 1, "glmmTMB": 2},
        left_out=("lme4",),
        family="poisson",
        estimates=2e-2,
    ),
    Case(
        "contraception",
        "Contraception, binary, 9 quadrature points",
        "y ~ age + age2 + urban + livch + (1|district)",
        reml=False,
        repeats=15,
        demands={"lme4": 0.1},
        few={"lme4": 5},
        family="binomial",
        n_agq=9,
        estimates=2e-2,
    ),
    _family("zi_nbinom2", "salamanders, zero-inflated nbinom2", _SALAMANDERS, "nbinom2", zi="~ mined"),
    _family("hurdle", "salamanders, hurdle of truncated nbinom2", _SALAMANDERS, "truncated_nbinom2", zi="~ mined"),
    _family("genpois", "salamanders, generalized Poisson", _SALAMANDERS, "genpois"),
    _family("compois", "30 groups, Conway-Maxwell-Poisson", _PLAIN, "compois", few={"glmmTMB": 1}, repeats=5),
    _family("nbinom1", "100 groups, nbinom1", _PLAIN, "nbinom1"),
    _family("tweedie", "100 groups, Tweedie, power estimated", _PLAIN, "tweedie"),
    _family("beta", "50 groups, beta, `dispersion=`", _PLAIN, "beta", dispersion="~ x"),
    _family("ordbeta", "100 groups, ordered beta", _PLAIN, "ordbeta"),
    _family("t", "250 groups, t, degrees of freedom estimated", _PLAIN, "t"),
    _family("nbinom2", "500 groups, nbinom2", _PLAIN, "nbinom2"),
    _family(
        "zi_crossed",
        "zero-inflated nbinom2, 1,000 × 200 crossed",
        "y ~ x + (1|a) + (1|b)",
        "nbinom2",
        zi="~ x",
        repeats=5,
        few={"glmmTMB": 1},
    ),
    _family(
        "cumulative",
        "five ordered categories, 500 groups",
        _PLAIN,
        "cumulative",
        demands={"ordinal": 0.05},
        few={"ordinal": 1},
    ),
)

# The import of mixfit against that of what it cannot do without: ``--case import``.
IMPORTS = ("mixfit", "pandas, scipy.linalg, scipy.sparse, formulaic")
IMPORT_CASE = "import"
IMPORT_DEMAND = 1.2
IMPORT_REPEATS = 21
