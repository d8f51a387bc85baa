"""``python -m tests.simulation.coverage``: how often Wald 95 % intervals of fixed effects hold the true values.

Groups of rows, a covariate that varies within them, and a predictor of every family on the scale of its link:

    eta_ij = b_0 + b_1 x_ij + u_j,    u_j ~ N(0, SD^2),

and where a model has them predictors of zeros and of the dispersion, in x as well. Ordered categories have thresholds
in the place of b_0; times to an event are seen until a time that is drawn for each row.

Normal quantiles and the maximum-likelihood variance of 60 groups leave b_0 0.6 % short of 95: P(|t_59| < 1.96 s) with
s^2 = 59 / 60.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import mixfit
from mixfit.errors import MixfitError
from mixfit.families.resolve import resolve_family
from tests.simulation.study import Share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["SCENARIOS", "Coverage", "Scenario", "coverage", "drawn"]

N_GROUPS, N_ROWS = 60, 10
SD = 0.5
LEVEL = 0.95
#: Shares farther from the level, in Monte-Carlo standard errors of a share at the level, are marked.
FAR = 3.0
# Of ordered categories, on the scale of the latent variable.
_THRESHOLDS = {"1|2": -1.0, "2|3": 0.2, "3|4": 1.4}
# Most times are seen before.
_LATEST = 12.0


@dataclass(frozen=True)
class Scenario:
    """A model and its true parameters.

    Attributes
    ----------
    family : str
    fixed : mapping of str to float
        By the names of ``params``, those of other predictors with ``"zi:"`` or ``"dispersion:"`` before them.
    dispersion : float, mapping or None
        As `mixfit.design` takes it.
    weights : str, optional
        Column of numbers of trials.
    """

    family: str
    fixed: Mapping[str, float]
    dispersion: float | Mapping[str, float] | None = None
    weights: str | None = None

    @property
    def title(self) -> str:
        """The family, and what has a predictor beside its mean."""
        others = [f"{what}=" for what in ("zi", "dispersion") if self.formula_of(what)]
        return " ".join([self.family, *others])

    def formula_of(self, predictor: str) -> str | None:
        """Its formula, where the model has such a predictor."""
        names = [name.removeprefix(f"{predictor}:") for name in self.fixed if name.startswith(f"{predictor}:")]
        return None if not names else "~ x" if "x" in names else "~ 1"

    def held(self, fit: Any) -> NDArray[np.bool_] | None:
        """Which intervals of a fit hold the true values; None where some have no finite ends."""
        frames = []
        for name in ("mean", "zi", "dispersion"):
            if name != "mean" and not self.formula_of(name):
                continue
            before, options = ("", {}) if name == "mean" else (f"{name}:", {"predictor": name})
            own = fit.conf_int(level=LEVEL, **options).set_axis(["low", "high"], axis=1)
            frames.append(own.set_axis([before + str(key) for key in own.index], axis=0))
        limits, values = pd.concat(frames).loc[list(self.fixed)].to_numpy(dtype=float), np.array([*self.fixed.values()])
        if not np.isfinite(limits).all():
            return None
        return np.asarray((limits[:, 0] <= values) & (values <= limits[:, 1]))


def _beside(intercept: float, slope: float | None = None, predictor: str = "zi") -> dict[str, float]:
    own = {f"{predictor}:Intercept": intercept}
    return own if slope is None else own | {f"{predictor}:x": slope}


_SHARE = {"Intercept": -0.4, "x": 0.6}
_COUNT = {"Intercept": 1.0, "x": 0.4}
_LOCATION = {"Intercept": 2.0, "x": 0.7}
_ORDERED = {**_THRESHOLDS, "x": 0.6}
_HURDLE = _COUNT | _beside(-0.5, 0.6)

SCENARIOS = (
    Scenario("gaussian(log)", _COUNT, 1.0),
    Scenario("binomial", _SHARE, weights="trials"),
    Scenario("binomial(probit)", _SHARE, weights="trials"),
    Scenario("binomial(cloglog)", _SHARE, weights="trials"),
    Scenario("binomial(cauchit)", _SHARE, weights="trials"),
    Scenario("betabinomial", _SHARE, 3.0, weights="trials"),
    Scenario("beta", _SHARE, 5.0),
    Scenario("beta", _SHARE | _beside(-1.0, 0.6), 5.0),
    Scenario("beta", _SHARE | _beside(1.5, 0.5, "dispersion")),
    Scenario("ordbeta", _SHARE, {"phi": 5.0, "lower": 0.1, "upper": 0.8}),
    Scenario("poisson", _COUNT),
    Scenario("poisson", _HURDLE),
    Scenario("nbinom2", _COUNT, 1.7),
    Scenario("nbinom2", _HURDLE, 1.7),
    Scenario("nbinom2", _COUNT | _beside(0.5, 0.5, "dispersion")),
    Scenario("nbinom1", _COUNT, 0.8),
    Scenario("genpois", _COUNT, 1.7),
    Scenario("compois", _COUNT, 0.6),
    Scenario("bell", _COUNT),
    Scenario("truncated_poisson", _HURDLE),
    Scenario("truncated_nbinom2", _HURDLE, 1.7),
    Scenario("truncated_nbinom1", _HURDLE, 0.8),
    Scenario("truncated_genpois", _HURDLE, 1.7),
    Scenario("truncated_compois", _HURDLE, 0.6),
    Scenario("gamma(log)", _COUNT, 0.5),
    Scenario("zigamma(log)", _HURDLE, 0.5),
    Scenario("inverse.gaussian(log)", _COUNT, 0.3),
    Scenario("lognormal", _COUNT, 1.3),
    Scenario("lognormal", _HURDLE, 1.3),
    Scenario("tweedie", _COUNT, {"phi": 1.2, "power": 1.5}),
    Scenario("t", _LOCATION, {"phi": 0.8, "df": 5.0}),
    Scenario("skewnormal", _LOCATION, {"phi": 1.4, "alpha": 3.0}),
    Scenario("weibull", _COUNT, 0.6),
    Scenario("exponential", _COUNT),
    Scenario("lognormal_aft", _COUNT, 0.7),
    Scenario("cumulative", _ORDERED),
    Scenario("cumulative(probit)", _ORDERED),
    Scenario("cumulative(cloglog)", _ORDERED),
    Scenario("sratio", _ORDERED),
    Scenario("cratio", _ORDERED),
    Scenario("adjacent", _ORDERED),
)


@dataclass(frozen=True)
class Coverage:
    """What became of the replicates of a scenario.

    Attributes
    ----------
    held : dict of str to Share
        How often the interval of each coefficient held its true value, of the fits that have finite ones.
    failed : int
        Fits that were refused, or have no finite standard errors.
    """

    held: dict[str, Share]
    failed: int

    def far(self, name: str) -> bool:
        """Whether a share is farther from the level than chance makes it."""
        share = self.held[name]
        return abs(share.value - LEVEL) > FAR * np.sqrt(LEVEL * (1.0 - LEVEL) / share.n)


def layout() -> pd.DataFrame:
    """The rows without a response."""
    rng = np.random.default_rng(0)
    n = N_GROUPS * N_ROWS
    return pd.DataFrame(
        {
            "g": np.repeat(np.arange(N_GROUPS), N_ROWS).astype(str),
            "x": rng.uniform(-1.0, 1.0, n),
            "trials": rng.integers(2, 9, n).astype(float),
        }
    )


def fits(scenario: Scenario, n: int, seed: int) -> Iterator[Any]:
    """Fits of `n` data sets, None for one that is refused."""
    model, responses = drawn(scenario, n, np.random.default_rng(seed))
    for y in responses:
        try:
            yield model.with_response(y).fit()
        except MixfitError:
            yield None


def drawn(scenario: Scenario, n: int, rng: np.random.Generator) -> tuple[Any, Array]:
    """The model, and responses (n, rows) as it takes them."""
    rows = layout()
    family = resolve_family(scenario.family)
    if family.kind == "ordinal":
        return _ordered(scenario, rows, n, rng)
    plan = mixfit.design(
        "y ~ x + (1 | g)",
        rows,
        family=scenario.family,
        fixed=scenario.fixed,
        sd={"sd((Intercept)|g)": SD},
        dispersion=scenario.formula_of("dispersion") or scenario.dispersion,
        zi=scenario.formula_of("zi"),
        weights=scenario.weights,
    )
    responses = plan.simulate(n, seed=rng).to_numpy(dtype=float).T
    if not family.censors:
        return plan.model, responses
    later = rng.uniform(1.0, _LATEST, responses.shape)
    model = mixfit.mixed(
        "censored(y, event) ~ x + (1 | g)", rows.assign(y=responses[0], event=1), family=scenario.family
    )
    return model, np.where(responses <= later, responses, -later)


def _ordered(scenario: Scenario, rows: pd.DataFrame, n: int, rng: np.random.Generator) -> tuple[Any, Array]:
    numbers = 1 + np.arange(len(rows)) % (len(_THRESHOLDS) + 1)
    y = pd.Categorical(numbers, ordered=True)
    model = mixfit.mixed("y ~ x + (1 | g)", rows.assign(y=y), family=scenario.family)
    family = model.family.at(np.array(list(_THRESHOLDS.values())))
    u = SD * rng.standard_normal((n, N_GROUPS)).repeat(N_ROWS, axis=1)
    eta = scenario.fixed["x"] * rows["x"].to_numpy() + u
    return model, np.array([family.simulate(one, np.ones(len(one)), 1.0, rng) for one in eta])


def coverage(scenario: Scenario, n: int, seed: int) -> Coverage:
    """How often Wald intervals hold the true values of a scenario, in `n` data sets."""
    failed, counts = 0, np.zeros(len(scenario.fixed), dtype=int)
    for fit in fits(scenario, n, seed):
        held = None if fit is None else scenario.held(fit)
        if held is None:
            failed += 1
        else:
            counts += held
    shares = {str(name): Share(int(count), n - failed) for name, count in zip(scenario.fixed, counts, strict=True)}
    return Coverage(shares, failed)


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.coverage", description=__doc__)
    parser.add_argument("--n", type=int, default=500, help="data sets of each family")
    parser.add_argument("--family", action="append", help="only these (may be repeated)")
    options = parser.parse_args()
    print("| family | coverage | failed |\n| --- | --- | --: |")
    for seed, scenario in enumerate(SCENARIOS):
        if options.family and scenario.family not in options.family:
            continue
        found = coverage(scenario, options.n, seed)
        cells = (f"`{name}` {share}{' **far**' if found.far(name) else ''}" for name, share in found.held.items())
        print(f"| {scenario.title} | {', '.join(cells)} | {found.failed} |", flush=True)


if __name__ == "__main__":
    main()
